from biocross.cells.ledgers import summarise_libraries
from biocross.workflow import logged

with logged(snakemake):
    summarise_libraries(
        ledgers=snakemake.input.ledgers,
        warnings=snakemake.input.warnings,
        genes=snakemake.input.genes,
        ledger_out=snakemake.output.ledger,
        warnings_out=snakemake.output.warnings,
        genes_out=snakemake.output.genes,
    )
