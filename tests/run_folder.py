"""The results folder of a run from a table of counts, for tests of what Jupyter users open."""

import numpy as np
import yaml
from long_tables import ROOT, LongTables, fill

from biocross.cohort.config import complete_config
from biocross.cohort.overview import PROBLEM_COLUMNS
from biocross.cohort.provenance import kept_copy
from biocross.statistics.calibration_rows import CALIBRATION_COLUMNS
from biocross.statistics.finding import SPECIFICATION_COLUMNS
from biocross.statistics.marker_changes import MARKER_CHANGE_COLUMNS
from biocross.tables import write_rows

CONFIG = {
    "inputs": {"patients": "patients.tsv", "counts": "counts.tsv", "populations": "pops.yaml"},
    "design": {"levels": ["baseline", "month_4"]},
    "statistics": {
        "confirmatory": {"modality": "flow", "source": "gate", "readout": "percent_of_parent"}
    },
    "report": {"title": "A study of <few>"},
}


def two_treatments(folder, **config):
    """Write the results of two treatments, four and three pairs, three populations; return both."""
    tables = LongTables(folder)
    rng = np.random.default_rng(1)
    fill(tables, rng, 4, populations=3)
    fill(tables, rng, 3, populations=3, treatment="dupilumab")
    tables.ask("dupilumab", "007")
    tables.pairs[-1].update(complete="no", missing="month_4")
    tables.add("007", "baseline", {"pop_0": (10, 100)}, treatment="dupilumab")
    return tables, run_folder(tables, **config)


def run_folder(tables, **config):
    """Test the populations of these tables, and leave everything where a run leaves it."""
    results, paths = tables.results(), tables.write()
    (results / "populations" / "expression.tsv").write_bytes(paths["markers"].read_bytes())
    for place, columns in (
        ("statistics/marker_changes.tsv", MARKER_CHANGE_COLUMNS),
        ("statistics/specifications.tsv", SPECIFICATION_COLUMNS),
        ("statistics/calibration.tsv", CALIBRATION_COLUMNS),
        ("cohort/problems.tsv", PROBLEM_COLUMNS),
    ):
        write_rows(results / place, columns, [])
    arms = {row["patient_id"]: row["treatment"] for row in tables.samples}
    patients = [{"patient_id": patient, "treatment": arm} for patient, arm in arms.items()]
    write_rows(results / "cohort" / "patients.tsv", ("patient_id", "treatment"), patients)
    provenance = results / "provenance"
    vocabulary = kept_copy(CONFIG["inputs"]["populations"], provenance)
    vocabulary.parent.mkdir(parents=True)
    vocabulary.write_bytes((ROOT / tables.populations).read_bytes())
    whole = complete_config({**CONFIG, **config})
    (provenance / "config.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    return results
