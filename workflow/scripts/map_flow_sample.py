from biocross.flow.clusters.mapping import map_flow_sample
from biocross.workflow import logged

with logged(snakemake):
    map_flow_sample(
        events=snakemake.input.events[0],
        maps=snakemake.input.map,
        annotation=snakemake.input.annotation,
        found=snakemake.input.found,
        panel=snakemake.input.panel,
        populations=snakemake.input.populations,
        source_prefix=snakemake.wildcards.clusters.removesuffix("clusters"),
        labels_out=snakemake.output.labels,
        counts_out=snakemake.output.counts,
        expression_out=snakemake.output.expression,
    )
