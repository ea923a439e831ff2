from biocross.populations import import_counts
from biocross.workflow import logged

with logged(snakemake):
    import_counts(
        counts=snakemake.input.counts,
        populations=snakemake.input.populations,
        counts_out=snakemake.output.counts,
    )
