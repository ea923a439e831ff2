"""Precision-weighted paired t: against SciPy, its own definition and simulation."""

import numpy as np
import pytest
from scipy import optimize, stats

from biocross.statistics.kernels.weighted import median_variance, precision_weighted_paired_t


def _marker_changes(n, tau, columns, rng, shift=0.0):
    """Changes of medians over 20-5,000 cells (SD near 1) with their estimated variances."""
    cells = np.round(np.exp(rng.uniform(np.log(20), np.log(5000), size=(2, n, columns))))
    sd = np.exp(0.2 * rng.normal(size=cells.shape))
    error = rng.normal(size=cells.shape) * sd * np.sqrt(np.pi / 2 / cells)
    estimated_sd = sd * np.sqrt(rng.chisquare(cells - 1) / (cells - 1))
    changes = shift + tau * rng.normal(size=(n, columns)) + error[1] - error[0]
    return changes, median_variance(estimated_sd, cells), cells


def _q(d, v, tau2):
    weight = 1 / (v + tau2)
    mean = np.average(d, weights=weight)
    return np.sum(weight * (d - mean) ** 2), mean, weight


def test_median_variance_is_that_of_simulated_medians():
    rng = np.random.default_rng(0)
    medians = np.median(rng.normal(scale=2.0, size=(4000, 201)), axis=1)
    assert medians.var() == pytest.approx(median_variance(2.0, 201), rel=0.08)
    np.testing.assert_array_equal(median_variance([1.0, 1.0], [0, 2]), [np.nan, np.pi / 4])


def test_equal_variances_give_the_paired_t_test():
    rng = np.random.default_rng(1)
    d = rng.normal(size=(9, 20)) + 0.4
    expected = stats.ttest_1samp(d, 0)
    interval = expected.confidence_interval()
    for v in (0.0, 0.01, 100.0):
        test = precision_weighted_paired_t(d, np.full(d.shape, v), np.full(d.shape, v))
        np.testing.assert_allclose(test.estimate, d.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(test.t, expected.statistic, rtol=1e-6)
        np.testing.assert_allclose(test.p, expected.pvalue, rtol=1e-6)
        np.testing.assert_allclose(test.low, interval.low, rtol=1e-6)
        np.testing.assert_allclose(test.high, interval.high, rtol=1e-6)


def test_estimates_follow_their_definition():
    d, v, _ = _marker_changes(8, 0.3, 30, np.random.default_rng(2))
    test = precision_weighted_paired_t(d, v[0], v[1])
    target = stats.chi2.ppf(0.25, 7)
    for c in range(30):
        total = v[:, :, c].sum(axis=0)
        assert _q(d[:, c], total, 0)[0] > target
        root = optimize.brentq(
            lambda t, c=c, total=total: _q(d[:, c], total, t)[0] - target, 0, 100, xtol=1e-14
        )
        assert test.tau2[c] == pytest.approx(root, rel=1e-6)
        q, mean, weight = _q(d[:, c], total, root)
        assert test.estimate[c] == pytest.approx(mean, rel=1e-6)
        assert test.standard_error[c] == pytest.approx(np.sqrt(q / 7 / weight.sum()), rel=1e-6)


def test_no_patient_carries_more_than_half_the_weight():
    d = np.array([[0.1, 0.1], [0.4, 0.2], [-0.3, 0.15], [0.2, 0.12]])
    v = np.full(d.shape, 10.0)
    v[0] = 1e-6, 0.0
    test = precision_weighted_paired_t(d, v, v)
    weight = 1 / (2 * v + test.tau2)
    np.testing.assert_allclose(weight[0] / weight.sum(axis=0), 0.5, rtol=1e-6)


def test_missing_values_leave_their_pair_out_of_their_column_only():
    d, v, _ = _marker_changes(10, 0.2, 4, np.random.default_rng(3))
    d[2, 0] = v[0, 3, 1] = v[1, 5, 2] = np.nan
    test = precision_weighted_paired_t(d, v[0], v[1])
    np.testing.assert_array_equal(test.n_pairs, [9, 9, 9, 10])
    np.testing.assert_array_equal(test.df, [8, 8, 8, 9])
    for column, row in enumerate((2, 3, 5)):
        rest = np.delete(np.arange(10), row)
        alone = precision_weighted_paired_t(d[rest], v[0, rest], v[1, rest])
        assert test.p[column] == pytest.approx(alone.p[column], rel=1e-9)


def test_units_and_direction():
    d, v, _ = _marker_changes(7, 0.2, 10, np.random.default_rng(4))
    test = precision_weighted_paired_t(d, v[0], v[1])
    turned = precision_weighted_paired_t(-1000 * d, 1e6 * v[1], 1e6 * v[0])
    np.testing.assert_allclose(turned.p, test.p, rtol=1e-7)
    np.testing.assert_allclose(turned.low, -1000 * test.high, rtol=1e-7)
    np.testing.assert_allclose(turned.tau2, 1e6 * test.tau2, rtol=1e-6)


def test_columns_that_cannot_be_tested_are_nan():
    d = np.array([[0.1, 0.2, 0.3, 0.0], [0.1, np.nan, 0.3, 0.0]] * 2)
    d[3, 2] = np.nan
    d[0, 3] = 0.5
    v = np.full(d.shape, 0.1)
    test = precision_weighted_paired_t(d, v, v)
    np.testing.assert_array_equal(test.n_pairs, [4, 2, 3, 4])
    np.testing.assert_array_equal(np.isnan(test.p), [True, True, True, False])
    np.testing.assert_allclose(test.estimate[[0, 2]], [0.1, 0.3])
    assert np.isnan(test.estimate[1])


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="negative"):
        precision_weighted_paired_t(np.zeros((3, 1)), np.full((3, 1), -1.0), np.ones((3, 1)))
    with pytest.raises(ValueError, match="shape"):
        precision_weighted_paired_t(np.zeros((3, 1)), np.ones((3, 2)), np.ones((3, 1)))


@pytest.mark.parametrize("n", [6, 8, 12, 20])
def test_type_one_error_where_weights_by_cell_number_fail(n):
    rng = np.random.default_rng(100 + n)
    for tau in (0.0, 0.05, 0.1, 0.2, 0.5, 2.0):
        d, v, cells = _marker_changes(n, tau, 6000, rng)
        rate = (precision_weighted_paired_t(d, v[0], v[1]).p < 0.05).mean()
        assert 0.03 < rate < 0.07, tau
    weight = cells.sum(axis=0)
    mean = np.sum(weight * d, axis=0) / weight.sum(axis=0)
    error = np.sqrt(np.sum(weight * (d - mean) ** 2, axis=0) / (n - 1) / weight.sum(axis=0))
    by_cells = 2 * stats.t.sf(np.abs(mean / error), n - 1)
    assert (by_cells < 0.05).mean() > 0.12


def test_weights_find_more_than_the_plain_paired_t_test():
    d, v, _ = _marker_changes(10, 0.1, 5000, np.random.default_rng(6), shift=0.1)
    weighted = (precision_weighted_paired_t(d, v[0], v[1]).p < 0.05).mean()
    assert weighted > (stats.ttest_1samp(d, 0).pvalue < 0.05).mean() + 0.03


def test_intervals_cover():
    d, v, _ = _marker_changes(10, 0.2, 6000, np.random.default_rng(7), shift=1.0)
    test = precision_weighted_paired_t(d, v[0], v[1])
    assert 0.93 < ((test.low < 1.0) & (test.high > 1.0)).mean() < 0.97
    narrow = precision_weighted_paired_t(d, v[0], v[1], level=0.9)
    assert 0.87 < ((narrow.low < 1.0) & (narrow.high > 1.0)).mean() < 0.93
