"""Where the negative cells of a marker lie, measured so that samples can be compared.

Between two visits the negatives of a marker seem to move for three reasons: the staining or the
instrument changed (a border should follow), the positives became more or fewer (it should not), or
a class of cells among the negatives came or went, as eosinophils do under treatment (it should
not either). Two places are measured, which react differently:

========================  ============  =======================  =====================
place                     all moves     class above them comes   negatives get wider
========================  ============  =======================  =====================
`negative_mode`           moves         moves                    stays
`lower_flank`             moves         stays                    moves
========================  ============  =======================  =====================

`negative_shifts` believes what both say.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.thresholds import find_peaks, smooth

MIN_EVENTS = 50
# A lower peak with less than a fiftieth of the events is dirt, not the negative cells.
MIN_PEAK_SHARE = 0.02
# The kernel of the mode, in SDs of the negatives: the narrower, the less do neighbours weigh and
# the larger is the error, which is MODE_ERROR SDs / sqrt(events).
KERNEL_SD = 0.5
MODE_ERROR = 2.15
# The mean of a normal distribution's values in the 3 SDs below its mode lies .791 SD below it.
FLANK_WIDTH_SD = 3.0
FLANK_MEAN_SD = 0.791
_MAX_STEPS = 200

Values = NDArray[np.float32]
Reals = NDArray[np.float64]


class Negatives(NamedTuple):
    """The negative cells of one sample or pool.

    Parameters
    ----------
    mode, flank
        `negative_mode` and `lower_flank`, on the transformed scale.
    spread
        Standard deviation of the values below the mode.
    error
        Standard error of the mode.
    """

    mode: float
    flank: float
    spread: float
    error: float


UNKNOWN = Negatives(*[float("nan")] * 4)


def negative_mode(values: Values) -> float:
    """Find the mode of the negative cells: the lowest that counts.

    It is sought with a narrow kernel (half a standard deviation of the negatives, which is
    estimated from the values below the mode), so that neither the positives nor another class 2.5
    standard deviations above moves it.

    Parameters
    ----------
    values
        Transformed values of a population, positives included, shape (events,).

    Returns
    -------
    float
        The mode, with an error of 2.15 standard deviations / sqrt(negative events); NaN below 50
        events.

    References
    ----------
    Fukunaga & Hostetler 1975, IEEE Trans Inf Theory 21:32 (mean shift).
    """
    return measure_negatives(values).mode


def measure_negatives(values: Values) -> Negatives:
    """Measure the negative cells of a population by themselves.

    Parameters
    ----------
    values
        Transformed values, shape (events,).

    Returns
    -------
    Negatives
        NaN below 50 events.
    """
    finite = _finite(values)
    if finite.size < MIN_EVENTS:
        return UNKNOWN
    mode, spread, valley = _lowest_peak(finite)
    if spread <= 1e-6 * max(1.0, abs(mode)):  # the negatives are one and the same value
        mode = float(finite[np.argmin(np.abs(finite - mode))])
        return Negatives(mode, mode, 0.0, 0.0)
    # A larger class above would draw the mode up its own slope, and the kernel wider with it.
    below = finite[finite <= valley]
    for _ in range(3):
        mode = _climb(below, mode, KERNEL_SD * spread)
        spread = _spread_below(finite, mode)
    low = finite[finite <= mode + FLANK_WIDTH_SD * spread]
    return Negatives(mode, lower_flank(low, mode, spread), spread, _error(finite, mode, spread))


def measure_near(values: Values, around: Negatives, reach: float) -> Negatives:
    """Measure the negative cells of a sample where those of its pool lie.

    Parameters
    ----------
    values
        Transformed values of the sample, shape (events,).
    around
        The negatives of the pool. Their spread is taken for the sample's: what a sample's own
        negatives spread depends on what else is among them.
    reach
        The greatest shift that is believed.

    Returns
    -------
    Negatives
        NaN where the sample has fewer than 50 events within reach, or lies beyond it.
    """
    finite = _finite(values)
    low, high = around.flank - reach, around.flank + reach
    near = finite[(finite > low - FLANK_WIDTH_SD * around.spread) & (finite <= high)]
    if near.size < MIN_EVENTS or np.isnan(around.mode):
        return UNKNOWN
    if around.spread <= 0:
        return Negatives(float(np.median(near)), float(np.median(near)), 0.0, 0.0)
    flank = lower_flank(near, around.flank, around.spread)
    start = around.mode if np.isnan(flank) else flank + around.mode - around.flank
    mode = _climb(finite, start, KERNEL_SD * around.spread)
    if abs(mode - around.mode) > reach:
        return UNKNOWN
    error = _error(finite, mode, around.spread)
    return Negatives(mode, flank, around.spread, error)


def lower_flank(values: Values | Reals, near: float, spread: float) -> float:
    """Find the place of the negative cells from those below it alone.

    It is the lowest place from which the values in the 3 standard deviations below it are on
    average .791 standard deviations away, as they are from the mode of a normal distribution. As
    no value above counts, a class of cells there hardly moves it: by .08 standard deviations
    where it lies 1.5 above and is half as many, where the mode moves by .33.

    Parameters
    ----------
    values
        Transformed values, shape (events,).
    near
        A place near it, in units of the scale: the mode.
    spread
        Standard deviation of the negatives.

    Returns
    -------
    float
        The place; NaN where the values near it are too few.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    sums = np.concatenate(([0.0], np.cumsum(ordered - near)))
    first = np.searchsorted(ordered, ordered - FLANK_WIDTH_SD * spread)
    last = np.arange(1, ordered.size + 1)
    number = last - first
    away = (ordered - near) - (sums[last] - sums[first]) / number
    # Sparse events far below the negatives would lie as far apart.
    enough = number >= max(0.1 * number.max(initial=0), MIN_EVENTS / 5)
    places = np.flatnonzero(enough & (away >= FLANK_MEAN_SD * spread))
    return float(ordered[places[0]]) if places.size else float("nan")


def negative_shifts(samples: Sequence[Negatives], response: float = 1.0) -> tuple[Negatives, Reals]:
    """Tell by how much the negatives of each sample lie above those of a typical one.

    Of the shift of the mode and that of the flank the smaller one is believed, and none where
    they disagree about the direction: a change of staining moves both alike, a change of
    composition or of width only one. It is then shrunk by its own error, so that few events do
    not make a shift.

    Parameters
    ----------
    samples
        The negatives of every sample, NaN where not known.
    response
        Shift of the flank where a change of staining shifts the mode by 1: less than 1 on the
        linear part of a scale, where a change of gain moves the lower cells less.

    Returns
    -------
    typical, shifts
        The median place, and the shift from it of every sample, shape (samples,), NaN where not
        known.

    References
    ----------
    James & Stein 1961, Proc 4th Berkeley Symp 1:361 (the positive part of their shrinkage).
    """
    table = np.array([tuple(sample) for sample in samples], dtype=np.float64)
    known = ~np.isnan(table[:, 0])
    if not known.any():
        return UNKNOWN, np.full(len(samples), np.nan)
    flank_known = known & ~np.isnan(table[:, 1])
    mode = float(np.median(table[known, 0]))
    flank = float(np.median(table[flank_known, 1])) if flank_known.any() else mode
    typical = Negatives(
        mode, flank, float(np.median(table[known, 2])), float(np.median(table[known, 3]))
    )
    by_mode, by_flank = table[:, 0] - typical.mode, (table[:, 1] - typical.flank) / response
    by_flank = np.where(flank_known, by_flank, by_mode)
    smaller = np.minimum(np.abs(by_mode), np.abs(by_flank))
    shifts = np.where(by_mode * by_flank > 0, np.sign(by_mode) * smaller, 0.0)
    # The typical place rests on the sample itself too: of two samples, half of it.
    variance = np.square(table[:, 3]) * (1 - 1 / known.sum())
    moved = shifts != 0
    noise = np.divide(variance, np.square(shifts), out=np.ones_like(shifts), where=moved)
    shifts = shifts * np.maximum(0.0, 1.0 - noise)
    return typical, np.where(known, shifts, np.nan)


def _finite(values: Values) -> Reals:
    exact = np.asarray(values, dtype=np.float64)
    return exact[np.isfinite(exact)]


def _lowest_peak(values: Reals) -> tuple[float, float, float]:
    """Return the lowest peak of a density that counts, the SD below it, and the valley above it."""
    grid, density, effective = smooth(values)
    peaks = find_peaks(density, effective)
    for left, right in zip(peaks, [*peaks[1:], len(density) - 1], strict=True):
        bottom = left + int(np.argmin(density[left : right + 1]))
        if right == len(density) - 1 or density[:bottom].sum() >= MIN_PEAK_SHARE * density.sum():
            break
    mode, valley = float(grid[left]), math.inf if left == peaks[-1] else float(grid[bottom])
    return mode, _spread_below(values, mode), valley


def _spread_below(values: Reals, mode: float) -> float:
    """Return the SD of the negatives, from the middle of the distances below their mode."""
    below = mode - values[values <= mode]
    return 1.4826 * float(np.median(below)) if below.size else 0.0


def _climb(values: Reals, start: float, width: float) -> float:
    """Follow the mean shift uphill to the nearest mode of the smoothed density."""
    counts, edges = np.histogram(values, np.arange(-8, 8.0001, 0.05) * width + start)
    places = (edges[:-1] + edges[1:]) / 2
    place = start
    for _ in range(_MAX_STEPS):
        weights = counts * np.exp(-0.5 * np.square((places - place) / width))
        total = float(weights.sum())
        if not total:
            break
        moved = float(weights @ places) / total
        if abs(moved - place) < 1e-5 * width:
            return moved
        place = moved
    return place


def _error(values: Reals, mode: float, spread: float) -> float:
    """Return the standard error of the mode."""
    number = 2 * int(((values <= mode) & (values > mode - 5 * spread)).sum())
    return MODE_ERROR * spread / float(np.sqrt(max(number, 1)))
