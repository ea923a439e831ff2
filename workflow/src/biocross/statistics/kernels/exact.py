"""Exact signed-rank statistics for paired differences, one population per column.

Nothing here approximates by a normal distribution: the null distribution is counted, whatever
the ties and zeros, as R's ``coin::wilcoxsign_test(distribution = "exact")`` does.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biocross.errors import TableError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Differences closer than this share of the column's largest are tied: 0.3 - 0.2 and 0.2 - 0.1.
TIE_TOLERANCE = 1e-12
# Walsh averages held at a time: 32 MB.
_CHUNK_VALUES = 4_000_000


class HodgesLehmann(NamedTuple):
    """Hodges-Lehmann estimate and its exact interval, in the units of the differences.

    Each field has shape (populations,).
    """

    estimate: FloatArray
    low: FloatArray
    high: FloatArray


def checked_matrix(values: ArrayLike, name: str = "differences") -> FloatArray:
    """Return `values` as float64 of shape (patients, populations), or say what is wrong.

    Parameters
    ----------
    values
        Shape (patients, populations); NaN where a patient lacks a visit.
    name
        What to call the values in a message.

    Returns
    -------
    FloatArray
        The same values; not copied where they are float64 already.

    Raises
    ------
    ValueError
        Not two-dimensional.
    TableError
        An infinite value.
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(
            f"{name} must have shape (patients, populations), not {matrix.shape}; "
            "give a single population as values[:, None]"
        )
    if np.isinf(matrix).any():
        row, column = np.argwhere(np.isinf(matrix))[0]
        raise TableError(
            f"{name}: the value of patient row {row + 1}, population column {column + 1} is "
            "infinite; use a finite value, or NaN for a missing visit"
        )
    return matrix


def wilcoxon_signed_rank(differences: ArrayLike) -> FloatArray:
    """Exact two-sided Wilcoxon signed-rank test of every population.

    Zeros are treated as Pratt proposed: they are ranked with the others, then their ranks are
    dropped. Ties share their mean rank, and the distribution is the exact one given the ranks
    seen. The p-value is twice the smaller tail, at most 1. Sizes that differ by less than 1e-12
    of the population's largest are tied (0.3 - 0.2 and 0.2 - 0.1), as rounding would have it.

    Parameters
    ----------
    differences
        Within-patient changes, shape (patients, populations), any unit; NaN where a patient
        lacks a visit.

    Returns
    -------
    FloatArray
        p-values, shape (populations,). NaN where no patient has a difference other than zero.

    Raises
    ------
    ValueError
        `differences` is not two-dimensional.
    TableError
        `differences` has an infinite value.

    References
    ----------
    Pratt 1959, J Am Stat Assoc 54:655; Streitberg and Röhmel 1986, Stat Softw Newsl 12:10.
    """
    ranks, positive = _pratt_ranks(checked_matrix(differences))
    statistics = (ranks * positive).sum(axis=0)
    cumulative: dict[bytes, FloatArray] = {}
    p = np.full(ranks.shape[1], np.nan)
    for column, statistic in enumerate(statistics):
        kept = np.sort(ranks[ranks[:, column] > 0, column])
        if kept.size == 0:
            continue
        unit = int(np.gcd.reduce(kept))
        kept, tail = kept // unit, int(min(statistic, kept.sum() - statistic)) // unit
        key = kept.tobytes()
        if key not in cumulative:
            cumulative[key] = _lower_half(kept)
        p[column] = min(1.0, 2.0 * cumulative[key][tail])
    return p


def hodges_lehmann(differences: ArrayLike, level: float = 0.95) -> HodgesLehmann:
    """Hodges-Lehmann estimate of the typical change, with its exact confidence interval.

    The estimate is the median of the n(n+1)/2 Walsh averages (d_i + d_j)/2, zeros included. The
    interval is the closed one between two of them, found by inverting the exact signed-rank
    distribution without ties, as R's ``wilcox.test(exact = TRUE, conf.int = TRUE)``. With ties
    or zeros it covers at least as often as it says (it is the limit of breaking every tie
    at random), so beside a tied Wilcoxon p-value it can be slightly too wide, not too narrow.

    Parameters
    ----------
    differences
        Within-patient changes, shape (patients, populations); NaN where a patient lacks a visit.
    level
        Confidence level, between 0 and 1.

    Returns
    -------
    HodgesLehmann
        estimate, low and high, shape (populations,), in the unit of `differences`. The interval
        is (-inf, inf) where the pairs are too few for the level (below 6 for 95 %). All NaN
        where a population has no pairs.

    Raises
    ------
    ValueError
        `differences` is not two-dimensional, or `level` is not between 0 and 1.
    TableError
        `differences` has an infinite value.

    References
    ----------
    Hodges and Lehmann 1963, Ann Math Stat 34:598; Hollander, Wolfe and Chicken 2014,
    Nonparametric Statistical Methods, section 3.3.
    """
    ordered = np.sort(checked_matrix(differences), axis=0)  # NaN go last
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    n_pairs = np.isfinite(ordered).sum(axis=0)
    result = HodgesLehmann(*(np.full(n_pairs.size, np.nan) for _ in range(3)))
    for n in np.unique(n_pairs[n_pairs > 0]):
        same_n = np.flatnonzero(n_pairs == n)
        cut = _interval_position(int(n), level)
        step = max(1, _CHUNK_VALUES // int(n * (n + 1) // 2))
        for start in range(0, same_n.size, step):
            columns = same_n[start : start + step]
            estimate, low, high = _walsh_quantiles(ordered[:n, columns], cut)
            result.estimate[columns] = estimate
            result.low[columns] = low
            result.high[columns] = high
    return result


def rank_biserial(differences: ArrayLike) -> FloatArray:
    """Matched-pairs rank-biserial correlation, the effect size of the Wilcoxon test.

    The rank sum of the rises minus that of the falls, over their total: (W+ - W-)/(W+ + W-).
    The ranks are those of `wilcoxon_signed_rank`: Pratt's, with zeros ranked and then dropped,
    so that 1 means that every patient who changed, rose.

    Parameters
    ----------
    differences
        Within-patient changes, shape (patients, populations); NaN where a patient lacks a visit.

    Returns
    -------
    FloatArray
        Correlations in [-1, 1], shape (populations,). NaN where no patient has a difference
        other than zero.

    Raises
    ------
    ValueError
        `differences` is not two-dimensional.
    TableError
        `differences` has an infinite value.

    References
    ----------
    Kerby 2014, Compr Psychol 3:11; King, Rosopa and Minium 2011, Statistical Reasoning in the
    Behavioral Sciences, 6th edition.
    """
    ranks, positive = _pratt_ranks(checked_matrix(differences))
    total = ranks.sum(axis=0)
    rises = (ranks * positive).sum(axis=0)
    correlation = np.full(total.size, np.nan)
    np.divide(2 * rises - total, total, out=correlation, where=total > 0)
    return correlation


def _pratt_ranks(differences: FloatArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """Twice the midranks of |d| (whole numbers; 0 for a zero or a missing pair), and d > 0."""
    n_patients, n_populations = differences.shape
    missing = np.isnan(differences)
    size = np.where(missing, np.inf, np.abs(differences))
    tolerance = TIE_TOLERANCE * np.where(missing, 0.0, size).max(axis=0, initial=0.0)
    size[size <= tolerance] = 0.0
    order = np.argsort(size, axis=0, kind="stable")
    ordered = np.take_along_axis(size, order, axis=0)
    opens = np.ones((n_patients + 1, n_populations), dtype=bool)  # where a run of ties begins
    with np.errstate(invalid="ignore"):  # inf - inf among the missing
        opens[1:-1] = np.diff(ordered, axis=0) > tolerance
    place = np.arange(n_patients)[:, None]
    first = np.maximum.accumulate(np.where(opens[:-1], place, 0), axis=0)
    ends = np.where(opens[1:], place, n_patients)
    last = np.minimum.accumulate(ends[::-1], axis=0)[::-1]
    doubled = np.where((ordered > 0) & np.isfinite(ordered), first + last + 2, 0)
    ranks = np.empty_like(doubled)
    np.put_along_axis(ranks, order, doubled, axis=0)
    return ranks, differences > 0


def _lower_half(ranks: IntArray) -> FloatArray:
    """P(W <= w) for w = 0, 1, ... half of the largest, W summing each rank with chance 1/2.

    The shift algorithm: adding a rank to the sum shifts the distribution by that rank.
    """
    density = np.zeros(int(ranks.sum()) // 2 + 1)
    density[0] = 1.0
    for rank in ranks:
        if rank < density.size:
            density[rank:] += density[:-rank]  # NumPy buffers the overlap
        density *= 0.5
    return np.cumsum(density)


def _interval_position(n_pairs: int, level: float) -> int:
    """Which Walsh average from either end bounds the interval (1 the extreme; 0: none can)."""
    cumulative = _lower_half(np.arange(1, n_pairs + 1))
    half_alpha = (1.0 - level) / 2.0
    rounding = 10 * np.finfo(np.float64).eps  # as in R's qsignrank
    position = int(np.searchsorted(cumulative, half_alpha - rounding))
    return max(position, 1) if cumulative[0] <= half_alpha + rounding else 0


def _walsh_quantiles(ordered: FloatArray, cut: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Median, `cut`-th smallest and `cut`-th largest Walsh average of complete columns."""
    first, second = np.triu_indices(ordered.shape[0])
    by_population = np.ascontiguousarray(ordered.T)
    walsh = by_population[:, first]
    walsh += by_population[:, second]
    walsh *= 0.5
    size = walsh.shape[1]
    below, above = max(cut - 1, 0), size - max(cut, 1)
    middle = ((size - 1) // 2, size // 2)
    walsh.partition(sorted({below, *middle, above}), axis=1)
    estimate = 0.5 * (walsh[:, middle[0]] + walsh[:, middle[1]])
    if cut == 0:
        unbounded = np.full(estimate.size, np.inf)
        return estimate, -unbounded, unbounded
    return estimate, walsh[:, below], walsh[:, above]
