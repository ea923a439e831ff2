from biocross.flow.marker_shifts import measure_marker_shifts
from biocross.workflow import logged

with logged(snakemake):
    measure_marker_shifts(
        modes=snakemake.input.modes,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        transforms=snakemake.input.transforms,
        shifts_out=snakemake.output.shifts,
        summary_out=snakemake.output.summary,
    )
