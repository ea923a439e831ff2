"""How much a change depends on batch, on a covariate, or on what became of the dropouts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

FloatArray = NDArray[np.float64]

# What is left of a column outside the others, relative to it, below which it is one of them.
ALIASED = 1e-7
# Residual over total sum of squares that is rounding error only.
NO_RESIDUAL = 1e-20


class AdjustedChange(NamedTuple):
    """Changes at zero of every covariate; fields of shape (populations,).

    `estimate`, `standard_error`, `low` and `high` are in the unit of the changes. `aliased` is
    True where the covariates explain the intercept, so that no estimate exists; `estimate` and
    everything after it is NaN there. Without residual degrees of freedom or without residual
    variance only `estimate` and `df` are known.
    """

    n_pairs: NDArray[np.int64]
    aliased: NDArray[np.bool_]
    estimate: FloatArray
    standard_error: FloatArray
    df: FloatArray
    p: FloatArray
    low: FloatArray
    high: FloatArray


class DeltaAdjusted(NamedTuple):
    """Changes of all patients, dropouts included; fields of the inputs' common shape.

    `estimate`, `standard_error`, `low` and `high` are in the unit of the changes.
    """

    estimate: FloatArray
    standard_error: FloatArray
    p: FloatArray
    low: FloatArray
    high: FloatArray


def regress_changes(changes: ArrayLike, columns: ArrayLike, level: float = 0.95) -> AdjustedChange:
    """Regress within-patient changes on covariates and test the intercept by its plain t.

    Parameters
    ----------
    changes
        Logit or log units, shape (patients, populations); NaN where a pair is incomplete.
    columns
        Covariates, shape (patients, covariates), not centred: the intercept is the change at
        zero of all of them. A patient with any NaN is left out. Covariates that repeat one
        another are harmless.
    level
        Coverage of the confidence interval.

    Returns
    -------
    AdjustedChange
        Of the intercept, by ordinary least squares.

    Notes
    -----
    The intercept is fitted to what the covariates leave of a column of ones, u: it is u'd / u'u
    with variance s² / u'u (Frisch and Waugh).

    References
    ----------
    Frisch, Waugh 1933, Econometrica 1:387.
    """
    d, covariates = (np.asarray(values, dtype=np.float64) for values in (changes, columns))
    known = ~np.isnan(covariates).any(axis=1)
    fits = []
    for change in d.T:
        used = known & ~np.isnan(change)
        fits.append(_fit_intercept(change[used], covariates[used], level))
    n_pairs, aliased, *numbers = (
        zip(*fits, strict=True) if fits else [()] * len(AdjustedChange._fields)
    )
    return AdjustedChange(
        np.array(n_pairs, dtype=np.int64),
        np.array(aliased, dtype=np.bool_),
        *(np.array(values, dtype=np.float64) for values in numbers),
    )


def _fit_intercept(
    d: FloatArray, covariates: FloatArray, level: float
) -> tuple[int, bool, float, float, float, float, float, float]:
    n, nan = len(d), float("nan")
    basis = _orthonormal(covariates)
    left = np.ones(n) - basis @ basis.sum(axis=0)
    square = float(left @ left)
    if square <= n * ALIASED**2:
        return n, n > 0, nan, nan, nan, nan, nan, nan
    estimate, df = float(left @ d) / square, n - 1 - basis.shape[1]
    residual = d - basis @ (d @ basis) - left * estimate
    rest = float(residual @ residual)
    if df < 1 or rest <= NO_RESIDUAL * float(d @ d):
        return n, False, estimate, nan, df, nan, nan, nan
    error = float(np.sqrt(rest / df / square))
    reach = float(stdtrit(df, (1 + level) / 2)) * error
    p = float(2 * stdtr(df, -abs(estimate / error)))
    return n, False, estimate, error, df, p, estimate - reach, estimate + reach


def _orthonormal(columns: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the columns, shape (patients, rank)."""
    size = np.abs(columns).max(axis=0, initial=0.0)
    varied = columns[:, size > 0] / size[size > 0]
    if not varied.size:
        return np.empty((len(columns), 0))
    u, weight, _ = np.linalg.svd(varied, full_matrices=False)
    return np.asarray(u[:, weight > ALIASED * weight[0]])


def batch_differences(before: Sequence[str], after: Sequence[str]) -> FloatArray:
    """Code the batches of each pair as differences of indicators.

    Parameters
    ----------
    before, after
        Batch of each pair at both visits, shape (patients,); empty where it is not known.

    Returns
    -------
    FloatArray
        Follow-up minus baseline indicator of every batch, in alphabetical order, shape
        (patients, batches): zero for a pair that stays in its batch, NaN where either batch is
        not known. As covariates of `regress_changes` they make the intercept the change of such
        a pair, whatever the offsets between batches.
    """
    first, second = np.asarray(before, dtype=str), np.asarray(after, dtype=str)
    batches = np.array(sorted({*first.tolist(), *second.tolist()} - {""}), dtype=str)
    change = (second[:, np.newaxis] == batches).astype(float) - (first[:, np.newaxis] == batches)
    known = (first != "") & (second != "")
    return np.where(known[:, np.newaxis], change, np.nan)


def delta_adjusted(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    df: ArrayLike,
    n_completers: ArrayLike,
    n_dropouts: ArrayLike,
    delta: ArrayLike,
    level: float = 0.95,
) -> DeltaAdjusted:
    """Estimate the change of all patients if the dropouts' fell short by delta.

    Parameters
    ----------
    estimate, standard_error, df
        Mean change of the completers with its test, any common shape.
    n_completers, n_dropouts
        Patients with and without the later visit.
    delta
        How much less than the completers the dropouts changed on average: towards zero and
        beyond, in the unit of the changes.
    level
        Coverage of the confidence interval.

    Returns
    -------
    DeltaAdjusted
        At ``delta = 0`` the completers' own test.

    Notes
    -----
    With f the share of dropouts among n patients, the change of all is m - f delta (towards
    zero), and its variance se² + f (1 - f) delta² / (n - 1): the completers' mean is uncertain,
    and so is f. Multiple imputation of the dropouts' changes from N(m - delta, s²), m drawn anew
    each time and pooled by Rubin's rules, approaches the same by random draws.

    References
    ----------
    Little 1993, J Am Stat Assoc 88:125; Cro 2020, Stat Med 39:2815.
    """
    change, error, degrees, kept, lost, shift = _as_floats(
        estimate, standard_error, df, n_completers, n_dropouts, delta
    )
    share = lost / (kept + lost)
    adjusted = change - np.sign(change) * share * shift
    spread = np.sqrt(error**2 + share * (1 - share) * shift**2 / (kept + lost - 1))
    reach = stdtrit(degrees, (1 + level) / 2) * spread
    p = np.asarray(2 * stdtr(degrees, -np.abs(adjusted / spread)), dtype=np.float64)
    return DeltaAdjusted(adjusted, spread, p, adjusted - reach, adjusted + reach)


def tipping_delta(
    estimate: ArrayLike,
    standard_error: ArrayLike,
    df: ArrayLike,
    n_completers: ArrayLike,
    n_dropouts: ArrayLike,
    alpha: float = 0.05,
) -> FloatArray:
    """Find the delta of `delta_adjusted` at which a finding is lost.

    Parameters
    ----------
    estimate, standard_error, df, n_completers, n_dropouts
        As for `delta_adjusted`.
    alpha
        The finding stands while p is below.

    Returns
    -------
    FloatArray
        The smallest delta with p >= alpha, at least 0; 0 where the completers alone show
        nothing, infinite where nobody dropped out.

    References
    ----------
    Yan, Lee, Li 2009, J Biopharm Stat 19:1085.
    """
    change, error, degrees, kept, lost = _as_floats(
        estimate, standard_error, df, n_completers, n_dropouts
    )
    size, share = np.abs(change), lost / (kept + lost)
    square = np.square(stdtrit(degrees, 1 - alpha / 2))
    # p = alpha where (size - share delta)² = square (error² + slope delta²): the smaller root.
    slope = share * (1 - share) / (kept + lost - 1)
    excess = size**2 - square * error**2
    curve = share**2 - square * slope
    root = np.sqrt(np.maximum((size * share) ** 2 - curve * excess, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        delta = np.where(lost > 0, excess / (size * share + root), np.inf)
    return np.asarray(np.where(excess > 0, delta, np.where(np.isnan(excess), np.nan, 0.0)))


def _as_floats(*values: ArrayLike) -> tuple[FloatArray, ...]:
    return tuple(np.asarray(value, dtype=np.float64) for value in values)
