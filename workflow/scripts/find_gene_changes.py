from biocross.statistics.gene_changes import find_gene_changes
from biocross.workflow import logged

with logged(snakemake):
    find_gene_changes(
        pseudobulk=snakemake.input.pseudobulk,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        n_threads=snakemake.threads,
        changes_out=snakemake.output.changes,
    )
