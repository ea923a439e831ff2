"""A reduced run of clustered_cohorts.py: the defaults find the populations that were drawn."""

import pandas as pd
import pytest
from validation.cluster_settings import settings_rows, settings_scores
from validation.clustered_cohorts import (
    Measured,
    agreement_rows,
    find_populations,
    population_rows,
    read_measured,
    spread_rows,
)
from validation.gated_cohorts import PLANTED, Judged, Scenario

from biocross.statistics.pairs import read_table

SMALL = Scenario("small", 20_000, 8, 711)
PRIMARY = ["eosinophils", "ILC2", "Th2", "Tc2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One rerun of each kind: what is asked here is not how stable clusters are."""
    return find_populations(SMALL, tmp_path_factory.mktemp("cohort"), n_reruns=1)


@pytest.fixture(scope="module")
def found(run):
    return read_measured(run)


def test_primary_populations_are_told_event_by_event(found):
    assert (found.f1.loc[PRIMARY, "cluster"] >= 0.8).all()
    assert (found.f1.loc[PRIMARY, "gate"] >= 0.9).all()
    assert min(found.pooled.values()) > 100


def test_most_populations_are_told(found):
    """Few are not: cells between two others, and those of which the pool has hardly any."""
    f1 = found.f1["cluster"]
    assert len(f1) > 30
    assert f1.mean() > 0.88
    assert f1.median() > 0.97
    assert (f1 < 0.6).sum() <= 3


def test_counts_are_those_of_the_events(run):
    """But for those of events that a quality step flagged, which are counted nowhere."""
    counts = read_table(run.path("counts.tsv"))
    counts = counts[counts["source"].str.endswith("cluster") & counts["count"].notna()]
    events = read_table(run.path("evaluation", "events.tsv"))
    found = events[events["source"] == "cluster"].set_index("population")["found"]
    counted = counts.groupby("population")["count"].sum()
    shared = found.index.intersection(counted.index)
    assert len(shared) > 30
    assert counted[shared].to_dict() == found[shared].to_dict()


def test_no_bias_between_visits(found):
    """Where nothing was planted; 5 standard errors are passed by chance once in 250 times."""
    bias = found.judged.bias
    other = bias[~bias.index.isin(PLANTED)]
    assert len(other) > 15
    beyond = other[(other["mean"].abs() > 5 * other["se"]) & (other["mean"].abs() > 0.01)]
    assert list(beyond.index) == []
    assert abs(other["mean"].mean()) < 0.01


def test_a_planted_change_is_seen(found):
    """It is diluted by less than a fifth."""
    row = found.judged.bias.loc["eosinophils"]
    assert row["true"] < -0.3
    assert abs(row["mean"]) < 0.2 * abs(row["true"]) + 2 * row["se"]


@pytest.fixture
def measured():
    f1 = pd.DataFrame(
        {"gate": [1.0, 1.0, 1.0], "cluster": [1.0, 80 / 150, 0.0]}, index=["T_cells", "ILC2", "Tc2"]
    )
    details = pd.DataFrame(
        {"status": ["found", "found", "no_cluster"], "stable": ["yes", "no", ""]}, index=f1.index
    )
    spread = pd.DataFrame({"clusters": [0.3, 0.1], "gates": [0.1, 0.1]}, index=["ILC2", "T_cells"])
    judged = Judged(pd.DataFrame(), pd.DataFrame(), spread)
    return Measured(f1, details, {"ILC2": 1055, "Tc2": 12}, judged)


def test_the_tables_name_what_is_told_badly_and_what_is_not_found(measured):
    (row,) = agreement_rows(SMALL, measured)
    assert row == [
        *("small", "3", "0.511", "0.767", "1.000"),
        *("ILC2 0.53", "Tc2", "ILC2", "ILC2 1,055, Tc2 12"),
    ]
    assert list(population_rows({"small": measured})) == [
        ["T_cells", "1.00 (1.00)"],
        ["ILC2", "0.53 (1.00)"],
        ["Tc2", "0.00 (1.00)"],
    ]
    (row,) = spread_rows(SMALL, measured.judged)
    assert row == [
        *("small", "2", "0.224", "0.100", "0.200", "0.100"),
        "ILC2 0.300, T_cells 0.100",
    ]


def test_settings_are_scored_by_all_and_by_the_primary_populations():
    events = pd.DataFrame(
        {"population": ["T_cells", "ILC2", "Tc2"], "found": [9, 9, 0], "f1": [1, 80 / 150, 0]}
    )
    scores = settings_scores(events)
    assert scores["mean"] == pytest.approx((1 + 80 / 150) / 3)
    assert (scores["primary"], scores["lost"]) == (0, 1)
    found = [{"setting": "defaults", "cohort": "demo", "seconds": 12.6, **scores}]
    rows = [*settings_rows(found, ["demo", "real"])]
    assert rows == [["defaults", "0.511 (0.00)", "", "1", "13"]]
