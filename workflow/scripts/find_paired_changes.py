from biocross.statistics.paired_changes import find_paired_changes
from biocross.workflow import logged

with logged(snakemake):
    find_paired_changes(
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        drug_notes=snakemake.input.drug_notes,
        populations=snakemake.input.populations,
        confirmatory=snakemake.params.confirmatory,
        seed=snakemake.params.seed,
        selected_on=snakemake.params.selected_on,
        changes_out=snakemake.output.changes,
    )
