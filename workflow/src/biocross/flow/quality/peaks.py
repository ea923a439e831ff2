"""Follow the density peaks of a channel through the bins of an acquisition."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

GRID_SIZE = 512
GRID_MARGIN = 128
EVENTS_FOR_GRID = 20_000
MIN_PEAK_HEIGHT = 1 / 3
MIN_SHARE_OF_COUNT = 0.1
MIN_SHARE_OF_TRAJECTORY = 0.5


class Profile(NamedTuple):
    """One channel's events by bin.

    Parameters
    ----------
    counts
        Events by bin and cell of the grid, shape (bins, cells).
    bandwidth
        Standard deviation of the density's kernel, in cells.
    """

    counts: NDArray[np.float32]
    bandwidth: float


def count_by_bin(
    column: NDArray[np.float32],
    half_of_event: NDArray[np.int64],
    n_bins: int,
    zeros_missing: bool,
) -> Profile | None:
    """Count a channel's events by bin on one grid.

    Parameters
    ----------
    column
        Values, shape (events,).
    half_of_event
        Half-bin of each event, shape (events,); bin b holds the halves b and b + 1.
    n_bins
        Number of bins.
    zeros_missing
        Leave zeros out.

    Returns
    -------
    Profile or None
        None where all values are equal. The grid reaches from the 0.1 to the 99.9 percentile;
        what lies outside is counted in its first and last cell.
    """
    if zeros_missing:
        present = column != 0
        column, half_of_event = column[present], half_of_event[present]
    sample = column[:: max(column.size // EVENTS_FOR_GRID, 1)]
    low, high = (float(edge) for edge in np.percentile(sample, [0.1, 99.9]))
    if not high > low:
        return None
    scale = np.float32(GRID_SIZE / (high - low))
    cell = np.clip((column - np.float32(low)) * scale, 0, GRID_SIZE - 1).astype(np.int64)
    cell += half_of_event * GRID_SIZE
    halves = np.bincount(cell, minlength=(n_bins + 1) * GRID_SIZE).reshape(-1, GRID_SIZE)
    counts = (halves[:-1] + halves[1:]).astype(np.float32)
    return Profile(counts, _bandwidth(counts))


def _bandwidth(counts: NDArray[np.float32]) -> float:
    """Return the median over bins of Silverman's bandwidth, in cells and at least one."""
    number = np.maximum(counts.sum(axis=1), 1)
    cells = np.arange(GRID_SIZE)
    mean = counts @ cells / number
    spread = np.sqrt(np.maximum(counts @ np.square(cells) / number - np.square(mean), 0))
    quartiles = (quantile_by_bin(counts, 0.75) - quantile_by_bin(counts, 0.25)) / 1.34
    spread = np.where(quartiles > 0, np.minimum(spread, quartiles), spread)
    return max(float(np.median(0.9 * spread * number**-0.2)), 1.0)


def quantile_by_bin(counts: NDArray[np.float32], share: float) -> NDArray[np.float64]:
    """Return a quantile of each bin, in cells, interpolated within the cell.

    Parameters
    ----------
    counts
        Events by bin and cell, shape (bins, cells).
    share
        The quantile, 0 to 1.

    Returns
    -------
    ndarray
        Shape (bins,).
    """
    cumulative = counts.cumsum(axis=1)
    wanted = share * cumulative[:, -1]
    cell = np.argmax(cumulative >= wanted[:, None], axis=1)
    rows = np.arange(len(counts))
    inside = np.maximum(counts[rows, cell], 1)
    return np.asarray(cell + 1 - (cumulative[rows, cell] - wanted) / inside, dtype=np.float64)


def find_density_peaks(profile: Profile) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the peaks of each bin's density that reach a third of its highest.

    Parameters
    ----------
    profile
        The channel's events by bin; they are smoothed with a Gaussian kernel.

    Returns
    -------
    tuple of ndarray
        Bin and place (in cells) of each peak, ordered by bin and place.
    """
    padded = np.zeros((len(profile.counts), GRID_SIZE + 2 * GRID_MARGIN), dtype=np.float32)
    padded[:, GRID_MARGIN:-GRID_MARGIN] = profile.counts
    frequency = np.fft.rfftfreq(padded.shape[1])
    kernel = np.exp(-2 * np.square(np.pi * frequency * profile.bandwidth)).astype(np.float32)
    density = np.fft.irfft(np.fft.rfft(padded, axis=1) * kernel, padded.shape[1], axis=1)
    left, middle, right = density[:, :-2], density[:, 1:-1], density[:, 2:]
    highest = middle.max(axis=1, keepdims=True)
    found = (middle > left) & (middle >= right) & (middle > MIN_PEAK_HEIGHT * highest)
    rows, cells = np.nonzero(found & (highest > 0))
    before, at, after = (part[rows, cells].astype(np.float64) for part in (left, middle, right))
    # The top of the parabola through the three cells.
    offset = (before - after) / 2 / np.minimum(before - 2 * at + after, -1e-12)
    return rows, np.asarray(cells + 1 - GRID_MARGIN + np.clip(offset, -0.5, 0.5), dtype=np.float64)


def follow_peaks(
    rows: NDArray[np.int64], places: NDArray[np.float64], n_bins: int
) -> NDArray[np.float64]:
    """Group the peaks of a channel into trajectories over bins.

    There are as many trajectories as the largest number of peaks that more than a tenth of
    the bins have; they lie at the median places in those bins. Each peak belongs to the nearest,
    of several in one bin the nearest one. A trajectory that less than half of the bins have is
    dropped; where a bin lacks the peak, its median stands in.

    Parameters
    ----------
    rows, places
        Bin and place of each peak, shape (peaks,), ordered by bin and place.
    n_bins
        Number of bins.

    Returns
    -------
    ndarray
        Shape (n_bins, trajectories).
    """
    numbers = np.bincount(rows, minlength=n_bins)
    usual = np.bincount(numbers[numbers > 0])
    n_peaks = int(np.flatnonzero(usual > MIN_SHARE_OF_COUNT * usual.sum())[-1])
    typical = np.median(places[numbers[rows] == n_peaks].reshape(-1, n_peaks), axis=0)
    distance = np.abs(places[:, None] - typical)
    nearest = np.argmin(distance, axis=1)
    trajectories = []
    for number in range(n_peaks):
        own = np.flatnonzero(nearest == number)
        # Of several in a bin the last one written stays: the nearest.
        own = own[np.argsort(-distance[own, number], kind="stable")]
        trajectory = np.full(n_bins, np.nan)
        trajectory[rows[own]] = places[own]
        missing = np.isnan(trajectory)
        if np.count_nonzero(~missing) >= MIN_SHARE_OF_TRAJECTORY * n_bins:
            trajectory[missing] = np.median(trajectory[~missing])
            trajectories.append(trajectory)
    return np.column_stack(trajectories) if trajectories else np.empty((n_bins, 0))
