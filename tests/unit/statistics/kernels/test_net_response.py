import numpy as np
import pytest
from scipy import stats

from biocross.statistics.kernels.net_response import fisher_greater, net_response


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0),
        ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)
def test_interval_is_that_of_the_paper(table, low, high):
    """Newcombe 1998, table II, method 10."""
    found = net_response(*table)
    x, n, x0, n0 = table
    assert found.net == pytest.approx(x / n - x0 / n0)
    assert (float(found.low), float(found.high)) == pytest.approx((low, high), abs=5e-5)


def test_interval_covers_the_difference():
    rng = np.random.default_rng(1)
    for p, p0, n, n0 in ((0.02, 0.01, 400, 2000), (0.3, 0.25, 300, 300), (0.001, 0.0, 9000, 3000)):
        x, x0 = rng.binomial(n, p, 20_000), rng.binomial(n0, p0, 20_000)
        found = net_response(x, n, x0, n0)
        covered = np.mean((found.low <= p - p0) & (p - p0 <= found.high))
        assert 0.93 < covered < 0.99, (p, p0)


def test_swapping_the_samples_turns_the_net_response_round():
    x, n, x0, n0 = np.random.default_rng(2).integers(1, 50, (4, 200))
    n, n0 = n + x, n0 + x0
    one, other = net_response(x, n, x0, n0), net_response(x0, n0, x, n)
    np.testing.assert_allclose(one.net, -other.net)
    np.testing.assert_allclose(one.low, -other.high)


def test_fisher_is_that_of_scipy():
    rng = np.random.default_rng(3)
    totals = (10 ** rng.uniform(0, 5.3, (2, 300))).astype(int)
    share = 10 ** rng.uniform(-4, -0.05, 300)
    x = rng.binomial(totals[0], np.minimum(share * rng.uniform(0.3, 3, 300), 1))
    x0 = rng.binomial(totals[1], share)
    found = fisher_greater(x, totals[0], x0, totals[1])
    for i, p in enumerate(found):
        table = [[x[i], totals[0, i] - x[i]], [x0[i], totals[1, i] - x0[i]]]
        expected = stats.fisher_exact(table, alternative="greater").pvalue
        assert p == pytest.approx(expected, rel=1e-7, abs=1e-300), table


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ((0, 10, 0, 10), 1.0),
        ((10, 10, 10, 10), 1.0),
        ((0, 10, 5, 10), 1.0),
        ((5, 5, 0, 5), 1 / 252),
        ((1, 1, 0, 1), 0.5),
        ((3, 0, 1, 10), np.nan),
        ((3, 10, 0, 0), np.nan),
        ((np.nan, 10, 0, 10), np.nan),
    ],
)
def test_fisher_at_the_borders(table, expected):
    assert fisher_greater(*table) == pytest.approx(expected, nan_ok=True)


def test_fisher_is_a_tail_of_the_other_one():
    """P(X >= x) + P(X <= x - 1) = 1: the same table, seen from the unstimulated sample."""
    x, x0 = np.random.default_rng(4).integers(1, 60, (2, 500))
    n, n0 = x + 40, x0 + 25
    rest = fisher_greater(x0 + 1, n0, x - 1, n)
    np.testing.assert_allclose(fisher_greater(x, n, x0, n0) + rest, 1, atol=1e-12)


def test_fisher_keeps_its_error_rate_and_finds_responses():
    rng = np.random.default_rng(5)
    n, n0 = 20_000, 15_000
    null = fisher_greater(rng.binomial(n, 0.01, 20_000), n, rng.binomial(n0, 0.01, 20_000), n0)
    assert 0.03 < np.mean(null < 0.05) <= 0.05
    double = fisher_greater(rng.binomial(n, 0.02, 2000), n, rng.binomial(n0, 0.01, 2000), n0)
    assert np.mean(double < 0.001) > 0.99
