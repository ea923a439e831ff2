"""Find the border between the negative and the positive cells of a marker."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

GRID_SIZE = 512
MIN_EVENTS = 50
MIN_RISE_SD = 3.0
# The bandwidth suits the many; rare cells are spread too thin for it and show at a wider one.
WIDENED = (1.0, 2.0, 4.0)
TAIL_SD = 3.0
# A mixture is believed where its two components are distinct and neither is a handful of events.
MIN_SEPARATION = 2.0
MIN_MINOR_SHARE = 0.001
# Below 200 events the 99.5th percentile is the largest value but one, or less.
MIN_FMO_EVENTS = 200
FMO_PERCENTILE = 99.5


class Threshold(NamedTuple):
    """A border on the transformed scale.

    Parameters
    ----------
    value
        The border; an event is positive above it.
    source
        How it was found: ``fixed``, ``valley``, ``mixture``, ``fmo``; ``tail`` also where there
        was no valley, or no mixture of two; ``too_few_events``.
    depth
        1 - density at the valley / density at the lower of its two peaks; NaN without a valley.
    separation
        Ashman's D of the two components of a mixture, also of one that was refused; else NaN.
    """

    value: float
    source: str
    depth: float = float("nan")
    separation: float = float("nan")


def find_valley(
    values: NDArray[np.float32], between: tuple[float, float] | None = None
) -> Threshold:
    """Find the valley between the two most prominent modes of a density.

    The density is a Gaussian-smoothed histogram (Silverman's bandwidth). A valley counts if the
    density rises on both its sides by more than counting noise (3 standard deviations). Of those,
    the two modes are kept whose separating valley is deepest relative to the lower mode. Without
    one the valley is sought at twice and four times the bandwidth, at which rare cells stand out
    (0.1 % of 20,000 events: in 97 of 100 cases instead of none, and no oftener where there are
    none). Without any the border is the upper tail of the negatives: their mode + 3 robust
    standard deviations of the values below it.

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
    exact = np.asarray(values, dtype=np.float64)
    for widen in WIDENED:
        found = _deepest_valley(*smooth(exact, widen), between)
        if found.source == "valley":
            return found
    grid, density, effective = smooth(exact)
    return find_tail(values, float(grid[find_peaks(density, effective)[0]]), between)


def _deepest_valley(
    grid: NDArray[np.float64],
    density: NDArray[np.float64],
    effective: float,
    between: tuple[float, float] | None,
) -> Threshold:
    best = Threshold(float("nan"), "none", 0.0)
    peaks = find_peaks(density, effective)
    for left, right in itertools.pairwise(peaks):
        bottom = left + int(np.argmin(density[left : right + 1]))
        if between and not between[0] <= grid[bottom] <= between[1]:
            continue
        depth = 1.0 - density[bottom] / min(density[left], density[right])
        if depth > best.depth:
            best = Threshold(float(grid[bottom]), "valley", float(depth))
    return best


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


def find_mixture(
    values: NDArray[np.float32], between: tuple[float, float] | None = None
) -> Threshold:
    """Put the border where an event is as likely negative as positive.

    Two normal distributions are fitted to a histogram by expectation-maximisation, starting from
    the events on either side of the valley (or of the tail). The mixture is refused where Ashman's
    D = |difference of means| / sqrt(mean of the two variances) is below 2, where one component
    has less than 0.1 % of the events, or where the border leaves `between`; the border is then
    that of `find_valley`.

    Parameters
    ----------
    values
        Transformed values of the events, shape (events,).
    between
        Range in which the border is believed; None is the whole range.

    Returns
    -------
    Threshold
        With its `separation`; NaN and ``too_few_events`` below 50 events.

    References
    ----------
    Ashman, Bird & Zepf 1994, Astron J 108:2348 (D > 2); McLachlan & Jones 1988, Biometrics
    44:571 (EM on binned values).
    """
    start = find_valley(values, between)
    if start.source == "too_few_events":
        return start
    exact = np.asarray(values, dtype=np.float64)
    fitted = _fit_two_normals(exact, start.value)
    border, separation = (float("nan"), float("nan"))
    if fitted is not None:
        shares, means, sds = fitted
        separation = float((means[1] - means[0]) / np.sqrt(np.mean(np.square(sds))))
        if separation >= MIN_SEPARATION and min(shares) >= MIN_MINOR_SHARE:
            border = _equal_posterior(shares, means, sds)
    if np.isnan(border) or (between and not between[0] <= border <= between[1]):
        return start._replace(separation=separation)
    return Threshold(border, "mixture", separation=separation)


def find_fmo(
    control: NDArray[np.float32], mode: float, between: tuple[float, float] | None = None
) -> Threshold:
    """Put the border above an FMO control: the same population, stained without the marker.

    Parameters
    ----------
    control
        Transformed values of the control's events in the population, shape (events,).
    mode
        Mode of these events.
    between
        Range that the border may not leave.

    Returns
    -------
    Threshold
        The 99.5th percentile, but no lower than the tail of the control (mode + 3 standard
        deviations); NaN and ``too_few_events`` below 200 events.

    References
    ----------
    Roederer 2001, Cytometry 45:194 (FMO controls).
    """
    if control.size < MIN_FMO_EVENTS:
        return Threshold(float("nan"), "too_few_events")
    percentile = float(np.percentile(control, FMO_PERCENTILE))
    value = max(percentile, find_tail(control, mode).value)
    return Threshold(float(np.clip(value, *between)) if between else value, "fmo")


def _fit_two_normals(
    values: NDArray[np.float64], border: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Return shares, means and SDs of two normal components, the lower one first."""
    low, high = float(values.min()), float(values.max())
    if not low < border < high:
        border = float(values.mean())
    if low == high:
        return None
    counts, edges = np.histogram(values, GRID_SIZE, (low, high))
    step = edges[1] - edges[0]
    places = (edges[:-1] + edges[1:]) / 2
    upper = (places > border).astype(np.float64)
    weights = np.stack([1 - upper, upper])
    before = np.zeros((3, 2))
    for _ in range(500):
        mass = weights * counts
        total = mass.sum(axis=1)
        if (total < 2).any():
            return None
        means = mass @ places / total
        squares = np.square(places - means[:, None])
        # Binning adds a twelfth of a squared step (Sheppard); half a step is the least spread.
        variances = (mass * squares).sum(axis=1) / total - step**2 / 12
        sds = np.sqrt(np.maximum(variances, (step / 2) ** 2))
        shares = total / total.sum()
        after = np.stack([shares, means, sds])
        if np.abs(after - before).max() < 1e-6 * (high - low):
            break
        before = after
        logs = np.log(shares / sds)[:, None] - 0.5 * squares / np.square(sds)[:, None]
        weights = np.exp(logs - logs.max(axis=0))
        weights /= weights.sum(axis=0)
    order = np.argsort(means)
    return shares[order], means[order], sds[order]


def _equal_posterior(
    shares: NDArray[np.float64], means: NDArray[np.float64], sds: NDArray[np.float64]
) -> float:
    """Return the place between the means where both components are equally likely, or NaN."""
    places = np.linspace(means[0], means[1], 4 * GRID_SIZE)
    logs = [
        np.log(share / sd) - 0.5 * np.square((places - mean) / sd)
        for share, mean, sd in zip(shares, means, sds, strict=True)
    ]
    above = logs[1] > logs[0]
    if above[0] or not above[-1]:
        return float("nan")
    first = int(np.argmax(above))
    return float((places[first - 1] + places[first]) / 2)


def smooth(
    values: NDArray[np.float64], widen: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Draw a density: a histogram smoothed by a Gaussian of Silverman's bandwidth.

    Parameters
    ----------
    values
        Transformed values, shape (events,), at least one.
    widen
        Factor of the bandwidth.

    Returns
    -------
    grid, density, effective
        Places and events per grid step, shape (512,), and the steps under the smoothing kernel.
    """
    # All but the ten outermost events: rare cells lie at the end too.
    beyond = min(0.05, 1000 / values.size)
    low, high = np.percentile(values, [beyond, 100 - beyond])
    iqr = float(np.subtract(*np.percentile(values, [75, 25])))
    spread = min(float(values.std()), iqr / 1.34) if iqr > 0 else float(values.std())
    # Equal values have no spread: the last term keeps the grid wider than rounding.
    rounding = 1e-7 * max(1.0, abs(low), abs(high))
    bandwidth = max(0.9 * spread * values.size**-0.2, (high - low) / 200, rounding) * widen
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
