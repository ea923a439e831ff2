from biocross.flow.settled_gating import export_gates
from biocross.workflow import logged

with logged(snakemake):
    export_gates(
        events=snakemake.input.events,
        strategy=snakemake.input.strategy,
        thresholds=snakemake.input.thresholds,
        populations=snakemake.input.populations,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        gates_out=snakemake.output.gates,
    )
