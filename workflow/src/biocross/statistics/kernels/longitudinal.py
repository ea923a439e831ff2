"""Changes over more than two visits: patient fixed effects with cluster-robust errors.

The model of one population is `value ~ patient + visit (+ covariates that vary in time)`, fitted
by ordinary least squares. The errors of a patient's visits are neither independent nor equally
variable, so the standard errors are the bias-reduced cluster-robust ones (CR2) and the degrees
of freedom Satterthwaite's; pooled residual variances claim too much.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from biocross.errors import DesignError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ALIASED = 1e-7  # a column's part outside the other columns, relative to the column; as R's lm
SINGULAR = 1e-12  # eigenvalues below are no variance at all; as clubSandwich
UNBIASED = 1e-6  # shortfall of the expected CR2 variance that is rounding error only
NO_RESIDUAL = 1e-20  # residual over total sum of squares that is rounding error only


@dataclass(frozen=True)
class Coefficients:
    """Estimates of some columns of the design, each of shape (columns, populations).

    Attributes
    ----------
    estimate
        Logit per unit of the column; NaN where the population's samples cannot tell.
    standard_error
        CR2; NaN where nothing varies, or where one patient alone informs a part of the estimate
        (clubSandwich leaves that part's error out, and its standard error is too small).
    t, df, p
        Student's statistic, Satterthwaite's degrees of freedom, two-sided p-value.
    low, high
        Limits of the confidence interval.
    """

    estimate: Floats
    standard_error: Floats
    t: Floats
    df: Floats
    p: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class JointTest:
    """Test that no visit differs from baseline, fields of shape (populations,).

    Attributes
    ----------
    f
        Hotelling's T² as an F statistic (approximate Hotelling test, clubSandwich's HTZ).
    df_numerator
        Number of visits compared with baseline: those with a standard error.
    df_denominator, p
        NaN where there are too few patients for so many visits.
    """

    f: Floats
    df_numerator: Floats
    df_denominator: Floats
    p: Floats


@dataclass(frozen=True)
class VisitEffects:
    """Result of `fit_visits`.

    Attributes
    ----------
    visit
        Codes of the visits after baseline, ascending: the rows of `visits`.
    visits
        Changes from baseline, shape (visits after baseline, populations).
    covariates
        Slopes of the covariates, shape (covariates, populations); no row without covariates.
    any_visit
        Joint test of all the visits.
    n_patients, n_single_visit
        Patients with two or more samples, who alone inform the estimates, and those with one,
        who contribute nothing; shape (populations,).
    n_samples
        Samples of the patients in `n_patients`; shape (populations,).
    """

    visit: Ints
    visits: Coefficients
    covariates: Coefficients
    any_visit: JointTest
    n_patients: Ints
    n_single_visit: Ints
    n_samples: Ints


class _Cube(NamedTuple):
    """Samples arranged by patient and visit."""

    values: Floats  # (patients, visits, populations), NaN where missing
    covariates: Floats  # (patients, visits, covariates)
    present: Bools  # (patients, visits, populations)
    visit: Ints  # codes of all visits, baseline first


class _Solved(NamedTuple):
    """What the populations with the same samples share; orthonormal, to keep the precision."""

    columns: Ints  # which of the design's columns can be estimated
    basis: Floats  # (patients, visits, columns), orthonormal over all samples
    to_coefficients: Floats  # (columns, columns), from the basis to the design's columns
    adjusted: Floats  # (patients, columns, visits), CR2: residuals to scores in the basis


def fit_visits(
    values: ArrayLike,
    patient: ArrayLike,
    visit: ArrayLike,
    covariates: ArrayLike | None = None,
    level: float = 0.95,
) -> VisitEffects:
    """Estimate every visit's change from baseline within patients, for many populations.

    Equal to R's `clubSandwich::coef_test(lm(y ~ factor(patient) + factor(visit) + covariates),
    vcov = "CR2", cluster = patient, test = "Satterthwaite")`, per population. The patients'
    effects are absorbed by centring within patients: with ordinary least squares that leaves
    the CR2 adjustment unchanged (Pustejovsky and Tipton 2018, theorem 2).

    Parameters
    ----------
    values
        One row per sample on the logit scale, shape (samples, populations); NaN where missing.
    patient, visit
        Codes of each sample's patient and visit, integers, shape (samples,); visit 0 is baseline.
    covariates
        Columns that vary in time within patients, such as the dose of oral steroids, shape
        (samples, covariates). A sample with a NaN here is left out.
    level
        Coverage of the confidence intervals.

    Returns
    -------
    VisitEffects
        Changes, slopes, the joint test and the numbers of patients.

    Raises
    ------
    DesignError
        A patient has two samples of one visit, no sample is a baseline, no patient has two
        visits, or a column of the design follows from others. Where only the samples missing
        in one population cause it, that population is NaN.

    References
    ----------
    Bell & McCaffrey 2002, Surv Methodol 28:169; Pustejovsky & Tipton 2018, J Bus Econ Stat
    36:672; Tipton & Pustejovsky 2015, J Educ Behav Stat 40:604.
    """
    cube = _arrange(values, patient, visit, covariates)
    _refuse_hopeless(cube)
    n_visits = cube.visit.size - 1
    shape = (n_visits + cube.covariates.shape[2], cube.values.shape[2])
    estimate, variance, df = (np.full(shape, np.nan) for _ in range(3))
    joint = np.full((3, shape[1]), np.nan)
    for present, populations in _by_pattern(cube.present):
        solved = _solve_design(present, cube)
        if solved is None:
            continue
        block = np.ix_(solved.columns, populations)
        changes, covariance = _estimates(solved, cube.values[:, :, populations], present)
        degrees = _satterthwaite(solved, solved.to_coefficients)
        estimate[block] = changes
        variance[block] = np.diagonal(covariance, axis1=1, axis2=2).T
        df[block] = degrees[:, None]
        tested = np.flatnonzero((solved.columns < n_visits) & np.isfinite(degrees))
        joint[:, populations] = _joint_test(solved, tested, changes, covariance)
    per_patient = cube.present.sum(axis=1)
    table = _coefficient_table(estimate, variance, df, level)
    return VisitEffects(
        visit=cube.visit[1:],
        visits=Coefficients(*table[:, :n_visits]),
        covariates=Coefficients(*table[:, n_visits:]),
        any_visit=JointTest(joint[0], joint[1], joint[2], np.asarray(stats.f.sf(*joint))),
        n_patients=np.asarray((per_patient >= 2).sum(axis=0)),
        n_single_visit=np.asarray((per_patient == 1).sum(axis=0)),
        n_samples=np.where(per_patient >= 2, per_patient, 0).sum(axis=0),
    )


def _arrange(
    values: ArrayLike, patient: ArrayLike, visit: ArrayLike, covariates: ArrayLike | None
) -> _Cube:
    """Put the samples on a grid of patients by visits, refusing two in one place."""
    y = np.asarray(values, dtype=float)
    n_samples = y.shape[0]
    x = np.empty((n_samples, 0)) if covariates is None else np.asarray(covariates, dtype=float)
    if y.ndim != 2 or x.ndim != 2 or x.shape[0] != n_samples:
        raise ValueError("values and covariates must have shape (samples, columns)")
    patient_codes, row = np.unique(np.asarray(patient), return_inverse=True)
    visit_codes, column = np.unique(np.asarray(visit, dtype=np.int64), return_inverse=True)
    if row.shape != (n_samples,) or column.shape != (n_samples,):
        raise ValueError("patient and visit must have one entry per sample")
    cell, times = np.unique(row * visit_codes.size + column, return_counts=True)
    if np.any(times > 1):
        j, v = divmod(int(cell[times > 1][0]), visit_codes.size)
        raise DesignError(
            f"Patient {patient_codes[j]} has more than one sample of visit {visit_codes[v]}: "
            "combine them first, since one patient's samples of a visit are not replicates."
        )
    if visit_codes.size == 0 or visit_codes[0] != 0:
        raise DesignError("No sample is of the baseline visit (code 0), so no change is defined.")
    cube_y = np.full((patient_codes.size, visit_codes.size, y.shape[1]), np.nan)
    cube_x = np.full((patient_codes.size, visit_codes.size, x.shape[1]), np.nan)
    cube_y[row, column] = y
    cube_x[row, column] = x
    present = np.isfinite(cube_y) & np.isfinite(cube_x).all(axis=2, keepdims=True)
    return _Cube(cube_y, cube_x, present, visit_codes)


def _refuse_hopeless(cube: _Cube) -> None:
    """Raise where no population could be estimated, naming the columns at fault."""
    present = np.asarray(cube.present.any(axis=2))
    if not np.any(present.sum(axis=1) >= 2):
        raise DesignError("No patient has samples of two visits, so no change can be estimated.")
    n_visits = cube.visit.size - 1
    columns, aliased = _varying_columns(_design(present, cube))
    constant = np.setdiff1d(np.arange(n_visits, n_visits + cube.covariates.shape[2]), columns)
    covariates = np.union1d(constant, aliased[aliased >= n_visits]) - n_visits
    if covariates.size:
        raise DesignError(
            f"The covariates at positions {covariates.tolist()} (counted from 0) follow from the "
            "patients, the visits and the other covariates, so their effects cannot be told "
            "apart; leave out one of those that coincide."
        )
    if aliased.size:
        visits = cube.visit[aliased + 1].tolist()
        raise DesignError(
            f"The visits with codes {visits} cannot be compared with baseline: no chain of "
            "patients with two or more visits links them to it."
        )


def _by_pattern(present: Bools) -> Iterator[tuple[Bools, Ints]]:
    """Yield each pattern of samples (patients, visits) with the populations that have it."""
    packed = np.packbits(present.reshape(-1, present.shape[2]), axis=0).T
    _, first, group = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    for g, example in enumerate(first):
        pattern = present[:, :, example]
        contributes = pattern & (pattern.sum(axis=1, keepdims=True) >= 2)
        yield contributes, np.flatnonzero(group.reshape(-1) == g)


def _centred(cube: Floats, present: Bools) -> Floats:
    """Deviations from each patient's mean over the samples present, 0 elsewhere."""
    filled = np.where(present[:, :, None], cube, 0.0)
    count = np.maximum(present.sum(axis=1), 1)
    mean = filled.sum(axis=1) / count[:, None]
    return np.where(present[:, :, None], filled - mean[:, None, :], 0.0)


def _design(present: Bools, cube: _Cube) -> Floats:
    """Visit dummies and covariates with the patients absorbed, (patients, visits, columns)."""
    n_patients, n_visits = present.shape
    dummies = np.broadcast_to(np.eye(n_visits)[:, 1:], (n_patients, n_visits, n_visits - 1))
    raw = np.concatenate([dummies, cube.covariates], axis=2)
    contributes = present & (present.sum(axis=1, keepdims=True) >= 2)
    centred = _centred(raw, contributes)
    size = np.sqrt(np.sum(np.where(contributes[:, :, None], raw, 0.0) ** 2, axis=(0, 1)))
    # What centring leaves of a column that is constant within patients is rounding error.
    centred[:, :, np.sqrt(np.sum(centred**2, axis=(0, 1))) <= ALIASED * size] = 0.0
    return centred


def _varying_columns(design: Floats) -> tuple[Ints, Ints]:
    """Columns that vary within patients, and those of them that follow from earlier ones."""
    flat = design.reshape(-1, design.shape[2])
    norm = np.linalg.norm(flat, axis=0)
    columns = np.flatnonzero(norm > 0)
    # Rows of zeros, so that the triangle is square however few samples there are.
    scaled = np.vstack([flat[:, columns] / norm[columns], np.zeros((columns.size, columns.size))])
    triangle = np.abs(np.diag(np.linalg.qr(scaled, mode="r")))
    return columns, columns[triangle < ALIASED]


def _solve_design(present: Bools, cube: _Cube) -> _Solved | None:
    """Orthonormal basis and CR2 adjustment of one pattern; None where columns are aliased.

    A visit without samples, or a covariate that is constant within the pattern's patients, is
    left out, which changes nothing for the other columns.
    """
    design = _design(present, cube)
    columns, aliased = _varying_columns(design)
    if columns.size == 0 or aliased.size:
        return None
    flat = design.reshape(-1, design.shape[2])[:, columns]
    norm = np.linalg.norm(flat, axis=0)
    orthonormal, triangle = np.linalg.qr(flat / norm)
    basis = orthonormal.reshape(*present.shape, columns.size)
    to_coefficients = np.linalg.inv(triangle) / norm[:, None]
    # CR2 multiplies a patient's residuals by the symmetric inverse root of I - QQ'. On the
    # span of Q that equals multiplying by the one of I - Q'Q from the other side, which is
    # small; directions without residual variance (one patient alone informs them) are dropped.
    gram = np.einsum("jva,jvb->jab", basis, basis)
    eigenvalues, vectors = np.linalg.eigh(np.eye(columns.size) - gram)
    safe = np.where(eigenvalues > SINGULAR, eigenvalues, 1.0)
    inverse_root = np.where(eigenvalues > SINGULAR, 1.0 / np.sqrt(safe), 0.0)
    adjusted = np.einsum("jac,jc,jbc,jvb->jav", vectors, inverse_root, vectors, basis)
    return _Solved(columns, basis, to_coefficients, adjusted)


def _estimates(solved: _Solved, values: Floats, present: Bools) -> tuple[Floats, Floats]:
    """Coefficients (columns, populations) and their CR2 covariance (populations, c, c)."""
    y = _centred(values, present)
    in_basis = np.einsum("jva,jvp->ap", solved.basis, y)
    residual = y - np.einsum("jva,ap->jvp", solved.basis, in_basis)
    to_scores = np.einsum("ca,jav->jcv", solved.to_coefficients, solved.adjusted)
    scores = np.einsum("jcv,jvp->pjc", to_scores, residual)
    covariance = np.asarray(np.swapaxes(scores, 1, 2) @ scores)
    total = np.sum(np.where(present[:, :, None], values, 0.0) ** 2, axis=(0, 1))
    covariance[np.sum(residual**2, axis=(0, 1)) <= NO_RESIDUAL * total] = np.nan
    return solved.to_coefficients @ in_basis, covariance


def _working_covariance(solved: _Solved, contrasts: Floats) -> Floats:
    """Covariance of contrast s of patient j with t of k under the working model, (s, t, j, k)."""
    g = np.einsum("sa,jav->sjv", contrasts, solved.adjusted)
    h = np.einsum("sjv,jva->sja", g, solved.basis)
    parts = -np.einsum("sja,tka->stjk", h, h, optimize=True)
    j = np.arange(g.shape[1])
    parts[:, :, j, j] += np.einsum("sjv,tjv->stj", g, g)
    return np.asarray(parts)


def _satterthwaite(solved: _Solved, contrasts: Floats) -> Floats:
    """Degrees of freedom per contrast; NaN where one patient alone informs a part of it."""
    parts = np.stack([_working_covariance(solved, c[None])[0, 0] for c in contrasts])
    expected = np.trace(parts, axis1=1, axis2=2)
    squares = np.sum(parts**2, axis=(1, 2))
    # Under the working model CR2 is unbiased for the variance, sum(contrasts²), unless a
    # direction was dropped: then the one patient's share of the error would be left out.
    known = expected > (1.0 - UNBIASED) * np.sum(contrasts**2, axis=1)
    return np.asarray(np.where(known, expected**2 / np.where(known, squares, 1.0), np.nan))


def _coefficient_table(estimate: Floats, variance: Floats, df: Floats, level: float) -> Floats:
    """Fields of `Coefficients` stacked, shape (7, columns, populations)."""
    usable = np.isfinite(df) & (variance > 0)
    error = np.sqrt(np.where(usable, variance, np.nan))
    df = np.where(usable, df, np.nan)
    t = estimate / error
    p = 2.0 * stats.t.sf(np.abs(t), df)
    half = stats.t.ppf(0.5 + level / 2.0, df) * error
    return np.stack([estimate, error, t, df, p, estimate - half, estimate + half])


def _joint_test(solved: _Solved, tested: Ints, estimate: Floats, covariance: Floats) -> Floats:
    """F statistic and its two degrees of freedom, shape (3, populations)."""
    result = np.full((3, estimate.shape[1]), np.nan)
    q = tested.size
    if q == 0:
        return result
    nu = _hotelling_df(solved, solved.to_coefficients[tested])
    denominator = nu - q + 1
    if denominator <= 0:
        return result
    block = covariance[:, tested[:, None], tested]
    # The rank is judged on the correlations, so that no column's unit matters; NaN is not > 0.
    scale = np.sqrt(np.diagonal(block, axis1=1, axis2=2))
    regular = np.all(scale > 0, axis=1)
    correlation = block[regular] / (scale[regular, :, None] * scale[regular, None, :])
    regular[regular] = np.linalg.eigvalsh(correlation)[:, 0] > SINGULAR
    change = estimate[tested].T[regular]
    squared = np.sum(change * np.linalg.solve(block[regular], change[:, :, None])[..., 0], axis=1)
    result[0, regular] = denominator / nu * squared / q
    result[1, regular] = q
    result[2, regular] = denominator
    return result


def _hotelling_df(solved: _Solved, contrasts: Floats) -> float:
    """Degrees of freedom of the Wishart that matches the total variance of the CR2 matrix."""
    omega = np.einsum("stjj->st", _working_covariance(solved, contrasts))
    eigenvalues, vectors = np.linalg.eigh(omega)
    root = (vectors / np.sqrt(eigenvalues)) @ vectors.T
    parts = _working_covariance(solved, root @ contrasts)
    own = np.einsum("ssjk->sjk", parts)
    total = np.einsum("stjk,tsjk->", parts, parts) + np.einsum("sjk,tjk->", own, own)
    q = len(contrasts)
    return float(q * (q + 1) / total)
