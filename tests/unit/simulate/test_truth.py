from pathlib import Path

import numpy as np
import pytest

from biocross.simulate.arrays import members_of, parents_of
from biocross.simulate.people import Attendance, blood_of
from biocross.simulate.study import read_study
from biocross.simulate.truth import true_counts, true_effects, true_marker_shifts

STUDY = read_study(Path(__file__).parents[3] / "config" / "simulation" / "demo.yaml")


@pytest.fixture(scope="module")
def effects():
    return {
        (row["treatment"], row["population"]): row
        for row in true_effects(STUDY)
        if row["visit"] == "month_4"
    }


def test_every_reported_population_has_a_row(effects):
    assert len(effects) == 2 * len(STUDY.reported)
    assert effects["mepolizumab", "ILC2"]["parent"] == "lymphocytes"
    assert effects["mepolizumab", "Th2"]["parent"] == "CD4_T"


def test_planted_folds_are_those_of_the_study(effects):
    planted = {
        ("mepolizumab", "eosinophils"): 0.15,
        ("mepolizumab", "ILC2"): 1.5,
        ("mepolizumab", "Tc2"): 1.4,
        ("dupilumab", "Th2"): 1.5,
        ("dupilumab", "eosinophils"): 1.4,
    }
    found = {key: effects[key]["fold_change"] for key in planted}
    assert found == pytest.approx(planted, rel=0.003)


def test_eosinophils_rise_for_a_time_under_dupilumab():
    folds = {
        (row["treatment"], row["visit"]): row["fold_change"]
        for row in true_effects(STUDY)
        if row["population"] == "eosinophils"
    }
    assert folds["dupilumab", "month_12"] == 1
    assert folds["mepolizumab", "month_12"] < folds["mepolizumab", "month_4"]


def test_th2_of_cd4_has_the_odds_ratio_of_its_fold(effects):
    # The rest of the CD4 T cells stays.
    assert effects["dupilumab", "Th2"]["log_odds_ratio"] == pytest.approx(np.log(1.5), abs=1e-6)


def test_lost_eosinophils_raise_percentages_but_not_numbers(effects):
    for name in ("neutrophils", "monocytes", "basophils", "lymphocytes"):
        row = effects["mepolizumab", name]
        assert row["log_odds_ratio"] > 0.02
        assert row["changed"] is True
        assert row["changed_per_ul"] is False
    assert effects["mepolizumab", "eosinophils"]["log_odds_ratio"] == pytest.approx(
        np.log(0.15), abs=0.01
    )


def test_dupilumab_changes_only_type_2_lymphocytes_and_their_wholes(effects):
    """Of the percentages, those of the leukocytes fall for the time of the eosinophils' rise."""
    rows = [row for row in true_effects(STUDY) if row["treatment"] == "dupilumab"]
    changed = {
        (column, visit): {r["population"] for r in rows if r["visit"] == visit and r[column]}
        for visit in ("month_4", "month_12")
        for column in ("changed", "changed_per_ul")
    }
    lasting = {"ILC2", "ILC2_CD117low", "ILC2_CD117high", "ILC", "Th2", "Tc2", "CD4_memory"}
    leukocytes = {"neutrophils", "eosinophils", "basophils", "monocytes", "dendritic_cells"}
    assert changed["changed", "month_12"] == changed["changed_per_ul", "month_12"] == lasting
    assert changed["changed_per_ul", "month_4"] == lasting | {"eosinophils"}
    # The lymphocytes' percentage falls too, but by less than counts as a change.
    assert changed["changed", "month_4"] == lasting | leukocytes
    assert -0.02 < effects["dupilumab", "lymphocytes"]["log_odds_ratio"] < -0.01
    assert effects["dupilumab", "CD4_memory"]["log_odds_ratio"] < 0.05
    assert effects["dupilumab", "ILC2_CD117low"]["log_odds_ratio"] == pytest.approx(
        np.log(1.333 / 0.727), abs=0.005
    )


@pytest.mark.parametrize("treatment", ["mepolizumab", "dupilumab"])
def test_simulated_patients_change_as_the_truth_says(effects, treatment):
    """Blood drawn patient by patient, through other code than the expectation's."""
    patients = [f"X{i}" for i in range(300)]
    odds = {}
    for visit in ("baseline", "month_4"):
        blood = np.array([blood_of(STUDY, 5, Attendance(p, treatment, visit)) for p in patients])
        own = blood @ members_of(STUDY, STUDY.reported).T
        whole = blood @ members_of(STUDY, parents_of(STUDY, STUDY.reported)).T
        odds[visit] = np.log(own / (whole - own))
    change = odds["month_4"] - odds["baseline"]
    error = change.std(axis=0, ddof=1) / np.sqrt(len(patients))
    truth = np.array([effects[treatment, name]["log_odds_ratio"] for name in STUDY.reported])
    z = (change.mean(axis=0) - truth) / error
    assert (error > 0).all()
    assert np.abs(z).max() < 3.5
    # Eosinophils follow the response, which differs between patients.
    follows = np.array(STUDY.reported) == "eosinophils"
    assert error[~follows].max() < 0.03
    assert error[follows] < 0.06


def test_counts_add_up_from_leaves_to_parents():
    counts = np.arange(1, len(STUDY.leaves) + 1) * 10
    leaf = dict(zip(STUDY.leaves, counts.tolist(), strict=True))
    rows = {row["population"]: row for row in true_counts(STUDY, {"S1": counts})}
    assert rows["neutrophils"]["parent_count"] == counts.sum()
    memory = ("Th1", "Th17", "Th2", "CD4_memory_CXCR3_CCR6", "CD4_memory_other")
    assert rows["CD4_memory"]["count"] == sum(leaf[name] for name in memory)
    assert rows["CD4_T"]["count"] == rows["CD4_memory"]["count"] + sum(
        leaf[name] for name in ("CD4_naive", "Treg", "CD4_effector")
    )
    assert rows["Th2"]["parent_count"] == rows["CD4_T"]["count"]
    assert rows["ILC2"]["parent_count"] == rows["lymphocytes"]["count"]
    assert rows["ILC2_CD117low"]["parent_count"] == rows["ILC2"]["count"]
    assert rows["ILC2"]["count"] == leaf["ILC2_CD117low"] + leaf["ILC2_CD117high"]
    assert rows["ILC"]["count"] == rows["ILC2"]["count"] + leaf["ILC1_like"] + leaf["ILC3_ILCP"]


def test_cxcr4_falls_in_type_2_cells_under_mepolizumab_only():
    shifted = {
        (row["treatment"], row["population"]): row["log2_shift"]
        for row in true_marker_shifts(STUDY)
        if row["changed"]
    }
    ilc2 = ("ILC2", "ILC2_CD117low", "ILC2_CD117high")
    assert shifted == {("mepolizumab", name): -0.5 for name in (*ilc2, "Th2", "Tc2")}


def test_wholes_of_unlike_cells_have_no_marker_truth():
    told = {
        (row["treatment"], row["population"])
        for row in true_marker_shifts(STUDY)
        if row["marker"] == "CXCR4"
    }
    # Monocytes are alike in CXCR4; Th2 cells are not like the other CD4 T cells, nor do they change
    # like them; ILC are alike where none of them changes.
    assert {("mepolizumab", "monocytes"), ("dupilumab", "ILC")} <= told
    assert not {("dupilumab", "CD4_T"), ("mepolizumab", "ILC")} & told
