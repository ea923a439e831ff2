from biocross.statistics.marker_changes import find_marker_changes
from biocross.workflow import logged

with logged(snakemake):
    find_marker_changes(
        expression=snakemake.input.expression,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        panel=snakemake.input.get("panel"),
        transforms=snakemake.input.get("transforms"),
        gene_sets=snakemake.input.get("gene_sets"),
        populations=snakemake.input.populations,
        min_cells=snakemake.params.min_cells,
        seed=snakemake.params.seed,
        changes_out=snakemake.output.changes,
    )
