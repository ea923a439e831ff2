"""The table for a paper: percent and cells/µl of a population beside each other."""

import pytest
from long_tables import LongTables
from written_report import planted

from biocross.report.page.change_chapters import MEDIAN_HEADINGS, medians_section


@pytest.fixture
def section(tmp_path):
    tables = LongTables(tmp_path)
    planted(tables)
    for row in tables.counts:
        row["cells_per_ul"] = row["count"] / 10 if row["population"] == "ILC2" else None
    gates = list(tables.counts)
    tables.counts += [row | {"source": "single_cluster"} for row in gates]
    return medians_section(tables.changes(), ("flow", "gate"))


def test_one_row_per_population_with_both_readouts(section):
    names = list(MEDIAN_HEADINGS)
    rows = [dict(zip(names, cells, strict=True)) for cells, _ in section.rows]
    assert len(rows) == 6
    (ilc2,) = (row for row in rows if row["population"] == "ILC2")
    assert ilc2["found_by"] == "gate"
    assert ilc2["pairs"] == "8"
    middle, low, high = (
        float(part) for part in ilc2["percent_before"].replace(")", "").replace("–", "(").split("(")
    )
    assert low <= middle <= high
    assert float(ilc2["percent_after"].split(" ")[0]) > 1.5 * middle
    assert ilc2["odds"].startswith("× ")
    assert ilc2["cells_before"] != "–"
    assert ilc2["fold"].startswith("× ")
    (other,) = (row for row in rows if row["population"] == "pop 2")
    assert (other["cells_before"], other["fold"]) == ("–", "–")
