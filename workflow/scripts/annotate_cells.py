from biocross.cells.annotation import annotate_cells
from biocross.workflow import logged

with logged(snakemake):
    annotate_cells(
        integrated=snakemake.input.integrated,
        libraries=snakemake.input.libraries,
        samples=snakemake.input.samples,
        populations=snakemake.input.populations,
        cells_out=snakemake.output.cells,
        annotation_out=snakemake.output.annotation,
        clusters_out=snakemake.output.clusters,
        recheck_out=snakemake.output.recheck,
        reference=snakemake.input.get("reference"),
        reference_column=snakemake.params.reference_column,
        celltypist_model=snakemake.input.get("celltypist_model"),
        enriched=snakemake.params.enriched,
        excluded_genes=snakemake.params.excluded_genes,
        seed=snakemake.params.seed,
    )
