from biocross.report.quality_figures import plot_time_quality
from biocross.workflow import logged

with logged(snakemake):
    plot_time_quality(events=snakemake.input.events, figure_out=snakemake.output.figure)
