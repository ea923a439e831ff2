"""limma's prior for variances: scaled F, with a spline trend.

Kernels work on one table of shape (populations,) or on a stack of relabelled tables of shape
(relabellings, populations).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline
from scipy.special import psi, zeta

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# limma's rank tolerance for the spline's columns.
RANK_TOLERANCE = 1e-7


class VariancePrior(NamedTuple):
    """The prior of limma: a variance per population, worth `df_prior` degrees of freedom."""

    s2_prior: FloatArray
    df_prior: float


def fit_variance_prior(
    variance: ArrayLike, df: ArrayLike, covariate: ArrayLike | None = None
) -> VariancePrior:
    """Fit limma's scaled F prior of the variances, with a trend where a covariate is given.

    Parameters
    ----------
    variance
        Residual variances, shape (populations,); NaN where there is none.
    df
        Their degrees of freedom, one number or shape (populations,); rows with 0 are not used.
    covariate
        Shape (populations,), or None for one prior variance. The trend is a natural spline with
        1 + (n >= 3) + (n >= 6) + (n >= 30) columns for n usable rows. May be infinite (taken as
        one beyond the range); may be NaN, unlike in limma, where the row is not usable.

    Returns
    -------
    VariancePrior
        s2_prior of shape (populations,), squared units of the differences, for unusable rows
        too; df_prior, which is infinite where the variances differ no more than by chance. One
        usable row is its own prior with df_prior 0; without any, both are NaN.

    Raises
    ------
    ValueError
        The shapes differ, or the covariate of a usable row is NaN.

    References
    ----------
    Smyth 2004, Stat Appl Genet Mol Biol 3:3, section 6.2. Equals limma 3.54.1, and `legacy=TRUE`
    of later versions.
    """
    s2 = np.asarray(variance, dtype=np.float64)[np.newaxis]
    s2_prior, df_prior = fit_prior_stack(s2, np.broadcast_to(df, s2.shape), covariate)
    return VariancePrior(s2_prior[0], float(df_prior[0]))


def fit_prior_stack(
    variance: FloatArray, df: FloatArray, covariate: ArrayLike | None
) -> tuple[FloatArray, FloatArray]:
    """`fit_variance_prior` for each row of (relabellings, populations).

    Parameters
    ----------
    variance, df
        Shape (relabellings, populations); NaN where a population is not usable.
    covariate
        As for `fit_variance_prior`.

    Returns
    -------
    s2_prior : ndarray
        Shape (relabellings, populations).
    df_prior : ndarray
        Shape (relabellings,).
    """
    z = None if covariate is None else np.asarray(covariate, dtype=np.float64)
    if z is not None and z.shape != variance.shape[1:]:
        raise ValueError(
            f"The trend covariate has shape {z.shape}; expected one value for each of the "
            f"{variance.shape[1]} populations."
        )
    usable = np.isfinite(df) & (df > 1e-15) & np.isfinite(variance) & (variance > -1e-15)
    s2_prior, df_prior = np.full(variance.shape, np.nan), np.full(len(variance), np.nan)
    # Relabellings that leave the same populations testable share one trend.
    patterns, member = np.unique(usable, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        rows = np.flatnonzero(member.ravel() == i)
        block = np.ix_(rows, pattern)
        s2_prior[rows], df_prior[rows] = _fit_prior(variance[block], df[block], z, pattern)
    return s2_prior, df_prior


def _fit_prior(
    variance: FloatArray, df: FloatArray, covariate: FloatArray | None, usable: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Fit limma's prior for relabellings that share their usable populations."""
    n_tables, n = variance.shape
    if n < 2:
        fill = variance if n else np.full((n_tables, 1), np.nan)
        return np.tile(fill, usable.size), np.full(n_tables, 0.0 if n else np.nan)
    median = np.median(np.maximum(variance, 0.0), axis=1, keepdims=True)
    s2 = np.maximum(variance, 1e-5 * np.where(median == 0, 1.0, median))
    half = df / 2
    e = np.log(s2) - psi(half) + np.log(half)

    basis = _trend_basis(covariate, usable)
    u, size, v = np.linalg.svd(basis[usable], full_matrices=False)
    kept = size > RANK_TOLERANCE * size[0]
    centre = (e @ u[:, kept] / size[kept]) @ (v[kept] @ basis.T)
    residual = np.square(e - centre[:, usable]).sum(axis=1) / (n - kept.sum())
    excess = residual - zeta(2, half).mean(axis=1)  # zeta(2, x) is the trigamma function

    finite = excess > 0
    half_prior = _trigamma_inverse(np.where(finite, excess, 1.0))[:, np.newaxis]
    log_prior = np.where(
        finite[:, np.newaxis], centre + psi(half_prior) - np.log(half_prior), centre
    )
    s2_prior = np.exp(log_prior)
    if basis.shape[1] == 1:
        s2_prior[~finite] = s2[~finite].mean(axis=1, keepdims=True)
    return s2_prior, np.where(finite, 2 * half_prior[:, 0], np.inf)


def _trigamma_inverse(x: FloatArray) -> FloatArray:
    """Solve trigamma(y) = x > 0 by Newton's method; 1 / x below 1e-6, as limma does."""
    target = np.maximum(x, 1e-6)
    y = 0.5 + 1 / target
    for _ in range(50):
        trigamma = zeta(2, y)
        step = trigamma * (1 - trigamma / target) / (-2 * zeta(3, y))
        y = y + step
        if np.max(-step / y) < 1e-8:
            break
    return np.where(x < 1e-6, 1 / x, y)


def _trend_basis(covariate: FloatArray | None, usable: BoolArray) -> FloatArray:
    """Columns of the trend at every population, shape (populations, columns)."""
    constant = np.ones((usable.size, 1))
    if covariate is None:
        return constant
    if np.isnan(covariate[usable]).any():
        raise ValueError("The trend covariate is NaN where a population has a variance.")
    finite = covariate[np.isfinite(covariate)]
    if finite.size:
        z = np.clip(covariate, finite.min() - 1, finite.max() + 1)
    else:
        z = np.sign(covariate)
    n = int(usable.sum())
    columns = min(1 + (n >= 3) + (n >= 6) + (n >= 30), np.unique(z[usable]).size)
    return constant if columns < 2 else _natural_spline(z, z[usable], columns)


def _natural_spline(x: FloatArray, sites: FloatArray, columns: int) -> FloatArray:
    """R's `ns(sites, df=columns, intercept=TRUE)`, evaluated at x; linear beyond the sites."""
    ends = np.array([sites.min(), sites.max()])
    inner = np.quantile(sites, np.linspace(0, 1, columns)[1:-1])
    spline = BSpline(np.sort(np.r_[np.repeat(ends, 4), inner]), np.eye(columns + 2), 3)
    # The natural spline has no curvature at either end.
    rotation, _ = np.linalg.qr(spline(ends, nu=2).T, mode="complete")
    inside = np.clip(x, *ends)
    basis = spline(inside) + spline(inside, nu=1) * (x - inside)[:, np.newaxis]
    return np.asarray(basis @ rotation[:, 2:])
