from pathlib import Path

from biocross.report.page.flow_quality import FLOW_TABLES
from biocross.report.page.report import CHAPTERS_WITH_FIGURES, write_report
from biocross.workflow import logged


def by_name(files):
    return {Path(path).stem: path for path in files}


with logged(snakemake):
    inputs = dict(snakemake.input.items())
    figures = {name: inputs.get(f"{name}_figures", []) for name in CHAPTERS_WITH_FIGURES}
    figures["gates"] = [*inputs.get("gate_examples", []), *figures["gates"]]
    write_report(
        statistics=by_name(inputs["statistics"]),
        counts=inputs["counts"],
        cohort=by_name(inputs["cohort"]),
        flow={name: inputs[name] for name in FLOW_TABLES if name in inputs},
        versions=inputs["versions"],
        config=inputs["config"],
        populations=inputs["populations"],
        report_out=snakemake.output.report,
        clusters=by_name(inputs.get("clusters", [])),
        rna=by_name([*inputs.get("rna", []), *inputs.get("both", [])]),
        figures=figures,
    )
