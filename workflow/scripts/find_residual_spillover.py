from biocross.flow.residual_spillover import find_residual_spillover
from biocross.workflow import logged

with logged(snakemake):
    find_residual_spillover(
        events=snakemake.input.events,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        residuals_out=snakemake.output.residuals,
    )
