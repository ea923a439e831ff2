from biocross.cells.summary import summarise_cells
from biocross.workflow import logged

with logged(snakemake):
    summarise_cells(
        cells=snakemake.input.cells,
        annotation=snakemake.input.annotation,
        samples=snakemake.input.samples,
        populations=snakemake.input.populations,
        gene_sets=snakemake.input.gene_sets,
        counts_out=snakemake.output.counts,
        expression_out=snakemake.output.expression,
        pseudobulk_out=snakemake.output.pseudobulk,
        cells_per_population_out=snakemake.output.cells_per_population,
        gene_sets_out=snakemake.output.gene_sets,
    )
