from biocross.statistics.visits import find_longitudinal_changes
from biocross.workflow import logged

with logged(snakemake):
    find_longitudinal_changes(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        levels=snakemake.params.levels,
        covariates=snakemake.params.covariates,
        changes_out=snakemake.output.changes,
    )
