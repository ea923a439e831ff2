from biocross.flow.settled_thresholds import settle_thresholds
from biocross.workflow import logged

with logged(snakemake):
    settle_thresholds(
        estimates=snakemake.input.estimates,
        strategy=snakemake.input.strategy,
        populations=snakemake.input.populations,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        thresholds_out=snakemake.output.thresholds,
    )
