"""Relabelled tables of changes: which visit came first is drawn anew for every patient."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.statistics.kernels.moderation import PairSummary
from biocross.statistics.kernels.scale import frequency_interval

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class Rates(NamedTuple):
    """Shares of relabellings with their Monte Carlo 95 % interval; shapes (columns,)."""

    rate: FloatArray
    low: FloatArray
    high: FloatArray


def null_changes(change: FloatArray, changed: BoolArray) -> FloatArray:
    """Remove the mean change of populations that changed, keeping their variance.

    Parameters
    ----------
    change
        Within-patient changes, shape (units, populations), logit or log units; NaN where missing.
    changed
        Populations to centre, shape (populations,).

    Returns
    -------
    ndarray
        (d - mean) * sqrt(n / (n - 1)) where changed, d elsewhere. The mean square of the former
        is the variance of d, so that its random flips vary as d does around its mean.
    """
    present = ~np.isnan(change)
    n = present.sum(axis=0)
    mean = np.where(present, change, 0.0).sum(axis=0) / np.maximum(n, 1)
    centred = (change - mean) * np.sqrt(n / np.maximum(n - 1, 1))
    return np.where(changed, centred, change)


def relabelled_levels(keys: FloatArray, measured: BoolArray) -> IntArray:
    """Say whose values stand at each level after ordering the levels of a unit by its keys.

    Parameters
    ----------
    keys
        Distinct numbers within a unit, shape (relabellings, units, levels). Increasing keys
        change nothing.
    measured
        Levels that a unit has, shape (units, levels); the others take no part.

    Returns
    -------
    ndarray
        Index of the level whose values are taken, shape (relabellings, units, levels);
        meaningless where not measured.
    """
    smaller = keys[:, :, np.newaxis, :] < keys[:, :, :, np.newaxis]
    rank = (smaller & measured[:, np.newaxis, :]).sum(axis=-1)
    ordered = np.argsort(~measured, axis=1, kind="stable")  # the measured levels first
    return np.asarray(np.take_along_axis(ordered[np.newaxis], rank, axis=2))


def signs_of_pair(source: IntArray, asked: tuple[int, int], pair: tuple[int, int]) -> FloatArray:
    """Say where a contrast, relabelled, shows the change between two given levels.

    Parameters
    ----------
    source
        Of `relabelled_levels`.
    asked, pair
        Earlier and later level of the contrast and of the change, as indices of levels.

    Returns
    -------
    ndarray
        1 where the contrast shows the change, -1 where its opposite, 0 elsewhere; shape
        (relabellings, units).
    """
    earlier, later = source[..., asked[0]], source[..., asked[1]]
    forward = (earlier == pair[0]) & (later == pair[1])
    back = (earlier == pair[1]) & (later == pair[0])
    return np.asarray(forward.astype(np.float64) - back)


def relabelled_summary(pieces: Sequence[tuple[FloatArray, FloatArray]]) -> PairSummary:
    """Summarise changes of which each relabelling takes one per unit, with a sign.

    Parameters
    ----------
    pieces
        Changes between two levels, shape (units, populations), NaN where missing; and for each
        relabelling 1, -1 or 0 where a unit shows this change, its opposite or another one, shape
        (relabellings, units).

    Returns
    -------
    PairSummary
        Fields of shape (relabellings, populations).

    Notes
    -----
    Numbers, sums and sums of squares are products of matrices: no relabelled table is built.
    """
    shape = (pieces[0][1].shape[0], pieces[0][0].shape[1])
    counted, total, squares = np.zeros((3, *shape))
    for change, signs in pieces:
        known, taken = np.nan_to_num(change), np.abs(signs)
        counted += taken @ (~np.isnan(change)).astype(np.float64)
        total += signs @ known
        squares += taken @ np.square(known)
    n = np.rint(counted).astype(np.int64)
    mean = total / np.where(n > 0, n, np.nan)
    spread = np.maximum(squares - n * np.square(mean), 0.0)
    return PairSummary(n, mean, spread / np.where(n > 1, n - 1, np.nan))


def rates_of(shares: FloatArray, exhaustive: bool) -> Rates:
    """Average over relabellings, with the uncertainty that drawing them leaves.

    Parameters
    ----------
    shares
        For each relabelling the share of tests called, in [0, 1], shape (relabellings, columns);
        NaN where nothing could be tested.
    exhaustive
        Whether these are all relabellings: then the rate is exact.

    Returns
    -------
    Rates
        The interval is Jeffreys' for a proportion, out of as many independent draws as would
        vary like the shares: thousands for a class of populations that vary independently, as
        many as relabellings for one population.
    """
    known = ~np.isnan(shares)
    n = known.sum(axis=0)
    filled = np.where(known, shares, 0.0)
    rate = filled.sum(axis=0) / np.where(n > 0, n, np.nan)
    if exhaustive:
        return Rates(rate, rate, rate)
    spread = np.where(known, np.square(filled - rate), 0.0).sum(axis=0)
    draws = np.where(spread > 0, rate * (1 - rate) * n**2 / np.where(spread > 0, spread, 1.0), n)
    interval = frequency_interval(rate * draws, draws)
    return Rates(rate, interval.low, interval.high)
