"""What would be counted if the borders of a gate stood a little higher or lower.

A shift is in decades, upwards where it is positive. It moves the thresholds of a population's own
gate, not those of the gates above it, and not its regions.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.strategy import ROOT, Gate
from biocross.cohort.vocabulary import Vocabulary, counted_parent
from biocross.flow.gate_counts import why_unknown
from biocross.flow.gate_tree import Gating, Indices

SHIFTED_COLUMNS = ("sample_id", "population", "threshold", "shift", "count", "parent_count")
ALL_THRESHOLDS = "all"
# Of the specification curve, and fine enough to find the shift that abolishes a finding.
SPECIFICATION_SHIFTS = (-0.1, -0.05, 0.05, 0.1)
TIPPING_SHIFTS = tuple(round(0.02 * step, 2) for step in range(-15, 16))
SHIFTS = tuple(sorted({*SPECIFICATION_SHIFTS, *TIPPING_SHIFTS}))

Shifts = NDArray[np.float64]


class Passing(NamedTuple):
    """The shifts at which events pass the thresholds that are moved.

    Parameters
    ----------
    events
        Indices of the events that pass everything else, shape (events,).
    low, high
        Each passes where low <= shift < high, in decades, shape (events,).
    """

    events: Indices
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def count_at(self, shifts: Shifts) -> NDArray[np.intp]:
        """Count the events that pass at each shift, by one sort for all shifts."""
        some = self.low < self.high
        entered = np.searchsorted(np.sort(self.low[some]), shifts, "right")
        left = np.searchsorted(np.sort(self.high[some]), shifts, "right")
        return entered - left

    def events_at(self, shift: float) -> Indices:
        """Return the events that pass at one shift."""
        return self.events[(self.low <= shift) & (shift < self.high)]


def shifted_counts(
    gating: Gating,
    populations: Sequence[str],
    shifts: Sequence[float],
    decades_per_unit: Mapping[str, float],
    vocabulary: Vocabulary,
    order: Sequence[str],
) -> Iterator[dict[str, object]]:
    """Count populations with the thresholds of their own gates shifted.

    Parameters
    ----------
    gating
        The gated samples.
    populations
        Whose gates are shifted; those without a threshold on a scale with decades have no rows.
    shifts
        In decades.
    decades_per_unit
        By marker; thresholds of markers where it is NaN, or absent, stay where they are.
    vocabulary
        Gives the parents.
    order
        Populations that are counted.

    Yields
    ------
    dict
        Rows with `SHIFTED_COLUMNS`, for one threshold at a time and, where there are several, for
        all of them together (``threshold`` is ``all``); counts are empty where the population is
        not known.
    """
    for name in populations:
        gate = gating.strategy.gates[name]
        movable = [
            threshold
            for threshold in dict.fromkeys(threshold for threshold, _ in gate.signs)
            if np.isfinite(_decades(gating, threshold, decades_per_unit))
        ]
        together = {ALL_THRESHOLDS: movable} if len(movable) > 1 else {}
        for label, moved in {**{one: [one] for one in movable}, **together}.items():
            numbers = _counts(gating, gate, moved, shifts, decades_per_unit, vocabulary, order)
            for sample, of_sample in zip(gating.samples, numbers, strict=True):
                for shift, (count, parent_count) in zip(shifts, of_sample, strict=True):
                    yield {
                        "sample_id": sample.meta["sample_id"],
                        "population": name,
                        "threshold": label,
                        "shift": shift,
                        "count": count,
                        "parent_count": parent_count,
                    }


def passing(
    gating: Gating, gate: Gate, moved: Sequence[str], decades_per_unit: Mapping[str, float]
) -> list[Passing]:
    """Find at which shifts of some of its thresholds a gate's events pass it.

    An event whose value is r decades above a border is above the shifted border while shift < r,
    and not above it from there on.

    Parameters
    ----------
    gating
        The gated samples.
    gate
        A gate of its strategy.
    moved
        Names of the thresholds that are shifted together.
    decades_per_unit
        By marker.

    Returns
    -------
    list of Passing
        One per sample.
    """
    others = gate._replace(signs=tuple(sign for sign in gate.signs if sign[0] not in moved))
    found = []
    for position, events in enumerate(gating.select(others)):
        low = np.full(events.size, -np.inf)
        high = np.full(events.size, np.inf)
        for threshold, positive in gate.signs:
            if threshold not in moved:
                continue
            marker = gating.strategy.thresholds[threshold].marker
            border = gating.borders_of(threshold, gate.under)[position]
            column = gating.samples[position].values.get(marker)
            if column is None or np.isnan(border):
                events, low, high = events[:0], low[:0], high[:0]
                break
            above = (column[events].astype(np.float64) - border) * decades_per_unit[marker]
            if positive:
                np.minimum(high, above, out=high)
            else:
                np.maximum(low, above, out=low)
        found.append(Passing(events, low, high))
    return found


def _counts(
    gating: Gating,
    gate: Gate,
    moved: Sequence[str],
    shifts: Sequence[float],
    decades_per_unit: Mapping[str, float],
    vocabulary: Vocabulary,
    order: Sequence[str],
) -> list[list[tuple[int | None, int | None]]]:
    """Return count and parent's count, by sample and shift."""
    name = gate.population
    parent = counted_parent(name, vocabulary, order) or ROOT
    found = passing(gating, gate, moved, decades_per_unit)
    gating.members(parent)  # its borders are found before anything moves
    counts = [of_sample.count_at(np.array(shifts)) for of_sample in found]
    if gating.rests_on(parent, name):
        changed = [gating.replaced(name, [one.events_at(s) for one in found]) for s in shifts]
        parents = [[g.members(parent)[i].size for g in changed] for i in range(len(found))]
    else:
        parents = [[members.size] * len(shifts) for members in gating.members(parent)]
    numbers: list[list[tuple[int | None, int | None]]] = []
    for position in range(len(found)):
        known = not why_unknown(gating, position, name, vocabulary)
        parent_known = not why_unknown(gating, position, parent, vocabulary)
        numbers.append(
            [
                (int(count) if known else None, int(total) if parent_known else None)
                for count, total in zip(counts[position], parents[position], strict=True)
            ]
        )
    return numbers


def _decades(gating: Gating, threshold: str, decades_per_unit: Mapping[str, float]) -> float:
    return decades_per_unit.get(gating.strategy.thresholds[threshold].marker, float("nan"))
