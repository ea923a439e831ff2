from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from biocross.statistics.kernels.power import (
    detectable_fold,
    detectable_fold_range,
    deviation_behind,
    deviation_range,
    equivalence_test,
    paired_power,
    patients_needed,
    power_of_enrolled,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "power"


def test_detectable_fold_is_the_formula():
    sd, n, df = np.array([0.3, 0.5]), np.array([20, 8]), np.array([30.5, 14.0])
    t = stats.t(df)
    expected = np.exp((t.ppf(0.975) + t.ppf(0.8)) * sd / np.sqrt(n))
    np.testing.assert_allclose(detectable_fold(sd, n, df), expected, rtol=1e-12)
    family = np.exp((t.ppf(1 - 0.05 / 12 / 2) + t.ppf(0.9)) * sd / np.sqrt(n))
    np.testing.assert_allclose(
        detectable_fold(sd, n, df, alpha=0.05 / 12, power=0.9), family, rtol=1e-12
    )


@pytest.mark.parametrize(("n", "sd"), [(6, 0.4), (20, 0.3)])
def test_the_detectable_fold_is_detected_as_often_as_stated(n, sd):
    rng = np.random.default_rng(11)
    effect = np.log(detectable_fold(sd, n, n - 1))
    changes = rng.normal(effect, sd, (n, 20_000))
    found = stats.ttest_1samp(changes, 0).pvalue < 0.05
    # Exact from the noncentral t: .83 at 6 pairs, .81 at 20.
    assert 0.79 < found.mean() < 0.845


def test_range_comes_from_the_interval_of_the_variance():
    low, high = detectable_fold_range(0.4, 10, 9)
    limits = 0.4 * np.sqrt(9 / stats.chi2(9).ppf([0.975, 0.025]))
    np.testing.assert_allclose([low, high], detectable_fold(limits, 10, 9), rtol=1e-12)
    assert low < detectable_fold(0.4, 10, 9) < high
    narrower = detectable_fold_range(0.4, 10, 9, level=0.5)
    assert low < narrower.low < narrower.high < high


def test_untested_populations_and_hopeless_noise():
    fold = detectable_fold([np.nan, 1e4], [3, 3], [np.nan, 2])
    assert np.isnan(fold[0])
    assert fold[1] == np.inf
    assert np.isnan(detectable_fold_range([np.nan], [3], [np.nan])).all()


def test_the_deviation_behind_a_detectable_fold_comes_back():
    sd, n, df = np.array([0.15, 0.4, 1.2]), np.array([3, 8, 40]), np.array([2.0, 11.5, 70.0])
    np.testing.assert_allclose(deviation_behind(detectable_fold(sd, n, df), n, df), sd, rtol=1e-12)
    family = detectable_fold(sd, n, df, alpha=0.01, power=0.9)
    np.testing.assert_allclose(deviation_behind(family, n, df, 0.01, 0.9), sd, rtol=1e-12)
    assert np.isnan(deviation_behind([np.inf, np.nan], [3, 3], [2, np.nan])).all()


def test_the_range_of_a_deviation_holds_it_as_often_as_stated():
    changes = np.random.default_rng(8).normal(0, 0.3, (10, 20_000))
    low, high = deviation_range(changes.std(axis=0, ddof=1), 9)
    assert np.mean((low < 0.3) & (high > 0.3)) == pytest.approx(0.95, abs=0.006)
    assert np.isnan(deviation_range(0.3, np.nan)).all()


def test_power_equals_r():
    golden = pd.read_csv(GOLDEN / "paired_power.tsv", sep="\t")
    power = paired_power(
        np.log(golden["fold"]), golden["sd"], golden["n_pairs"], golden["df"], golden["alpha"]
    )
    np.testing.assert_allclose(power, golden["power"], atol=1e-10)
    assert (golden["df"] > golden["n_pairs"] - 1).sum() == len(golden) / 2


def test_power_is_the_level_where_nothing_changes_and_one_where_everything_does():
    df = np.array([2.0, 19.0, 500.0])
    np.testing.assert_allclose(paired_power(0, 0.4, 20, df, 0.05), 0.05, rtol=1e-9)
    huge = paired_power([[8.0], [50.0], [1e5]], 0.4, [100, 101, 102], df)
    np.testing.assert_allclose(huge, 1)
    assert np.isnan(paired_power([0.4, np.nan], [np.nan, 0.4], 20, 19)).all()


def test_power_of_enrolled_patients_is_that_of_the_pairs_they_leave():
    pairs = np.linspace(0, 1, 61)
    power = np.stack([pairs, pairs**2])
    expected = power_of_enrolled(power, 0.15)
    for enrolled in (0, 1, 7, 60):
        chance = stats.binom(enrolled, 0.85).pmf(np.arange(61))
        np.testing.assert_allclose(expected[:, enrolled], power @ chance, atol=1e-12)
    np.testing.assert_allclose(power_of_enrolled(power, 0.0), power, atol=1e-12)


def test_the_fewest_patients_that_reach_a_power():
    power = [[0, 0.5, 0.8, 0.9], [0, 0.1, 0.2, 0.3], [np.nan] * 4]
    np.testing.assert_array_equal(patients_needed(power, 0.8), [2, np.nan, np.nan])


def test_equivalence_is_the_90_percent_interval_inside_the_margins():
    rng = np.random.default_rng(5)
    estimate, error = rng.normal(0, 0.15, 2_000), rng.uniform(0.01, 0.2, 2_000)
    df = rng.uniform(2, 40, 2_000)
    reach = stats.t(df).ppf(0.95) * error
    inside = (estimate - reach > np.log(0.8)) & (estimate + reach < np.log(1.25))
    test = equivalence_test(estimate, error, df)
    assert 0.2 < inside.mean() < 0.8
    np.testing.assert_array_equal(test.equivalent, inside)
    np.testing.assert_array_equal(test.p < 0.05, inside)


def test_equivalence_equals_two_one_sided_tests_of_the_changes():
    changes = np.random.default_rng(6).normal(0.05, 0.2, (15, 30))
    error = changes.std(axis=0, ddof=1) / np.sqrt(15)
    p = equivalence_test(changes.mean(axis=0), error, 14, low=0.7, high=1.4).p
    above = stats.ttest_1samp(changes, np.log(0.7), alternative="greater").pvalue
    below = stats.ttest_1samp(changes, np.log(1.4), alternative="less").pvalue
    np.testing.assert_allclose(p, np.maximum(above, below), rtol=1e-9)


def test_equivalence_is_rarely_claimed_at_the_margin():
    changes = np.random.default_rng(7).normal(np.log(1.25), 0.2, (12, 20_000))
    error = changes.std(axis=0, ddof=1) / np.sqrt(12)
    claimed = equivalence_test(changes.mean(axis=0), error, 11).equivalent
    assert claimed.mean() == pytest.approx(0.05, abs=0.006)


def test_untested_populations_are_not_equivalent():
    test = equivalence_test([np.nan, 0.0], [np.nan, 0.01], [np.nan, 20])
    np.testing.assert_array_equal(test.equivalent, [False, True])
    assert np.isnan(test.p[0])


@pytest.mark.parametrize(("low", "high"), [(0, 1.25), (1.25, 0.8), (-1, 1)])
def test_margins_out_of_order_are_refused(low, high):
    with pytest.raises(ValueError, match="0 < low < high"):
        equivalence_test(0.0, 0.1, 10, low, high)
