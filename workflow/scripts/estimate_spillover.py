from biocross.flow.control_spillover import estimate_control_spillover
from biocross.workflow import logged

with logged(snakemake):
    estimate_control_spillover(
        controls=snakemake.input.controls,
        roles=snakemake.params.roles,
        stains=snakemake.params.stains,
        batches=snakemake.params.batches,
        panel=snakemake.input.panel,
        spillover_out=snakemake.output.spillover,
        controls_out=snakemake.output.controls,
    )
