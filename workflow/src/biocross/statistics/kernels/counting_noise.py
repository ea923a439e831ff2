"""What counting adds to the variation of a change, and what a fold means for the odds.

Frequencies are on the logit scale. Events of one patient at a visit are binomial: x of the N
events of the parent.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

FloatArray = NDArray[np.float64]


def counting_variance(count: ArrayLike, total: ArrayLike) -> FloatArray:
    """Compute the variance that counting gives the logit of a frequency.

    Parameters
    ----------
    count
        Events x of the population, any shape; NaN where not counted.
    total
        Events N of its parent, 0 <= x <= N.

    Returns
    -------
    FloatArray
        1 / (x + 1/2) + 1 / (N - x + 1/2), squared logit units.

    References
    ----------
    Gart, Zweifel 1967, Biometrika 54:181.
    """
    x, n = np.asarray(count, dtype=np.float64), np.asarray(total, dtype=np.float64)
    return np.asarray(1 / (x + 0.5) + 1 / (n - x + 0.5))


def odds_ratio_of_fold(fold: ArrayLike, share: ArrayLike) -> FloatArray:
    """Convert a fold of a percentage to a ratio of odds.

    Parameters
    ----------
    fold
        How many times the percentage becomes larger, above 0, any shape.
    share
        The population's share of its parent before, in (0, 1).

    Returns
    -------
    FloatArray
        fold · (1 - share) / (1 - fold · share): nearly the fold where the population is rare, 2.25
        for x 1.5 of 40 %. NaN where the population would outgrow its parent.
    """
    before = np.asarray(share, dtype=np.float64)
    after = np.asarray(fold, dtype=np.float64) * before
    inside = (before > 0) & (before < 1) & (after < 1)
    odds = np.divide(after, 1 - after, out=np.full(inside.shape, np.nan), where=inside)
    return np.asarray(odds * (1 - before) / np.where(before > 0, before, np.nan))


def expected_events(count: ArrayLike, total: ArrayLike, odds_ratio: float) -> FloatArray:
    """Expect the events of patients at a visit at which their odds have changed.

    Parameters
    ----------
    count, total
        Events of the population and of its parent before, shape (patients,).
    odds_ratio
        The change.

    Returns
    -------
    FloatArray
        Events of the population in as many events of the parent, shape (patients,).
    """
    x, n = np.asarray(count, dtype=np.float64), np.asarray(total, dtype=np.float64)
    share = np.divide(x, n, out=np.zeros(np.shape(x)), where=n > 0)
    return np.asarray(n * expit(logit(share) + np.log(odds_ratio)))
