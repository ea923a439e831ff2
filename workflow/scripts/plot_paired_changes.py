from biocross.report.figures.paired_changes import plot_paired_changes
from biocross.workflow import logged

with logged(snakemake):
    plot_paired_changes(
        changes=snakemake.input.changes,
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        levels=snakemake.params.levels,
        fdr=snakemake.params.fdr,
        declared=snakemake.params.declared,
        figures_out=snakemake.output.figure,
    )
