from biocross.statistics.gate_sensitivity import measure_gate_sensitivity
from biocross.workflow import logged

with logged(snakemake):
    measure_gate_sensitivity(
        changes=snakemake.input.changes,
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        populations=snakemake.input.populations,
        shifts=snakemake.input.shifts,
        marker_shifts=snakemake.input.marker_shifts,
        confirmatory=snakemake.params.confirmatory,
        sensitivity_out=snakemake.output.sensitivity,
        fdr=snakemake.params.fdr,
        strategy=snakemake.input.strategy,
        panel=snakemake.input.panel,
    )
