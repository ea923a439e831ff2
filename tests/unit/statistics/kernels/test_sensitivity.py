"""Adjusted changes against statsmodels; dropouts against multiple imputation and bisection."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from biocross.statistics.kernels.moderation import plain_paired_t
from biocross.statistics.kernels.sensitivity import (
    batch_differences,
    delta_adjusted,
    regress_changes,
    tipping_delta,
)

FOUND = (0.6, 0.15, 9.0, 10, 3)  # estimate, standard error, df, completers, dropouts


@pytest.fixture
def study():
    """12 patients, 5 populations with gaps, 2 covariates of which one is missing once."""
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(12, 2)) * [1.0, 200.0] + [0.5, 30.0]
    changes = rng.normal(0.4, 0.5, size=(12, 5)) + columns[:, :1] * [0, 1, 2, 3, 4]
    changes[rng.random(changes.shape) < 0.1] = np.nan
    columns[4, 1] = np.nan
    return changes, columns


def test_the_intercept_equals_statsmodels(study):
    changes, columns = study
    fit = regress_changes(changes, columns)
    for j in range(changes.shape[1]):
        used = np.isfinite(changes[:, j]) & np.isfinite(columns).all(axis=1)
        theirs = sm.OLS(changes[used, j], sm.add_constant(columns[used])).fit()
        assert fit.n_pairs[j] == used.sum()
        assert fit.df[j] == theirs.df_resid
        ours = [fit.estimate[j], fit.standard_error[j], fit.p[j], fit.low[j], fit.high[j]]
        expected = [theirs.params[0], theirs.bse[0], theirs.pvalues[0], *theirs.conf_int()[0]]
        assert ours == pytest.approx(expected, rel=1e-9)


def test_covariates_of_zero_give_the_plain_paired_t(study):
    changes, _ = study
    fit, plain = regress_changes(changes, np.zeros((12, 1))), plain_paired_t(changes)
    for name in ("estimate", "standard_error", "df", "p", "low", "high", "n_pairs"):
        np.testing.assert_allclose(getattr(fit, name), getattr(plain, name), rtol=1e-10)


def test_covariates_that_repeat_one_another_change_nothing(study):
    changes, columns = study
    repeated = np.column_stack([columns, 3 * columns[:, 0] - columns[:, 1], columns[:, 0]])
    for ours, theirs in zip(
        regress_changes(changes, repeated), regress_changes(changes, columns), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8)


def test_a_covariate_that_explains_the_intercept_is_aliased(study):
    changes, _ = study
    fit = regress_changes(changes, np.full((12, 1), -5.0))
    assert fit.aliased.all()
    assert np.isnan([fit.estimate, fit.p, fit.low]).all()


def test_no_residual_gives_an_estimate_without_a_test():
    line = np.array([[1.0], [2.0], [3.0], [4.0]])
    exact = regress_changes(0.5 + 2 * line, line)
    assert exact.estimate[0] == pytest.approx(0.5)
    assert np.isnan(exact.p[0])
    saturated = regress_changes([[1.0], [3.0]], line[:2])
    assert saturated.df[0] == 0
    assert np.isnan(saturated.p[0])


def test_no_population_and_no_pair():
    assert regress_changes(np.empty((4, 0)), np.zeros((4, 1))).p.shape == (0,)
    nobody = regress_changes(np.full((4, 1), np.nan), np.zeros((4, 1)))
    assert nobody.n_pairs[0] == 0
    assert not nobody.aliased[0]
    assert np.isnan(nobody.estimate[0])


def test_an_offset_between_batches_is_taken_out():
    rng = np.random.default_rng(5)
    before = ["a"] * 12 + ["b"] * 4
    after = ["a"] * 4 + ["b"] * 8 + ["a"] * 2 + ["b"] * 2
    noise = rng.normal(0, 0.05, size=16)
    offset = 0.9 * (np.array(after) == "b") - 0.9 * (np.array(before) == "b")
    changes = (0.3 + offset + noise)[:, np.newaxis]
    assert changes.mean() > 0.55
    fit = regress_changes(changes, batch_differences(before, after))
    assert fit.estimate[0] == pytest.approx(0.3, abs=0.05)
    assert not fit.aliased[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["a"] * 5, ["b"] * 5),
        (["a", "a", "c", "c", "c"], ["b", "b", "d", "d", "d"]),
        (["a", "a", "b", "b", "b"], ["b", "b", "c", "c", "c"]),
    ],
    ids=["one step", "two disjoint steps", "a chain of steps"],
)
def test_batches_that_move_with_the_visit_are_aliased(before, after):
    changes = np.random.default_rng(0).normal(size=(5, 1))
    assert regress_changes(changes, batch_differences(before, after)).aliased[0]


def test_a_swap_of_batches_is_not_aliased():
    differences = batch_differences(["a", "a", "b", "b"], ["b", "b", "a", "a"])
    assert not regress_changes([[1.0], [2.0], [0.0], [1.5]], differences).aliased[0]


def test_batch_differences_are_missing_where_a_batch_is():
    differences = batch_differences(["a", "", "b"], ["b", "a", "b"])
    np.testing.assert_array_equal(differences, [[-1, 1], [np.nan, np.nan], [0, 0]])
    assert batch_differences(["", ""], ["", ""]).shape == (2, 0)


def test_no_delta_is_the_completers_own_test():
    result = delta_adjusted(*FOUND, 0.0)
    reach = stats.t.ppf(0.975, 9) * 0.15
    assert result.p == pytest.approx(2 * stats.t.sf(4, 9), rel=1e-9)
    assert [result.low, result.high] == pytest.approx([0.6 - reach, 0.6 + reach])


def test_delta_works_against_the_finding_in_either_direction():
    rise = delta_adjusted(*FOUND, 0.5)
    fall = delta_adjusted(-FOUND[0], *FOUND[1:], 0.5)
    assert rise.estimate == pytest.approx(0.6 - 0.5 * 3 / 13)
    assert fall.estimate == pytest.approx(-rise.estimate)
    assert fall.p == pytest.approx(rise.p)


def test_delta_adjusted_agrees_with_multiple_imputation():
    """Rubin's rules over imputed changes, the completers' mean drawn anew each time."""
    rng = np.random.default_rng(8)
    kept, lost, delta, draws = 60, 20, 0.4, 20_000
    changes = rng.normal(0.5, 0.6, size=kept)
    sd = changes.std(ddof=1)
    means = rng.normal(changes.mean(), sd / np.sqrt(kept), size=(draws, 1))
    imputed = rng.normal(means - delta, sd, size=(draws, lost))
    filled = np.concatenate([np.broadcast_to(changes, (draws, kept)), imputed], axis=1)
    estimates = filled.mean(axis=1)
    within = (filled.var(axis=1, ddof=1) / (kept + lost)).mean()
    pooled = np.sqrt(within + (1 + 1 / draws) * estimates.var(ddof=1))
    ours = delta_adjusted(changes.mean(), sd / np.sqrt(kept), kept - 1, kept, lost, delta)
    assert ours.estimate == pytest.approx(estimates.mean(), abs=0.002)
    assert ours.standard_error == pytest.approx(pooled, rel=0.02)


def test_the_tipping_delta_is_where_p_reaches_the_level():
    expected = brentq(lambda delta: delta_adjusted(*FOUND, delta).p - 0.05, 0, 10)
    assert tipping_delta(*FOUND) == pytest.approx(expected, rel=1e-9)
    assert tipping_delta(-FOUND[0], *FOUND[1:]) == pytest.approx(expected, rel=1e-9)


def test_the_tipping_delta_by_hand():
    """A certain change of 1 and half of the patients lost: t = (1 - d/2) / (d/2 / √99)."""
    quantile = stats.t.ppf(0.975, 49)
    tipping = tipping_delta(1.0, 1e-12, 49, 50, 50)
    assert tipping == pytest.approx(2 / (1 + quantile / np.sqrt(99)), rel=1e-6)


def test_nothing_to_lose_and_nobody_lost():
    assert tipping_delta(0.1, 0.15, 9, 10, 3) == 0
    assert tipping_delta(0.6, 0.15, 9, 10, 0) == np.inf
    assert np.isnan(tipping_delta(0.6, np.nan, np.nan, 2, 3))


@given(
    size=st.floats(0.05, 5),
    t=st.floats(2.6, 40),
    kept=st.integers(6, 60),
    lost=st.integers(1, 60),
)
@settings(max_examples=200, deadline=None)
def test_p_grows_with_delta_up_to_the_tipping_point(size, t, kept, lost):
    finding = (size, size / t, kept - 1, kept, lost)
    tipping = tipping_delta(*finding)
    assert tipping > 0
    p = delta_adjusted(*finding, np.linspace(0, tipping, 20)).p
    assert np.all(np.diff(p) > 0)
    assert p[-1] == pytest.approx(0.05, rel=1e-6)


def test_more_dropouts_tip_sooner():
    lost = np.arange(1, 12)
    assert np.all(np.diff(tipping_delta(*FOUND[:4], lost)) < 0)
