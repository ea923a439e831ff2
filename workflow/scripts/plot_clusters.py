from biocross.report.figures.agreement import plot_agreement
from biocross.report.figures.clusters import plot_clusters
from biocross.workflow import logged

with logged(snakemake):
    plot_clusters(
        annotation=snakemake.input.annotation,
        counts=snakemake.input.counts,
        expression=snakemake.input.expression,
        samples=snakemake.input.samples,
        populations=snakemake.input.populations,
        levels=snakemake.params.levels,
        heat_map_out=snakemake.output.heat_map,
        sizes_out=snakemake.output.sizes,
    )
    plot_agreement(
        *(snakemake.input.agreement, snakemake.input.populations, snakemake.params.least_f1),
        *snakemake.output.agreement,
    )
