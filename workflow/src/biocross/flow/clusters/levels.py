"""Where a marker's negative, dim and bright cells part, judged from pooled events alone."""

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
        Of `low`: ``valley``, ``mixture``, ``tail``; ``all_positive``; ``bright`` where the cells
        show `high` alone; ``none`` where there are too few.
    """

    low: float = float("nan")
    high: float = float("nan")
    source: str = "none"

    @property
    def is_clear(self) -> bool:
        """Whether the cells themselves show a border."""
        return self.source in ("valley", "mixture")


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
        return Levels(lower.value, border.value, lower.source)
    upper = find_valley(above)
    high = upper.value if upper.depth >= MIN_DEPTH else float("nan")
    return Levels(border.value, high, border.source)


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
    tail = find_tail(values, mode).value
    # As far below the mode as the tail is above it.
    if 2 * mode - tail > zero:
        return Levels(-np.inf, source="all_positive")
    # Mass cytometry has no negatives below zero; there the upper flank shows how wide they are.
    above = values[values > mode] - mode
    upper = np.median(above) if above.size else 0.0
    return Levels(max(tail, mode + TAIL_SD * float(upper) / QUARTILE_SD), source="tail")


def _mode(values: Reals) -> float:
    grid, density, effective = smooth(values.astype(np.float64))
    peaks = find_peaks(density, effective)
    return float(grid[max(peaks, key=lambda peak: density[peak])])
