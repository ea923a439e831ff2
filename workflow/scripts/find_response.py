from biocross.statistics.response import find_response
from biocross.workflow import logged

with logged(snakemake):
    find_response(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        populations=snakemake.input.populations,
        patients=snakemake.input.patients,
        responder_based_on=snakemake.params.responder_based_on,
        response_out=snakemake.output.response,
    )
