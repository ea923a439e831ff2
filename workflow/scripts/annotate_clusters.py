from biocross.flow.clusters.naming import name_clusters
from biocross.workflow import logged

with logged(snakemake):
    name_clusters(
        maps=snakemake.input.map,
        pools=snakemake.input.pools,
        clusters=snakemake.input.clusters,
        reruns=snakemake.input.reruns,
        transforms=snakemake.input.transforms,
        populations=snakemake.input.populations,
        labels=snakemake.input.get("labels"),
        annotation_out=snakemake.output.annotation,
        populations_out=snakemake.output.populations,
    )
