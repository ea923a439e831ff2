import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from biocross.flow.clusters import counting
from biocross.flow.clusters.counting import count_rows, expression_rows, median
from biocross.flow.clusters.groups import Group

CLUSTER = np.array([1, 2, 0, 2, 3, 1, 2, 0], np.uint16)
LIVE = Group("cluster", "live", "", (1, 2, 3, 7))
BOTH = Group("cluster", "T", "live", (1, 3))
LOST = Group("cluster", "B", "live", None)
EMPTY = Group("single_cluster", "cluster_07", "T", (7,))
ONE = Group("single_cluster", "cluster_03", "T", (3,))
GROUPS = (LIVE, BOTH, LOST, EMPTY, ONE)
PARENTS = {group.population: group for group in (LIVE, BOTH, LOST)}


def test_counts_by_hand():
    rows = [*count_rows("S", CLUSTER, GROUPS, PARENTS)]
    found = {row["population"]: (row["count"], row["parent_count"]) for row in rows}
    assert found == {
        "live": (6, 6),
        "T": (3, 6),
        # No cluster is of this kind: not zero, but unknown.
        "B": (None, 6),
        # A cluster without events in this sample: zero.
        "cluster_07": (0, 3),
        "cluster_03": (1, 3),
    }
    assert rows[1] == {
        "sample_id": "S",
        "source": "cluster",
        "population": "T",
        "parent": "live",
        "count": 3,
        "parent_count": 6,
    }


def test_a_sample_without_map_has_no_counts():
    rows = [*count_rows("S", None, GROUPS, PARENTS)]
    assert len(rows) == len(GROUPS)
    assert {(row["count"], row["parent_count"]) for row in rows} == {(None, None)}


@pytest.mark.parametrize("cluster", [CLUSTER[:0], CLUSTER * 0])
def test_a_sample_whose_events_are_in_no_cluster_has_zeros(cluster):
    rows = [*count_rows("S", cluster, GROUPS, PARENTS)]
    assert [row["count"] for row in rows] == [0, 0, None, 0, 0]
    values = {"CD4": np.ones(cluster.size, np.float32)}
    rows = [*expression_rows("S", cluster, values, (BOTH,), ["CD4"])]
    assert rows[0]["n_cells"] == 0
    assert np.isnan(rows[0]["value"])


def test_medians_by_hand():
    values = {"CD4": np.array([1, 5, 100, 6, 3, 8, 10, 100], np.float32)}
    rows = [*expression_rows("S", CLUSTER, values, GROUPS, ["CD4", "CD8"])]
    # A marker that the sample lacks has no rows, and a population without cluster neither.
    assert {row["marker"] for row in rows} == {"CD4"}
    found = {row["population"]: row for row in rows}
    assert [*found] == ["live", "T", "cluster_07", "cluster_03"]
    assert found["live"]["value"] == 5.5
    assert found["live"]["n_cells"] == 6
    assert found["T"]["value"] == 3
    assert found["T"]["sd"] == pytest.approx(np.std([1, 3, 8], ddof=1), rel=1e-12)
    assert found["cluster_03"]["value"] == 3
    assert np.isnan(found["cluster_03"]["sd"])
    assert np.isnan(found["cluster_07"]["value"])
    assert found["cluster_07"]["n_cells"] == 0
    assert "n_positive" not in found["T"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_number_are_left_out(bad):
    values = {"CD4": np.array([1, 5, 1, 6, bad, 8, 10, 1], np.float32)}
    found = {r["population"]: r for r in expression_rows("S", CLUSTER, values, GROUPS, ["CD4"])}
    assert (found["T"]["value"], found["T"]["n_cells"]) == (4.5, 2)
    assert found["T"]["sd"] == pytest.approx(np.std([1, 8], ddof=1), rel=1e-6)
    assert (found["live"]["value"], found["live"]["n_cells"]) == (6, 5)
    assert found["cluster_03"]["n_cells"] == 0


@given(
    arrays(
        np.float32,
        st.integers(1, 60),
        elements=st.floats(-4, 4, width=32) | st.sampled_from([0.0, 1.0]),
    )
)
@settings(deadline=None)
def test_the_median_is_that_of_numpy(values):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "MANY", 10)
        patch.setattr(counting, "SOME", 5)
        found = median(values)
    assert found == np.median(values)
    assert found.dtype == np.float32


@pytest.mark.parametrize("size", [4_000, 4_001, 50_000, 50_001])
def test_the_median_of_many_values(size):
    random = np.random.default_rng(size)
    step = size // counting.SOME
    misleading = np.where(np.arange(size) % step == 0, 5, random.random(size))
    for values in (
        random.normal(size=size),
        np.sort(random.exponential(size=size)),
        random.integers(0, 3, size),
        np.zeros(size),
        misleading,
    ):
        values = values.astype(np.float32)
        before = values.copy()
        assert median(values) == np.median(values)
        np.testing.assert_array_equal(values, before)
