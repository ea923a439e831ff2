"""Find the border between the negative and the positive cells of a marker."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

GRID_SIZE = 512
MIN_EVENTS = 50
MIN_RISE_SD = 3.0
TAIL_SD = 3.0


class Threshold(NamedTuple):
    """A border on the transformed scale.

    Parameters
    ----------
    value
        The border; an event is positive above it.
    source
        ``fixed``; ``valley``; ``tail`` where there was no valley; ``too_few_events``.
    depth
        1 - density at the valley / density at the lower of its two peaks; NaN without a valley.
    """

    value: float
    source: str
    depth: float = float("nan")


def find_valley(
    values: NDArray[np.float32], between: tuple[float, float] | None = None
) -> Threshold:
    """Find the valley between the two most prominent modes of a density.

    The density is a Gaussian-smoothed histogram (Silverman's bandwidth). A valley counts if the
    density rises on both its sides by more than counting noise (3 standard deviations). Of those,
    the two modes are kept whose separating valley is deepest relative to the lower mode. Without
    a valley the border is the upper tail of the negatives: their mode + 3 robust standard
    deviations of the values below it.

    Parameters
    ----------
    values
        Transformed values of the events, shape (events,).
    between
        Range in which a valley is believed; None is the whole range.

    Returns
    -------
    Threshold
        Its value is NaN, and its source ``too_few_events``, below 50 events.
    """
    if values.size < MIN_EVENTS:
        return Threshold(float("nan"), "too_few_events")
    grid, density, effective = _smooth(np.asarray(values, dtype=np.float64))
    best = Threshold(float("nan"), "none", 0.0)
    peaks = find_peaks(density, effective)
    for left, right in itertools.pairwise(peaks):
        bottom = left + int(np.argmin(density[left : right + 1]))
        if between and not between[0] <= grid[bottom] <= between[1]:
            continue
        depth = 1.0 - density[bottom] / min(density[left], density[right])
        if depth > best.depth:
            best = Threshold(float(grid[bottom]), "valley", float(depth))
    if best.source == "valley":
        return best
    return find_tail(values, float(grid[peaks[0]]), between)


def find_tail(
    values: NDArray[np.float32], mode: float, between: tuple[float, float] | None = None
) -> Threshold:
    """Put the border above the negative cells where no valley separates positives.

    Parameters
    ----------
    values
        Transformed values, shape (events,).
    mode
        Mode of the negative cells.
    between
        Range that the border may not leave.

    Returns
    -------
    Threshold
        At mode + 3 standard deviations, these estimated from the values below the mode alone.
    """
    below = mode - values[values <= mode]
    spread = float(np.sqrt(np.mean(np.square(below)))) if below.size else 0.0
    value = mode + TAIL_SD * spread
    return Threshold(float(np.clip(value, *between)) if between else value, "tail")


def _smooth(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return grid, density (events per grid step) and steps under the smoothing kernel."""
    low, high = np.percentile(values, [0.05, 99.95])
    iqr = float(np.subtract(*np.percentile(values, [75, 25])))
    spread = min(float(values.std()), iqr / 1.34) if iqr > 0 else float(values.std())
    # Equal values have no spread: the last term keeps the grid wider than rounding.
    rounding = 1e-7 * max(1.0, abs(low), abs(high))
    bandwidth = max(0.9 * spread * values.size**-0.2, (high - low) / 200, rounding)
    edges = np.linspace(low - 3 * bandwidth, high + 3 * bandwidth, GRID_SIZE + 1)
    step = edges[1] - edges[0]
    counts, _ = np.histogram(values, edges)
    reach = int(np.ceil(4 * bandwidth / step))
    offsets = np.arange(-reach, reach + 1) * step
    kernel = np.exp(-0.5 * np.square(offsets / bandwidth))
    kernel /= kernel.sum()
    density = np.convolve(counts, kernel, mode="same")
    return (edges[:-1] + edges[1:]) / 2, density, 1.0 / float(np.square(kernel).sum())


def find_peaks(density: NDArray[np.float64], effective: float) -> list[int]:
    """Find the modes of a density, merging those that are counting noise.

    Parameters
    ----------
    density
        Smoothed events per grid step, shape (steps,).
    effective
        Number of grid steps that the smoothing averages over.

    Returns
    -------
    list of int
        Grid positions from left to right; between any two the density falls by more than 3
        standard deviations of the difference of two Poisson counts.
    """
    rising = np.diff(np.concatenate(([-1.0], density, [-1.0]))) > 0
    peaks = [int(peak) for peak in np.flatnonzero(rising[:-1] & ~rising[1:])]
    while len(peaks) > 1:
        rises = [_rise(density, pair, effective) for pair in itertools.pairwise(peaks)]
        weakest = int(np.argmin(rises))
        if rises[weakest] >= MIN_RISE_SD:
            break
        peaks.remove(min(peaks[weakest : weakest + 2], key=lambda peak: density[peak]))
    return peaks


def _rise(density: NDArray[np.float64], pair: tuple[int, int], effective: float) -> float:
    """Return by how many standard deviations the lower peak of a pair rises from its valley."""
    bottom = density[pair[0] : pair[1] + 1].min()
    lower = min(density[pair[0]], density[pair[1]])
    return float((lower - bottom) * np.sqrt(effective / max(lower + bottom, 1e-12)))
