from biocross.statistics.treatment_differences import find_treatment_differences
from biocross.workflow import logged

with logged(snakemake):
    find_treatment_differences(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        populations=snakemake.input.populations,
        differences_out=snakemake.output.differences,
    )
