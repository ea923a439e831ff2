from biocross.statistics.marker_changes import find_marker_changes
from biocross.workflow import logged

with logged(snakemake):
    find_marker_changes(
        expression=snakemake.input.expression,
        samples=snakemake.input.samples,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        levels=snakemake.params.levels,
        min_cells=snakemake.params.min_cells,
        seed=snakemake.params.seed,
        changes_out=snakemake.output.changes,
    )
