"""Association within groups and Welch's comparison: against SciPy and brute force."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from biocross.errors import TableError
from biocross.statistics.kernels.association import (
    _bootstrap_correlations,
    spearman_within_groups,
    welch_groups,
)

FAST = {"n_permutations": 200, "n_bootstrap": 100}


def _pooled_rho(x, y, groups):
    """The definition, written out: ranks / (size + 1), centred per group, pooled."""
    rank_x, rank_y = np.zeros(len(x)), np.zeros(len(y))
    for group in set(groups.tolist()):
        rows = groups == group
        for ranks, values in ((rank_x, x), (rank_y, y)):
            ranked = stats.rankdata(values[rows]) / (rows.sum() + 1)
            ranks[rows] = ranked - ranked.mean()
    return rank_x @ rank_y / np.sqrt((rank_x @ rank_x) * (rank_y @ rank_y))


@pytest.fixture
def changes():
    """40 patients of two treatments, 6 populations, the first associated, ties, some missing."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=40).round(1)
    x = rng.normal(size=(40, 6)).round(1)
    x[:, 0] = (x[:, 0] + 1.5 * y).round(2)  # ties as SciPy sees them
    x[rng.random(x.shape) < 0.15] = np.nan
    y[3] = np.nan
    return x, y, np.repeat(["mepolizumab", "dupilumab"], [15, 25])


def test_one_group_equals_scipy(changes):
    x, y, _ = changes
    result = spearman_within_groups(x, y, np.zeros(40), seed=0, **FAST)
    for column in range(x.shape[1]):
        both = np.isfinite(x[:, column]) & np.isfinite(y)
        expected = stats.spearmanr(x[both, column], y[both]).statistic
        assert result.rho[column] == pytest.approx(expected, abs=1e-12)
        assert result.n[column] == both.sum()


def test_groups_are_ranked_apart_and_pooled(changes):
    x, y, groups = changes
    result = spearman_within_groups(x, y, groups, seed=0, **FAST)
    for column in range(x.shape[1]):
        both = np.isfinite(x[:, column]) & np.isfinite(y)
        expected = _pooled_rho(x[both, column], y[both], groups[both])
        assert result.rho[column] == pytest.approx(expected, abs=1e-12)


def test_difference_between_treatments_is_no_association():
    rng = np.random.default_rng(1)
    treated = np.repeat([0, 1], 20)
    x = rng.normal(size=40) + 3 * treated
    y = rng.normal(size=40) + 3 * treated
    pooled = spearman_within_groups(x, y, np.zeros(40), seed=0)
    within = spearman_within_groups(x, y, treated, seed=0)
    assert pooled.rho[0] > 0.5
    assert pooled.p[0] < 0.01
    assert abs(within.rho[0]) < 0.3
    assert within.p[0] > 0.1


def test_few_permutations_are_all_tried():
    rng = np.random.default_rng(2)
    x = rng.integers(0, 4, size=9) / 2  # ties
    y = rng.integers(0, 4, size=9) / 2
    groups = np.array([0, 1, 0, 1, 0, 1, 0, 1, 1])
    first, second = np.flatnonzero(groups == 0), np.flatnonzero(groups == 1)
    rhos = []
    for order0 in permutations(first):
        for order1 in permutations(second):
            permuted = y.copy()
            permuted[first], permuted[second] = y[list(order0)], y[list(order1)]
            rhos.append(_pooled_rho(x, permuted, groups))
    expected = np.mean(np.abs(rhos) >= abs(_pooled_rho(x, y, groups)) - 1e-9)
    for seed in (0, 1):  # without effect
        p = spearman_within_groups(x, y, groups, seed, n_bootstrap=10).p[0]
        assert p == pytest.approx(expected, abs=1e-12)


def test_seeded_permutations_approximate_all():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(8, 12)), rng.normal(size=8)
    x[:, :6] += y[:, None]
    x[1, 6:9] = np.nan
    groups = np.zeros(8)
    exact = spearman_within_groups(x, y, groups, seed=0, n_permutations=40_320, n_bootstrap=10)
    drawn = spearman_within_groups(x, y, groups, seed=0, n_permutations=4_999, n_bootstrap=10)
    error = np.sqrt(exact.p * (1 - exact.p) / 4_999) + 2e-4
    assert (np.abs(drawn.p - exact.p) < 4.5 * error).all()
    assert (drawn.p != exact.p).any()


def test_seeded_p_is_never_zero():
    x = np.arange(20.0)
    result = spearman_within_groups(x, x, np.zeros(20), seed=0, **FAST)
    assert result.rho[0] == pytest.approx(1.0)
    assert result.p[0] == 1 / 201


def test_p_is_uniform_without_association():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(24, 400)), rng.normal(size=24)
    x[rng.random(x.shape) < 0.1] = np.nan
    groups = np.repeat([0, 1, 2], 8)
    result = spearman_within_groups(x, y, groups, seed=0, n_permutations=499, n_bootstrap=2)
    assert stats.kstest(result.p, "uniform").pvalue > 0.01


def test_bootstrap_interval_equals_a_plain_bootstrap():
    rng = np.random.default_rng(5)
    y = rng.normal(size=30).round(1)
    x = 0.7 * y + rng.normal(size=30).round(1)
    groups = np.repeat([0, 1], [12, 18])
    result = spearman_within_groups(x, y, groups, seed=0, n_permutations=10, n_bootstrap=8_000)
    rhos = []
    for _ in range(1_500):
        rows = np.r_[rng.integers(0, 12, 12), rng.integers(12, 30, 18)]
        rhos.append(_pooled_rho(x[rows], y[rows], groups[rows]))
    low, high = np.quantile(rhos, [0.025, 0.975])
    assert result.low[0] == pytest.approx(low, abs=0.04)
    assert result.high[0] == pytest.approx(high, abs=0.04)
    narrow = spearman_within_groups(
        x, y, groups, seed=0, n_permutations=10, n_bootstrap=8_000, level=0.5
    )
    assert result.low[0] < narrow.low[0] < narrow.high[0] < result.high[0]


def test_every_resample_is_ranked_anew():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(11, 2)).round(1), rng.normal(size=(11, 1)).round(1)
    groups = np.repeat([0, 1], [5, 6])
    rows = [np.arange(5), np.arange(5, 11)]
    rhos = _bootstrap_correlations(x, y, rows, 50, np.random.default_rng(1))
    same_draws = np.random.default_rng(1)
    drawn = [same_draws.integers(5, size=(50, 5)), 5 + same_draws.integers(6, size=(50, 6))]
    for number, patients in enumerate(np.hstack(drawn)):
        for column in range(2):
            expected = _pooled_rho(x[patients, column], y[patients, 0], groups)
            assert rhos[number, column] == pytest.approx(expected, abs=1e-12)


def test_a_population_does_not_depend_on_the_others(changes):
    x, y, groups = changes
    together = spearman_within_groups(x, y, groups, seed=7, **FAST)
    for column in range(x.shape[1]):
        alone = spearman_within_groups(x[:, column], y, groups, seed=7, **FAST)
        assert together.p[column] == alone.p[0]
        np.testing.assert_allclose(
            (together.rho[column], together.low[column], together.high[column]),
            (alone.rho[0], alone.low[0], alone.high[0]),
            atol=1e-12,
        )


def test_result_follows_the_seed(changes):
    x, y, groups = changes
    first, again, other = (spearman_within_groups(x, y, groups, seed, **FAST) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(first.rho, other.rho)
    assert (first.p != other.p).any()
    assert (first.low != other.low).any()


def test_constant_and_sparse_values_give_nan():
    rng = np.random.default_rng(8)
    groups = np.repeat(["a", "b", "alone"], [5, 5, 1])
    y = rng.normal(size=11)
    x = rng.normal(size=(11, 5))
    x[:, 0] = 0.1
    x[:, 1] = np.where(groups == "a", 1.0, 2.0)  # varies, but not within groups
    x[2:, 2] = np.nan
    x[:, 3] = np.nan
    result = spearman_within_groups(x, y, groups, seed=0, **FAST)
    np.testing.assert_array_equal(result.n, [10, 10, 2, 0, 10])
    for values in (result.rho, result.low, result.high, result.p):
        np.testing.assert_array_equal(np.isnan(values), [True, True, True, True, False])
    constant_y = spearman_within_groups(x, np.ones(11), groups, seed=0, **FAST)
    assert np.isnan(constant_y.rho).all()


@pytest.mark.parametrize("shape", [(0, 3), (5, 0)])
def test_empty_tables(shape):
    result = spearman_within_groups(np.empty(shape), np.ones(shape[0]), np.ones(shape[0]), 0)
    assert result.rho.shape == result.n.shape == (shape[1],)
    compared = welch_groups(np.empty(shape), np.ones(shape[0], dtype=bool))
    assert compared.p.shape == (shape[1],)
    unknown_y = spearman_within_groups(np.ones((4, 2)), np.full(4, np.nan), np.ones(4), 0)
    np.testing.assert_array_equal(unknown_y.n, [0, 0])


def test_interval_needs_six_patients():
    x = np.array([1.0, 3.0, 2.0, 4.0, 5.0, 6.0])
    y = np.array([2.0, 3.0, 1.0, 4.0, 6.0, 5.0])
    groups = np.zeros(6)
    assert np.isfinite(spearman_within_groups(x, y, groups, seed=0, **FAST).low[0])
    five = spearman_within_groups(x[:5], y[:5], groups[:5], seed=0, **FAST)
    assert np.isfinite(five.rho[0])
    assert np.isnan([five.low[0], five.high[0]]).all()


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_small_studies_ignore_order_and_monotone_units(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=8).round(1), rng.normal(size=8).round(1)
    groups = np.repeat([0, 1], 4)
    plain = spearman_within_groups(x, y, groups, seed=0, n_bootstrap=5)
    order = rng.permutation(8)
    for other in (
        spearman_within_groups(x[order], y[order], groups[order], seed=1, n_bootstrap=5),
        spearman_within_groups(np.exp(x), 100 * y - 3, groups, seed=0, n_bootstrap=5),
    ):
        np.testing.assert_allclose(other.rho, plain.rho, atol=1e-12)
        np.testing.assert_array_equal(other.p, plain.p)
    mirrored = spearman_within_groups(-x, y, groups, seed=0, n_bootstrap=5)
    np.testing.assert_allclose(mirrored.rho, -plain.rho, atol=1e-12)
    np.testing.assert_array_equal(mirrored.p, plain.p)


def test_wrong_association_input_is_named():
    x, y, groups = np.ones((4, 2)), np.ones(4), np.zeros(4)
    with pytest.raises(ValueError, match="one value per patient"):
        spearman_within_groups(x, y[:3], groups, seed=0)
    with pytest.raises(ValueError, match="one value per patient"):
        spearman_within_groups(x, y, groups[:3], seed=0)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        spearman_within_groups(x, y, groups, seed=0, level=95)
    with pytest.raises(TableError, match="y: the value of patient row 1"):
        spearman_within_groups(x, y * np.inf, groups, seed=0)


def test_welch_equals_scipy():
    rng = np.random.default_rng(9)
    is_member = rng.random(30) < 0.4
    values = rng.normal(size=(30, 12)) * np.where(is_member, 3, 1)[:, None] + 0.8
    values[rng.random(values.shape) < 0.2] = np.nan
    result = welch_groups(values, is_member)
    for column in range(12):
        known = values[np.isfinite(values[:, column]), column]
        member = is_member[np.isfinite(values[:, column])]
        expected = stats.ttest_ind(known[member], known[~member], equal_var=False)
        low, high = expected.confidence_interval(0.95)
        assert (result.n1[column], result.n0[column]) == (member.sum(), (~member).sum())
        np.testing.assert_allclose(
            [getattr(result, name)[column] for name in ("t", "df", "p", "low", "high")],
            [expected.statistic, expected.df, expected.pvalue, low, high],
            rtol=1e-10,
        )
        difference = known[member].mean() - known[~member].mean()
        assert result.estimate[column] == pytest.approx(difference, rel=1e-12)
        assert result.se[column] == pytest.approx(difference / expected.statistic, rel=1e-10)


def test_welch_level_widens_the_interval():
    values = np.random.default_rng(10).normal(size=(20, 1))
    is_member = np.arange(20) < 8
    expected = stats.ttest_ind(values[:8, 0], values[8:, 0], equal_var=False)
    result = welch_groups(values, is_member, level=0.9)
    np.testing.assert_allclose(
        [result.low[0], result.high[0]], expected.confidence_interval(0.9), rtol=1e-10
    )


def test_welch_without_enough_values_gives_nan():
    is_member = np.array([True, True, True, False, False, False])
    values = np.array(
        [
            [0.1, 1.0, np.nan, 0.1, 1.0],
            [0.1, np.nan, np.nan, 0.1, 2.0],
            [0.1, np.nan, np.nan, 0.1, 4.0],
            [0.3, 2.0, 1.0, 0.1, 0.7],
            [0.3, 3.0, 2.0, 0.2, 0.7],
            [0.3, 5.0, 3.0, 0.3, 0.7],
        ]
    )
    result = welch_groups(values, is_member)
    np.testing.assert_array_equal(result.n1, [3, 1, 0, 3, 3])
    np.testing.assert_allclose(result.estimate[:2], [-0.2, 1 - 10 / 3])
    assert np.isnan(result.estimate[2])
    for field in (result.se, result.df, result.t, result.p, result.low, result.high):
        np.testing.assert_array_equal(np.isnan(field), [True, True, True, False, False])
    np.testing.assert_allclose(result.df[3:], 2.0)  # only one group varies
    nobody = welch_groups(values, np.zeros(6, dtype=bool))
    assert np.isnan(nobody.p).all()


def test_wrong_welch_input_is_named():
    with pytest.raises(ValueError, match="True or False once per patient"):
        welch_groups(np.ones((4, 1)), np.array([0, 1, 0, 1]))
    with pytest.raises(ValueError, match="True or False once per patient"):
        welch_groups(np.ones((4, 1)), np.array([True, False]))
    with pytest.raises(ValueError, match="level"):
        welch_groups(np.ones((4, 1)), np.ones(4, dtype=bool), level=2)
    with pytest.raises(TableError, match="values"):
        welch_groups(np.full((4, 1), -np.inf), np.ones(4, dtype=bool))
