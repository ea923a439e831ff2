from biocross.report.figures.gene_changes import plot_gene_changes
from biocross.workflow import logged

with logged(snakemake):
    plot_gene_changes(
        *(snakemake.input.changes, snakemake.input.populations, snakemake.params.fdr),
        *snakemake.output.figure,
    )
