from biocross.cohort.design import META_NAMES
from biocross.flow.control_spillover import compensation_of
from biocross.flow.prepare import prepare_flow_sample
from biocross.workflow import logged

with logged(snakemake):
    prepare_flow_sample(
        fcs=snakemake.input.fcs,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        cytometry=snakemake.params.cytometry,
        compensation=compensation_of(
            snakemake.params.compensation, snakemake.input.get("matrix"), snakemake.params.batch
        ),
        skip_quality=snakemake.params.skip_quality,
        meta=dict(zip(META_NAMES, snakemake.params.meta, strict=True)),
        events_out=snakemake.output.events,
        ledger_out=snakemake.output.ledger,
        repairs_out=snakemake.output.repairs,
        warnings_out=snakemake.output.warnings,
        sanity_out=snakemake.output.sanity,
    )
