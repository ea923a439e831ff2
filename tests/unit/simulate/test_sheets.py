from collections import defaultdict
from pathlib import Path

import pytest

from biocross.errors import ConfigError
from biocross.simulate.sheets import write_sheets
from biocross.tables import read_rows

CONFIG = Path(__file__).parents[3] / "config"
STUDY = CONFIG / "simulation.yaml"
SHEETS = ["samples.tsv", "patients.tsv", "clinical.tsv", "panel.tsv"]


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheets")
    write_sheets(STUDY, folder, seed=1, modalities=("flow", "rna"))
    return folder


@pytest.mark.parametrize("sheet", SHEETS)
def test_committed_sheets_are_those_of_the_study(sheets, sheet):
    assert (CONFIG / sheet).read_text("utf-8") == (sheets / sheet).read_text("utf-8")


def test_sixteen_patients_and_one_lost_visit(sheets):
    samples = [row for row in read_rows(sheets / "samples.tsv") if row["modality"] == "flow"]
    patients = {row["patient_id"]: row for row in read_rows(sheets / "patients.tsv")}
    assert len(patients) == 16
    assert len(samples) == 31
    visits = defaultdict(set)
    for row in samples:
        visits[row["patient_id"]].add(row["visit"])
    incomplete = [patient for patient, seen in visits.items() if len(seen) == 1]
    assert [patients[p]["treatment"] for p in incomplete] == ["dupilumab"]
    assert visits[incomplete[0]] == {"baseline"}
    assert len(read_rows(sheets / "clinical.tsv")) == 31


def test_both_visits_of_a_patient_are_in_one_run_of_rna(sheets):
    rows = [row for row in read_rows(sheets / "samples.tsv") if row["modality"] == "rna"]
    runs = defaultdict(set)
    for row in rows:
        runs[row["patient_id"]].add(row["batch"])
    assert len(rows) == 16
    assert all(len(own) == 1 for own in runs.values())


def test_batches_hold_both_visits_and_are_balanced_over_arms(sheets):
    treatment = {r["patient_id"]: r["treatment"] for r in read_rows(sheets / "patients.tsv")}
    batches = defaultdict(set)
    for row in read_rows(sheets / "samples.tsv"):
        if row["modality"] == "flow":
            batches[row["patient_id"]].add(row["batch"])
    assert all(len(lots) == 1 for lots in batches.values())
    arms = defaultdict(list)
    for patient, lots in batches.items():
        arms[treatment[patient], *lots].append(patient)
    assert sorted(len(patients) for patients in arms.values()) == [4, 4, 4, 4]


def test_clinical_values_are_plausible(sheets):
    for row in read_rows(sheets / "clinical.tsv"):
        assert 3_000 < float(row["leukocytes_per_ul"]) < 20_000
        parts = ("eosinophils_per_ul", "lymphocytes_per_ul", "monocytes_per_ul")
        assert sum(float(row[part]) for part in parts) < float(row["leukocytes_per_ul"])
        assert 5 <= float(row["act_score"]) <= 25
        assert float(row["ocs_mg_day"]) % 2.5 == 0


def test_a_longer_study_keeps_the_patients_it_had(sheets, tmp_path):
    more = {
        "visits": {"month_12": {"day": 365}},
        "treatments": {"dupilumab": {"patients": 10}},
    }
    write_sheets(STUDY, tmp_path, seed=1, overrides=more)
    assert len(read_rows(tmp_path / "samples.tsv")) == 18 * 3 - 1
    old = {(r["patient_id"], r["visit"]): r for r in read_rows(sheets / "clinical.tsv")}
    new = {(r["patient_id"], r["visit"]): r for r in read_rows(tmp_path / "clinical.tsv")}
    assert all(new[key] == row for key, row in old.items())


def test_another_seed_has_other_patients(sheets, tmp_path):
    write_sheets(STUDY, tmp_path, seed=2, modalities=("flow", "rna"))
    assert (tmp_path / "clinical.tsv").read_text() != (sheets / "clinical.tsv").read_text()
    assert (tmp_path / "samples.tsv").read_text() == (sheets / "samples.tsv").read_text()


def test_a_seed_is_a_whole_number(tmp_path):
    with pytest.raises(ConfigError, match=r"seed .* from 0, not -1"):
        write_sheets(STUDY, tmp_path, seed=-1)
