import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biocross.statistics.kernels.scale import (
    equal_depth_logit,
    frequency_interval,
    logit_at_depth,
    logit_of_counts,
    logit_of_percent,
)


def expected_by_enumeration(count, total, depth):
    mean = depth * count / total
    reach = 15 * math.sqrt(mean + 1) + 30
    first, last = max(0, depth - (total - count)), min(count, depth)
    support = np.arange(max(first, int(mean - reach)), min(last, int(mean + reach)) + 1)
    weight = stats.hypergeom.pmf(support, total, count, depth)
    y = np.log((support + 0.5) / (depth - support + 0.5))
    return (weight * y).sum() / weight.sum()


def thinning_cases():
    """Counts on both sides of the switch to the series, at thinning of every strength."""
    for total in (1, 2, 7, 90, 200, 1_000, 30_000, 1_000_000):
        for depth in {1, 2, 40, 41, 100, 500, total // 10, total // 2, total - 2, total - 1}:
            if not 1 <= depth < total:
                continue
            for expected in (0, 0.3, 1, 5, 20, 39.5, 40, 41, 60, 100, depth / 3, depth / 2):
                count = math.ceil(expected * total / depth)
                if count <= total:
                    yield count, total, depth
                    yield total - count, total, depth


def test_thinned_logit_equals_enumeration_within_the_stated_error():
    cases = np.array(sorted(set(thinning_cases())))
    assert len(cases) > 500
    thinned = logit_at_depth(*cases.T)
    exact = np.array([expected_by_enumeration(*case) for case in cases.tolist()])
    np.testing.assert_allclose(thinned, exact, rtol=0, atol=2e-5)
    smaller = np.minimum(cases[:, 0], cases[:, 1] - cases[:, 0])
    summed = smaller * cases[:, 2] < 40 * cases[:, 1]
    assert summed.any()
    assert not summed.all()
    np.testing.assert_allclose(thinned[summed], exact[summed], rtol=0, atol=1e-9)


def test_thinning_differs_from_the_logit_of_the_thinned_mean():
    # One event expected: the point of equal depth is that E[log] is not log of E.
    assert logit_at_depth(10, 10_000, 1_000) < math.log(1.5 / 999.5) - 0.2


def test_unequal_depth_alone_is_no_change_on_average():
    rng = np.random.default_rng(1)
    n0, n1, share = 20_000, 2_000, 1 / 2_000
    x0, x1 = rng.binomial(n0, share, 40_000), rng.binomial(n1, share, 40_000)
    y0, y1 = equal_depth_logit(x0, n0, x1, n1)
    assert abs((y1 - y0).mean()) < 0.02
    naive = logit_of_counts(x1, n1) - logit_of_counts(x0, n0)
    assert abs(naive.mean()) > 0.1


def test_only_the_deeper_visit_is_replaced():
    y0, y1 = equal_depth_logit([5, 5, 5], [1_000, 400, 400], [3, 3, 3], [400, 1_000, 400])
    np.testing.assert_array_equal(y0[1:], logit_of_counts([5, 5], [400, 400]))
    np.testing.assert_array_equal(y1[[0, 2]], logit_of_counts([3, 3], [400, 400]))
    assert y0[0] == pytest.approx(expected_by_enumeration(5, 1_000, 400), abs=1e-12)
    assert y1[1] == pytest.approx(expected_by_enumeration(3, 1_000, 400), abs=1e-12)


def test_missing_or_empty_visits_make_the_pair_nan():
    y0, y1 = equal_depth_logit([np.nan, 5, 0, 5, 4], [50, 50, 0, 50, np.nan], [1] * 5, [40] * 5)
    np.testing.assert_array_equal(np.isnan(y0), [True, False, True, False, True])
    np.testing.assert_array_equal(np.isnan(y1), np.isnan(y0))
    y0, y1 = equal_depth_logit(5, 50, 0, 0)
    assert np.isnan(y0)
    assert np.isnan(y1)


def test_shapes_are_kept():
    counts = np.arange(12.0).reshape(3, 4)
    y0, y1 = equal_depth_logit(counts, 500, counts, np.full((3, 4), 300))
    assert y0.shape == y1.shape == (3, 4)
    assert logit_at_depth(3, 50, 20).shape == ()


def test_logit_of_counts():
    y = logit_of_counts([0, 5, 10, np.nan, 0], [10, 10, 10, 10, 0])
    np.testing.assert_allclose(y[:3], [-math.log(21), 0, math.log(21)])
    assert np.isnan(y[3:]).all()


@given(st.integers(1, 5_000), st.data())
def test_thinning_is_antisymmetric_and_keeps_the_order(total, data):
    depth = data.draw(st.integers(1, total))
    count = data.draw(st.integers(0, total))
    y = logit_at_depth([count, total - count], total, depth)
    assert y[0] == pytest.approx(-y[1], abs=2e-5)
    if count < total:
        assert logit_at_depth(count + 1, total, depth) > y[0] - 2e-5


def test_percent_is_half_a_rounding_unit_from_its_ends():
    y = logit_of_percent([0, 0.1, 50, 99.9, 100, np.nan], rounding_unit=0.1)
    assert y[0] == pytest.approx(math.log(0.05 / 100))
    assert y[1] == pytest.approx(math.log(0.1 / 99.9))
    assert y[2] == 0
    np.testing.assert_allclose(y[3:5], -y[1::-1], rtol=1e-12)
    assert np.isnan(y[5])


@pytest.mark.parametrize("unit", [0, -1, 100, np.nan])
def test_impossible_rounding_units_are_refused(unit):
    with pytest.raises(ValueError, match="rounding_unit"):
        logit_of_percent([1.0], unit)


def test_interval_equals_the_beta_quantiles_inside_and_is_closed_at_the_ends():
    count, total = np.array([1, 7, 9]), np.array([10, 1_000, 10])
    interval = frequency_interval(count, total, level=0.9)
    beta = stats.beta(count + 0.5, total - count + 0.5)
    np.testing.assert_allclose(interval.low, beta.ppf(0.05), rtol=1e-12)
    np.testing.assert_allclose(interval.high, beta.ppf(0.95), rtol=1e-12)
    low, high = frequency_interval([0, 20], [20, 20])
    np.testing.assert_array_equal([low[0], high[1]], [0, 1])
    np.testing.assert_allclose([high[0], 1 - low[1]], stats.beta(0.5, 20.5).ppf(0.975))
    assert np.isnan(frequency_interval([np.nan, 0], [10, 0])).all()


def test_interval_covers_rare_populations_better_than_wilson():
    total, counts = 100_000, np.arange(60)
    expected = np.linspace(0.05, 20, 800)
    weight = stats.poisson.pmf(counts, expected[:, None])

    def coverage(low, high):
        frequency = expected[:, None] / total
        return (weight * ((low <= frequency) & (frequency <= high))).sum(axis=1)

    jeffreys = coverage(*frequency_interval(counts, total))
    wilson = [stats.binomtest(int(x), total).proportion_ci(method="wilson") for x in counts]
    others = coverage([w.low for w in wilson], [w.high for w in wilson])
    assert jeffreys.min() > 0.89
    assert others.min() < 0.85
    assert 0.94 < jeffreys.mean() < 0.96
