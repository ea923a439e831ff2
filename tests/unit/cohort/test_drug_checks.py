import pytest
import yaml

from biocross.cohort.checks import inspect_cohort
from biocross.cohort.config import complete_config
from biocross.cohort.drug_checks import drug_problems, write_drug_notes
from biocross.tables import read_rows


@pytest.fixture
def gated(study):
    """A study whose ILC2 are gated by CRTH2, and eosinophils by CD125."""
    panel = ["channel marker kind", "PE-A CD3 lineage", "APC-A CRTH2 lineage", "BV-A CD125 lineage"]
    study.write("panel", *panel)
    gates = {"live_singlets": {}, "leukocytes": {}, "eosinophils": {"phenotype": "CD125+"}}
    gates["basophils"] = {"phenotype": "CRTH2+"}
    thresholds = {name: {"method": "valley"} for name in ("CD125", "CRTH2")}
    study.gates = {"thresholds": thresholds, "gates": gates}
    (study.folder / "gating.yaml").write_text(yaml.safe_dump(study.gates))
    return study


def treated(study, treatment):
    path = study.folder / "patients.tsv"
    path.write_text(path.read_text().replace("mepolizumab", treatment))
    return complete_config(study.config)


def test_a_masked_marker_in_a_primary_gate_stops_the_run(gated):
    config = treated(gated, "benralizumab")
    errors = [str(problem) for problem in inspect_cohort(config)[1] if problem.is_error]
    assert len(errors) == 1
    assert "benralizumab masks CD125" in errors[0]
    assert "eosinophils" in errors[0]


def test_other_drugs_leave_the_gate_alone(gated):
    config = treated(gated, "placebo")
    _, problems = inspect_cohort(config)
    assert not [problem for problem in problems if problem.is_error]
    assert not [problem for problem in problems if "CD125" in problem.message]


def test_no_sheet_no_check(gated):
    gated.config["inputs"]["drug_markers"] = None
    config = treated(gated, "benralizumab")
    cohort, problems = inspect_cohort(config)
    assert drug_problems(config["inputs"], cohort, {}, [], None) == []
    assert not [problem for problem in problems if "CD125" in problem.message]
    assert not [problem for problem in problems if problem.is_error]


def test_a_fault_of_the_sheet_is_named(gated, tmp_path):
    sheet = tmp_path / "drugs.tsv"
    sheet.write_text("treatment\tmarker\teffect\nbenralizumab\tCD125\thidden\n")
    gated.config["inputs"]["drug_markers"] = str(sheet)
    problems = [str(p) for p in inspect_cohort(complete_config(gated.config))[1] if p.is_error]
    assert any('"effect" is "hidden"' in problem for problem in problems)


def test_notes_of_the_drug_stand_apart_from_general_ones(gated, tmp_path):
    config = treated(gated, "mepolizumab")
    cohort, _ = inspect_cohort(config)
    write_drug_notes(config, cohort, tmp_path / "notes.tsv")
    rows = {(row["treatment"], row["population"]): row for row in read_rows(tmp_path / "notes.tsv")}
    assert "mepolizumab raises CD125" in rows["mepolizumab", "eosinophils"]["note"]
    assert rows["dupilumab", "basophils"]["note"] == ""
    assert "CRTH2" in rows["dupilumab", "basophils"]["general_note"]
