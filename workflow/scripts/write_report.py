from pathlib import Path

from biocross.report.flow_quality import FLOW_TABLES
from biocross.report.html import write_report
from biocross.workflow import logged

with logged(snakemake):
    write_report(
        statistics={Path(path).stem: path for path in snakemake.input.statistics},
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        flow={
            name: snakemake.input[name]
            for name in (*FLOW_TABLES, "quality_overview")
            if name in dict(snakemake.input.items())
        },
        versions=snakemake.input.versions,
        config=snakemake.input.config,
        populations=snakemake.input.populations,
        report_out=snakemake.output.report,
    )
