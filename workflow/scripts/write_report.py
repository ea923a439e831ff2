from pathlib import Path

from biocross.report.html import write_report
from biocross.workflow import logged

with logged(snakemake):
    write_report(
        statistics={Path(path).stem: path for path in snakemake.input.statistics},
        counts=snakemake.input.counts,
        samples=snakemake.input.samples,
        pairs=snakemake.input.pairs,
        ledger=snakemake.input.get("ledger"),
        thresholds=snakemake.input.get("thresholds"),
        channels=snakemake.input.get("channels"),
        versions=snakemake.input.versions,
        config=snakemake.input.config,
        populations=snakemake.input.populations,
        report_out=snakemake.output.report,
    )
