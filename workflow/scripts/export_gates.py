from biocross.flow.settled_gating import export_gates
from biocross.processes import map_in_processes
from biocross.workflow import logged, split

with logged(snakemake):
    files = snakemake.input
    shared = [
        files[name] for name in ("strategy", "thresholds", "populations", "panel", "transforms")
    ]
    events = split(files.events, snakemake.params.n_samples)
    outputs = zip(events, snakemake.output.gates, strict=True)
    tasks = [(own, *shared, gates) for own, gates in outputs]
    map_in_processes(export_gates, tasks, snakemake.threads)
