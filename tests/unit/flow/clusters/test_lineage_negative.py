import numpy as np
import pytest

from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import ConfigError
from biocross.flow.clusters.lineage_negative import (
    LineageBorder,
    is_lineage_negative,
    lineage_borders,
    lineage_signs,
)

MARKERS = ("CD45", "SSC-A", "CD3", "CD14", "CD16", "CD19", "CD56", "CD123", "CD127", "CRTH2", "CD4")
# By kind of cell, its number and the markers it bears.
KINDS = {
    "ILC2": (400, {"CD45", "CD127", "CRTH2"}),
    "T": (20_000, {"CD45", "CD3", "CD127", "CD4"}),
    "B": (4_000, {"CD45", "CD19"}),
    "NK": (4_000, {"CD45", "CD56", "CD16"}),
    "monocytes": (5_000, {"CD45", "CD14", "SSC-A"}),
    "basophils": (800, {"CD45", "CD123", "CRTH2"}),
    "debris": (6_000, set()),
}


@pytest.fixture(scope="module")
def shipped(pytestconfig):
    return load_vocabulary(pytestconfig.rootpath / "config" / "populations.yaml")


@pytest.fixture(scope="module")
def pool():
    rng = np.random.default_rng(8)
    kind = np.repeat(list(KINDS), [n for n, _ in KINDS.values()])
    bears = {
        m: np.repeat([m in b for _, b in KINDS.values()], [n for n, _ in KINDS.values()])
        for m in MARKERS
    }
    columns = {
        marker: rng.normal(np.where(bears[marker], 0.7, 0.2), 0.06).astype(np.float32)
        for marker in MARKERS
    }
    return columns, kind


def test_signs_are_what_ilc_lack_and_leukocytes_bear(shipped):
    assert lineage_signs(shipped, MARKERS) == {
        "CD45": True,
        **dict.fromkeys(["SSC-A", "CD3", "CD14", "CD16", "CD19", "CD56", "CD123"], False),
    }
    nk = lineage_signs(shipped, MARKERS, "NK_cells")
    assert nk["CD3"] is False
    assert "CD56" not in nk


def test_populations_that_cannot_be_looked_for(shipped):
    with pytest.raises(ConfigError, match="ILC cannot be looked for: the panel lacks CD127"):
        lineage_signs(shipped, [marker for marker in MARKERS if marker != "CD127"])
    with pytest.raises(ConfigError, match="the vocabulary gives it no phenotype"):
        lineage_signs(shipped, MARKERS, "lymphocytes")


def test_rare_cells_are_kept_and_the_others_left_out(shipped, pool):
    columns, kind = pool
    borders = lineage_borders(columns, lineage_signs(shipped, MARKERS), dict.fromkeys(MARKERS, 0.1))
    assert all(0.35 < border.value < 0.55 for border in borders)
    keep = is_lineage_negative(columns, borders)
    assert keep[kind == "ILC2"].mean() > 0.95
    assert keep[kind != "ILC2"].mean() < 0.01


def test_a_marker_that_all_bear_divides_nothing(shipped, pool):
    columns, kind = pool
    columns = {marker: values[kind != "debris"] for marker, values in columns.items()}
    borders = lineage_borders(columns, {"CD45": True, "CD3": False}, {"CD45": 0.1, "CD3": 0.1})
    assert [border.marker for border in borders] == ["CD3"]


def test_missing_markers_and_values_exclude_nothing():
    borders = [
        LineageBorder("CD3", 0.5, False, "valley"),
        LineageBorder("CD45", 0.5, True, "valley"),
    ]
    cd3 = np.array([0.2, 0.8, np.nan, 0.2], np.float32)
    cd45 = np.array([0.9, 0.9, np.nan, 0.1], np.float32)
    assert is_lineage_negative({"CD3": cd3}, borders).tolist() == [True, False, True, True]
    both = is_lineage_negative({"CD3": cd3, "CD45": cd45}, borders)
    assert both.tolist() == [True, False, True, False]
