from biocross.statistics.clinical import find_clinical_associations
from biocross.workflow import logged

with logged(snakemake):
    find_clinical_associations(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        populations=snakemake.input.populations,
        seed=snakemake.params.seed,
        associations_out=snakemake.output.associations,
    )
