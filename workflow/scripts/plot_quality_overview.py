from biocross.report.figures.quality import plot_losses_by_visit, plot_quality_overview
from biocross.workflow import logged

with logged(snakemake):
    source = {
        "ledger": snakemake.input.ledger,
        "samples": snakemake.input.samples,
        "levels": snakemake.params.levels,
    }
    plot_quality_overview(**source, figure_out=snakemake.output.overview)
    plot_losses_by_visit(**source, figure_out=snakemake.output.by_visit)
