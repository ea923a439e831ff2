from biocross.flow.clusters.cells_file import embed_flow_cells
from biocross.report.figures.cell_maps import plot_cell_maps
from biocross.workflow import logged

with logged(snakemake):
    embed_flow_cells(
        pool=snakemake.input.pool,
        maps=snakemake.input.map,
        labels=snakemake.input.labels,
        memberships=snakemake.input.memberships,
        annotation=snakemake.input.annotation,
        samples=snakemake.input.samples,
        levels=snakemake.params.levels,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        populations=snakemake.input.populations,
        max_cells=snakemake.params.max_cells,
        seed=snakemake.params.seed,
        cells_out=snakemake.output.cells,
    )
    plot_cell_maps(snakemake.output.cells, *snakemake.output.figures)
