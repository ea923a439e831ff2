from biocross.cohort.overview import check_cohort
from biocross.workflow import logged

with logged(snakemake):
    check_cohort(
        config=snakemake.config,
        samples_out=snakemake.output.samples,
        pairs_out=snakemake.output.pairs,
        problems_out=snakemake.output.problems,
        design_out=snakemake.output.design,
        patients_out=snakemake.output.patients,
        drug_notes_out=snakemake.output.drug_notes,
        with_headers=True,
    )
