"""Strata of scatter, within which borders are drawn: cells of one kind lie together in them.

Strata go by the value of the scatter, not by its rank: a rare kind of cells keeps its own.
"""

import numpy as np
from numpy.typing import NDArray

SIDE_WIDTH = 0.15  # of log SSC: strata of about 15 %
MIN_EVENTS = 200
SIZE_WIDTH = 0.2  # of log height
MIN_CELL_EVENTS = 80
MAX_BINS = 61


def scatter_strata(
    side: NDArray[np.float32] | None, size: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Split events into strata of side scatter, and each of these by height.

    Parameters
    ----------
    side
        Raw SSC-A, shape (events,); None makes one stratum of it.
    size
        Natural logarithm of the height of forward scatter, about its median, shape (events,).

    Returns
    -------
    position, centres
        Stratum of each event, shape (events,); mean log SSC and log height of each stratum, about
        their medians, shape (strata, 2).
    """
    rows = np.zeros(size.size, dtype=np.intp)
    if side is not None:
        rows = side_bins(side, SIDE_WIDTH)
    columns = _bin(size, SIZE_WIDTH)
    table = np.bincount(rows * MAX_BINS + columns, minlength=MAX_BINS**2)
    table = table.reshape(MAX_BINS, MAX_BINS)
    merged_rows = merge_bins(table.sum(axis=1), MIN_EVENTS)
    stratum = np.zeros_like(table)
    first = 0
    for number in range(merged_rows[-1] + 1):
        together = merged_rows == number
        columns_of = merge_bins(table[together].sum(axis=0), MIN_CELL_EVENTS)
        stratum[together] = first + columns_of
        first += columns_of[-1] + 1
    bins = (np.indices(table.shape) - MAX_BINS // 2).reshape(2, -1)
    events = np.bincount(stratum.ravel(), table.ravel())
    centres = [
        width * np.bincount(stratum.ravel(), table.ravel() * part) / events
        for width, part in zip((SIDE_WIDTH, SIZE_WIDTH), bins, strict=True)
    ]
    return stratum.ravel()[rows * MAX_BINS + columns], np.column_stack(centres)


def side_bins(ssc_area: NDArray[np.float32], width: float) -> NDArray[np.intp]:
    """Number events by steps of log side scatter.

    Parameters
    ----------
    ssc_area
        Raw SSC-A, shape (events,).
    width
        Of a step, in natural logarithms.

    Returns
    -------
    ndarray
        0 to 60, the median being 30; events without side scatter are in the lowest.
    """
    positive = np.isfinite(ssc_area) & (ssc_area > 0)
    middle = np.median(ssc_area[positive]) if positive.any() else np.float32(1)
    return _bin(np.log(np.where(positive, ssc_area / middle, np.float32(1e-9))), width)


def merge_bins(counts: NDArray[np.intp], minimum: int) -> NDArray[np.intp]:
    """Number consecutive bins, from the lowest, so that each number has a minimum of events.

    Parameters
    ----------
    counts
        Events per bin, shape (bins,).
    minimum
        Events that a number should have; what is left over at the top joins the last.

    Returns
    -------
    ndarray
        Number of each bin, from 0 without gaps, shape (bins,).
    """
    numbers = np.zeros(counts.size, dtype=np.intp)
    current = gathered = 0
    for position, count in enumerate(counts):
        numbers[position] = current
        gathered += int(count)
        if gathered >= minimum:
            current, gathered = current + 1, 0
    return np.asarray(np.minimum(numbers, max(current - 1, 0)))


def _bin(logs: NDArray[np.floating], width: float) -> NDArray[np.intp]:
    steps = np.rint(logs / width) + MAX_BINS // 2
    return np.asarray(np.clip(steps, 0, MAX_BINS - 1), dtype=np.intp)
