"""Exact Wilcoxon, Hodges-Lehmann and rank-biserial: against R, SciPy and full enumeration."""

import csv
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from biocross.errors import TableError
from biocross.statistics.kernels.exact import hodges_lehmann, rank_biserial, wilcoxon_signed_rank

GOLDEN = Path(__file__).parents[3] / "golden" / "wilcoxon"


def _read(name):
    with (GOLDEN / name).open() as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


@pytest.fixture(scope="module")
def golden():
    """Expected rows of R, and all cases as columns of one matrix padded with NaN."""
    expected = _read("expected.tsv")
    differences = np.full((200, len(expected)), np.nan)
    inputs = _read("inputs.tsv")
    for column, row in enumerate(expected):
        values = [float(line["difference"]) for line in inputs if line["case"] == row["case"]]
        assert len(values) == int(row["n_pairs"])
        differences[: len(values), column] = values
    return expected, differences


def _column(expected, name):
    return np.array([np.nan if row[name] == "NA" else float(row[name]) for row in expected])


def _enumerated_p(differences):
    """Two-sided p over all 2^n signs of the non-zero differences, with Pratt's ranks."""
    ranks = stats.rankdata(np.abs(differences))[differences != 0]
    positive = (differences > 0)[differences != 0]
    centre = ranks.sum() / 2
    observed = abs(ranks[positive].sum() - centre)
    flips = np.array(list(product([0, 1], repeat=ranks.size)))
    return np.mean(np.abs(flips @ ranks - centre) >= observed - 1e-9)


def test_wilcoxon_equals_r_coin(golden):
    expected, differences = golden
    p = wilcoxon_signed_rank(differences)
    np.testing.assert_allclose(p, _column(expected, "p_coin"), rtol=1e-10)
    np.testing.assert_allclose(p, _column(expected, "p_exact_rank_tests"), rtol=1e-10)


@pytest.mark.parametrize(("level", "suffix"), [(0.95, "95"), (0.90, "90")])
def test_hodges_lehmann_equals_r(golden, level, suffix):
    expected, differences = golden
    untied = np.isfinite(_column(expected, "hodges_lehmann"))
    assert untied.sum() >= 9
    result = hodges_lehmann(differences[:, untied], level)
    for values, name in zip(
        result, ["hodges_lehmann", f"low_{suffix}", f"high_{suffix}"], strict=True
    ):
        np.testing.assert_allclose(values, _column(expected, name)[untied], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [3, 4, 7, 9])
def test_wilcoxon_equals_enumeration_with_ties_and_zeros(n):
    rng = np.random.default_rng(n)
    differences = rng.integers(-3, 5, size=(n, 40)) / 4
    differences[0] = 0.5  # no column of zeros only
    expected = [_enumerated_p(column) for column in differences.T]
    assert len(set(expected)) > 3
    np.testing.assert_allclose(wilcoxon_signed_rank(differences), expected, rtol=1e-12)


def test_wilcoxon_equals_scipy_without_ties():
    differences = np.random.default_rng(1).normal(0.2, 1, size=(45, 20))
    expected = stats.wilcoxon(differences, method="exact", axis=0).pvalue
    np.testing.assert_allclose(wilcoxon_signed_rank(differences), expected, rtol=1e-10)


def test_missing_pairs_are_as_if_absent():
    rng = np.random.default_rng(2)
    differences = rng.normal(0.5, 1, size=(15, 8)).round(1)
    padded = np.full((22, 8), np.nan)
    for column in range(8):  # another pattern for each population
        rows = np.sort(rng.choice(22, 15, replace=False))
        padded[rows, column] = differences[:, column]
    np.testing.assert_array_equal(wilcoxon_signed_rank(padded), wilcoxon_signed_rank(differences))
    np.testing.assert_array_equal(rank_biserial(padded), rank_biserial(differences))
    np.testing.assert_array_equal(hodges_lehmann(padded), hodges_lehmann(differences))


def test_ties_survive_rounding_of_the_subtraction():
    before = np.array([0.1, 0.2, 0.6, 0.4, 0.5, 0.9])
    after = np.array([0.2, 0.3, 0.5, 0.5, 0.4, 1.1])
    rounded = after - before
    assert np.unique(np.abs(rounded)).size > 2
    exact = np.array([0.1, 0.1, -0.1, 0.1, -0.1, 0.2])
    both = np.column_stack([rounded, exact])
    p = wilcoxon_signed_rank(both)
    assert p[0] == p[1] == pytest.approx(_enumerated_p(exact))


def test_wilcoxon_of_unanimous_patients_is_the_least_possible():
    differences = np.arange(1.0, 101.0)[:, None]
    assert wilcoxon_signed_rank(differences)[0] == pytest.approx(2.0**-99, rel=1e-12)


def test_nothing_but_zeros_or_missing_gives_nan():
    differences = np.array([[0.0, np.nan, 0.0], [0.0, np.nan, 2.0], [0.0, np.nan, np.nan]])
    np.testing.assert_array_equal(wilcoxon_signed_rank(differences), [np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(rank_biserial(differences), [np.nan, np.nan, 1.0])
    estimate, low, high = hodges_lehmann(differences)
    np.testing.assert_array_equal(estimate, [0.0, np.nan, 1.0])
    np.testing.assert_array_equal(low, [-np.inf, np.nan, -np.inf])
    np.testing.assert_array_equal(high, [np.inf, np.nan, np.inf])


@pytest.mark.parametrize("shape", [(0, 3), (5, 0)])
def test_empty_tables(shape):
    empty = np.empty(shape)
    assert wilcoxon_signed_rank(empty).shape == (shape[1],)
    assert rank_biserial(empty).shape == (shape[1],)
    assert hodges_lehmann(empty).low.shape == (shape[1],)


@pytest.mark.parametrize(
    ("n", "level", "bounded"),
    [(5, 0.95, False), (6, 0.95, True), (7, 0.99, False), (8, 0.99, True), (5, 0.9375, True)],
)
def test_interval_is_unbounded_where_pairs_are_too_few(n, level, bounded):
    differences = np.random.default_rng(n).normal(size=(n, 1))
    _, low, high = hodges_lehmann(differences, level)
    assert np.isfinite(low[0]) == np.isfinite(high[0]) == bounded
    if bounded and n <= 6:  # only the range itself reaches the level
        assert (low[0], high[0]) == (differences.min(), differences.max())


def test_interval_holds_the_changes_that_wilcoxon_does_not_reject():
    differences = np.random.default_rng(3).normal(1, 1, size=(12, 1))
    _, (low,), (high,) = hodges_lehmann(differences)
    for limit, outwards in ((low, -1), (high, 1)):
        assert wilcoxon_signed_rank(differences - limit - outwards * 1e-6)[0] <= 0.05
        assert wilcoxon_signed_rank(differences - limit + outwards * 1e-6)[0] > 0.05


def test_interval_with_ties_and_zeros_covers_at_least_as_often():
    rng = np.random.default_rng(4)
    differences = 0.5 + rng.integers(-2, 3, size=(9, 20_000)) / 2  # symmetric about 0.5
    _, low, high = hodges_lehmann(differences)
    assert 0.95 < np.mean((low <= 0.5) & (high >= 0.5)) < 1.0


def test_rank_biserial_by_hand():
    # |d| of 0, 1, 1, 2, 3 rank 1, 2.5, 2.5, 4, 5: rises 2.5 + 4 + 5, falls 2.5
    differences = np.array([[0.0, 1.0, -1.0, 2.0, 3.0]]).T
    assert rank_biserial(differences)[0] == pytest.approx((11.5 - 2.5) / 14)
    assert rank_biserial(np.array([[0.0, 0.0, -1.0]]).T)[0] == -1.0


columns = st.lists(st.integers(-6, 6), min_size=2, max_size=12).map(
    lambda values: np.array(values, dtype=float)[:, None] / 8
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(columns, st.randoms(use_true_random=False))
def test_order_of_patients_is_irrelevant(differences, random):
    order = list(range(len(differences)))
    random.shuffle(order)
    shuffled = differences[order]
    np.testing.assert_array_equal(wilcoxon_signed_rank(differences), wilcoxon_signed_rank(shuffled))
    np.testing.assert_array_equal(rank_biserial(differences), rank_biserial(shuffled))
    np.testing.assert_array_equal(hodges_lehmann(differences), hodges_lehmann(shuffled))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(columns)
def test_swapping_the_visits_mirrors_the_result(differences):
    np.testing.assert_array_equal(
        wilcoxon_signed_rank(differences), wilcoxon_signed_rank(-differences)
    )
    np.testing.assert_array_equal(rank_biserial(differences), -rank_biserial(-differences))
    estimate, low, high = hodges_lehmann(differences)
    mirrored = hodges_lehmann(-differences)
    np.testing.assert_array_equal((estimate, low, high), (-mirrored[0], -mirrored[2], -mirrored[1]))
    assert low[0] <= estimate[0] <= high[0]


@pytest.mark.parametrize("kernel", [wilcoxon_signed_rank, hodges_lehmann, rank_biserial])
def test_wrong_input_is_named(kernel):
    with pytest.raises(ValueError, match=r"shape \(patients, populations\)"):
        kernel(np.arange(4.0))
    with pytest.raises(TableError, match="patient row 2, population column 1 is infinite"):
        kernel(np.array([[1.0, 2.0], [np.inf, 3.0]]))


def test_level_must_be_a_share():
    with pytest.raises(ValueError, match="between 0 and 1, not 95"):
        hodges_lehmann(np.ones((8, 1)), level=95)
