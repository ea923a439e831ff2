from biocross.flow.normalisation.normalise import normalise_flow_sample
from biocross.workflow import logged

with logged(snakemake):
    normalise_flow_sample(
        events=snakemake.input.events,
        functions=snakemake.input.functions,
        batch=snakemake.params.batch,
        events_out=snakemake.output.events,
    )
