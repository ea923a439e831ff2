"""Borders that the visits of a patient share: none may move between the two visits of a pair."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from biocross.flow.evenly import evenly
from biocross.flow.negative_modes import (
    Negatives,
    lower_flank,
    measure_near,
    measure_negatives,
    negative_mode,
    negative_shifts,
)
from biocross.flow.thresholds import (
    MIN_EVENTS,
    MIN_FMO_EVENTS,
    Threshold,
    find_fmo,
    find_mixture,
    find_tail,
    find_valley,
)
from biocross.flow.transforms import Transform, invert_transform, transform_exactly

# Visits share a border as it stands while their negatives lie no farther apart (decades).
SHARED_WITHIN = 0.05
# No change of staining moves the negatives farther (decades); what does is another class of cells.
MAX_SHIFT = 0.5
# A change of gain moves a border on the logarithmic part of the scale by more than the negatives on
# its linear part. More than this many times it is not believed: near zero it may be compensation.
MAX_LEVER = 3.0
# Every sample gives as many events to the pool as the smallest, between these limits.
MIN_SHARE = 5_000
MAX_SHARE = 50_000
# Enough for the place of the negatives: an error of 0.004 decade.
MODE_EVENTS = 20_000
# The flank of cells on the linear part hardly answers; its answer is not magnified without end.
MIN_RESPONSE = 0.5
METHODS = ("valley", "mixture", "tail", "fmo", "fixed")

Values = NDArray[np.float32]
Reals = NDArray[np.float64]


class BorderRule(Protocol):
    """What a strategy says of a border, as far as its estimation needs it."""

    @property
    def method(self) -> str:
        """One of `METHODS`."""

    @property
    def value(self) -> float | None:
        """The border itself, for ``fixed``."""

    @property
    def between(self) -> tuple[float, float] | None:
        """Range in which a border is believed."""


class JointBorder(NamedTuple):
    """The border of one threshold in samples that were looked at together.

    Parameters
    ----------
    values
        The border in every sample, on the transformed scale; NaN where there is none.
    shared
        Whether it is the same place in all of them.
    source
        ``valley``, ``mixture``, ``tail``, ``fmo``, ``fixed`` or ``too_few_events``.
    depth, separation
        Of the valley, of the mixture (see `Threshold`); NaN for other sources.
    negative_modes
        Where the negatives of every sample lie, as far as borders go: `negative_shifts` above a
        typical place; NaN below 50 events.
    n_events
        Number of events that the border rests on.
    note
        What a reader should know of it; empty mostly.
    """

    values: tuple[float, ...]
    shared: bool
    source: str
    depth: float
    separation: float
    negative_modes: tuple[float, ...]
    n_events: int
    note: str


def joint_border(
    values: Sequence[Values],
    batches: Sequence[str],
    rule: BorderRule,
    decades_per_unit: float,
    fmo: Sequence[Values | None] = (),
    transform: Transform | None = None,
) -> JointBorder:
    """Find the border of one threshold in all samples of a patient.

    Samples of one batch whose negatives lie within 0.05 decade share one border, estimated on
    equal shares of their events. Otherwise the events are pooled with the shift of each sample's
    negatives taken out, and each sample gets the border of the pool plus its own shift. A sample
    with too few events for a shift gets the mean of its batch.

    Parameters
    ----------
    values
        Transformed values of each sample's events in the population that shows the border, shape
        (events,) each. One sample alone is ``scope: sample``.
    batches
        The batch of each sample.
    rule
        How the border is to be found.
    decades_per_unit
        Decades of one unit of the transformed scale; NaN for a linear one, where the logarithm
        around the negatives counts.
    fmo
        Per sample its FMO control's values in the same population, or None; the same array may
        serve several samples.
    transform
        The marker's transform. With it a shift of the negatives is taken for a change of gain,
        which moves other places by as much as the scale says (`lever`); without it all places
        move alike.

    Returns
    -------
    JointBorder
        NaN and ``too_few_events`` where the pool (or the FMO controls) has too few events.

    Raises
    ------
    ValueError
        There is no such method, or a fixed border has no value.
    """
    if rule.method not in METHODS or (rule.method == "fixed" and rule.value is None):
        raise ValueError(f'no border can be found by method "{rule.method}", value {rule.value}')
    values = [_finite(column) for column in values]
    looked_at = [evenly(column, MODE_EVENTS) for column in values]
    pool = _pooled(equal_shares(looked_at))
    negatives = measure_negatives(pool)
    per_unit = scale_at(decades_per_unit, negatives.mode)
    reach = MAX_SHIFT / per_unit if per_unit > 0 else math.inf
    measured = [measure_near(column, negatives, reach) for column in looked_at]
    response = flank_response(pool, negatives, reach / 5, transform) if len(values) > 1 else 1.0
    typical, shifts = negative_shifts(measured, response)
    modes = tuple(float(mode) for mode in typical.mode + shifts)
    if rule.method == "fixed" and rule.value is not None:
        n, fixed = sum(column.size for column in values), float(rule.value)
        return JointBorder((fixed,) * len(values), True, "fixed", math.nan, math.nan, modes, n, "")
    filled, notes = _fill(shifts, batches)
    filled = _agreed(filled, batches, SHARED_WITHIN / per_unit if per_unit > 0 else math.inf)
    apart = float(np.ptp(filled)) * per_unit
    shared = not (apart > SHARED_WITHIN or (len(set(batches)) > 1 and apart > 0))
    stained = rule.method != "fmo"
    source = values if stained else _controls(fmo, len(values))
    picked = equal_shares(source)
    if not shared:
        picked = [
            (column - move * lever(column, typical.mode, transform)).astype(np.float32)
            for column, move in zip(picked, filled, strict=True)
        ]
    pool = _pooled(picked)
    found = find_border(pool, rule.method, rule.between)
    moves = np.zeros(len(values))
    if not shared and found.source != "too_few_events":
        moves = filled * lever(np.array([found.value]), typical.mode, transform)
    if not shared:
        notes.insert(0, f"negatives lie {apart:.2f} decade apart: each sample has its own border")
    if found.source == "too_few_events":
        notes = [_too_few(pool.size, stained)]
    return JointBorder(
        tuple(float(found.value + move) for move in moves),
        shared,
        found.source,
        found.depth,
        found.separation,
        modes,
        int(pool.size),
        "; ".join(notes),
    )


def find_border(
    values: Values, method: str, between: tuple[float, float] | None = None
) -> Threshold:
    """Find a border on one set of values by the method that a strategy names.

    Parameters
    ----------
    values
        Transformed values of the events, shape (events,); for ``fmo``, the control's.
    method
        ``valley``, ``mixture``, ``tail`` or ``fmo``. Where there is no valley and no mixture above
        the mode of the negatives, their tail is taken.
    between
        Range in which a border is believed.

    Returns
    -------
    Threshold
        NaN and ``too_few_events`` where the method cannot tell.
    """
    if values.size < (MIN_FMO_EVENTS if method == "fmo" else MIN_EVENTS):
        return Threshold(math.nan, "too_few_events")
    if method == "fmo":
        return find_fmo(values, negative_mode(values), between)
    if method in ("valley", "mixture"):
        found = (
            find_valley(values, between) if method == "valley" else find_mixture(values, between)
        )
        mode = negative_mode(values)
        # Noise that compensation leaves wide has two humps around zero: no border is between them.
        if found.source == "valley" or (found.source == "mixture" and found.value > mode):
            return found
        return find_tail(values, mode, between)._replace(separation=found.separation)
    return find_tail(values, negative_mode(values), between)


def equal_shares(values: Sequence[Values]) -> list[Values]:
    """Take so many values of each sample that all weigh alike in a pool.

    Parameters
    ----------
    values
        Values of every sample, shape (events,) each.

    Returns
    -------
    list of ndarray
        Of every sample as many values as the smallest has, spread evenly over its recording; but
        up to 5,000 even if the smallest has fewer, and never above 50,000.
    """
    sizes = [column.size for column in values if column.size]
    share = min(max(min(sizes, default=0), MIN_SHARE), MAX_SHARE)
    return [evenly(column, share) for column in values]


def lever(
    places: NDArray[np.floating], mode: float, transform: Transform | None
) -> NDArray[np.float64]:
    """Tell how much farther than the negatives a change of gain moves other places of a scale.

    Parameters
    ----------
    places
        Places on the transformed scale, shape (n,).
    mode
        Place of the negatives.
    transform
        The marker's transform; None moves every place alike.

    Returns
    -------
    ndarray
        Shift of each place per shift of the negatives, shape (n,), in [0, 3]: the ratio of the
        scale's slopes by the logarithm of the light. 1 everywhere where the negatives' light is
        not above zero, as a gain cannot be told there.
    """
    if transform is None or not places.size:
        return np.ones(places.size)
    low, high = float(min(places.min(), mode)), float(max(places.max(), mode))
    margin = 1e-3 * max(high - low, 1e-3 * max(abs(high), 1e-6))
    grid = np.linspace(low - margin, high + margin, 512)
    light = invert_transform(grid, transform)
    slope = light * np.gradient(transform_exactly(light, transform), light)
    at_mode = float(np.interp(mode, grid, slope))
    if at_mode <= 0:
        return np.ones(places.size)
    levers: Reals = np.interp(places, grid, np.clip(slope / at_mode, 0.0, MAX_LEVER))
    return levers


def flank_response(
    values: Values, negatives: Negatives, shift: float, transform: Transform | None
) -> float:
    """Tell how far a change of gain moves the lower flank where it moves the mode by 1.

    Parameters
    ----------
    values
        Transformed values of a pool, shape (events,).
    negatives
        Its negatives.
    shift
        Of the mode, to try it with.
    transform
        The marker's transform; None answers 1.

    Returns
    -------
    float
        In [0.5, 1].
    """
    if transform is None or not 0 < negatives.spread < math.inf or not math.isfinite(shift):
        return 1.0
    low = values[values <= negatives.mode + 3 * negatives.spread]
    moved = low + shift * lever(low, negatives.mode, transform)
    flank = lower_flank(moved, negatives.mode + shift, negatives.spread)
    response = (flank - negatives.flank) / shift
    return min(max(response, MIN_RESPONSE), 1.0) if math.isfinite(response) else 1.0


def scale_at(decades_per_unit: float, place: float) -> float:
    """Return the decades of one unit of the scale; of a linear scale, around a place.

    Parameters
    ----------
    decades_per_unit
        NaN for a linear scale.
    place
        A place on the scale.

    Returns
    -------
    float
        `decades_per_unit`, or the slope of the logarithm at the place; 0 where it has none.
    """
    if not math.isnan(decades_per_unit):
        return decades_per_unit
    return 1 / (math.log(10) * abs(place)) if place and math.isfinite(place) else 0.0


def _pooled(values: Sequence[Values]) -> Values:
    return np.concatenate([np.empty(0, dtype=np.float32), *values])


def _finite(column: Values) -> Values:
    return column if np.isfinite(column).all() else column[np.isfinite(column)]


def _fill(shifts: Reals, batches: Sequence[str]) -> tuple[Reals, list[str]]:
    """Give samples without a shift the mean of their batch, or none."""
    unknown = np.isnan(shifts)
    filled = np.where(unknown, 0.0, shifts)
    for position in np.flatnonzero(unknown).tolist():
        mates = [
            shift
            for shift, batch in zip(shifts, batches, strict=True)
            if batch == batches[position] and not math.isnan(shift)
        ]
        filled[position] = np.mean(mates) if mates else 0.0
    if not unknown.any() or len(shifts) == 1:
        return filled, []
    which = ", ".join(str(position + 1) for position in np.flatnonzero(unknown))
    noun = "samples" if unknown.sum() > 1 else "sample"
    return filled, [f"negatives not found, or too few, in {noun} {which}: the others' border"]


def _agreed(shifts: Reals, batches: Sequence[str], tolerance: float) -> Reals:
    """Give the samples of a batch their mean shift where they differ by no more than tolerated."""
    agreed = shifts.copy()
    for batch in set(batches):
        mates = np.array([other == batch for other in batches])
        if np.ptp(shifts[mates]) <= tolerance:
            agreed[mates] = shifts[mates].mean()
    return agreed


def _controls(fmo: Sequence[Values | None], number: int) -> list[Values]:
    """Return every control once, at the first sample that it serves."""
    seen: set[int] = set()
    controls = []
    for position in range(number):
        control = fmo[position] if position < len(fmo) else None
        fresh = control is not None and id(control) not in seen
        controls.append(
            _finite(control) if control is not None and fresh else np.empty(0, dtype=np.float32)
        )
        seen.add(id(control))
    return controls


def _too_few(number: int, stained: bool) -> str:
    if stained:
        return f"{number} events; a border needs {MIN_EVENTS}"
    if not number:
        return "no FMO control has events in this population"
    return f"FMO controls have {number} events in this population; a border needs {MIN_FMO_EVENTS}"
