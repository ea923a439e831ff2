"""Sign-flip tests: what the changes would look like had each patient's visits been swapped.

One sign per patient turns the changes of all populations at once, so that the correlation
between populations stays as it is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biocross.statistics.kernels.exact import FloatArray, IntArray, checked_matrix

SignArray = NDArray[np.int8]

# Up to this many patients every relabelling is used, whatever the number asked for.
EXHAUSTIVE_PATIENTS = 14
MIN_PAIRS = 3
# A population varies if its variance exceeds this share of its mean square; less is rounding.
_NO_VARIANCE = 1e-20
# Statistics this close (relative) are equal: the same flip summed in another order.
_EQUAL = 1e-8
# sum(d)^2 / (n sum(d^2)) above this is taken as this: |t| is then above 1,000 sqrt(n - 1),
# and rounding would decide which of two such values is larger.
_SATURATED = 1.0 - 1e-6
# Elements of the relabellings x populations product held at a time: 3 arrays of 16 MB.
_CHUNK_VALUES = 2_000_000


class SignFlip(NamedTuple):
    """Result of `sign_flip_test`.

    Attributes
    ----------
    p
        Two-sided p-value of each population on its own, shape (populations,).
    fwer_p
        The same, adjusted for all populations tested (family-wise error), shape (populations,).
    n_flips
        Relabellings evaluated. When exhaustive, half of 2^patients: the mirror image of a
        relabelling has the same size of t.
    exhaustive
        Whether these are all relabellings (p-values exact) or a random choice.
    """

    p: FloatArray
    fwer_p: FloatArray
    n_flips: int
    exhaustive: bool


def sign_vectors(n_patients: int, seed: int, n: int) -> tuple[SignArray, bool]:
    """Relabellings of the patients' visits: all of them if that takes no more than `n`.

    Parameters
    ----------
    n_patients
        Number of patients.
    seed
        Seed of the random choice; without effect when exhaustive.
    n
        Most relabellings wanted.

    Returns
    -------
    signs : SignArray
        1 (as observed) or -1 (visits swapped), shape (relabellings, n_patients). When
        exhaustive, the 2^(n_patients - 1) relabellings that keep the first patient as observed
        (the others are their mirror images), the identity first; otherwise `n` drawn
        independently.
    exhaustive : bool
        Whether these are all relabellings.

    Raises
    ------
    ValueError
        No patients, or `n` below 1.
    """
    if n_patients < 1 or n < 1:
        raise ValueError(f"n_patients and n must be at least 1, not {n_patients} and {n}")
    if 2 ** (n_patients - 1) <= n:
        codes = np.arange(2 ** (n_patients - 1), dtype=np.int64)[:, None]
        swapped = (codes >> np.arange(n_patients - 1, -1, -1)) & 1
        return (1 - 2 * swapped).astype(np.int8), True
    coins = np.random.default_rng(seed).integers(0, 2, size=(n, n_patients), dtype=np.int8)
    return 1 - 2 * coins, False


def sign_flip_test(differences: ArrayLike, seed: int, n_flips: int = 10_000) -> SignFlip:
    """Test every population by flipping the signs of whole patients.

    The statistic is the size of t of the paired t-test on the pairs a population has. Its null
    distribution comes from all 2^n sign vectors for up to 14 patients (or more, if `n_flips`
    allows), otherwise from `n_flips` seeded ones with p = (1 + b)/(1 + n_flips). The family-wise
    p-value compares with the largest statistic over all populations (single-step max-T).

    So that a population with few pairs does not rule that maximum, t is first put on the normal
    scale for its degrees of freedom (Wallace's transformation). With equal numbers of pairs this
    changes no p-value.

    Parameters
    ----------
    differences
        Within-patient changes, shape (patients, populations), any unit; NaN where a patient
        lacks a visit. Patients without any value are left out.
    seed
        Seed of the sign vectors; without effect when exhaustive.
    n_flips
        Sign vectors to draw when there are too many to try all.

    Returns
    -------
    SignFlip
        p, fwer_p, n_flips, exhaustive. p and fwer_p are NaN for populations with fewer than
        3 pairs or without variance, which also stay out of the maximum; n_flips is 0 where none
        is left.

    Raises
    ------
    ValueError
        `differences` is not two-dimensional, or `n_flips` is below 1.
    TableError
        `differences` has an infinite value.

    Notes
    -----
    Flips change neither the number of pairs n nor the sum of squares Q, so t^2 follows from the
    flipped sum S by u = S^2/(n Q) and t^2 = (n - 1) u/(1 - u): one matrix product of signs and
    scaled differences serves all populations. Statistics equal to within rounding count as
    equal, so that neither the number of threads nor, when exhaustive, the order of the patients
    changes a p-value.

    References
    ----------
    Westfall and Young 1993, Resampling-Based Multiple Testing; Phipson and Smyth 2010, Stat Appl
    Genet Mol Biol 9:39; Wallace 1959, Ann Math Stat 30:1121.
    """
    values = checked_matrix(differences)
    tested = _is_testable(values)
    p, fwer_p = np.full((2, values.shape[1]), np.nan)
    if not tested.any():
        return SignFlip(p, fwer_p, 0, False)
    values = values[:, tested]
    values = values[~np.isnan(values).all(axis=1)]
    n_pairs = np.isfinite(values).sum(axis=0)
    values = np.nan_to_num(values)
    values /= np.abs(values).max(axis=0)  # squares of tiny values would vanish
    scaled = values / (np.sqrt(n_pairs) * np.linalg.norm(values, axis=0))
    signs, exhaustive = _flips(values.shape[0], seed, n_flips)
    own, family = _count_at_least(signs, scaled, n_pairs)
    extra = 0 if exhaustive else 1  # the observed labelling is among all, not among the drawn
    p[tested] = (own + extra) / (len(signs) + extra)
    fwer_p[tested] = (family + extra) / (len(signs) + extra)
    return SignFlip(p, fwer_p, len(signs), exhaustive)


def _is_testable(values: FloatArray) -> NDArray[np.bool_]:
    """Find the populations with 3 pairs or more and with variance beyond rounding."""
    present = np.isfinite(values)
    n_pairs = present.sum(axis=0)
    filled = np.where(present, values, 0.0)
    scale = np.abs(filled).max(axis=0, initial=0.0)
    filled = np.divide(filled, scale, out=np.zeros_like(filled), where=scale > 0)
    mean = filled.sum(axis=0) / np.maximum(n_pairs, 1)
    spread = np.where(present, filled - mean, 0.0)
    variable: NDArray[np.bool_] = (spread**2).sum(axis=0) > _NO_VARIANCE * (filled**2).sum(axis=0)
    variable &= n_pairs >= MIN_PAIRS
    return variable


def _flips(n_patients: int, seed: int, n_flips: int) -> tuple[SignArray, bool]:
    """Sign vectors of the test: all of them for few patients, whatever `n_flips` says."""
    if n_flips < 1:
        raise ValueError(f"n_flips must be at least 1, not {n_flips}")
    if n_patients <= EXHAUSTIVE_PATIENTS:
        n_flips = max(n_flips, 2 ** (n_patients - 1))
    return sign_vectors(n_patients, seed, n_flips)


def _normal_squared(sums: FloatArray, df: IntArray) -> FloatArray:
    """Wallace's squared normal equivalent of t, in place, from S / sqrt(n Q).

    z = (8 df + 1)/(8 df + 3) sqrt(df log(1 + t^2/df)), and 1 + t^2/df = 1/(1 - u).
    """
    np.square(sums, out=sums)
    np.minimum(sums, _SATURATED, out=sums)
    np.negative(sums, out=sums)
    np.log1p(sums, out=sums)
    sums *= -df * ((8 * df + 1) / (8 * df + 3)) ** 2
    return sums


def _count_at_least(
    signs: SignArray, scaled: FloatArray, n_pairs: IntArray
) -> tuple[IntArray, IntArray]:
    """Flips whose statistic, or whose largest statistic, reaches each population's observed."""
    df = n_pairs - 1
    observed = _normal_squared(scaled.sum(axis=0), df)
    threshold = observed * (1.0 - _EQUAL) - 1e-12
    own = np.zeros(df.size, dtype=np.int64)
    largest = np.empty(len(signs))
    step = max(1, _CHUNK_VALUES // df.size)
    for start in range(0, len(signs), step):
        flips = slice(start, start + step)
        flipped = _normal_squared(signs[flips].astype(np.float64) @ scaled, df)
        own += (flipped >= threshold).sum(axis=0)
        largest[flips] = flipped.max(axis=1)
    largest.sort()
    family = len(signs) - np.searchsorted(largest, threshold)
    return own, family
