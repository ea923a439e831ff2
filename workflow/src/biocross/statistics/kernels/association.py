"""Association of changes with clinical changes, and of changes with response."""

from itertools import permutations, product
from math import factorial, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from biocross.statistics.kernels.exact import TIE_TOLERANCE, FloatArray, IntArray, checked_matrix

MIN_PAIRS = 3
# Below this a bootstrap interval says little: resamples of 3 patients give rho = 1 or nothing.
MIN_PAIRS_FOR_INTERVAL = 6
# Correlations this close are equal: the same permutation summed in another order.
_EQUAL = 1e-9
# A group varies if its variance exceeds this share of its mean square; less is rounding.
_NO_VARIANCE = 1e-20
# Populations per matrix product with the permutations: 10,000 x 64 correlations take 5 MB.
_CHUNK_POPULATIONS = 64


class Association(NamedTuple):
    """Result of `spearman_within_groups`; each field has shape (populations,).

    Attributes
    ----------
    rho
        Correlation within groups, -1 to 1.
    low, high
        Bootstrap percentile interval of rho.
    p
        Two-sided permutation p-value.
    n
        Patients that entered: both values known, and not alone in their group.
    """

    rho: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    n: IntArray


class WelchGroups(NamedTuple):
    """Result of `welch_groups`; each field has shape (populations,).

    Attributes
    ----------
    estimate
        Mean of the members minus mean of the others, in the unit of the values.
    se, df, t, p
        Standard error, Satterthwaite degrees of freedom, statistic, two-sided p-value.
    low, high
        Confidence interval of the estimate.
    n1, n0
        Values among the members and among the others.
    """

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    t: FloatArray
    p: FloatArray
    low: FloatArray
    high: FloatArray
    n1: IntArray
    n0: IntArray


def spearman_within_groups(
    x: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike,
    seed: int,
    n_permutations: int = 10_000,
    n_bootstrap: int = 2_000,
    level: float = 0.95,
) -> Association:
    """Spearman correlation of changes with a clinical change, within treatment groups.

    A difference between the groups' means of x and y does not count as association. Values are
    ranked within their group (midranks), the ranks centred and divided by group size + 1, so
    that a patient of a large group weighs as much as one of a small group, and pooled into one
    correlation. With one group this is Spearman's rho. Values closer than 1e-12 of the largest
    are tied, so that rounding makes no ranks.

    The p-value permutes y within groups: all permutations where they are no more than
    `n_permutations`, otherwise that many seeded ones, p = (1 + b)/(1 + n_permutations). The
    interval resamples patients within groups and ranks every resample anew.

    Parameters
    ----------
    x
        Changes of the populations, shape (patients, populations), or (patients,) for one;
        NaN where unknown.
    y
        Clinical change, shape (patients,), any unit; NaN where unknown.
    groups
        Group of each patient, such as the treatment, shape (patients,).
    seed
        Seed of permutations and bootstrap. A population's result does not depend on which other
        populations are given.
    n_permutations
        Permutations to draw when there are too many to try all.
    n_bootstrap
        Bootstrap resamples.
    level
        Confidence level, between 0 and 1.

    Returns
    -------
    Association
        rho, low, high, p, n, shape (populations,). rho and p are NaN below 3 patients or where
        x or y is constant within every group; low and high also below 6 patients.

    Raises
    ------
    ValueError
        Shapes that do not match, or counts or `level` out of range.
    TableError
        An infinite value.

    References
    ----------
    Taylor 1987, Biometrics 43:409 (rank correlation within blocks); van Elteren 1960, Bull Int
    Stat Inst 37:351 (weights of groups); Efron and Tibshirani 1993, An Introduction to the
    Bootstrap, chapter 13.
    """
    x, y, codes = _known_by_group(x, y, groups)
    if not 0.0 < level < 1.0 or n_permutations < 1 or n_bootstrap < 1:
        raise ValueError("level must lie between 0 and 1, the numbers of draws must be above 0")
    rho, low, high, p = np.full((4, x.shape[1]), np.nan)
    known = np.isfinite(x)
    for code in np.unique(codes):  # a patient alone in a group has nobody to be ranked with
        rows = codes == code
        known[rows] &= known[rows].sum(axis=0) > 1
    n = known.sum(axis=0)
    patterns, pattern_of = np.unique(known, axis=1, return_inverse=True)
    permute_seed, bootstrap_seed = np.random.SeedSequence(seed).spawn(2)
    draws = _Permutations(codes, permute_seed, n_permutations)
    for number, rows in enumerate(patterns.T):
        if rows.sum() < MIN_PAIRS:
            continue
        columns = np.flatnonzero(pattern_of == number)
        group_rows = _rows_by_group(codes[rows])
        xs, ys = x[np.ix_(rows, columns)], y[rows, None]
        rank_x = _centred_ranks(xs, group_rows)
        rank_y = _centred_ranks(ys, group_rows)[:, 0]
        rho[columns], p[columns] = _permutation_test(rank_x, rank_y, *draws.of(rank_y, rows))
        if rows.sum() >= MIN_PAIRS_FOR_INTERVAL:
            rng = np.random.default_rng(bootstrap_seed)
            resampled = _bootstrap_correlations(xs, ys, group_rows, n_bootstrap, rng)
            low[columns], high[columns] = _percentile_interval(resampled, level)
    undefined = np.isnan(rho)
    low[undefined] = high[undefined] = np.nan
    return Association(rho, low, high, p, n)


def welch_groups(values: ArrayLike, is_member: ArrayLike, level: float = 0.95) -> WelchGroups:
    """Compare every population between two groups of patients by Welch's t-test.

    Parameters
    ----------
    values
        One value per patient, such as the within-patient change, shape (patients, populations);
        NaN where unknown.
    is_member
        Whether the patient belongs to the first group (responders), shape (patients,).
    level
        Confidence level of the interval, between 0 and 1.

    Returns
    -------
    WelchGroups
        estimate, se, df, t, p, low, high, n1, n0, shape (populations,). The estimate needs one
        value per group; the others are NaN below two values in a group, or where neither group
        varies.

    Raises
    ------
    ValueError
        Shapes that do not match, `is_member` not boolean, or `level` out of range.
    TableError
        An infinite value.

    References
    ----------
    Welch 1947, Biometrika 34:28.
    """
    matrix = checked_matrix(values, "values")
    member = np.asarray(is_member)
    if member.dtype != np.bool_ or member.shape != matrix.shape[:1]:
        raise ValueError("is_member must hold True or False once per patient (row of values)")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    mean1, variance1, n1, varies1 = _mean_and_its_variance(matrix[member])
    mean0, variance0, n0, varies0 = _mean_and_its_variance(matrix[~member])
    estimate = mean1 - mean0
    total = variance1 + variance0
    total[~(varies1 | varies0)] = np.nan
    # Shares of the total keep tiny variances from vanishing when squared.
    share1, share0 = variance1 / total, variance0 / total
    df = 1.0 / (share1**2 / np.maximum(n1 - 1, 1) + share0**2 / np.maximum(n0 - 1, 1))
    se = np.sqrt(total)
    t = estimate / se
    p = 2.0 * stdtr(df, -np.abs(t))
    half_width = stdtrit(df, 0.5 + level / 2.0) * se
    low, high = estimate - half_width, estimate + half_width
    return WelchGroups(estimate, se, df, t, p, low, high, n1, n0)


def _known_by_group(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Check the input; return the patients whose y is known, group after group.

    x as (patients, populations), y as (patients,), the groups as whole numbers that rise.
    """
    x = np.asarray(x, dtype=np.float64)
    x = checked_matrix(x[:, None] if x.ndim == 1 else x, "x")
    y = np.asarray(y, dtype=np.float64)
    labels: NDArray[Any] = np.asarray(groups)
    if y.shape != x.shape[:1] or labels.shape != y.shape:
        raise ValueError(
            "y and groups must have one value per patient (row of x); "
            f"shapes are {x.shape}, {y.shape} and {labels.shape}"
        )
    checked_matrix(y[:, None], "y")
    codes = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    order = np.argsort(codes, kind="stable")
    order = order[np.isfinite(y[order])]
    return x[order], y[order], codes[order]


def _rows_by_group(codes: IntArray) -> list[IntArray]:
    """Row numbers of each group."""
    return [np.flatnonzero(codes == code) for code in np.unique(codes)]


def _below(values: FloatArray) -> FloatArray:
    """How far patient j lies below patient i: 1, or 1/2 if tied, else 0; (populations, j, i).

    Midranks are its sums over j, plus 1/2; with j counted c_j times, those of a resample.
    """
    columns = values.T
    tolerance = TIE_TOLERANCE * np.abs(columns).max(axis=1, initial=0.0)[:, None, None]
    step = columns[:, None, :] - columns[:, :, None]
    below: FloatArray = 0.5 * ((step > tolerance).astype(np.float64) + (step >= -tolerance))
    return below


def _centred_ranks(values: FloatArray, group_rows: list[IntArray]) -> FloatArray:
    """Midranks within each group over group size + 1, minus their mean of about 1/2."""
    ranks = np.empty_like(values)
    for rows in group_rows:
        ranks[rows] = (_below(values[rows]).sum(axis=1).T - rows.size / 2) / (rows.size + 1)
    return ranks


def _permutation_test(
    rank_x: FloatArray, rank_y: FloatArray, permuted: FloatArray, exhaustive: bool
) -> tuple[FloatArray, FloatArray]:
    """Pooled rho of complete columns of ranks, and its p-value over permuted ranks of y."""
    length = np.linalg.norm(rank_x, axis=0) * np.linalg.norm(rank_y)
    length[length < _EQUAL] = np.nan
    scaled = rank_x / length
    rho = np.clip(rank_y @ scaled, -1.0, 1.0)
    reached = np.empty(rho.size)
    for start in range(0, rho.size, _CHUNK_POPULATIONS):
        part = slice(start, start + _CHUNK_POPULATIONS)
        reached[part] = (np.abs(permuted @ scaled[:, part]) >= np.abs(rho[part]) - _EQUAL).sum(0)
    extra = 0 if exhaustive else 1
    p = (reached + extra) / (len(permuted) + extra)
    p[np.isnan(rho)] = np.nan
    return rho, p


class _Permutations:
    """Permutations of the patients within their groups, or of any part of the patients.

    A random order of a group is a random order of any part of it, so one draw serves every
    pattern of missing values, and a population's p-value does not depend on the others'.
    """

    def __init__(self, codes: IntArray, seed: np.random.SeedSequence, n: int) -> None:
        self._codes, self._seed, self._n = codes, seed, n
        self._drawn: list[IntArray] = []

    def of(self, values: FloatArray, rows: NDArray[np.bool_]) -> tuple[FloatArray, bool]:
        """Permutations of the values of the patients in `rows`, and if these are all.

        Shape (permutations, patients in `rows`).
        """
        group_rows = _rows_by_group(self._codes[rows])
        if prod(factorial(group.size) for group in group_rows) <= self._n:
            return self._all(values, group_rows), True
        placed = np.full(rows.size, np.nan)
        placed[rows] = values
        orders = (placed.take(drawn) for drawn in self._draw())
        kept = [order[np.isfinite(order)].reshape(self._n, -1) for order in orders]
        return np.concatenate(kept, axis=1), False  # the patients are in order of their group

    def _draw(self) -> list[IntArray]:
        if not self._drawn:
            rng = np.random.default_rng(self._seed)
            self._drawn = [
                rng.permuted(np.tile(group, (self._n, 1)), axis=1)
                for group in _rows_by_group(self._codes)
            ]
        return self._drawn

    @staticmethod
    def _all(values: FloatArray, group_rows: list[IntArray]) -> FloatArray:
        orders = product(*(permutations(values[group].tolist()) for group in group_rows))
        return np.array([[value for group in order for value in group] for order in orders])


def _bootstrap_correlations(
    x: FloatArray,
    y: FloatArray,
    group_rows: list[IntArray],
    n_bootstrap: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Pooled rho of every resample, shape (n_bootstrap, populations); NaN where constant."""
    products = np.zeros((3, n_bootstrap, x.shape[1]))  # of ranks: xy, xx, yy
    for rows in group_rows:
        size = rows.size
        drawn = (
            rng.integers(size, size=(n_bootstrap, size)) + np.arange(n_bootstrap)[:, None] * size
        )
        counts = np.bincount(drawn.ravel(), minlength=n_bootstrap * size).astype(np.float64)
        counts = counts.reshape(n_bootstrap, size)
        counts_scaled = counts / (size + 1) ** 2
        rank_y = counts @ _below(y[rows])[0] - size / 2
        counts_y = counts_scaled * rank_y
        products[2] += np.einsum("bi,bi->b", counts_y, rank_y)[:, None]
        for column, below in enumerate(_below(x[rows])):
            rank_x = counts @ below - size / 2
            products[0, :, column] += np.einsum("bi,bi->b", counts_y, rank_x)
            products[1, :, column] += np.einsum("bi,bi,bi->b", counts_scaled, rank_x, rank_x)
    xy, xx, yy = products
    length = np.sqrt(xx * yy)
    length[length < _EQUAL] = np.nan
    return np.clip(xy / length, -1.0, 1.0)


def _percentile_interval(resampled: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Percentiles of each column's defined values; NaN where most are not defined."""
    low, high = np.full((2, resampled.shape[1]), np.nan)
    mostly = np.isfinite(resampled).mean(axis=0) > 0.5
    if mostly.any():
        tails = [(1.0 - level) / 2.0, (1.0 + level) / 2.0]
        low[mostly], high[mostly] = np.nanquantile(resampled[:, mostly], tails, axis=0)
    return low, high


def _mean_and_its_variance(
    values: FloatArray,
) -> tuple[FloatArray, FloatArray, IntArray, NDArray[np.bool_]]:
    """Mean, squared standard error, number of values, and whether they vary, per column."""
    present = np.isfinite(values)
    n = present.sum(axis=0)
    filled = np.where(present, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN for no value, or for only one
        mean = filled.sum(axis=0) / n
        spread = np.where(present, filled - mean, 0.0)
        variance = (spread**2).sum(axis=0) / (n - 1.0) / n
        varies = variance * n > _NO_VARIANCE * (filled**2).sum(axis=0)
    return mean, variance, n, varies
