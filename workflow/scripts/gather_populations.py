from biocross.populations import gather_populations
from biocross.workflow import logged

with logged(snakemake):
    gather_populations(
        samples=snakemake.input.samples,
        populations=snakemake.input.populations,
        counts={
            source: path
            for source in ("gate", "clusters", "normalised_clusters", "cells", "table")
            if (path := snakemake.input.get(source))
        },
        expression=list(snakemake.input.expression),
        counts_out=snakemake.output.counts,
        expression_out=snakemake.output.expression,
        scale_out=snakemake.output.scale,
    )
