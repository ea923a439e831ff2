from biocross.flow.clusters.mapping import summarise_clusters
from biocross.workflow import logged

with logged(snakemake):
    summarise_clusters(
        counts=snakemake.input.counts,
        expression=snakemake.input.expression,
        counts_out=snakemake.output.counts,
        expression_out=snakemake.output.expression,
    )
