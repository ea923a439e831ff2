from biocross.processes import map_in_processes
from biocross.report.figures.settled_gates import plot_patient_gating
from biocross.workflow import logged, split

with logged(snakemake):
    files, n_samples = snakemake.input, snakemake.params.n_samples
    shared = [
        files[name] for name in ("strategy", "thresholds", "populations", "panel", "transforms")
    ]
    events, levels = split(files.events, n_samples), split(snakemake.params.levels, n_samples)
    outputs = zip(events, levels, snakemake.output.figures, strict=True)
    tasks = [(own, visits, *shared, figure) for own, visits, figure in outputs]
    map_in_processes(plot_patient_gating, tasks, snakemake.threads)
