from biocross.report.figures.cohort import plot_cohort
from biocross.workflow import logged

with logged(snakemake):
    files = snakemake.input
    plot_cohort(
        patients=files.patients,
        samples=files.samples,
        pairs=files.pairs,
        ledgers=[files[name] for name in ("ledger", "rna_ledger") if files.get(name)],
        levels=snakemake.params.levels,
        figures_out=dict(snakemake.output.items()),
    )
