from biocross.flow.summary import COLUMNS, summarise_flow
from biocross.workflow import logged

with logged(snakemake):
    summarise_flow(
        parts={name: snakemake.input[name] for name in COLUMNS},
        tables_out={name: snakemake.output[name] for name in COLUMNS},
    )
