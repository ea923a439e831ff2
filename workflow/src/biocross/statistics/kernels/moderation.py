"""Paired t-tests whose variances learn from the other populations, with the learning capped.

The prior variance and its degrees of freedom are limma's. What differs from limma: the prior never
outweighs a population's own pairs, and a population far more variable than its peers is tested on
its own variance.

Every kernel works on one table of shape (populations,) or on a stack of relabelled tables of shape
(relabellings, populations), so that a calibration costs one call instead of a thousand.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, fdtri, stdtr, stdtrit

from biocross.statistics.kernels.variance_prior import fit_prior_stack

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MIN_PAIRS = 3
MIN_POPULATIONS_TO_MODERATE = 6
# A variance below this share of the squared mean is rounding error of constant differences.
ROUNDING_SHARE = 1e-12


class PairSummary(NamedTuple):
    """Sufficient statistics of the within-patient changes, per population.

    `mean` (logit units) and `variance` (squared) have shape (populations,) or (relabellings,
    populations); `n_pairs` broadcasts to them. NaN: no pair for the mean, under two for the
    variance.
    """

    n_pairs: NDArray[np.int64]
    mean: FloatArray
    variance: FloatArray


class PairedTest(NamedTuple):
    """Paired t-tests; every field has the shape of the populations (or of the stack).

    `estimate`, `standard_error`, `low` and `high` are in logit units. `s2` is a population's own
    variance, `s2_post` the one its test used (`s2` where the plain t was used), and `moderated` is
    False where the plain t was used. Populations that cannot be tested keep `n_pairs` and
    `estimate`; everything else is NaN.
    """

    estimate: FloatArray
    standard_error: FloatArray
    t: FloatArray
    df: FloatArray
    p: FloatArray
    low: FloatArray
    high: FloatArray
    n_pairs: NDArray[np.int64]
    s2: FloatArray
    s2_post: FloatArray
    moderated: BoolArray


class WelchTest(NamedTuple):
    """Difference between two arms' changes; fields as in `PairedTest`."""

    estimate: FloatArray
    standard_error: FloatArray
    t: FloatArray
    df: FloatArray
    p: FloatArray
    low: FloatArray
    high: FloatArray


class _Variances(NamedTuple):
    """What the tests divide by: (relabellings, populations), NaN where not testable."""

    s2: FloatArray
    s2_post: FloatArray
    df: FloatArray
    moderated: BoolArray


def moderated_paired_t(
    differences: ArrayLike,
    trend_covariate: ArrayLike | None,
    cap: bool = True,
    level: float = 0.95,
) -> PairedTest:
    """Paired t-test with variances moderated across populations.

    Parameters
    ----------
    differences
        Within-patient changes on the logit scale, shape (patients, populations) or
        (relabellings, patients, populations); NaN where a patient lacks a visit.
    trend_covariate
        Mean log count per population, shape (populations,), on which the prior variance depends;
        None for one prior variance. Must be known wherever a population can be tested.
    cap
        False gives limma's test without the cap, the fallback and the outlier rule (Notes).
    level
        Coverage of the confidence interval.

    Returns
    -------
    PairedTest
        Fields of shape (populations,), or (relabellings, populations).

    Raises
    ------
    ValueError
        The covariate does not fit the populations, or is NaN where one can be tested.

    Notes
    -----
    Populations with fewer than three pairs or without variance leave before moderation. The
    prior's weight is at most n_pairs - 1 degrees of freedom. A variance above the 95 % point of
    F(df, d0) times its prior belongs to another kind of population: it is tested by its plain t,
    which there always has the larger p. Fewer than six testable populations: plain t for all.

    References
    ----------
    Smyth 2004, Stat Appl Genet Mol Biol 3:3; Phipson 2016, Ann Appl Stat 10:946.
    """
    return moderated_t_of_summary(summarise_pairs(differences), trend_covariate, cap, level)


def plain_paired_t(differences: ArrayLike, level: float = 0.95) -> PairedTest:
    """Paired t-test of each population on its own variance.

    Parameters
    ----------
    differences
        As for `moderated_paired_t`.
    level
        Coverage of the confidence interval.

    Returns
    -------
    PairedTest
        Fields as of `moderated_paired_t`, with `s2_post` equal to `s2`.

    References
    ----------
    Student 1908, Biometrika 6:1.
    """
    summary = summarise_pairs(differences)
    df, s2 = _testable_variances(summary)
    never = np.zeros(s2.shape, dtype=np.bool_)
    return _paired_test(summary, _Variances(s2, s2, df, never), level)


def summarise_pairs(differences: ArrayLike) -> PairSummary:
    """Count the pairs, and take mean and variance of the changes of each population.

    Parameters
    ----------
    differences
        Within-patient changes, shape (patients, populations) or (relabellings, patients,
        populations); NaN where a patient lacks a visit.

    Returns
    -------
    PairSummary
        Fields of shape (populations,) or (relabellings, populations).
    """
    d = np.asarray(differences, dtype=np.float64)
    present = ~np.isnan(d)
    n = present.sum(axis=-2)
    mean = np.where(present, d, 0.0).sum(axis=-2) / np.where(n > 0, n, np.nan)
    residual = np.where(present, d - mean[..., np.newaxis, :], 0.0)
    variance = np.square(residual).sum(axis=-2) / np.where(n > 1, n - 1, np.nan)
    return PairSummary(n, mean, variance)


def summarise_flipped(differences: ArrayLike, signs: ArrayLike) -> PairSummary:
    """Summaries of sign-flipped changes, without building the flipped tables.

    Parameters
    ----------
    differences
        Within-patient changes, shape (patients, populations); NaN where a patient lacks a visit.
    signs
        +1 or -1 per patient and relabelling, shape (relabellings, patients).

    Returns
    -------
    PairSummary
        As `summarise_pairs` of `signs[:, :, None] * differences`: the mean is a product of
        matrices, and the sum of squares does not change.
    """
    d = np.asarray(differences, dtype=np.float64)
    n = (~np.isnan(d)).sum(axis=0)
    known = np.where(np.isnan(d), 0.0, d)
    mean = np.asarray(signs, dtype=np.float64) @ known / np.where(n > 0, n, np.nan)
    squares = np.maximum(np.square(known).sum(axis=0) - n * np.square(mean), 0.0)
    return PairSummary(n, mean, squares / np.where(n > 1, n - 1, np.nan))


def moderated_t_of_summary(
    summary: PairSummary,
    trend_covariate: ArrayLike | None,
    cap: bool = True,
    level: float = 0.95,
) -> PairedTest:
    """`moderated_paired_t` from the sufficient statistics.

    Parameters
    ----------
    summary
        From `summarise_pairs` or `summarise_flipped`.
    trend_covariate, cap, level
        As for `moderated_paired_t`.

    Returns
    -------
    PairedTest
        Fields of the summary's shape.
    """
    return _paired_test(summary, _moderate(summary, trend_covariate, cap), level)


def moderated_p_values(
    summary: PairSummary, trend_covariate: ArrayLike | None, cap: bool = True
) -> FloatArray:
    """Compute only the p values of `moderated_t_of_summary`, for relabellings by the thousand.

    Parameters
    ----------
    summary
        From `summarise_pairs` or `summarise_flipped`.
    trend_covariate, cap
        As for `moderated_paired_t`.

    Returns
    -------
    FloatArray
        Two-sided p values of the summary's shape; NaN where a population cannot be tested.
    """
    used = _moderate(summary, trend_covariate, cap)
    return _two_sided_p(summary.mean / np.sqrt(used.s2_post / summary.n_pairs), used.df)


def welch_difference(test_a: PairedTest, test_b: PairedTest, level: float = 0.95) -> WelchTest:
    """Difference between two treatments' changes, each arm with its own variances.

    Parameters
    ----------
    test_a, test_b
        Paired tests of the two arms over the same populations, moderated separately.
    level
        Coverage of the confidence interval.

    Returns
    -------
    WelchTest
        Change in arm a minus change in arm b (logit units) with Satterthwaite's degrees of
        freedom; NaN where either arm could not be tested.

    References
    ----------
    Welch 1947, Biometrika 34:28; Satterthwaite 1946, Biometrics Bull 2:110.
    """
    square_a, square_b = np.square(test_a.standard_error), np.square(test_b.standard_error)
    square = square_a + square_b
    df = np.square(square) / (np.square(square_a) / test_a.df + np.square(square_b) / test_b.df)
    estimate, error = np.asarray(test_a.estimate - test_b.estimate), np.sqrt(square)
    t = estimate / error
    reach = _t_quantile(df, level) * error
    p = _two_sided_p(t, df)
    return WelchTest(estimate, error, t, df, p, estimate - reach, estimate + reach)


def _paired_test(summary: PairSummary, used: _Variances, level: float) -> PairedTest:
    n = np.broadcast_to(summary.n_pairs, summary.mean.shape)
    error = np.sqrt(used.s2_post / n)
    t = summary.mean / error
    reach = _t_quantile(used.df, level) * error
    low, high = summary.mean - reach, summary.mean + reach
    p = _two_sided_p(t, used.df)
    return PairedTest(summary.mean, error, t, used.df, p, low, high, n, *used[:2], used.moderated)


def _two_sided_p(t: FloatArray, df: FloatArray) -> FloatArray:
    return np.asarray(2 * stdtr(df, -np.abs(t)))


def _testable_variances(summary: PairSummary) -> tuple[FloatArray, FloatArray]:
    """Degrees of freedom and variances; NaN where a population has too few pairs or no variance."""
    enough = summary.n_pairs >= MIN_PAIRS
    testable = enough & (summary.variance > ROUNDING_SHARE * np.square(summary.mean))
    df = np.where(testable, summary.n_pairs - 1, np.nan)
    return df, np.where(testable, summary.variance, np.nan)


def _moderate(summary: PairSummary, covariate: ArrayLike | None, cap: bool) -> _Variances:
    df, s2 = (np.atleast_2d(a) for a in _testable_variances(summary))
    s2_prior, df_prior = fit_prior_stack(s2, df, covariate)
    d0 = df_prior[:, np.newaxis]
    testable = ~np.isnan(s2)
    if cap:
        few = testable.sum(axis=1, keepdims=True) < MIN_POPULATIONS_TO_MODERATE
        d0 = np.where(few, 0.0, d0)
    weight = np.minimum(d0, df) if cap else d0
    # limma's weighted mean, in the form that also holds for an infinite weight.
    s2_post = s2_prior + (s2 - s2_prior) * (df / (df + weight))
    df_total = np.minimum(df + weight, np.nansum(df, axis=1, keepdims=True))
    moderated = testable & (d0 > 0)
    if cap:
        # Here s2 > s2_prior: the plain t is smaller and has fewer df, so its p is the larger.
        moderated &= s2 <= s2_prior * _variance_ratio_limit(summary.n_pairs - 1, d0)
    shape = summary.mean.shape
    return _Variances(
        s2.reshape(shape),
        np.where(moderated, s2_post, s2).reshape(shape),
        np.where(moderated, df_total, df).reshape(shape),
        moderated.reshape(shape),
    )


def _variance_ratio_limit(df: NDArray[np.int64], df_prior: FloatArray) -> FloatArray:
    """95 % point of F(df, df_prior); df of shape (..., populations), df_prior (relabellings, 1)."""
    levels, index = np.unique(df, return_inverse=True)
    limit = np.where(
        np.isinf(df_prior), chdtri(levels, 0.05) / levels, fdtri(levels, df_prior, 0.95)
    )
    shape = (len(df_prior), df.shape[-1])
    return np.take_along_axis(limit, np.broadcast_to(index.reshape(df.shape), shape), axis=1)


def _t_quantile(df: FloatArray, level: float) -> FloatArray:
    """Half-width of the interval in standard errors, computed once per distinct df."""
    distinct, index = np.unique(df, return_inverse=True)
    quantile = np.asarray(stdtrit(distinct, (1 + level) / 2), dtype=np.float64)
    return quantile[index].reshape(df.shape)
