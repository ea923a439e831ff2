from biocross.cohort.provenance import record_provenance
from biocross.workflow import logged

with logged(snakemake):
    record_provenance(
        config=snakemake.config,
        inputs=snakemake.input,
        config_out=snakemake.output.config,
        versions_out=snakemake.output.versions,
        inputs_out=snakemake.output.inputs,
    )
