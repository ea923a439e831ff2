"""Where a marker's negative, dim and bright cells part, judged from events and their clusters."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.thresholds import (
    MIN_EVENTS,
    TAIL_SD,
    Threshold,
    find_mixture,
    find_peaks,
    find_tail,
    find_valley,
    smooth,
)

# A shallower valley is more often a dent than a border.
MIN_DEPTH = 0.1
# A smaller second component, or one of few events, is most often a flank of the first.
MIN_MIXTURE_SHARE, MIN_MIXTURE_EVENTS = 0.05, 500
# So deep a second valley below a border makes the cells between the two dim, not negative.
MIN_LOWER_DEPTH = 0.5
# Cells below a valley are dim, not negative, if they reach this far from no light to the positives.
DIM_FROM = 0.6
# In so deep a valley hardly any events lie; clusters cannot tell better where it is.
CLEAR_DEPTH = 0.5
# Clusters move a border only if they then part clearly better, and well.
MIN_GAIN, MIN_PARTING = 0.05, 2 / 3
# Below this a marker's border cuts through clusters, as where mass cytometry smears it.
FIRM_PARTING = 0.85
# Standard deviations by which the upper clusters stand out of the lower, where events show nothing.
STAND_OUT_SD = 2.0
# Places tried between two clusters.
N_PLACES = 31
# Standard deviations from the mean of a normal distribution to its upper quartile.
QUARTILE_SD = 0.6745

Reals = NDArray[np.float32]


class Levels(NamedTuple):
    """The borders of a marker among some cells, on the transformed scale.

    Parameters
    ----------
    low
        Between negative and positive; -inf if all cells are positive; NaN if not known.
    high
        Between dim and bright; NaN if not known.
    source
        Of `low`: ``valley``, ``mixture``, ``tail``; ``clusters`` where these showed it;
        ``all_positive``; ``bright`` where the cells show `high` alone; ``none`` where there are
        too few.
    depth
        Of the valley at `low` (see `Threshold`); NaN without one.
    parting
        How well `low` parts clusters, 0 to 1 (`find_levels_of_clusters`); NaN if not judged.
    """

    low: float = float("nan")
    high: float = float("nan")
    source: str = "none"
    depth: float = float("nan")
    parting: float = float("nan")

    @property
    def is_clear(self) -> bool:
        """Whether the cells themselves show a border."""
        return self.source in ("valley", "mixture", "clusters")

    @property
    def is_doubtful(self) -> bool:
        """Whether a cluster may lie on the wrong side of `low`."""
        if self.depth >= CLEAR_DEPTH:
            return False
        return self.source == "tail" or self.parting < FIRM_PARTING


def find_levels(values: Reals, zero: float = float("nan")) -> Levels:
    """Find the borders of a marker among some cells.

    A border is the deepest valley of the density, or without one the place where two normal
    distributions are equally likely (`find_valley`, `find_mixture`). If the cells below it bear
    much of the marker themselves, or have a deep valley of their own, it parts dim from bright
    ones; otherwise it parts negative from positive ones, and a valley among the positives parts
    dim from bright. Cells without any border are all positive if their lower flank does not reach
    down to no light, and else negative up to their upper tail.

    Parameters
    ----------
    values
        Transformed values, shape (events,); NaN where a sample lacks the marker.
    zero
        The transformed value of no light; NaN if it is not known.

    Returns
    -------
    Levels
        Unknown below 50 events.
    """
    values = values[np.isfinite(values)]
    if values.size < MIN_EVENTS:
        return Levels()
    border = _find_border(values)
    if border is None:
        return _one_kind(values, zero)
    below, above = values[values <= border.value], values[values > border.value]
    if _mode(below) - zero > DIM_FROM * (_mode(above) - zero):
        return Levels(_one_kind(below, zero).low, border.value, "bright")
    if (lower := find_valley(below)).depth >= MIN_LOWER_DEPTH:
        return Levels(lower.value, border.value, lower.source, lower.depth)
    upper = find_valley(above)
    high = upper.value if upper.depth >= MIN_DEPTH else float("nan")
    return Levels(border.value, high, border.source, border.depth)


def find_levels_of_clusters(
    samples: Sequence[Reals], zero: float = float("nan"), least: float = -np.inf
) -> Levels:
    """Find the borders of a marker among the cells of some clusters.

    Events alone show a border where a valley is deep. Mass cytometry smears markers: much of a
    positive cluster reaches down to the negatives, the valley is shallow and lies where it will,
    or there is none, and then the positives widen what passes for the negatives' tail. But each
    cluster is a sample of one kind of cells. So their medians are split in two where the groups
    differ most (Otsu 1979), and the border goes to where, between those groups, the events part
    best: where the share of events above it is larger by most in clusters that lie above it than
    in clusters that lie below (each cluster alike; the `parting`). It replaces a border that
    parts less well, unless the upper clusters bear so little that it may be noise, which
    clusters slice too; where events show no border at all, the upper clusters must also stand
    out of the lower ones' own width. A deep valley below which hardly any cluster lies is that of
    fragments; where the cells above it show a border that parts clusters, that is taken.

    Parameters
    ----------
    samples
        Of every cluster transformed values, shape (events,); NaN where a sample lacks the marker.
    zero
        See `find_levels`.
    least
        What the median of the upper clusters must exceed.

    Returns
    -------
    Levels
        Those of `find_levels` for all events, if these are all positive, show only what parts dim
        from bright cells, or have a deep valley.

    References
    ----------
    Otsu 1979, IEEE Trans Syst Man Cybern 9:62 (the split).
    """
    kept = [values[np.isfinite(values)] for values in samples]
    kept = [values for values in kept if values.size]
    if not kept:
        return Levels()
    levels = _beyond_fragments(kept, find_levels(np.concatenate(kept), zero), zero)
    if levels.source in ("all_positive", "bright", "none"):
        return levels
    levels = levels._replace(parting=_parting(kept, levels.low))
    if levels.depth >= CLEAR_DEPTH or len(kept) == 1:
        return levels
    lower, upper = _two_groups(kept)
    ends = np.median(lower[-1]), np.median(upper[0])
    places = np.linspace(*ends, N_PLACES + 2)[1:-1]
    partings = [_parting(kept, float(place)) for place in places]
    best = int(np.argmax(partings))
    if partings[best] < max(MIN_PARTING, levels.parting + MIN_GAIN):
        return levels
    if not _are_positive(lower, upper, least, levels.is_clear):
        return levels
    low = float(places[best])
    high = levels.high if levels.high > low else float("nan")
    return Levels(low, high, "clusters", parting=partings[best])


def _beyond_fragments(samples: Sequence[Reals], levels: Levels, zero: float) -> Levels:
    """Look above a deep valley that parts hardly any clusters: that of fragments, for example."""
    parting = _parting(samples, levels.low)
    if not (levels.depth >= CLEAR_DEPTH and parting < MIN_PARTING):
        return levels
    values = np.concatenate(samples)
    above = find_levels(values[values > levels.low], zero)
    return above if above.is_clear and _parting(samples, above.low) >= MIN_PARTING else levels


def _parting(samples: Sequence[Reals], border: float) -> float:
    """Return by how much the shares above a border differ between clusters above and below it."""
    shares = np.array([np.mean(values > border) for values in samples])
    above = shares > 0.5
    if above.all() or not above.any():
        return 0.0
    return float(shares[above].mean() - shares[~above].mean())


def _two_groups(samples: Sequence[Reals]) -> tuple[list[Reals], list[Reals]]:
    """Split clusters where the medians of the two groups differ most; both in ascending order."""
    medians = np.array([np.median(values) for values in samples], dtype=np.float64)
    order = np.argsort(medians, kind="stable")
    below = np.arange(1, order.size)
    above = order.size - below
    sums = np.cumsum(medians[order])
    means = sums[:-1] / below, (sums[-1] - sums[:-1]) / above
    n_lower = int(np.argmax(below * above * np.square(means[1] - means[0]))) + 1
    ordered = [samples[i] for i in order]
    return ordered[:n_lower], ordered[n_lower:]


def _are_positive(
    lower: Sequence[Reals], upper: Sequence[Reals], least: float, is_clear: bool
) -> bool:
    """Tell whether the upper clusters bear more than noise."""
    middle = float(np.median(np.concatenate(upper)))
    if is_clear:
        return middle > least
    events = np.concatenate(lower)
    mode = _mode(events)
    return middle > max(least, mode + STAND_OUT_SD * max(_sds(events, mode)))


def _find_border(values: Reals) -> Threshold | None:
    valley = find_valley(values)
    if valley.source == "valley" and valley.depth >= MIN_DEPTH:
        return valley
    if values.size < MIN_MIXTURE_EVENTS:
        return None
    fitted = find_mixture(values)
    share = float(np.mean(values > fitted.value))
    is_real = fitted.source == "mixture" and min(share, 1 - share) >= MIN_MIXTURE_SHARE
    return fitted if is_real else None


def _one_kind(values: Reals, zero: float) -> Levels:
    mode = _mode(values)
    below, above = _sds(values, mode)
    # As far below the mode as the tail is above it.
    if mode - TAIL_SD * below > zero:
        return Levels(-np.inf, source="all_positive")
    return Levels(mode + TAIL_SD * max(below, above), source="tail")


def _sds(values: Reals, mode: float) -> tuple[float, float]:
    """Estimate how wide cells of one kind are, from below their mode and from above it.

    Mass cytometry has no negatives below zero; there the upper flank alone shows the width.
    """
    above = values[values > mode] - mode
    upper = float(np.median(above)) if above.size else 0.0
    return (find_tail(values, mode).value - mode) / TAIL_SD, upper / QUARTILE_SD


def _mode(values: Reals) -> float:
    grid, density, effective = smooth(values.astype(np.float64))
    peaks = find_peaks(density, effective)
    return float(grid[max(peaks, key=lambda peak: density[peak])])
