from biocross.report.figures.clinic import plot_clinic
from biocross.workflow import logged

with logged(snakemake):
    plot_clinic(
        **snakemake.input,
        levels=snakemake.params.levels,
        declared=snakemake.params.declared,
        figures_out=dict(snakemake.output.items()),
    )
