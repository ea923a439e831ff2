"""A report written from tables that a test made up."""

import numpy as np
import yaml
from long_tables import GATES, fill

from biocross.cohort.config import complete_config
from biocross.report.page.report import write_report
from biocross.statistics.marker_changes import MARKER_CHANGE_COLUMNS
from biocross.tables import write_rows


def report(tables, tmp_path, confirmatory=GATES, flow=None, samples="x.tsv", **chapters):
    """Write the report of the tables and return it as text."""
    changes, paths = tables.changes_file(confirmatory), tables.write()
    inputs = {"patients": "patients.tsv"}
    if samples:
        inputs |= {"samples": samples, "panel": "panel.tsv", "gating": "gating.yaml"}
    else:
        inputs["counts"] = "counts.tsv"
    levels = list(dict.fromkeys(row["visit"] for row in tables.samples))
    declared = dict(zip(("modality", "source", "readout"), confirmatory, strict=True))
    config = {
        "inputs": inputs,
        "design": {"levels": levels},
        "statistics": {"confirmatory": declared},
        "report": {"title": "A <b>title</b> & more"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(complete_config(config)))
    (tmp_path / "versions.tsv").write_text("name\tversion\nbiocross\t0.1.0\nflowio\t1.3.0\n")
    write_rows(tmp_path / "marker_changes.tsv", MARKER_CHANGE_COLUMNS, [])
    out = tmp_path / "report.html"
    write_report(
        statistics={"paired_changes": changes, "marker_changes": tmp_path / "marker_changes.tsv"},
        counts=paths["counts"],
        cohort={"samples": paths["samples"], "pairs": paths["pairs"]},
        flow=flow or {},
        versions=tmp_path / "versions.tsv",
        config=tmp_path / "config.yaml",
        populations=tables.populations,
        report_out=out,
        **chapters,
    )
    return out.read_text(encoding="utf-8")


def planted(tables, n=8, treatment="mepolizumab", name="ILC2", factor=2.0, depth=20_000):
    """Add patients in whom one population doubles and others stay."""
    rng = np.random.default_rng(n)
    names = fill(tables, rng, n, populations=6, treatment=treatment, depth=depth)
    for row in tables.counts:
        if row["population"] == "pop_1" and row["treatment"] == treatment:
            row["population"] = name
            if row["visit"] == "month_4":
                row["count"] = int(row["count"] * factor)
                row["percent"] = 100 * row["count"] / row["parent_count"]
    return names
