"""A reduced run of clustered_cohorts.py: the defaults find the populations that were drawn."""

import numpy as np
import pandas as pd
import pytest
from validation.cluster_settings import settings_rows, settings_scores
from validation.clustered_cohorts import (
    PRIMARY,
    Measured,
    agreement_rows,
    population_rows,
    spread_rows,
)
from validation.clustering import (
    LEAST_CELLS,
    Cohort,
    Result,
    compare_events,
    find_clusters,
    silence,
    simulate,
)
from validation.gated_cohorts import PLANTED, Judged, Prepared, Scenario, errors_of, judge

from biocross.flow.events import write_events
from biocross.statistics.pairs import read_table

SMALL = Scenario("small", 20_000, 8, {}, False, 711)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    with silence():
        return simulate(SMALL, tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def found(cohort):
    """One rerun of each kind: what is asked here is not how stable clusters are."""
    with silence():
        return find_clusters(cohort, cohort.prepared.folder / "clusters", n_reruns=1)


@pytest.fixture(scope="module")
def judged(cohort, found):
    errors = errors_of(found.counts, read_table(cohort.prepared.truth))
    return judge({"patient": errors, "sample": errors})


def test_primary_populations_are_told_event_by_event(found):
    assert (found.details.loc[[*PRIMARY], "pooled"] >= LEAST_CELLS).all()
    assert (found.f1[[*PRIMARY]] >= 0.8).all()


def test_most_populations_are_told(found):
    """Few are not: cells between two others, and those of which the pool has hardly any."""
    f1 = found.f1
    assert len(f1) > 30
    assert f1.mean() > 0.88
    assert f1.median() > 0.97
    assert (f1 < 0.6).sum() <= 3


def test_counts_are_those_of_the_events(found):
    counts = found.counts.groupby("population")["count"].sum()
    events = found.events["found"]
    shared = events.index.intersection(counts.index)
    assert len(shared) > 30
    assert counts[shared].to_dict() == events[shared].to_dict()


def test_no_bias_between_visits(judged):
    """Where nothing was planted; 5 standard errors are passed by chance once in 250 times."""
    other = judged.bias[~judged.bias.index.isin(PLANTED)]
    assert len(other) > 15
    beyond = other[(other["mean"].abs() > 5 * other["se"]) & (other["mean"].abs() > 0.01)]
    assert list(beyond.index) == []
    assert abs(other["mean"].mean()) < 0.01


def test_planted_changes_are_seen(judged):
    """A change of what is planted is diluted, by less than a fifth."""
    for name in ("eosinophils", "ILC2"):
        row = judged.bias.loc[name]
        assert abs(row["mean"]) < 0.2 * abs(row["true"]) + 2 * row["se"], name


@pytest.fixture
def events(tmp_path):
    """Four events of kind 0, two of kind 1, and one dead cell; the first one is flagged."""
    kind = np.array([0, 0, 0, 0, 1, 1, 2], dtype=np.uint8)
    quality = np.array([3, 0, 0, 0, 0, 0, 0], dtype=np.uint8)
    path = tmp_path / "S1.arrow"
    write_events(path, {"CD3": np.zeros(7, np.float32)}, quality, {"sample_id": "S1"})
    prepared = Prepared(tmp_path, {"P1": [path]}, "", tmp_path, tmp_path)
    kinds = {"T_cells": np.array([True, False, False]), "B_cells": np.array([False, True, False])}
    return Cohort(prepared, kinds, {"S1": kind})


def test_flagged_events_are_left_out_and_dead_cells_are_of_no_population(events):
    code = np.array([1, 1, 1, 2, 2, 2, 1], dtype=np.uint16)
    compared = compare_events(events, [("S1", code, {"T_cells": [1], "B_cells": [2, 9]})])
    assert compared.loc["T_cells"].to_dict() == {"true": 3, "found": 3, "both": 2}
    assert compared.loc["B_cells"].to_dict() == {"true": 2, "found": 3, "both": 2}


def test_a_population_without_a_cluster_has_no_f1_but_zero(events):
    code = np.ones(7, dtype=np.uint16)
    compared = compare_events(events, [("S1", code, {"T_cells": [1]})] * 30)
    f1 = Result(compared, pd.DataFrame(), pd.DataFrame()).f1
    assert f1["T_cells"] == pytest.approx(2 * 3 / 9)
    assert f1["B_cells"] == 0


@pytest.fixture
def measured():
    events = pd.DataFrame(
        {"true": [100, 100, 60, 9], "found": [100, 50, 0, 9], "both": [100, 40, 0, 9]},
        index=["T_cells", "ILC2", "Tc2", "pDC"],
    )
    details = pd.DataFrame(
        {
            **{"status": ["found", "found", "no_cluster", "found"]},
            **{"stable": ["yes", "no", "", "yes"], "pooled": [80, 55, 12, 3]},
        },
        index=events.index,
    )
    gates = events.assign(found=events["true"], both=events["true"])
    spread = pd.DataFrame(
        {"patient": [0.3, 0.1], "sample": [0.1, 0.1], "ratio": [3, 1]}, index=["ILC2", "T_cells"]
    )
    judged = Judged(pd.DataFrame(), pd.DataFrame(), spread)
    clusters = Result(events, pd.DataFrame(), details)
    return Measured(clusters, Result(gates, pd.DataFrame(), pd.DataFrame()), judged)


def test_the_tables_name_what_is_told_badly_and_what_is_not_found(measured):
    (row,) = agreement_rows(SMALL, measured)
    assert row == (
        "| small | 3 | 0.511 | 0.767 | 1.000 | ILC2 0.53 | Tc2 | ILC2 | ILC2 55, Tc2 12 |"
    )
    assert list(population_rows({"small": measured})) == [
        "| T_cells | 1.00 (1.00) |",
        "| ILC2 | 0.53 (1.00) |",
        "| Tc2 | 0.00 (1.00) |",
    ]
    (row,) = spread_rows(SMALL, measured.judged)
    assert row == "| small | 2 | 0.224 | 0.100 | 0.200 | 0.100 | ILC2 0.300, T_cells 0.100 |"


def test_settings_are_scored_by_all_and_by_the_primary_populations(measured):
    scores = settings_scores(measured.clusters)
    assert scores["mean"] == pytest.approx((1 + 80 / 150) / 3)
    assert (scores["primary"], scores["lost"]) == (0, 1)
    found = [{"setting": "defaults", "cohort": "demo", **scores}]
    assert list(settings_rows(found, ["demo", "real"])) == [
        "| defaults | 0.511 (0.00) |  | 1 | 0 |"
    ]
