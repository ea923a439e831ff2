import numpy as np
import pandas as pd
import pytest

from biocross.evaluation.findings import (
    FALSE,
    FINDING_COLUMNS,
    FOUND,
    MISSED,
    NULL,
    RIGHT,
    UNTESTED,
    WRONG,
    judge_frequencies,
    judge_genes,
    judge_markers,
)

ASKED = {"modality": "flow", "treatment": "dupilumab", "population": "Th2"}
CHANGE = {
    **ASKED,
    "source": "gate",
    "contrast": "month_4 - baseline",
    "parent": "CD4_T",
    "readout": "percent_of_parent",
    **{"effect": 1.5, "effect_low": 1.2, "effect_high": 1.9, "effect_scale": "odds_ratio"},
    **{"p_value": 0.001, "q_value": 0.01, "family": "confirmatory", "status": "tested"},
    **{"n_pairs": 8, "events_median": 200},
}
TRUTH = {
    **ASKED,
    **{"visit": "month_4", "parent": "CD4_T", "changed": True, "changed_per_ul": True},
    **{"fold_change": 1.4, "log_odds_ratio": np.log(1.5)},
}


def judged(change, truth=None, fdr=0.05):
    """Judge one row of percentages that differs from a true and well found rise."""
    changes = pd.DataFrame([CHANGE | change])
    (row,) = judge_frequencies(changes, pd.DataFrame([TRUTH | (truth or {})]), fdr).to_dict(
        "records"
    )
    return row


@pytest.mark.parametrize(
    ("change", "truth", "verdict"),
    [
        ({}, {}, FOUND),
        ({"effect": 0.7}, {"log_odds_ratio": -0.4}, FOUND),
        ({"q_value": 0.05}, {}, MISSED),
        ({"effect": 0.7}, {}, WRONG),
        ({"effect": 0.7, "q_value": 0.2}, {}, MISSED),
        ({}, {"log_odds_ratio": 0.0}, FALSE),
        ({}, {"log_odds_ratio": 0.9 * NULL}, FALSE),
        ({}, {"log_odds_ratio": 1.1 * NULL}, FOUND),
        ({"q_value": 0.3}, {"log_odds_ratio": 0.0}, RIGHT),
        ({"q_value": np.nan}, {"log_odds_ratio": 0.0}, RIGHT),
        ({"q_value": np.nan}, {}, MISSED),
        ({"status": "too_few_events"}, {}, UNTESTED),
        ({"status": "too_few_events", "q_value": np.nan}, {"log_odds_ratio": 0.0}, UNTESTED),
    ],
)
def test_verdicts(change, truth, verdict):
    assert judged(change, truth)["verdict"] == verdict


def test_what_is_claimed_depends_on_the_fdr():
    assert judged({}, fdr=0.01)["verdict"] == MISSED


@pytest.mark.parametrize(
    ("change", "truth", "covered"),
    [
        ({}, {}, "yes"),
        ({}, {"log_odds_ratio": np.log(1.91)}, "no"),
        ({}, {"log_odds_ratio": np.log(1.19)}, "no"),
        ({}, {"log_odds_ratio": np.log(1.21)}, "yes"),
        ({"effect_low": 0.9}, {"log_odds_ratio": 0.0}, "yes"),
        ({"effect_low": np.nan, "effect_high": np.nan}, {}, ""),
        ({"status": "underpowered"}, {}, ""),
    ],
)
def test_intervals_are_held_against_the_truth(change, truth, covered):
    assert judged(change, truth)["covered"] == covered


def test_a_percentage_is_held_against_an_odds_ratio_and_cells_against_a_fold_change():
    percent = judged({})
    assert percent["true_effect"] == pytest.approx(1.5)
    cells = judged({"readout": "cells_per_ul", "effect_scale": "fold_change"})
    assert cells["true_effect"] == pytest.approx(1.4)
    unchanged = judged({"readout": "cells_per_ul"}, {"fold_change": 1.0})
    assert unchanged["verdict"] == FALSE


def test_only_what_has_a_truth_is_judged():
    changes = pd.DataFrame(
        [
            CHANGE,
            CHANGE | {"readout": "composition"},
            CHANGE | {"contrast": "month_12 - baseline"},
            CHANGE | {"treatment": "mepolizumab"},
            CHANGE | {"population": "cluster_07", "source": "single_cluster"},
            CHANGE | {"modality": "rna"},
            CHANGE | {"source": "cluster"},
        ]
    )
    findings = judge_frequencies(changes, pd.DataFrame([TRUTH]), 0.05)
    assert list(findings.columns) == [*FINDING_COLUMNS]
    assert findings["source"].tolist() == ["gate", "cluster"]
    assert set(findings["kind"]) == {"frequency"}


def test_genes_that_the_truth_does_not_name_do_not_change():
    shared = {"modality": "rna", "treatment": "dupilumab", "contrast": "month_4 - baseline"}
    tested = {"population": "B_cells", "status": "tested", "p_value": 1e-6, "family": "genes"}
    fold = {"log2_fold": -0.9, "log2_fold_low": -1.2, "log2_fold_high": -0.6}
    changes = pd.DataFrame(
        [
            {**shared, **tested, **fold, "gene": "FCER2", "q_value": 1e-4},
            {**shared, **tested, **fold, "gene": "ACTB", "q_value": 1e-4},
            {**shared, **tested, "gene": "CD79A", "q_value": 0.7}
            | {"log2_fold": 0.1, "log2_fold_low": -0.2, "log2_fold_high": 0.4},
        ]
    )
    known = {"treatment": "dupilumab", "visit": "month_4", "population": "B_cells"}
    truth = pd.DataFrame([{**known, "gene": "FCER2", "log2_fold_change": -1.0, "changed": True}])
    findings = judge_genes(changes, truth, 0.05).set_index("name")
    assert findings["verdict"].to_dict() == {"FCER2": FOUND, "ACTB": FALSE, "CD79A": RIGHT}
    assert findings["covered"].to_dict() == {"FCER2": "yes", "ACTB": "no", "CD79A": "yes"}
    assert findings["true_effect"].to_dict() == {"FCER2": -1, "ACTB": 0, "CD79A": 0}
    assert set(findings["effect"]) == {-0.9, 0.1}


def test_only_medians_of_markers_are_judged_and_by_their_direction():
    shared = CHANGE | {"marker": "CXCR4", "readout": "median"}
    shift = {"effect": -0.05, "effect_low": -0.08, "effect_high": -0.02}
    changes = pd.DataFrame(
        [shared | shift, shared | {"readout": "percent_positive"}, shared | {"marker": "CD38"}]
    )
    known = {**ASKED, "visit": "month_4", "marker": "CXCR4", "log2_shift": -0.5}
    truth = pd.DataFrame([known]).drop(columns="modality")
    (row,) = judge_markers(changes, truth, 0.05).to_dict("records")
    assert (row["name"], row["verdict"], row["covered"]) == ("CXCR4", FOUND, "")
    (wrong,) = judge_markers(changes.assign(effect=0.05), truth, 0.05).to_dict("records")
    assert wrong["verdict"] == WRONG
