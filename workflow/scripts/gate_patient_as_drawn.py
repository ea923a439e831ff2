from biocross.flow.imported.gating import gate_patient_as_drawn
from biocross.workflow import logged

with logged(snakemake):
    gate_patient_as_drawn(
        gates=snakemake.input.strategy,
        gate_paths=snakemake.input.gate_paths,
        populations=snakemake.input.populations,
        panel=snakemake.input.panel,
        samples=snakemake.params.samples,
        files=snakemake.input.fcs,
        patients=snakemake.params.patients,
        moved_gates=snakemake.params.moved_gates,
        patient=snakemake.wildcards.patient,
        events=snakemake.input.events,
        counts_out=snakemake.output.counts,
        expression_out=snakemake.output.expression,
        unknown_out=snakemake.output.unknown,
        stored_counts_out=snakemake.output.stored_counts,
        membership_out=snakemake.output.membership,
    )
