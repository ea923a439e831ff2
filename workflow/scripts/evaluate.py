from pathlib import Path

from biocross.evaluation.run import Results, evaluate_run
from biocross.report.figures.truth import plot_evaluation
from biocross.workflow import logged

with logged(snakemake):
    files, samples = snakemake.input, snakemake.params.samples
    tables = ("counts", "paired_changes", "marker_changes", "gene_changes", "concordance")
    results = Results(
        **{name: Path(files[name]) for name in (*tables, "annotation") if files.get(name)},
        events=dict(zip(samples, files.events, strict=True)),
        memberships=files.memberships,
        cluster_labels=dict(zip(samples, files.get("cluster_labels", samples), strict=True)),
    )
    out_dir, cohort = Path(snakemake.output.rates).parent, Path(files.truth).parents[2]
    evaluate_run(
        *(results, cohort, Path(files.populations)),
        *(snakemake.params.levels, snakemake.params.fdr, out_dir),
    )
    plot_evaluation(out_dir, snakemake.output.figure)
