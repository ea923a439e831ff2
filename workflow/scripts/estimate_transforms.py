from biocross.flow.control_spillover import compensation_of
from biocross.flow.transform_choice import estimate_transforms
from biocross.workflow import logged

with logged(snakemake):
    params = snakemake.params
    estimate_transforms(
        fcs=snakemake.input.fcs,
        panel=snakemake.input.panel,
        cytometry=params.cytometry,
        transform=params.transform,
        cofactor=params.cofactor,
        compensations=[
            compensation_of(params.compensation, snakemake.input.get("matrix"), batch)
            for batch in params.batches
        ],
        transforms_out=snakemake.output.transforms,
        gatingml_out=snakemake.output.gatingml,
    )
