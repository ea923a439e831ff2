"""What the page draws from: every value of every patient, and what was found."""

import json

import numpy as np
import pytest
from long_tables import LongTables
from written_report import planted

from biocross.report.page.explorer import explorer_data, rounded
from biocross.statistics.pairs import read_long_table, read_pair_sheet


@pytest.fixture
def tables(tmp_path):
    return LongTables(tmp_path)


def data_of(tables, primary=("ILC2",), declared=("flow", "gate")):
    changes, paths = tables.changes(), tables.write()
    return explorer_data(
        changes,
        read_long_table(paths["counts"], paths["samples"]),
        read_pair_sheet(paths["pairs"]),
        {"levels": ["baseline", "month_4"], "contrast": "visit"},
        0.05,
        primary,
        declared,
    )


def test_every_value_stands_with_its_patient_and_visit(tables):
    names = planted(tables, n=6)
    tables.add("alone", "baseline", {"ILC2": (3, 1000), "pop_2": (0, 1000)})
    tables.ask("mepolizumab", "alone")
    data = data_of(tables)
    assert data["units"] == sorted([*names, "alone"])
    assert data["levels"] == ["baseline", "month 4"]
    assert data["treatments"] == {"mepolizumab": list(range(7))}
    ilc2 = data["series"][0]
    assert (ilc2["name"], ilc2["primary"], ilc2["how"]) == ("ILC2", True, "gate")
    for row in tables.counts:
        if row["population"] == "ILC2":
            unit = data["units"].index(row["patient_id"])
            level = ["baseline", "month_4"].index(row["visit"])
            assert ilc2["count"][unit][level] == row["count"]
            expected = 100 * row["count"] / row["parent_count"]
            assert ilc2["percent"][unit][level] == pytest.approx(expected, rel=1e-3)
    assert ilc2["percent"][data["units"].index("alone")][1] is None
    assert ilc2["cells_per_ul"] is None
    json.dumps(data, allow_nan=False)


def test_findings_carry_their_sentence_and_claim(tables):
    planted(tables)
    data = data_of(tables)
    at = {series["name"]: n for n, series in enumerate(data["series"])}
    found = {(row[0], row[3]): row for row in data["findings"]}
    claimed = found[at["ILC2"], "percent_of_parent"]
    assert claimed[4] == 1
    assert claimed[5].startswith("ILC2 rose from")
    other = found[at["pop_2"], "percent_of_parent"]
    assert other[4] == 0
    assert "rose" not in other[5]
    assert "would have been found" in other[5]


def test_what_the_study_declared_leads(tables):
    planted(tables)
    gates = list(tables.counts)
    tables.counts += [row | {"source": "cluster"} for row in gates]
    first = data_of(tables, primary=("pop_3",), declared=("flow", "cluster"))["series"][:2]
    assert [(series["name"], series["how"]) for series in first] == [
        ("pop_3", "clusters"),
        ("pop_3", "gate"),
    ]


@pytest.mark.parametrize(
    ("number", "short"),
    [(1.23456, 1.235), (0.000123456, 0.0001235), (12345.0, 12345), (0.0, 0), (np.nan, None)],
)
def test_numbers_are_short(number, short):
    assert rounded(number) == short
