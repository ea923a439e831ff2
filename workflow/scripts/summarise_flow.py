from biocross.flow.summary import summarise_flow
from biocross.workflow import logged

with logged(snakemake):
    tables_out = dict(snakemake.output.items())
    summarise_flow({name: snakemake.input[name] for name in tables_out}, tables_out)
