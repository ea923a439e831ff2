from pathlib import Path

import pytest

from biocross.errors import ConfigError, DesignError
from biocross.flow.normalisation.design import (
    BatchSample,
    check_design,
    check_markers,
    shared_donors,
)


def samples(*cells):
    """Batch, visit and role of each, as "A1" or "A*" for an anchor, "A*d" with a donor."""
    return [
        BatchSample(Path("x.arrow"), cell[0], "", cell[2:], "anchor")
        if cell[1] == "*"
        else BatchSample(Path("x.arrow"), cell[0], cell[1:], "P", "sample")
        for cell in cells
    ]


@pytest.mark.parametrize(
    "cells",
    [
        ["A1", "A2", "B1", "B2"],
        ["A1", "A2", "B2"],  # linked by visit 2
        ["A1", "A2", "B2", "B3", "C3"],  # a chain
        ["A1", "B1"],  # one visit: nothing to remove
    ],
)
def test_designs_that_can_be_normalised(cells):
    check_design(samples(*cells), "range", "mean")


@pytest.mark.parametrize(
    ("cells", "visit", "batch"),
    [
        (["A1", "A1", "B2", "B2"], "visit 2", "batch B"),
        (["A1", "A2", "B1", "B2", "C3", "D3"], "visit 3", "batches C, D"),
        (["A1", "A2", "B3", "B4"], "visits 3, 4", "batch B"),
    ],
)
@pytest.mark.parametrize("method", ["range", "anchors"])
def test_visits_that_coincide_with_batches(cells, visit, batch, method):
    anchors = [f"{name}*" for name in "ABCD"]
    with pytest.raises(DesignError, match="coincide") as refused:
        check_design(samples(*cells, *anchors), method, "mean")
    assert f"{visit} in {batch}." in str(refused.value)


def test_one_batch():
    with pytest.raises(DesignError, match='all are of batch "A"'):
        check_design(samples("A1", "A2", "B*"), "anchors", "mean")
    with pytest.raises(DesignError, match="there are none"):
        check_design(samples("A*", "B*"), "anchors", "mean")


def test_batches_without_an_anchor_are_listed():
    cells = ["A1", "A2", "B1", "B2", "C1", "C2"]
    with pytest.raises(DesignError, match="no anchor in batches B, C;"):
        check_design(samples(*cells, "A*"), "anchors", "mean")
    check_design(samples(*cells), "range", "mean")
    check_design(samples(*cells, "A*", "B*", "C*"), "anchors", "mean")


def test_unknown_words():
    cells = samples("A1", "B1")
    with pytest.raises(ConfigError, match='did you mean "range"'):
        check_design(cells, "ranges", "mean")
    with pytest.raises(ConfigError, match='no batch "C"'):
        check_design(cells, "range", "C")
    check_design(cells, "range", "B")


def test_donors_in_every_batch():
    cells = ["A1", "B1", "A*x", "B*x", "A*y", "A*z", "B*z"]
    assert shared_donors(samples(*cells)) == ["x", "z"]
    with pytest.raises(DesignError, match="x: A; y: B"):
        shared_donors(samples("A1", "B1", "A*x", "B*y"))


def test_markers_that_batches_do_not_share():
    whole, part = frozenset({"CD3", "CD4"}), frozenset({"CD3"})
    present = {"A": [whole, whole], "B": [part, whole]}
    check_markers(present, ["CD3", "CD4"], every_sample=False)
    with pytest.raises(DesignError, match=r"CD4 \(not in batch B\)"):
        check_markers(present, ["CD3", "CD4"], every_sample=True)
