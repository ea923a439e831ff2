"""FlowJo's counts beside ours."""

import numpy as np
import pytest

from biocross.flow.imported.counts import STORED_COUNTS_COLUMNS, compare_counts
from biocross.flow.imported.evaluation import evaluate
from biocross.flow.imported.load import load_gates


@pytest.fixture
def counted(write_workspace, parts, fcs):
    """One sample whose gates store these counts."""

    def count(others_gates="", **stored):
        cells = parts["shape"]("RectangleGate", parts["axis"]("FSC-A", 50000))
        corners = ((0, 0), (262144, 0), (262144, 262144), (0, 262144))
        axes = parts["axis"]("FSC-A"), parts["axis"]("FL1-A")
        wide = parts["shape"]("PolygonGate", *axes, corners=corners)
        bad = parts["shape"]("RectangleGate", parts["axis"]("FL9-A", 5))
        gates = (
            parts["population"]("cells", cells, count=stored.get("cells", -1)),
            parts["population"](
                "wide",
                wide,
                parts["population"]("below", cells, count=stored.get("below", -1)),
                count=stored.get("wide", -1),
            ),
            parts["population"]("bad", bad, count=7),
        )
        imported = load_gates(write_workspace(parts["sample"]("a.fcs", *gates)))
        found = evaluate(imported, "a", fcs, own="1")
        rows = compare_counts(found, imported.tree("1"), {"cells": "leukocytes"}, others_gates)
        return {row["gate"]: row for row in rows}

    return count


def test_the_difference_is_ours_minus_theirs(counted, events):
    ours = int((events[:, 0] >= 50000).sum())
    row = counted(cells=ours + 4)["cells"]
    assert tuple(row) == STORED_COUNTS_COLUMNS
    assert row == {
        "sample_id": "a",
        "gate": "cells",
        "population": "leukocytes",
        "count": ours,
        "stored_count": ours + 4,
        "difference": -4,
        "note": "",
    }


def test_polygons_and_what_lies_below_them_are_binned_by_flowjo(counted):
    rows = counted(wide=1, below=1, cells=1)
    assert "grid of its display" in rows["wide"]["note"]
    assert "grid of its display" in rows["wide/below"]["note"]
    assert rows["cells"]["note"] == ""


@pytest.mark.parametrize("stored", [0, -1])
def test_counts_that_flowjo_has_not_made_are_ignored(counted, stored):
    row = counted(cells=stored)["cells"]
    assert (row["stored_count"], row["difference"]) == (None, None)
    assert row["note"] == "FlowJo stored no count"
    assert row["count"] > 0


def test_a_gate_that_cannot_be_applied_has_no_count_not_zero(counted):
    row = counted()["bad"]
    assert (row["count"], row["stored_count"], row["difference"]) == (None, 7, None)
    assert 'no channel "FL9-A"' in row["note"]


def test_counts_of_other_gates_are_not_compared(counted):
    row = counted(cells=5, others_gates="P01_baseline")["cells"]
    assert row["stored_count"] is None
    assert "gates of P01_baseline applied" in row["note"]


def test_counts_are_those_of_the_membership(counted, events):
    rows = counted()
    wide = ((events[:, :2] >= 0) & (events[:, :2] <= 262144)).all(axis=1)
    assert rows["wide"]["count"] == int(wide.sum())
    assert rows["wide/below"]["count"] == int((wide & (events[:, 0] >= 50000)).sum())
    assert np.all([row["count"] is None or row["count"] > 0 for row in rows.values()])
