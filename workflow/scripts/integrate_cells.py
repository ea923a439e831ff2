from biocross.cells.integration import integrate_cells
from biocross.workflow import logged

with logged(snakemake):
    integrate_cells(
        libraries=snakemake.input.libraries,
        samples=snakemake.input.samples,
        populations=snakemake.input.populations,
        integrated_out=snakemake.output.integrated,
        quality_out=snakemake.output.quality,
        resolutions_out=snakemake.output.resolutions,
        batch_key=snakemake.params.batch_key,
        n_genes=snakemake.params.n_genes,
        n_components=snakemake.params.n_components,
        n_neighbours=snakemake.params.n_neighbours,
        resolutions=snakemake.params.resolutions,
        excluded_genes=snakemake.params.excluded_genes,
        seed=snakemake.params.seed,
    )
