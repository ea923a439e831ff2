from biocross.statistics.quality_loss import find_quality_losses
from biocross.workflow import logged

with logged(snakemake):
    find_quality_losses(
        ledger=snakemake.input.ledger,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        losses_out=snakemake.output.losses,
        sample_losses_out=snakemake.output.sample_losses,
    )
