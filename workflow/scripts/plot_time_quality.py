from biocross.report.quality_figures import plot_time_quality
from biocross.workflow import logged, map_in_processes

with logged(snakemake):
    files = zip(snakemake.input.events, snakemake.output.figures, strict=True)
    map_in_processes(plot_time_quality, files, snakemake.threads)
