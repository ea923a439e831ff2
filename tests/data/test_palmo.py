"""Four healthy donors, six weeks, 27 populations: nothing was done, and nothing may be claimed."""

import csv

import numpy as np
import pytest
from long_tables import TableStudy

pytestmark = pytest.mark.data
WEEKS = [f"W{week}" for week in range(2, 8)]


@pytest.fixture(scope="module")
def changes(test_data, tmp_path_factory):
    with (test_data / "palmo" / "AIFI-Flow_matrix.csv").open(newline="") as lines:
        header, *matrix = csv.reader(lines)
    rows = [
        {"patient_id": donor, "visit": f"W{week}", "population": name, "percent": value}
        for name, *values in matrix
        for column, value in zip(header[1:], values, strict=True)
        for donor, week in [column.split("W")]
    ]
    assert len(rows) == 27 * 4 * 6
    donors = {row["patient_id"]: "nothing" for row in rows}
    return TableStudy(tmp_path_factory.mktemp("palmo"), rows, donors, WEEKS).changes()


def test_every_week_is_compared_with_the_first_in_every_donor(changes):
    percent = changes[changes["readout"] == "percent_of_parent"]
    assert len(percent) == 27 * 5
    assert set(percent["contrast"]) == {f"{week} - W2" for week in WEEKS[1:]}
    assert set(percent["n_pairs"]) == {4}
    assert set(percent["n_incomplete"]) == {0}
    assert set(percent["status"]) <= {"tested", "constant"}


def test_nothing_is_claimed(changes):
    tested = changes[changes["status"] == "tested"]
    assert len(tested) > 100
    assert tested["q_value"].min() >= 0.05


def test_p_values_are_spread_as_chance_spreads_them(changes):
    """About 5 % below .05; weeks share donors and their week 2, so the margin is wide."""
    p = changes.loc[changes["status"] == "tested", "p_value"]
    assert (p < 0.05).mean() < 0.2
    assert 0.3 < np.median(p) < 0.8


def test_other_readouts_say_why_they_are_silent(changes):
    others = changes[changes["readout"] != "percent_of_parent"]
    assert set(others["status"]) == {"not_measured", "not_possible"}
    assert others["note"].notna().all()
