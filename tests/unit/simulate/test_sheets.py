from collections import Counter, defaultdict
from pathlib import Path

import pytest

from biocross.errors import ConfigError
from biocross.simulate.sheets import write_sheets
from biocross.tables import read_rows

CONFIG = Path(__file__).parents[3] / "config"
STUDY = CONFIG / "simulation" / "demo.yaml"
SHEETS = ["samples.tsv", "patients.tsv", "clinical.tsv", "panel.tsv"]


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheets")
    write_sheets(STUDY, folder, seed=1, modalities=("flow", "rna"))
    return folder


@pytest.mark.parametrize("sheet", SHEETS)
def test_committed_sheets_are_those_of_the_study(sheets, sheet):
    assert (CONFIG / sheet).read_text("utf-8") == (sheets / sheet).read_text("utf-8")


def test_sixteen_patients_of_whom_some_miss_a_visit(sheets):
    samples = [row for row in read_rows(sheets / "samples.tsv") if row["modality"] == "flow"]
    assert len(read_rows(sheets / "patients.tsv")) == 16
    visits = Counter(row["visit"] for row in samples)
    assert visits["baseline"] == 16
    assert 20 <= visits["month_4"] + visits["month_12"] < 32
    assert len(read_rows(sheets / "clinical.tsv")) == len(samples)


def test_follow_ups_are_missed_as_often_as_asked(tmp_path):
    chances = {"responders": 0.1, "resistant": 0.6}
    many = {"mepolizumab": {"patients": 150}, "dupilumab": {"patients": 1}}
    write_sheets(STUDY, tmp_path, 3, {"missing_follow_ups": chances, "treatments": many})
    responds = {r["patient_id"]: r["responder"] for r in read_rows(tmp_path / "patients.tsv")}
    seen = Counter(
        responds[row["patient_id"]]
        for row in read_rows(tmp_path / "samples.tsv")
        if row["visit"] != "baseline"
    )
    planned = Counter({who: 2 * n for who, n in Counter(responds.values()).items()})
    assert seen["yes"] / planned["yes"] == pytest.approx(0.9, abs=0.06)
    assert seen["no"] / planned["no"] == pytest.approx(0.4, abs=0.18)


def test_only_those_who_are_selected_are_enrolled(tmp_path):
    chosen = {"population": "eosinophils", "at_least": 400}
    write_sheets(STUDY, tmp_path, 1, {"selection": chosen, "analyser_cv": 0})
    baseline = [r for r in read_rows(tmp_path / "clinical.tsv") if r["visit"] == "baseline"]
    assert min(float(row["eosinophils_per_ul"]) for row in baseline) >= 400


def test_blood_counts_are_rounded_to_their_step(tmp_path):
    coarse = {"blood_counts": {"eosinophils_per_ul": {"population": "eosinophils", "step": 100}}}
    write_sheets(STUDY, tmp_path, 1, coarse)
    counts = {float(r["eosinophils_per_ul"]) for r in read_rows(tmp_path / "clinical.tsv")}
    assert {count % 100 for count in counts} == {0}


def test_batches_may_follow_the_visits(tmp_path):
    write_sheets(STUDY, tmp_path, 1, {"batches_follow": "visit", "batches": ["a", "b", "c"]})
    pairs = {(r["visit"], r["batch"]) for r in read_rows(tmp_path / "samples.tsv")}
    assert pairs == {("baseline", "a"), ("month_4", "b"), ("month_12", "c")}


def test_clinical_variables_follow_the_response(tmp_path):
    many = {"mepolizumab": {"patients": 80}, "dupilumab": {"patients": 1}}
    write_sheets(STUDY, tmp_path, 2, {"treatments": many, "missing_follow_ups": 0})
    responds = {r["patient_id"]: r["responder"] for r in read_rows(tmp_path / "patients.tsv")}
    act = {
        (r["patient_id"], r["visit"]): float(r["act_score"])
        for r in read_rows(tmp_path / "clinical.tsv")
    }
    gain = defaultdict(list)
    for patient, responder in responds.items():
        gain[responder].append(act[patient, "month_4"] - act[patient, "baseline"])
    assert sum(gain["yes"]) / len(gain["yes"]) > sum(gain["no"]) / len(gain["no"]) + 2


def test_both_visits_of_a_patient_are_in_one_run_of_rna(sheets):
    rows = [row for row in read_rows(sheets / "samples.tsv") if row["modality"] == "rna"]
    runs = defaultdict(set)
    for row in rows:
        runs[row["patient_id"]].add(row["batch"])
    assert {row["visit"] for row in rows} == {"baseline", "month_4"}
    assert len(runs) == 8
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
        "visits": {"month_24": {"day": 730}},
        "treatments": {"dupilumab": {"patients": 10}},
    }
    write_sheets(STUDY, tmp_path, seed=1, overrides=more)
    old = {(r["patient_id"], r["visit"]): r for r in read_rows(sheets / "clinical.tsv")}
    new = {(r["patient_id"], r["visit"]): r for r in read_rows(tmp_path / "clinical.tsv")}
    assert all(new[key] == row for key, row in old.items())


def test_another_seed_has_other_patients(sheets, tmp_path):
    write_sheets(STUDY, tmp_path, seed=2, modalities=("flow", "rna"))
    assert (tmp_path / "clinical.tsv").read_text() != (sheets / "clinical.tsv").read_text()


def test_a_seed_is_a_whole_number(tmp_path):
    with pytest.raises(ConfigError, match=r"seed .* from 0, not -1"):
        write_sheets(STUDY, tmp_path, seed=-1)
