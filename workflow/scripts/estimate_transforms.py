from biocross.flow.prepare import estimate_transforms
from biocross.workflow import logged

with logged(snakemake):
    estimate_transforms(
        fcs=snakemake.input.fcs,
        panel=snakemake.input.panel,
        cytometry=snakemake.params.cytometry,
        transform=snakemake.params.transform,
        cofactor=snakemake.params.cofactor,
        transforms_out=snakemake.output.transforms,
    )
