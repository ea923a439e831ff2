from biocross.flow.gating import gate_patient
from biocross.workflow import logged

with logged(snakemake):
    gate_patient(
        events=snakemake.input.events,
        strategy=snakemake.input.strategy,
        thresholds=snakemake.input.thresholds,
        populations=snakemake.input.populations,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        counts_out=snakemake.output.counts,
        expression_out=snakemake.output.expression,
        modes_out=snakemake.output.modes,
        shifts_out=snakemake.output.shifts,
        unknown_out=snakemake.output.unknown,
        membership_out=snakemake.output.membership,
    )
