from biocross.flow.clusters.outliers import find_outlying_samples
from biocross.report.figures.outliers import plot_outliers
from biocross.workflow import logged

with logged(snakemake):
    find_outlying_samples(
        counts=snakemake.input.counts,
        expression=snakemake.input.expression,
        samples=snakemake.input.samples,
        outliers_out=snakemake.output.outliers,
        annotation=snakemake.input.get("annotation"),
    )
    plot_outliers(snakemake.output.outliers, snakemake.params.levels, *snakemake.output.figures)
