from biocross.report.figures.rna import plot_rna
from biocross.workflow import logged

with logged(snakemake):
    plot_rna(
        cells=snakemake.input.cells,
        quality=snakemake.input.quality,
        samples=snakemake.input.samples,
        populations=snakemake.input.populations,
        levels=snakemake.params.levels,
        maps_out=snakemake.output.maps,
        composition_out=snakemake.output.composition,
        integration_out=snakemake.output.integration,
        markers_out=snakemake.output.markers,
    )
