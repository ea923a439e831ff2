"""Find stretches of an acquisition in which the signals of a sample are not steady."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.quality.peaks import (
    GRID_SIZE,
    count_by_bin,
    find_density_peaks,
    follow_peaks,
    quantile_by_bin,
)

GOOD, ISOLATED, DEVIATING, SHORT_STRETCH = 0, 1, 2, 3

MAX_BINS = 500
BIN_STEP = 500
MIN_BINS = 10
MIN_BINS_FOR_TREE = 150
# Where zeros are missing: 20 bins with 150 values in each half, or the channel takes no part.
MIN_NONZERO_IN_HALF = 150
MIN_NONZERO = 20 * MIN_NONZERO_IN_HALF
MIN_NONZERO_SHARE = 0.1

# No peak is placed more exactly than this (grid cells): rounded data would seem without noise.
MIN_SPREAD = 0.1

MAD_TO_SD = 1.4826
# The quantile of the steps that tells the noise, and its value for a standard normal.
NOISE_QUANTILE, NOISE_NORMAL = 0.8, 1.2816
DRIFT_WINDOW = 25
MIN_DRIFT_NOISE = 3.0
MIN_DRIFT_SHARE = 0.01
MIN_DRIFT_ORDER = 0.9


class TimeQuality(NamedTuple):
    """Where the signals of a sample were not steady.

    Parameters
    ----------
    flagged
        Shape (events,); True for the events of every bad bin.
    bins
        First event of each bin and the one after its last, shape (bins, 2); bins overlap by half.
    reason
        Shape (bins,): 0 good, 1 isolation tree, 2 MAD, 3 in a short stretch between bad bins.
    drifting
        (channel, +1 or -1) for each channel that rises or falls throughout; not flagged.
    note
        Words where the tests, or one of them, were not possible; else empty.
    """

    flagged: NDArray[np.bool_]
    bins: NDArray[np.int64]
    reason: NDArray[np.uint8]
    drifting: tuple[tuple[int, int], ...]
    note: str


def flag_time_anomalies(
    values: Sequence[NDArray[np.float32]] | NDArray[np.float32],
    zeros_missing: bool = False,
    mad_limit: float = 6.0,
    gain_limit: float = 0.6,
    min_good_bins: int = 5,
) -> TimeQuality:
    """Flag the events of stretches in which a channel's peaks leave their usual place.

    The run is cut into overlapping bins. The peaks of each channel's density are followed from
    bin to bin. An isolation tree over these trajectories sets bins apart; of the rest, those
    are bad in which a smoothed trajectory is more than ``mad_limit`` robust standard deviations
    from its median. Good bins in stretches shorter than ``min_good_bins`` are bad too.

    Parameters
    ----------
    values
        Transformed values by channel, each of shape (events,), in the order of acquisition;
        finite. Scatter channels may be among them.
    zeros_missing
        Leave zeros out, as for mass cytometry; a channel with fewer than 10 % other values
        takes no part (nor one with fewer than 3,000).
    mad_limit
        Robust standard deviations from the median.
    gain_limit
        Share by which a split of the tree must reduce the standard deviation.
    min_good_bins
        Shortest stretch of good bins that is kept.

    Returns
    -------
    TimeQuality
        Nothing is flagged, and the note says so, with fewer than 10 bins (2,500 events).

    References
    ----------
    Emmaneel et al. 2022, Cytometry A 101:325 (PeacoQC). Here the densities of a channel share
    one grid and one bandwidth, and a deviation must also exceed what counting noise makes.
    """
    columns = [np.asarray(column) for column in values]
    n_events = columns[0].size if columns else 0
    nonzero = _nonzero(columns) if zeros_missing else [n_events] * len(columns)
    least = max(MIN_NONZERO_SHARE * n_events, MIN_NONZERO) if zeros_missing else 1
    taking_part = [channel for channel, number in enumerate(nonzero) if number >= least]
    fewest = min((nonzero[channel] for channel in taking_part), default=0)
    size = events_per_bin(n_events, fewest if zeros_missing and fewest else None)
    bins = overlapping_bins(n_events, size)
    flagged, reason = np.zeros(n_events, dtype=bool), np.zeros(len(bins), dtype=np.uint8)
    if len(bins) < MIN_BINS or not taking_part:
        note = f"not_possible: no more than {MIN_BINS * size // 2} events"
        if len(bins) >= MIN_BINS:
            note = f"not_possible: no channel with {MIN_NONZERO} values other than zero"
        return TimeQuality(flagged, bins, reason, (), note)
    half_of_event = np.arange(n_events, dtype=np.int64) // int(bins[1, 0])
    drifting: list[tuple[int, int]] = []
    trajectories = [np.empty((len(bins), 0))]
    for channel in taking_part:
        profile = count_by_bin(columns[channel], half_of_event, len(bins), zeros_missing)
        if profile is None:
            continue
        paths = follow_peaks(*find_density_peaks(profile), len(bins))
        trajectories.append(paths)
        direction = drift_direction(quantile_by_bin(profile.counts, 0.5))
        if not direction and paths.size:
            direction = drift_direction(paths.mean(axis=1))
        if direction:
            drifting.append((channel, direction))
    reason = judge_bins(np.hstack(trajectories), mad_limit, gain_limit, min_good_bins)
    for start, stop in bins[reason != GOOD]:
        flagged[start:stop] = True
    few = f"isolation tree not_possible: fewer than {MIN_BINS_FOR_TREE} bins"
    note = few if len(bins) < MIN_BINS_FOR_TREE else ""
    return TimeQuality(flagged, bins, reason, tuple(drifting), note)


def _nonzero(columns: Sequence[NDArray[np.float32]]) -> list[int]:
    return [int(np.count_nonzero(column)) for column in columns]


def events_per_bin(n_events: int, nonzero: int | None = None) -> int:
    """Return how many events a bin holds: a multiple of 500 that makes at most 500 bins.

    Parameters
    ----------
    n_events
        Events of the sample.
    nonzero
        Where zeros are missing, the smallest number of other values in a channel: on average
        each half of a bin then holds 150 of them.
    """
    most_bins = MAX_BINS if nonzero is None else min(MAX_BINS, nonzero / MIN_NONZERO_IN_HALF)
    least = int(np.ceil(n_events / most_bins * 2))
    return least // BIN_STEP * BIN_STEP + BIN_STEP


def overlapping_bins(n_events: int, size: int) -> NDArray[np.int64]:
    """Cut a run into bins of ``size`` events that overlap by half, shape (bins, 2).

    A last bin that would only repeat the end of the one before it is not made.
    """
    half = size // 2
    n_bins = max(-(-n_events // half) - 1, min(n_events, 1))
    start = np.arange(n_bins, dtype=np.int64) * half
    return np.column_stack((start, np.minimum(start + size, n_events)))


def judge_bins(
    trajectories: NDArray[np.float64], mad_limit: float, gain_limit: float, min_good_bins: int
) -> NDArray[np.uint8]:
    """Decide which bins are bad, and why.

    Parameters
    ----------
    trajectories
        Places of the peaks in grid cells, shape (bins, trajectories).
    mad_limit, gain_limit, min_good_bins
        As of `flag_time_anomalies`.

    Returns
    -------
    ndarray of uint8
        The reason per bin, shape (bins,).
    """
    reason = np.zeros(len(trajectories), dtype=np.uint8)
    if trajectories.shape[1] == 0:
        return reason
    if len(trajectories) >= MIN_BINS_FOR_TREE:
        least = mad_limit * bin_noise(trajectories)
        reason[~largest_leaf(trajectories, gain_limit, least)] = ISOLATED
    rest = np.flatnonzero(reason == GOOD)
    if rest.size >= MIN_BINS:
        reason[rest[deviating_bins(trajectories[rest], mad_limit)]] = DEVIATING
    edges = np.flatnonzero(np.diff(np.concatenate(([True], reason != GOOD, [True]))))
    for start, stop in edges.reshape(-1, 2):
        if stop - start < min_good_bins:
            reason[start:stop] = SHORT_STRETCH
    return reason


def largest_leaf(
    trajectories: NDArray[np.float64],
    gain_limit: float,
    least_distance: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.bool_]:
    """Return the bins in the largest leaf of an isolation tree.

    A node is split where the standard deviation falls most: by (sd - (sd_left + sd_right) / 2)
    / sd, the largest over trajectories and borders. A split needs a larger gain than the limit
    and than every split before it.

    Parameters
    ----------
    trajectories
        Shape (bins, trajectories).
    gain_limit
        Least gain of the first split.
    least_distance
        Least distance between the means of the two sides, shape (trajectories,): a peak that
        jumps to and fro all the time would otherwise be split.

    Returns
    -------
    ndarray of bool
        Shape (bins,); the first leaf of several equally large ones.
    """
    max_depth = int(np.ceil(np.log2(len(trajectories))))
    waiting = [(np.arange(len(trajectories)), 0)]
    leaves = []
    while waiting:
        rows, depth = waiting.pop(0)
        split = None
        if rows.size > 3 and depth < max_depth:
            split = _best_split(trajectories[rows], least_distance)
        if split is None or split[0] <= gain_limit:
            leaves.append(rows)
            continue
        gain_limit, column, border = split
        below = trajectories[rows, column] <= border
        waiting += [(rows[below], depth + 1), (rows[~below], depth + 1)]
    kept = np.zeros(len(trajectories), dtype=bool)
    kept[max(leaves, key=len)] = True
    return kept


def _best_split(
    values: NDArray[np.float64], least_distance: NDArray[np.float64] | float
) -> tuple[float, int, float] | None:
    """Return gain, column and border (the largest value below) of the best split of a node."""
    ordered = np.sort(values - values.mean(axis=0), axis=0)
    n_rows = len(ordered)
    below = np.arange(1, n_rows)[:, None]
    sums, squares = ordered.cumsum(axis=0), np.square(ordered).cumsum(axis=0)
    spread = _sd(sums[-1], squares[-1], n_rows)
    left = _sd(sums[:-1], squares[:-1], below)
    right = _sd(sums[-1] - sums[:-1], squares[-1] - squares[:-1], n_rows - below)
    usable = spread > 1e-9 * np.abs(values).max(axis=0)
    distance = (sums[-1] - sums[:-1]) / (n_rows - below) - sums[:-1] / below
    # A border between equal values separates nothing.
    apart = (ordered[1:] > ordered[:-1]) & usable & (distance > least_distance)
    gain = np.where(apart, 1 - (left + right) / 2 / np.where(usable, spread, 1.0), -1.0)
    # Of equal gains the last border and the first column.
    last = n_rows - 2 - np.argmax(gain[::-1], axis=0)
    best = gain[last, np.arange(gain.shape[1])]
    column = int(np.argmax(best))
    if best[column] < 0:
        return None
    border = np.sort(values[:, column])[last[column]]
    return float(best[column]), column, float(border)


def _sd(
    total: NDArray[np.float64], squares: NDArray[np.float64], number: NDArray[np.int64] | int
) -> NDArray[np.float64]:
    """Return the standard deviation from sums; 0 for a single value."""
    spread = np.maximum(squares - np.square(total) / number, 0.0)
    return np.sqrt(spread / np.maximum(np.subtract(number, 1), 1))


def deviating_bins(trajectories: NDArray[np.float64], mad_limit: float) -> NDArray[np.bool_]:
    """Return the bins in which a smoothed trajectory is far from its median.

    Far is beyond ``mad_limit`` times the larger of the smoothed trajectory's robust standard
    deviation and what smoothing leaves of the noise between bins: from few bins, or where peaks
    come and go, the former may be small by chance.

    Parameters
    ----------
    trajectories
        Places of the peaks in grid cells, shape (bins, trajectories).
    mad_limit
        Robust standard deviations.

    Returns
    -------
    ndarray of bool
        Shape (bins,).
    """
    smoother = smoothing_matrix(len(trajectories))
    smooth = smoother @ trajectories
    deviation = np.abs(smooth - np.median(smooth, axis=0))
    spread = MAD_TO_SD * np.median(deviation, axis=0)
    overlap = np.square(smoother).sum(axis=1) + (smoother[:, 1:] * smoother[:, :-1]).sum(axis=1)
    limit = mad_limit * np.maximum(spread, np.sqrt(overlap)[:, None] * bin_noise(trajectories))
    return np.asarray((deviation > limit).any(axis=1))


def bin_noise(trajectories: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation between bins without common events, shape (trajectories,).

    From the 0.8 quantile of the steps to the next bin but one (neighbours share half of their
    events). Not from their median: many are zero where the median stands in for a peak.
    """
    steps = np.quantile(np.abs(trajectories[2:] - trajectories[:-2]), NOISE_QUANTILE, axis=0)
    return np.asarray(np.maximum(steps / (NOISE_NORMAL * np.sqrt(2)), MIN_SPREAD))


def smoothing_matrix(n_bins: int) -> NDArray[np.float64]:
    """Return the smoother of evenly spaced values that R calls ``smooth.spline(spar = 0.5)``.

    It minimises the squared distances plus a penalty times the integral of the squared second
    derivative: 16 tr(X'X) / tr(S) of R's cubic B-splines, which is 16 x (151 / 315) / (8 / 3) x
    h^4 with h bins between knots. R's spline has fewer knots than values from 50 values on;
    here every value is a knot.

    Parameters
    ----------
    n_bins
        Number of values.

    Returns
    -------
    ndarray
        Shape (n_bins, n_bins); each row sums to one.

    References
    ----------
    Reinsch 1967, Numer Math 10:177; R, ``?smooth.spline`` (its number of knots).
    """
    n_knots = np.exp2(np.interp(n_bins, [50, 200, 800], np.log2([50, 100, 140])))
    distance = (n_bins - 1) / (min(n_bins, np.floor(n_knots)) - 1)
    penalty = 16 * (151 / 315) / (8 / 3) * distance**4
    bend = np.diff(np.eye(n_bins), n=2, axis=0)
    inner = n_bins - 2
    band = np.eye(inner) * 2 / 3 + (np.eye(inner, k=1) + np.eye(inner, k=-1)) / 6
    return np.linalg.inv(np.eye(n_bins) + penalty * bend.T @ np.linalg.solve(band, bend))


def drift_direction(medians: NDArray[np.float64]) -> int:
    """Say whether the median of a channel rises or falls throughout a run.

    Parameters
    ----------
    medians
        Median per bin, shape (bins,).

    Returns
    -------
    int
        +1 or -1 where the running mean (51 bins) follows time with a rank correlation of at least
        0.9 and changes by more than 3 times the noise between bins and by more than 1 % of the
        grid; else 0.
    """
    total = np.concatenate(([0.0], medians.cumsum()))
    place = np.arange(medians.size)
    start = np.maximum(place - DRIFT_WINDOW, 0)
    stop = np.minimum(place + DRIFT_WINDOW + 1, medians.size)
    smooth = (total[stop] - total[start]) / (stop - start)
    steps = np.abs(medians[2:] - medians[:-2])
    noise = MAD_TO_SD * float(np.median(steps)) / np.sqrt(2)
    change = float(smooth[-1] - smooth[0])
    if abs(change) <= max(MIN_DRIFT_NOISE * noise, MIN_DRIFT_SHARE * GRID_SIZE):
        return 0
    order = np.corrcoef(place, np.argsort(np.argsort(smooth)))[0, 1]
    return int(np.sign(change)) if abs(order) >= MIN_DRIFT_ORDER else 0
