from biocross.flow.prepare import prepare_flow_sample
from biocross.workflow import logged

with logged(snakemake):
    prepare_flow_sample(
        fcs=snakemake.input.fcs,
        panel=snakemake.input.panel,
        transforms=snakemake.input.transforms,
        cytometry=snakemake.params.cytometry,
        meta={
            "sample_id": snakemake.wildcards.sample,
            "patient_id": snakemake.params.patient_id,
            "tissue": snakemake.params.tissue,
        },
        events_out=snakemake.output.events,
        ledger_out=snakemake.output.ledger,
    )
