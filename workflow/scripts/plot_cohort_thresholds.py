from biocross.report.figures.settled_gates import plot_cohort_thresholds
from biocross.workflow import logged

with logged(snakemake):
    plot_cohort_thresholds(
        events=snakemake.input.events,
        strategy=snakemake.input.strategy,
        thresholds=snakemake.input.thresholds,
        populations=snakemake.input.populations,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        figure_out=snakemake.output.figure,
    )
