from biocross.flow.clusters.training import train_flow_map
from biocross.workflow import logged

with logged(snakemake):
    train_flow_map(
        events=snakemake.input.events,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        populations=snakemake.input.populations,
        method=snakemake.params.method,
        grid=snakemake.params.grid,
        number=snakemake.params.number,
        zoom=snakemake.params.zoom,
        zoom_grid=snakemake.params.zoom_grid,
        zoom_number=snakemake.params.zoom_number,
        events_per_sample=snakemake.params.events_per_sample,
        seed=snakemake.params.seed,
        map_out=snakemake.output.map,
        pool_out=snakemake.output.pool,
        zoom_pools_out=snakemake.output.zoom_pools,
        clusters_out=snakemake.output.clusters,
        numbers_out=snakemake.output.numbers,
        reruns_out=snakemake.output.reruns,
        n_reruns=snakemake.params.reruns,
    )
