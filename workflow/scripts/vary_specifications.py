from biocross.statistics.specifications import vary_specifications
from biocross.workflow import logged

with logged(snakemake):
    vary_specifications(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        populations=snakemake.input.populations,
        changes=snakemake.input.changes,
        confirmatory=snakemake.params.confirmatory,
        seed=snakemake.params.seed,
        specifications_out=snakemake.output.specifications,
        fdr=snakemake.params.fdr,
        shifts=snakemake.input.get("shifts"),
    )
