"""What a test finds how often, what it could have found, and when "no change" is itself shown.

Changes are differences of logits or of log cells per µl; their exponentials are odds ratios or
fold changes.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, gammaln, nctdtr, stdtr, stdtrit, xlogy

FloatArray = NDArray[np.float64]


class FoldRange(NamedTuple):
    """Detectable folds at both ends of the interval of the variance."""

    low: FloatArray
    high: FloatArray


class DeviationRange(NamedTuple):
    """Both ends of the interval of a standard deviation."""

    low: FloatArray
    high: FloatArray


class EquivalenceTest(NamedTuple):
    """Whether the change is shown to be negligible, and the p value of that claim."""

    equivalent: NDArray[np.bool_]
    p: FloatArray


def detectable_fold(
    standard_deviation: ArrayLike,
    n_pairs: ArrayLike,
    df: ArrayLike,
    alpha: ArrayLike = 0.05,
    power: float = 0.8,
) -> FloatArray:
    """Compute the smallest fold that the paired test finds with the given power.

    Parameters
    ----------
    standard_deviation
        SD of the within-patient changes on the log scale that the test used, any shape: the root
        of `PairedTest.s2_post`.
    n_pairs, df
        Complete pairs and the test's degrees of freedom, broadcastable to it.
    alpha
        Two-sided level; .05 / m for a family of m tests.
    power
        Probability of finding the fold.

    Returns
    -------
    FloatArray
        exp((t[1 - alpha/2, df] + t[power, df]) · SD / √n), at least 1; a fall is found from one
        over this. NaN where an input is NaN.

    References
    ----------
    Bloom 1995, Eval Rev 19:547 (the minimum detectable effect).
    """
    error = np.asarray(standard_deviation, dtype=np.float64) / np.sqrt(n_pairs)
    with np.errstate(over="ignore"):  # three noisy pairs may detect nothing: infinity
        return np.asarray(np.exp(_reach(df, alpha, power) * error), dtype=np.float64)


def deviation_behind(
    fold: ArrayLike,
    n_pairs: ArrayLike,
    df: ArrayLike,
    alpha: ArrayLike = 0.05,
    power: float = 0.8,
) -> FloatArray:
    """Compute the standard deviation that a detectable fold was computed from.

    Parameters
    ----------
    fold
        Of `detectable_fold`, any shape.
    n_pairs, df, alpha, power
        As they were there.

    Returns
    -------
    FloatArray
        SD of the within-patient changes on the log scale; NaN where an input is NaN or the fold
        infinite.
    """
    log_fold = np.log(np.asarray(fold, dtype=np.float64))
    sd = log_fold * np.sqrt(n_pairs) / _reach(df, alpha, power)
    return np.where(np.isfinite(sd), sd, np.nan)


def deviation_range(
    standard_deviation: ArrayLike, df: ArrayLike, level: float = 0.95
) -> DeviationRange:
    """Compute the chi-square interval of a standard deviation.

    Parameters
    ----------
    standard_deviation
        As estimated, any shape.
    df
        Degrees of freedom of the estimate, broadcastable to it; NaN where there are none.
    level
        Coverage of the interval.

    Returns
    -------
    DeviationRange
        Limits in the unit of the SD; NaN where an input is NaN.
    """
    degrees = np.asarray(df, dtype=np.float64)
    sd = np.asarray(standard_deviation, dtype=np.float64)
    tail = (1 - level) / 2
    low, high = (sd * np.sqrt(degrees / chdtri(degrees, q)) for q in (tail, 1 - tail))
    return DeviationRange(np.asarray(low), np.asarray(high))


def detectable_fold_range(
    standard_deviation: ArrayLike,
    n_pairs: ArrayLike,
    df: ArrayLike,
    alpha: ArrayLike = 0.05,
    power: float = 0.8,
    level: float = 0.95,
) -> FoldRange:
    """Compute the range of the detectable fold that the uncertainty of the variance leaves.

    Parameters
    ----------
    standard_deviation, n_pairs, df, alpha, power
        As for `detectable_fold`.
    level
        Coverage of the chi-square interval of the variance, at `df` degrees of freedom.

    Returns
    -------
    FoldRange
        `detectable_fold` at the lower and at the upper limit of the standard deviation.
    """
    ends = deviation_range(standard_deviation, df, level)
    return FoldRange(*(detectable_fold(sd, n_pairs, df, alpha, power) for sd in ends))


def paired_power(
    effect: ArrayLike,
    standard_deviation: ArrayLike,
    n_pairs: ArrayLike,
    df: ArrayLike,
    alpha: ArrayLike = 0.05,
) -> FloatArray:
    """Compute how often the two-sided paired t test finds a true change.

    Parameters
    ----------
    effect
        True mean change on the log scale, any shape.
    standard_deviation
        SD of the within-patient changes on that scale.
    n_pairs, df
        Complete pairs and the test's degrees of freedom: n_pairs - 1, more where it is moderated.
    alpha
        Two-sided level; all inputs broadcast.

    Returns
    -------
    FloatArray
        P(|T| > t[1 - alpha/2, df]), T noncentral t about effect · √n / SD; a finding in the wrong
        direction counts, as it does for the test. NaN where an input is NaN.

    References
    ----------
    Cohen 1988, Statistical Power Analysis for the Behavioral Sciences, 2nd ed.; Owen 1965,
    Biometrika 52:437.
    """
    sd = np.asarray(standard_deviation, dtype=np.float64)
    centre = np.abs(np.asarray(effect, dtype=np.float64)) * np.sqrt(n_pairs) / sd
    degrees = np.asarray(df, dtype=np.float64)
    limit = stdtrit(degrees, 1 - np.asarray(alpha, dtype=np.float64) / 2)
    centre, limit, degrees = np.broadcast_arrays(centre, limit, degrees)
    power = np.where(np.isnan(centre + limit), np.nan, 1.0)
    # Elsewhere less than 1e-12 is missed or found in the wrong direction, and slow to compute.
    open_ = np.isfinite(power) & ((degrees < 10) | (centre < 3 * limit + 8))
    near = np.isfinite(power) & (centre < 8)
    # Chances too small for the algorithm come back as NaN.
    power[open_] -= np.nan_to_num(nctdtr(degrees[open_], centre[open_], limit[open_]))
    power[near] += np.nan_to_num(nctdtr(degrees[near], centre[near], -limit[near]))
    return power


def power_of_enrolled(power_of_pairs: ArrayLike, missing: float) -> FloatArray:
    """Expect the power over the patients who may not come back.

    Parameters
    ----------
    power_of_pairs
        Power with 0, 1, 2 ... complete pairs along the last axis, shape (..., most + 1).
    missing
        Chance that a patient's pair stays incomplete, in [0, 1), the same for all.

    Returns
    -------
    FloatArray
        Power with 0, 1, 2 ... patients enrolled, same shape: the pairs are binomial.
    """
    power = np.asarray(power_of_pairs, dtype=np.float64)
    return np.asarray(power @ _chance_of_pairs(power.shape[-1], missing).T)


def patients_needed(power_of_patients: ArrayLike, target: float) -> FloatArray:
    """Find the fewest patients that reach a power.

    Parameters
    ----------
    power_of_patients
        Power with 0, 1, 2 ... patients along the last axis.
    target
        The power wanted.

    Returns
    -------
    FloatArray
        Shape of the leading axes; NaN where none of the numbers reaches it.
    """
    reached = np.asarray(power_of_patients, dtype=np.float64) >= target
    return np.where(reached.any(axis=-1), reached.argmax(axis=-1), np.nan)


def _reach(df: ArrayLike, alpha: ArrayLike, power: float) -> FloatArray:
    """Standard errors from no change to a change that is found with this power."""
    degrees = np.asarray(df, dtype=np.float64)
    certain = 1 - np.asarray(alpha, dtype=np.float64) / 2
    return np.asarray(np.add(stdtrit(degrees, certain), stdtrit(degrees, power)))


def equivalence_test(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    df: ArrayLike,
    low: float = 0.8,
    high: float = 1.25,
    alpha: float = 0.05,
) -> EquivalenceTest:
    """Test whether the fold lies within the margins, by two one-sided t-tests.

    Parameters
    ----------
    estimate, standard_error, df
        Change on the log scale with its standard error and degrees of freedom, any common shape.
    low, high
        Margins as folds (or odds ratios), 0 < low < high.
    alpha
        Level of each one-sided test; the (1 - 2 alpha) interval lies inside the margins where
        the claim is made.

    Returns
    -------
    EquivalenceTest
        `equivalent` is False and `p` NaN where an input is NaN.

    Raises
    ------
    ValueError
        The margins are not positive and in order.

    References
    ----------
    Schuirmann 1987, J Pharmacokinet Biopharm 15:657.
    """
    if not 0 < low < high:
        raise ValueError(f"Margins must satisfy 0 < low < high, not low={low}, high={high}.")
    change, error = (np.asarray(a, dtype=np.float64) for a in (estimate, standard_error))
    p_above = stdtr(df, (np.log(low) - change) / error)
    p_below = stdtr(df, (change - np.log(high)) / error)
    p = np.asarray(np.maximum(p_above, p_below), dtype=np.float64)
    return EquivalenceTest(p < alpha, p)


@lru_cache(maxsize=4)
def _chance_of_pairs(n: int, missing: float) -> FloatArray:
    """Binomial chances of complete pairs, shape (patients, pairs), both from 0 to n - 1."""
    enrolled, pairs = np.indices((n, n))
    absent = np.maximum(enrolled - pairs, 0)
    ways = gammaln(enrolled + 1) - gammaln(pairs + 1) - gammaln(absent + 1)
    chance = np.exp(ways + xlogy(pairs, 1 - missing) + xlogy(absent, missing))
    return np.where(pairs <= enrolled, chance, 0.0)
