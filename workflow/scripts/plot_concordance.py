from biocross.report.figures.concordance import plot_concordance
from biocross.workflow import logged

with logged(snakemake):
    plot_concordance(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        populations=snakemake.input.populations,
        concordance=snakemake.input.concordance,
        findings=snakemake.input.findings,
        frequencies_out=snakemake.output.frequencies,
        changes_out=snakemake.output.changes,
        findings_out=snakemake.output.findings,
    )
