from biocross.processes import map_in_processes
from biocross.report.figures.quality import plot_time_quality
from biocross.workflow import logged

with logged(snakemake):
    files = zip(snakemake.input.events, snakemake.output.figures, strict=True)
    map_in_processes(plot_time_quality, files, snakemake.threads)
