"""Patients who respond, resist, taper their steroids, and vary with heavy tails."""

from pathlib import Path

import numpy as np
import pytest

from biocross.simulate.arrays import leaf_shifts
from biocross.simulate.description import load_description
from biocross.simulate.effects import MARKER
from biocross.simulate.people import (
    VIRTUAL_STATES,
    Attendance,
    blood_of,
    clinical_row,
    patient_row,
    response_of,
    state_of,
)
from biocross.simulate.study import read_study
from biocross.simulate.truth import true_effects, true_marker_shifts, true_states

DEMO = load_description(Path(__file__).parents[3] / "config" / "simulation" / "demo.yaml")
KEPT = (
    "neutrophils",
    "eosinophils",
    "monocytes",
    "monocytes_classical",
    "monocytes_nonclassical",
    "lymphocytes",
    "T_cells",
    "B_cells",
)
# A few populations, since hundreds of patients are drawn.
FEW = {
    "populations": {name: None for name in DEMO["populations"] if name not in KEPT},
    "rna": None,
}
TAPER = {
    arm: {"presets": [arm, "steroid_taper"], "patients": 5} for arm in ("mepolizumab", "dupilumab")
}
PATIENTS = [f"X{number}" for number in range(800)]


def study(**changes):
    return read_study(DEMO, {**FEW, **changes})


def blood(plan, population, visit, treatment="mepolizumab", patients=PATIENTS):
    column = plan.leaves.index(population)
    visits = (Attendance(patient, treatment, visit) for patient in patients)
    return np.array([blood_of(plan, 1, at)[column] for at in visits])


def still(plan_changes):
    """Let nothing vary between the visits of a patient."""
    fixed = {name: {"within": 0} for name in KEPT}
    return study(**plan_changes, populations={**FEW["populations"], **fixed})


def test_a_share_of_the_patients_resists():
    plan = study(response={"resistant_share": 0.3, "resistant": 0.1, "spread": 0.05})
    resists, response = zip(*(response_of(plan, 1, name) for name in PATIENTS), strict=True)
    assert np.mean(resists) == pytest.approx(0.3, abs=0.05)
    assert np.mean(response) == pytest.approx(1, abs=0.05)
    mean = 0.7 + 0.3 * 0.1
    resistant = np.array(response)[list(resists)]
    assert resistant.mean() == pytest.approx(0.1 / mean, abs=0.02)
    assert resistant.std() == pytest.approx(0.05 / mean, rel=0.15)


def test_effects_that_follow_the_response_are_its_power_and_their_mean_is_as_planted():
    plan = still({})
    ratio = blood(plan, "eosinophils", "month_4") / blood(plan, "eosinophils", "baseline")
    response = [response_of(plan, 1, name)[1] for name in PATIENTS]
    np.testing.assert_allclose(ratio, 0.15 ** np.array(response))
    error = np.log(ratio).std() / np.sqrt(len(PATIENTS))
    assert np.log(ratio).mean() == pytest.approx(np.log(0.15), abs=3.5 * error)
    told = [
        row["fold_change"]
        for row in true_effects(plan)
        if (row["treatment"], row["population"]) == ("mepolizumab", "eosinophils")
    ]
    assert told == pytest.approx([0.15, 0.12], rel=0.003)


def test_other_effects_are_the_same_in_all():
    plan = still({})
    rise = [blood(plan, "eosinophils", visit, "dupilumab") for visit in ("baseline", "month_4")]
    np.testing.assert_allclose(rise[1] / rise[0], 1.4)


def test_the_sheet_and_the_truth_name_the_same_responders():
    plan = study()
    visits = [Attendance(name, "mepolizumab", "month_4") for name in PATIENTS[:60]]
    told = {row["patient_id"]: row for row in true_states(plan, 1, visits)}
    sheet = {n: patient_row(plan, 1, n, "mepolizumab")["responder"] for n in PATIENTS[:60]}
    assert {n: "no" if row["resists"] else "yes" for n, row in told.items()} == sheet
    assert 3 <= sum(row["resists"] for row in told.values()) <= 24
    assert all(row["response"] < 0.75 for row in told.values() if row["resists"])


def test_steroid_taper_acts_in_those_who_taper_only():
    """Non-classical monocytes double where the dose of oral steroids falls to nothing."""
    plan = still({"treatments": TAPER})
    plain = still({})
    some = PATIENTS[:200]
    states, dose = [], []
    for name in some:
        visits = [Attendance(name, "mepolizumab", visit) for visit in ("baseline", "month_4")]
        states.append(state_of(plan, 1, visits[1]).taper)
        dose.append([clinical_row(plan, 1, visit)["ocs_mg_day"] for visit in visits])
    before, after = np.array(dose).T
    taper = np.where(before > 0, 1 - after / np.maximum(before, 1), 0).clip(0)
    np.testing.assert_allclose(states, taper)
    assert 0.2 < (taper > 0).mean() < 0.55
    assert ((before > 0) == (taper > 0)).mean() > 0.9
    monocytes = [
        [blood(one, f"monocytes_{kind}", "month_4", patients=some) for one in (plan, plain)]
        for kind in ("nonclassical", "classical")
    ]
    np.testing.assert_allclose(monocytes[0][0] / monocytes[0][1], 2**taper)
    np.testing.assert_allclose(monocytes[1][0], monocytes[1][1])


def test_the_truth_of_a_taper_is_the_mean_over_the_patients_of_its_arm():
    plan = study(treatments=TAPER)
    effects = {
        (row["treatment"], row["population"]): np.log(row["fold_change"])
        for row in true_effects(plan)
        if row["visit"] == "month_4"
    }
    markers = {
        (row["treatment"], row["population"]): row["log2_shift"]
        for row in true_marker_shifts(plan)
        if (row["visit"], row["marker"]) == ("month_4", "CXCR4")
    }
    means = {}
    for arm in TAPER:
        states = [state_of(plan, 7, Attendance(n, arm, "month_4")) for n in PATIENTS]
        taper = np.array([state.taper for state in states])
        error = 4 * taper.std() * np.sqrt(1 / len(PATIENTS) + 1 / VIRTUAL_STATES)
        means[arm] = taper.mean()
        assert effects[arm, "monocytes_nonclassical"] == pytest.approx(
            np.log(2) * taper.mean(), abs=np.log(2) * error
        )
        shifts = [
            leaf_shifts(plan, arm, "month_4", state, MARKER)["CXCR4"][plan.leaves.index("T_cells")]
            for state in states
        ]
        assert markers[arm, "T_cells"] == pytest.approx(np.mean(shifts), abs=0.6 * error)
    # The doses fall to .4 under dupilumab and to .5 under mepolizumab.
    assert means["dupilumab"] > means["mepolizumab"] + 0.02
    assert markers["dupilumab", "T_cells"] < markers["mepolizumab", "T_cells"] - 0.01


def test_heavy_tails_are_heavier_at_the_same_sd():
    deviations = {}
    for tails in ("normal", "heavy"):
        plan = study(tails=tails, populations={**FEW["populations"], "neutrophils": {"between": 0}})
        # Cells right below the root vary by themselves.
        logs = [np.log(blood(plan, "neutrophils", v) / 4000) for v in ("baseline", "month_4")]
        deviations[tails] = np.concatenate(logs) / plan.populations["neutrophils"].within
    normal, heavy = deviations.values()
    assert normal.std() == pytest.approx(1, abs=0.06)
    assert heavy.std() == pytest.approx(1, abs=0.25)
    assert np.median(np.abs(normal)) == pytest.approx(0.674, abs=0.05)
    assert np.median(np.abs(heavy)) == pytest.approx(0.442, abs=0.05)  # of t(3) / sqrt(3)
    assert (np.abs(heavy) > 4).sum() > 5 > (np.abs(normal) > 4).sum()
