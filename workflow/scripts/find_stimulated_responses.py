from biocross.statistics.stimulation import find_stimulated_responses
from biocross.workflow import logged

with logged(snakemake):
    find_stimulated_responses(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        fdr=snakemake.params.fdr,
        responses_out=snakemake.output.responses,
        changes_out=snakemake.output.changes,
    )
