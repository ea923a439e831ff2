from biocross.flow.gating import gate_patient
from biocross.workflow import logged

with logged(snakemake):
    gate_patient(
        events=snakemake.input.events,
        strategy=snakemake.input.strategy,
        populations=snakemake.input.populations,
        panel=snakemake.input.panel,
        thresholds_out=snakemake.output.thresholds,
        counts_out=snakemake.output.counts,
        expression_out=snakemake.output.expression,
        modes_out=snakemake.output.modes,
    )
