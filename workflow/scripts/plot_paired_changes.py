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
        pdf_out=snakemake.output.pdf,
        svg_out=snakemake.output.svg,
        png_out=snakemake.output.png,
    )
