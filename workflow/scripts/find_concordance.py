from biocross.statistics.concordance import find_concordance
from biocross.workflow import logged

with logged(snakemake):
    find_concordance(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        populations=snakemake.input.populations,
        changes=snakemake.input.changes,
        seed=snakemake.params.seed,
        fdr=snakemake.params.fdr,
        concordance_out=snakemake.output.concordance,
        findings_out=snakemake.output.findings,
    )
