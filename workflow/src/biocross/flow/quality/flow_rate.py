"""Find surges and drops of the rate at which events were acquired."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EVENTS_PER_BIN = 200
MAX_BINS = 500
MIN_BINS = 10
MAX_SEGMENTS = 20
# A backward step below this share of the time's span is disorder, not a new start.
MIN_RESET = 0.05
COARSE_TICK = 20
MIN_WINDOW = 31
MAD_TO_SD = 1.4826


class FlowRate(NamedTuple):
    """How steadily events were acquired.

    Parameters
    ----------
    flagged
        Shape (events,); True for the events of bins with a surge or a drop.
    bins
        First event of each bin and the one after its last, shape (bins, 2).
    times
        Start and end of each bin in the unit of the time, shape (bins, 2); a new acquisition
        starts anew.
    rate
        Events per unit of time, shape (bins,).
    usual
        Running median of the rate, shape (bins,).
    note
        Words on pauses and on time that is out of order, or ``not_possible: ...``; else empty.
    """

    flagged: NDArray[np.bool_]
    bins: NDArray[np.int64]
    times: NDArray[np.float64]
    rate: NDArray[np.float64]
    usual: NDArray[np.float64]
    note: str


def flag_flow_rate(
    time: NDArray[np.floating], n_sd: float = 6.0, min_ratio: float = 1.5
) -> FlowRate:
    """Flag events that came much faster or slower than those around them.

    Events are counted in bins of equal time. A count deviates if it is beyond ``n_sd`` standard
    deviations of the running median, on the square-root scale, on which Poisson counts have
    one variance, and differs from it by the factor ``min_ratio``. A rate that drifts is followed by
    the running median.

    Parameters
    ----------
    time
        When each event was acquired, in any unit, shape (events,).
    n_sd
        Standard deviations: Poisson's, or the bins' own robust one where that is larger.
    min_ratio
        Least factor between a flagged rate and the usual one.

    Returns
    -------
    FlowRate
        Pauses longer than a bin are left out, and acquisitions that were joined (time starts
        anew) are cut apart; the note says so. Nothing is flagged where time is constant or there
        are fewer than 10 bins of 200 events.

    References
    ----------
    Anscombe 1948, Biometrika 35:246 (square root of Poisson counts).
    """
    clock = np.asarray(time, dtype=np.float64)
    if clock.size < MIN_BINS * EVENTS_PER_BIN:
        return _impossible(clock.size, f"fewer than {MIN_BINS * EVENTS_PER_BIN} events")
    if not np.isfinite(clock).all():
        return _impossible(clock.size, "time has missing values")
    if clock.min() == clock.max():
        return _impossible(clock.size, "time does not change")
    starts, order, notes = _in_order(clock)
    ordered = clock if order is None else clock[order]
    edges = np.append(starts, clock.size)
    ordered = np.concatenate(
        [np.maximum.accumulate(ordered[a:b]) for a, b in itertools.pairwise(edges)]
    )
    if ordered[0] == ordered[-1] and not (np.diff(ordered) > 0).any():
        return _impossible(time.size, "time does not run forwards")
    width, tick = _bin_width(ordered)
    pauses = np.setdiff1d(np.flatnonzero(np.diff(ordered) >= width + tick) + 1, starts)
    if pauses.size:
        notes.append(f"{pauses.size} pause{'s'[: pauses.size > 1]} left out")
    edges = np.union1d(edges, pauses)
    pieces = [_bins_of(ordered[a:b], int(a), width, tick) for a, b in itertools.pairwise(edges)]
    bins, times = (np.concatenate(part) for part in zip(*pieces, strict=True))
    if len(bins) < MIN_BINS:
        return _impossible(clock.size, f"fewer than {MIN_BINS} bins of time")
    counts, length = np.diff(bins, axis=1)[:, 0], np.diff(times, axis=1)[:, 0]
    rate = counts / length
    usual = running_median(rate)
    deviating = deviating_rates(counts, usual * length, n_sd, min_ratio)
    if tick:
        # A coarse clock's first and last tick are incomplete: no drop.
        ends = np.isin(bins[:, 0], edges) | np.isin(bins[:, 1], edges)
        deviating &= ~ends | (rate > usual)
    flagged = np.zeros(clock.size, dtype=bool)
    for start, stop in bins[deviating]:
        flagged[slice(start, stop) if order is None else order[start:stop]] = True
    return FlowRate(flagged, bins, times, rate, usual, "; ".join(notes))


def deviating_rates(
    counts: NDArray[np.int64], expected: NDArray[np.float64], n_sd: float, min_ratio: float
) -> NDArray[np.bool_]:
    """Compare counts with what is usual, shape (bins,).

    Parameters
    ----------
    counts
        Events per bin.
    expected
        Events expected at the usual rate.
    n_sd, min_ratio
        As of `flag_flow_rate`.

    Returns
    -------
    ndarray of bool
        True where both limits are passed.
    """
    deviation = 2 * (np.sqrt(counts) - np.sqrt(expected))
    spread = max(1.0, MAD_TO_SD * float(np.median(np.abs(deviation))))
    jump = (counts > min_ratio * expected) | (counts * min_ratio < expected)
    return np.asarray((np.abs(deviation) > n_sd * spread) & jump)


def running_median(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median over a third of the run around each bin, shape (bins,).

    At least 31 bins. At the ends the window keeps its place, so that it never becomes small.
    """
    window = min(max(MIN_WINDOW, rate.size // 3 | 1), rate.size)
    windows = np.lib.stride_tricks.sliding_window_view(rate, window)
    place = np.clip(np.arange(rate.size) - window // 2, 0, rate.size - window)
    return np.asarray(np.median(windows, axis=1)[place])


def _impossible(n_events: int, why: str) -> FlowRate:
    none = np.zeros(0)
    pairs = np.zeros((0, 2), dtype=np.int64)
    flagged = np.zeros(n_events, dtype=bool)
    return FlowRate(flagged, pairs, pairs.astype(float), none, none, f"not_possible: {why}")


def _in_order(
    time: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.intp] | None, list[str]]:
    """Return where acquisitions start, the events' order if not the file's, and notes."""
    steps = np.diff(time)
    backward = np.count_nonzero(steps < 0)
    first = np.zeros(1, dtype=np.int64)
    if not backward:
        return first, None, []
    resets = np.flatnonzero(-steps > MIN_RESET * (time.max() - time.min())) + 1
    if resets.size >= MAX_SEGMENTS:
        return first, np.argsort(time, kind="stable"), ["events are not in order of time"]
    notes = []
    if backward > resets.size:
        notes.append(f"time runs backwards at {backward - resets.size} events")
    if resets.size:
        notes.append(f"time starts anew {resets.size} times: joined acquisitions")
    return np.concatenate((first, resets)), None, notes


def _bin_width(ordered: NDArray[np.float64]) -> tuple[float, float]:
    """Choose the length of a bin; where the clock is coarse, a multiple of its tick.

    The usual rate, not the mean, decides: pauses would lengthen the bins.
    """
    size = max(EVENTS_PER_BIN, -(-ordered.size // MAX_BINS))
    spans = np.diff(ordered[::size])
    spans = spans[spans > 0]
    width = float(np.median(spans)) if spans.size else 0.0
    steps = np.diff(ordered)
    steps = steps[steps > 0]
    tick = float(np.median(steps))
    if width < COARSE_TICK * tick:
        return max(round(width / tick), 1) * tick, tick
    return width, 0.0


def _bins_of(
    ordered: NDArray[np.float64], first: int, width: float, tick: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cut one stretch without pauses into bins: events (bins, 2) and times (bins, 2).

    An event stands for the tick that ends half a tick after it. What remains at the end
    belongs to the last bin.
    """
    start, stop = ordered[0] - tick / 2, ordered[-1] + tick / 2
    n_bins = max(int((stop - start) / width + 1e-6), 1)
    times = start + width * np.arange(n_bins + 1)
    # One event has no duration: a bin is never shorter than the mean distance of its events.
    times[-1] = max(stop, times[-2] + width / EVENTS_PER_BIN)
    events = np.searchsorted(ordered, times)
    events[0], events[-1] = 0, ordered.size
    return (
        np.column_stack((events[:-1], events[1:])) + first,
        np.column_stack((times[:-1], times[1:])),
    )
