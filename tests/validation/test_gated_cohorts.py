"""Reduced runs of gated_cohorts.py: the default strategy finds the frequencies that were drawn."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from validation.gated_cohorts import (
    CLASSES,
    LOTS_APART,
    PLANTED,
    Judged,
    Scenario,
    bias_rows,
    changes_of,
    count_cohort,
    error_rows,
    errors_of,
    judge,
    spread_rows,
)

STEADY = Scenario("steady", 20_000, 8, 601)
DRIFTING = Scenario("drifting", 40_000, 6, 612, LOTS_APART, True)


@pytest.fixture(scope="module", params=[STEADY, DRIFTING], ids=["steady", "drifting"])
def cohort(request, tmp_path_factory):
    counts, truth = count_cohort(request.param, tmp_path_factory.mktemp("cohort"))
    return request.param, counts, truth


@pytest.fixture(scope="module")
def judged(cohort):
    _, counts, truth = cohort
    return judge({scope: errors_of(table, truth) for scope, table in counts.items()})


def test_frequencies_agree_with_the_truth(cohort, judged):
    """Within twice the targets: in files this small a cell is 1 to 2 % of a rare population."""
    _, counts, truth = cohort
    files = errors_of(counts["patient"], truth)["population"].value_counts()
    rows = judged.errors[files[judged.errors.index] >= 6]
    assert len(rows) > 25
    for name, (_, target) in CLASSES.items():
        of_class = rows[rows["class"] == name]
        assert list(of_class.index[of_class["error"] > 2 * target]) == []
    assert (rows["error"] <= 0.05).mean() > 0.9


def test_no_bias_between_visits(judged):
    """Where nothing was planted; 5 standard errors are passed by chance once in 700 times."""
    other = judged.bias[~judged.bias.index.isin(PLANTED)]
    assert len(other) > 20
    beyond = other[(other["mean"].abs() > 5 * other["se"]) & (other["mean"].abs() > 0.01)]
    assert list(beyond.index) == []
    assert abs(other["mean"].mean()) < 0.01


def test_gating_visits_together_does_not_add_to_the_changes(cohort, judged):
    """Without drift it adds less; the change itself is no more variable in either case."""
    scenario, _, _ = cohort
    assert judged.spread["change"].median() < 1.02
    if not scenario.lots_of_visits:
        joint, own = (np.sqrt(np.mean(np.square(judged.spread[s]))) for s in ("patient", "sample"))
        assert joint < 0.95 * own


def test_no_patient_loses_a_rare_population(cohort):
    """Files are too small for a frequency of dendritic cells, but not to see that all are gone."""
    _, counts, truth = cohort
    both = truth.merge(counts["patient"], on=["sample_id", "population"], suffixes=("_true", ""))
    sums = both.groupby(["population", "patient_id"])[["count_true", "count"]].sum()
    sums = sums[sums["count_true"] >= 30]
    assert {"cDC2", "pDC", "basophils"} <= set(sums.index.get_level_values("population"))
    lost = sums[sums["count"] < 0.6 * sums["count_true"]]
    assert list(lost.index) == []


@pytest.fixture
def tables():
    """True and measured counts of a population of 10 %, in four patients."""
    visits = ["baseline", "month_4"] * 4
    patients = [f"P{n}" for n in range(4) for _ in range(2)]
    truth = pd.DataFrame(
        {
            "sample_id": [f"{p}_{v}" for p, v in zip(patients, visits, strict=True)],
            **{"population": "ILC2", "parent": "lymphocytes"},
            **{"count": [100, 200] * 4, "parent_count": 1000},
        }
    )
    counts = truth.assign(patient_id=patients, visit=visits, modality="flow", source="gate")
    return truth, counts


def test_files_with_few_true_events_and_unknown_counts_are_left_out(tables):
    truth, counts = tables
    truth.loc[0, "count"] = 49
    counts.loc[1, "count"] = np.nan
    assert len(errors_of(counts, truth)) == 6


def test_a_bias_of_the_second_visit_is_seen(tables):
    truth, counts = tables
    counts["count"] = [100, 220, 100, 222, 100, 224, 100, 218]
    errors = errors_of(counts, truth)
    doubled = np.log(200.5 / 800.5) - np.log(100.5 / 900.5)
    assert changes_of(errors)["true"].to_numpy() == pytest.approx([doubled] * 4)
    judged = judge({"patient": errors, "sample": errors})
    row = judged.bias.loc["ILC2"]
    expected = np.mean([np.log((n + 0.5) / (1000.5 - n)) for n in (220, 222, 224, 218)])
    assert row["mean"] == pytest.approx(expected - np.log(200.5 / 800.5))
    assert row["true"] == pytest.approx(doubled)
    assert row["pairs"] == 4
    assert row["p"] == pytest.approx(stats.ttest_1samp(changes_of(errors)["error"], 0).pvalue)
    assert row["p"] < 0.001
    assert judged.spread.loc["ILC2", "ratio"] == 1


def test_the_spread_of_one_way_is_compared_with_the_others(tables):
    truth, counts = tables
    noisy = counts.assign(count=[100, 220, 100, 180, 100, 240, 100, 160])
    judged = judge({"joint": errors_of(counts, truth), "own": errors_of(noisy, truth)})
    row = judged.spread.loc["ILC2"]
    assert row["joint"] == row["ratio"] == 0
    assert row["own"] == pytest.approx(changes_of(errors_of(noisy, truth))["error"].std())
    assert row["change"] == 0


def test_the_tables_name_what_misses():
    errors = pd.DataFrame(
        {"share": [0.2, 0.3, 0.001], "error": [0.06, 0.01, 0.07]}, index=["A", "B", "C"]
    )
    errors["class"] = ["above 1 %", "above 1 %", "0.02-1 %"]
    bias = pd.DataFrame(
        {"pairs": 6, "mean": [0.1, 0.0, -0.02], "se": 0.01, "p": [0.01, 0.9, 0.2], "true": 0.4},
        index=["A", "B", "ILC2"],
    )
    spread = pd.DataFrame(
        {
            **{"patient": [0.1, 0.05, 0.001], "sample": [0.05, 0.1, 0.002]},
            **{"ratio": [2.0, 0.5, 0.5], "change": [1.1, 0.9, 1.0], "p": [0.01, 0.02, 0.01]},
        },
        index=["A", "B", "C"],
    )
    judged = Judged(errors, bias, spread)
    above, below = error_rows(STEADY, judged)
    assert above[-2:] == ["5%", "A"]
    assert below[-2:] == ["15%", "none"]
    (row,) = bias_rows(STEADY, judged)
    assert row[-3:] == ["A +0.100 ± 0.010", "1", "ILC2 -0.020 ± 0.010 of +0.40"]
    (row,) = spread_rows(STEADY, judged)
    assert row[-2:] == ["B 0.50", "A 2.00"]
