from biocross.statistics.calibration import calibrate_run
from biocross.workflow import logged

with logged(snakemake):
    calibrate_run(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        populations=snakemake.input.populations,
        changes=snakemake.input.changes,
        confirmatory=snakemake.params.confirmatory,
        relabellings=snakemake.params.relabellings,
        fdr=snakemake.params.fdr,
        seed=snakemake.params.seed,
        calibration_out=snakemake.output.calibration,
    )
