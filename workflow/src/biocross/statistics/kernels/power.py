"""What a test that found nothing could have found, and when "no change" is itself shown.

Changes are differences of logits or of log cells per µl; their exponentials are odds ratios or
fold changes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, stdtr, stdtrit

FloatArray = NDArray[np.float64]


class FoldRange(NamedTuple):
    """Detectable folds at both ends of the interval of the variance."""

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
    degrees = np.asarray(df, dtype=np.float64)
    certain = 1 - np.asarray(alpha, dtype=np.float64) / 2
    quantiles = np.add(stdtrit(degrees, certain), stdtrit(degrees, power))
    error = np.asarray(standard_deviation, dtype=np.float64) / np.sqrt(n_pairs)
    with np.errstate(over="ignore"):  # three noisy pairs may detect nothing: infinity
        return np.asarray(np.exp(quantiles * error), dtype=np.float64)


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
    degrees = np.asarray(df, dtype=np.float64)
    tail = (1 - level) / 2
    sd = np.asarray(standard_deviation, dtype=np.float64)
    low, high = (sd * np.sqrt(degrees / chdtri(degrees, q)) for q in (tail, 1 - tail))
    return FoldRange(
        detectable_fold(low, n_pairs, degrees, alpha, power),
        detectable_fold(high, n_pairs, degrees, alpha, power),
    )


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
