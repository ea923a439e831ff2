from biocross.flow.gating import estimate_thresholds
from biocross.workflow import logged

with logged(snakemake):
    estimate_thresholds(
        events=snakemake.input.events,
        strategy=snakemake.input.strategy,
        populations=snakemake.input.populations,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        estimates_out=snakemake.output.estimates,
        by_stimulation=snakemake.params.by_stimulation,
    )
