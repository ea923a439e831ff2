from biocross.report.figures.quality_overview import plot_losses_by_visit, plot_quality_overview
from biocross.workflow import logged

with logged(snakemake):
    files, levels = (snakemake.input.ledger, snakemake.input.samples), snakemake.params.levels
    plot_quality_overview(*files, *snakemake.output.overview, levels=levels)
    plot_losses_by_visit(*files, *snakemake.output.by_visit, levels=levels)
