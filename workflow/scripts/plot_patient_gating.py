from biocross.report.settled_figures import plot_patient_gating
from biocross.workflow import logged

with logged(snakemake):
    plot_patient_gating(
        events=snakemake.input.events,
        strategy=snakemake.input.strategy,
        thresholds=snakemake.input.thresholds,
        populations=snakemake.input.populations,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        levels=snakemake.params.levels,
        figure_out=snakemake.output.figure,
    )
