import numpy as np
import pandas as pd
import pytest

from biocross.evaluation.frequencies import (
    FREQUENCY_COLUMNS,
    LEAST_EVENTS,
    frequency_errors,
    summarise_errors,
)

LEVELS = ["baseline", "month_4"]


def logit(count, parent=1000):
    return np.log((count + 0.5) / (parent - count + 0.5))


@pytest.fixture
def tables():
    """True counts of a population of 10 and then 20 %, in three patients, and the same found."""
    visits = LEVELS * 3
    patients = [f"P{n}" for n in range(3) for _ in LEVELS]
    truth = pd.DataFrame(
        {
            "sample_id": [f"{p}_{v}" for p, v in zip(patients, visits, strict=True)],
            **{"population": "ILC2", "parent": "lymphocytes"},
            **{"count": [100, 200] * 3, "parent_count": 1000},
        }
    )
    counts = truth.assign(patient_id=patients, visit=visits, modality="flow", source="gate")
    return counts, truth


def test_the_truth_itself_has_no_error(tables):
    errors = frequency_errors(*tables)
    assert errors["error"].tolist() == errors["relative"].tolist() == [0] * 6
    assert errors["share"].tolist() == [0.1, 0.2] * 3
    assert errors["logit"].to_numpy() == pytest.approx([logit(100), logit(200)] * 3)


def test_errors_by_hand(tables):
    counts, truth = tables
    counts["count"] = [110, 180] * 3
    # The parent may be smaller too: what counts is the frequency.
    counts.loc[5, ["count", "parent_count"]] = 90, 500
    errors = frequency_errors(counts, truth)
    assert errors["relative"].to_numpy() == pytest.approx([0.1] * 6)
    expected = [logit(110) - logit(100), logit(180) - logit(200)]
    assert errors["error"].to_numpy()[:2] == pytest.approx(expected)
    assert errors["error"].iloc[5] == pytest.approx(logit(90, 500) - logit(200))


def test_what_says_little_or_was_not_counted_is_left_out(tables):
    counts, truth = tables
    truth.loc[0, "count"] = LEAST_EVENTS - 1
    counts.loc[1, "count"] = np.nan
    counts.loc[2, ["count", "parent_count"]] = 0
    counts.loc[3, "parent"] = "leukocytes"
    kept = frequency_errors(counts, truth)["sample_id"]
    assert kept.tolist() == ["P2_baseline", "P2_month_4"]


def test_what_was_not_found_is_an_error_like_others(tables):
    counts, truth = tables
    counts["count"] = 0
    errors = frequency_errors(counts, truth)
    assert errors["relative"].tolist() == [1] * 6
    assert errors["error"].iloc[0] == pytest.approx(logit(0) - logit(100))


def test_a_bias_that_is_alike_at_both_visits_is_none_of_the_change(tables):
    counts, truth = tables
    counts["count"] = [120, 231] * 3
    errors = frequency_errors(counts, truth).assign(error=0.3)
    first, second = summarise_errors(errors, LEVELS).to_dict("records")
    assert first["bias"] == second["bias"] == pytest.approx(0.3)
    assert second["change_bias"] == pytest.approx(0)
    assert second["true_change"] == pytest.approx(logit(200) - logit(100))
    assert second["true_percent"] == pytest.approx(20)


def test_a_bias_of_the_second_visit_is_one_of_the_change(tables):
    counts, truth = tables
    second = np.array([220, 230, 225])
    counts.loc[1::2, "count"] = second
    table = summarise_errors(frequency_errors(counts, truth), LEVELS)
    assert list(table.columns) == [*FREQUENCY_COLUMNS]
    baseline, followup = table.to_dict("records")
    assert np.isnan(baseline["change_bias"])
    assert (baseline["bias"], baseline["bias_se"], baseline["median_error"]) == (0, 0, 0)
    bias = logit(second) - logit(200)
    assert followup["change_bias"] == pytest.approx(bias.mean())
    assert followup["change_bias_se"] == pytest.approx(bias.std(ddof=1) / 3**0.5)
    assert followup["median_error"] == pytest.approx(0.125)
    assert followup["n_pairs"] == followup["n_samples"] == 3


def test_only_pairs_tell_of_a_change(tables):
    counts, truth = tables
    counts = counts[~counts["sample_id"].isin(["P0_baseline", "P1_month_4"])]
    table = summarise_errors(frequency_errors(counts, truth), LEVELS)
    followup = table.set_index("visit").loc["month_4"]
    assert (followup["n_samples"], followup["n_pairs"]) == (2, 1)
    assert np.isnan(followup["change_bias_se"])


def test_sources_are_kept_apart(tables):
    counts, truth = tables
    clusters = counts.assign(source="cluster", count=[150, 200] * 3)
    errors = frequency_errors(pd.concat([counts, clusters]), truth)
    table = summarise_errors(errors, LEVELS).set_index(["source", "visit"])
    assert table.loc[("gate", "month_4"), "change_bias"] == 0
    expected = logit(100) - logit(150)
    assert table.loc[("cluster", "month_4"), "change_bias"] == pytest.approx(expected)
