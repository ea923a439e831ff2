"""Flag events that are not single, whole cells, by their scatter."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.quality.strata import scatter_strata
from biocross.flow.thresholds import find_peaks

MAD_TO_SD = 1.4826
OFF_SCALE_SHARE = 0.001

MIN_EVENTS = 30
BIN = 0.005  # of log(area / height): half a per cent
BINS = 320
# Doublets begin 20 % above; a border nearer than 10 % would only take the tail of single cells.
MIN_SPREAD = 0.025
# Two cells that overlap by two thirds have 1.2 times the area of one for their height (log: 0.18);
# kinds of cells differ by less. Above this distance from the main kind, no peak is one of single
# cells; and a border above the next gives way, because most doublets begin there.
MAX_CLASS_SHIFT = 0.17
DOUBLETS_FROM = 0.2
# A peak of single cells has events, and has fallen to a fifth within 3.5 standard deviations.
MIN_CLASS_EVENTS = 15
CLASS_ENDS = 3.5
CLASS_FALL = 0.2
# Where a kind of cells makes no peak of its own, but stands out in strata this near (in log SSC
# and log height), the border leaves room for this many of its robust standard deviations.
CLASS_REACH = (0.4, 0.25)
CLASS_SPREADS = 2.5
MAX_SLOPE = 0.3

_PULSE = re.compile(
    r"(?P<light>FSC?|SSC?)(?:[ _.-]*(?P<part>A|AREA|INT|H|HEIGHT|PEAK|W|WIDTH|TOF))?"
    r"(?:[ _.-]*LIN(?:EAR)?)?"
)
_PARTS = {
    **dict.fromkeys(("A", "AREA", "INT"), "area"),
    **dict.fromkeys(("H", "HEIGHT", "PEAK"), "height"),
    **dict.fromkeys(("W", "WIDTH", "TOF"), "width"),
}


class PulseChannels(NamedTuple):
    """The two measurements of a pulse that tell one cell from two.

    Parameters
    ----------
    area, second
        Names as given: the area of the pulse, and its height or width.
    kind
        ``height`` or ``width``: what ``second`` is.
    light
        ``FSC`` or ``SSC``.
    """

    area: str
    second: str
    kind: str
    light: str


def flag_nonfinite(events: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Flag events with a missing or infinite value in any channel, shape (events,)."""
    return np.asarray(~np.isfinite(events).all(axis=1))


def flag_margin(fsc_area: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Flag events without forward scatter.

    Parameters
    ----------
    fsc_area
        Raw FSC-A, shape (events,).

    Returns
    -------
    ndarray of bool
        True where FSC-A is zero or negative.
    """
    return np.asarray(fsc_area <= 0)


def off_scale_share(values: NDArray[np.float32], top: float) -> float:
    """Measure the share of events that pile up at the top of a channel's scale.

    Such events are kept: they are cells brighter than the detector could say. The low end of a
    fluorescence channel is never a margin, because compensation spreads negative cells below 0.

    Parameters
    ----------
    values
        Raw values of a scatter or fluorescence channel, shape (events,).
    top
        Top of the scale, ``$PnR`` in the units of the values.

    Returns
    -------
    float
        Share of the events within the last 0.1 % of the scale or beyond it; 0 without events.
    """
    if values.size == 0:
        return 0.0
    return float(np.count_nonzero(values >= (1 - OFF_SCALE_SHARE) * top) / values.size)


def pulse_channels(names: Sequence[str]) -> PulseChannels | None:
    """Choose the channels that tell doublets from single cells.

    Forward scatter goes before side scatter, whose pulse also depends on where the granules lie,
    and height before width, which many cytometers measure coarsely.

    Parameters
    ----------
    names
        Names of channels or markers, such as FSC-A, ``FSC.H``, ``FS PEAK LIN`` or ``SSC_Width``.

    Returns
    -------
    PulseChannels or None
        None where no pulse has an area beside a height or a width.
    """
    found: dict[tuple[str, str], str] = {}
    for name in names:
        match = _PULSE.fullmatch(name.strip().upper())
        if match and match["part"]:
            light = match["light"][0] + "SC"
            found.setdefault((light, _PARTS[match["part"]]), name)
    for light in ("FSC", "SSC"):
        for kind in ("height", "width"):
            if (light, "area") in found and (light, kind) in found:
                return PulseChannels(found[light, "area"], found[light, kind], kind, light)
    return None


def height_from_width(area: NDArray[np.float32], width: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the height of a pulse, in arbitrary units, from its area and width.

    Parameters
    ----------
    area, width
        Raw values, shape (events,).

    Returns
    -------
    ndarray
        Area / width; 0 where the width is not positive.
    """
    return np.divide(area, width, out=np.zeros_like(area), where=width > 0)


def flag_doublets(
    fsc_area: NDArray[np.float32],
    fsc_height: NDArray[np.float32],
    ssc_area: NDArray[np.float32] | None = None,
    n_mad: float = 4.0,
) -> NDArray[np.bool_]:
    """Flag events whose forward-scatter area is too large for their height.

    What is judged is log(area / height), freed of its slope on log height. Within strata of side
    scatter and height, single cells are a narrow peak of it, and doublets a broad shoulder above.
    The border stands ``n_mad`` robust standard deviations above the peak, these measured from the
    events below the peak alone, because doublets widen the other side. Strata go by the value of
    the scatter, not by its rank, so that a rare kind of cells with a larger area for its height
    (eosinophils) has strata where it is the peak, and its border reaches into the strata beside
    them. That the strata are also of height parts these cells from the doublets of a smaller kind,
    which have the same side scatter.

    Parameters
    ----------
    fsc_area, fsc_height
        Raw FSC-A and FSC-H, shape (events,).
    ssc_area
        Raw SSC-A, shape (events,). Without it the strata are of height alone.
    n_mad
        Border, in robust standard deviations (1.4826 MAD) above the single cells of a stratum.

    Returns
    -------
    ndarray of bool
        True for doublets. Events without a positive area and height have no pulse to judge and
        are not flagged, nor is any among fewer than 30 that have one.

    References
    ----------
    Wersto 2001, Cytometry 46:296 (area against height of a pulse).
    """
    with np.errstate(invalid="ignore"):
        judged = (fsc_area > 0) & (fsc_height > 0) & np.isfinite(fsc_area) & np.isfinite(fsc_height)
    flagged = np.zeros(judged.shape, dtype=bool)
    if np.count_nonzero(judged) < MIN_EVENTS:
        return flagged
    area, height = fsc_area[judged], fsc_height[judged]
    shape = np.log(area / height).astype(np.float64)
    size = np.log(height / np.median(height))
    position, centres = scatter_strata(None if ssc_area is None else ssc_area[judged], size)
    shape -= _slope(shape, size, position, len(centres)) * size
    flagged[judged] = shape > _borders(shape, position, centres, n_mad)[position]
    return flagged


def _slope(
    shape: NDArray[np.float64],
    size: NDArray[np.floating],
    position: NDArray[np.intp],
    n_strata: int,
) -> float:
    """Estimate the slope of log(area / height) on log height, common to all strata."""
    grid, counts = _histogram(shape, position, n_strata)
    middle = _quantile(grid, counts, 0.5)
    spread = _typical_spread(grid, counts)
    core = np.abs(shape - middle[position]) < 3 * spread
    where, size, shape = position[core], size[core].astype(np.float64), shape[core]
    number = np.maximum(np.bincount(where, minlength=n_strata), 1)
    size = size - (np.bincount(where, size, n_strata) / number)[where]
    variance = float(size @ size)
    # Heights that differ by less than 2 % have no slope to speak of.
    if variance <= 4e-4 * shape.size:
        return 0.0
    return float(np.clip(size @ shape / variance, -MAX_SLOPE, MAX_SLOPE))


def _borders(
    shape: NDArray[np.float64],
    position: NDArray[np.intp],
    centres: NDArray[np.float64],
    n_mad: float,
) -> NDArray[np.float64]:
    """Find the border between single cells and doublets in each stratum."""
    grid, counts = _histogram(shape, position, len(centres))
    typical = _typical_spread(grid, counts)
    density, effective = _smooth(counts, 0.4 * typical)
    main = float(grid[density.sum(axis=0).argmax()])
    window = np.flatnonzero(
        (grid > main - max(0.3, 4 * typical)) & (grid < main + max(MAX_CLASS_SHIFT, 2 * typical))
    )
    own = np.full(len(centres), np.nan)
    shared = np.full(len(centres), -np.inf)
    for number in range(len(centres)):
        peaks = _class_peaks(density[number], counts[number], effective, typical, window)
        if not peaks:
            continue
        highest = max(peaks, key=lambda peak: density[number, peak])
        spread = _lower_spread(grid, counts[number], highest, typical)
        nearer, usual = min(n_mad, CLASS_SPREADS) * spread, n_mad * spread
        own[number] = np.clip(main + DOUBLETS_FROM, grid[highest] + nearer, grid[highest] + usual)
        shared[number] = grid[peaks[-1]] + nearer
    known = np.flatnonzero(~np.isnan(own))
    if known.size == 0:
        return np.full(len(centres), main + n_mad * typical)
    apart = np.abs(centres[:, None] - centres)
    nearest = np.square(apart[:, known]).sum(axis=2).argmin(axis=1)
    near = (apart <= CLASS_REACH).all(axis=2)
    return np.asarray(np.maximum(own[known[nearest]], np.where(near, shared, -np.inf).max(axis=1)))


def _class_peaks(
    density: NDArray[np.float64],
    counts: NDArray[np.intp],
    effective: float,
    typical: float,
    window: NDArray[np.intp],
) -> list[int]:
    """Find the peaks of a stratum that are kinds of single cells: narrow ones in the window."""
    reach = int(np.ceil(2 * typical / BIN))
    beyond = int(np.ceil(CLASS_ENDS * typical / BIN))
    peaks = []
    for peak in find_peaks(density, effective):
        if not window[0] < peak < window[-1]:
            continue
        enough = counts[max(0, peak - reach) : peak + reach + 1].sum() >= MIN_CLASS_EVENTS
        # Doublets rise steeply where two cells overlap most, but then they fall slowly.
        narrow = density[min(peak + beyond, BINS - 1)] < CLASS_FALL * density[peak]
        if enough and narrow:
            peaks.append(peak)
    return peaks


def _histogram(
    shape: NDArray[np.float64], position: NDArray[np.intp], n_strata: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Count events by stratum and log(area / height); returns grid (bins,) and counts."""
    low = float(np.median(shape)) - BIN * BINS / 2
    bins = np.clip((shape - low) / BIN, 0, BINS - 1).astype(np.intp)
    counts = np.bincount(position * BINS + bins, minlength=n_strata * BINS)
    grid = (low + BIN * (np.arange(BINS) + 0.5)).astype(np.float64)
    return grid, counts.reshape(n_strata, BINS)


def _quantile(
    grid: NDArray[np.float64], counts: NDArray[np.intp], share: float
) -> NDArray[np.float64]:
    """Read a quantile of each stratum off its histogram, shape (strata,)."""
    reached = counts.cumsum(axis=1) >= share * counts.sum(axis=1, keepdims=True)
    return np.asarray(grid[reached.argmax(axis=1)])


def _typical_spread(grid: NDArray[np.float64], counts: NDArray[np.intp]) -> float:
    """Measure the spread of most events' strata, from the half below each median."""
    spreads = MAD_TO_SD * (_quantile(grid, counts, 0.5) - _quantile(grid, counts, 0.25))
    order = np.argsort(spreads, kind="stable")
    events = counts.sum(axis=1)[order].cumsum()
    middle = order[int(np.searchsorted(events, events[-1] / 2))]
    return max(float(spreads[middle]), MIN_SPREAD)


def _lower_spread(
    grid: NDArray[np.float64], counts: NDArray[np.intp], peak: int, typical: float
) -> float:
    """Measure the robust standard deviation of the events below a peak.

    Another kind of cells below would widen it: it stays near the spread of the other strata.
    """
    below = counts[: peak + 1].cumsum()
    middle = grid[int(np.searchsorted(below, below[-1] / 2))]
    spread = MAD_TO_SD * float(grid[peak] - middle)
    return float(np.clip(spread, max(0.7 * typical, MIN_SPREAD), 1.3 * typical))


def _smooth(counts: NDArray[np.intp], bandwidth: float) -> tuple[NDArray[np.float64], float]:
    """Smooth each stratum's histogram; returns it and the bins that smoothing averages over."""
    # The kernel must stay shorter than the histogram.
    bandwidth = float(np.clip(bandwidth, BIN, BIN * BINS / 16))
    reach = int(np.ceil(4 * bandwidth / BIN))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) * BIN / bandwidth))
    kernel /= kernel.sum()
    density = np.array([np.convolve(row, kernel, mode="same") for row in counts])
    return density, 1.0 / float(np.square(kernel).sum())
