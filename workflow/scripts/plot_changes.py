from biocross.report.figures.changes import plot_changes
from biocross.workflow import logged

with logged(snakemake):
    plot_changes(
        **snakemake.input,
        levels=snakemake.params.levels,
        fdr=snakemake.params.fdr,
        declared=snakemake.params.declared,
        figures_out=dict(snakemake.output.items()),
    )
