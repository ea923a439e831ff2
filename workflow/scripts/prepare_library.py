from biocross.cells.prepare import prepare_library
from biocross.workflow import logged

with logged(snakemake):
    prepare_library(
        path=snakemake.input.library,
        name=snakemake.wildcards.library,
        samples=snakemake.params.samples,
        hashtags=snakemake.params.hashtags,
        seed=snakemake.params.seed,
        genome=snakemake.params.genome,
        expected_cells=snakemake.params.expected_cells,
        sample_column=snakemake.params.sample_column,
        library_out=snakemake.output.library,
        ledger_out=snakemake.output.ledger,
        warnings_out=snakemake.output.warnings,
        genes_out=snakemake.output.genes,
    )
