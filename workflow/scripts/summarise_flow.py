from biocross.flow.summary import summarise_flow
from biocross.workflow import logged

with logged(snakemake):
    summarise_flow(
        counts=snakemake.input.counts,
        expression=snakemake.input.expression,
        thresholds=snakemake.input.thresholds,
        ledgers=snakemake.input.ledgers,
        counts_out=snakemake.output.counts,
        expression_out=snakemake.output.expression,
        thresholds_out=snakemake.output.thresholds,
        ledger_out=snakemake.output.ledger,
    )
