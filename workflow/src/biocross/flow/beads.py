"""Count the counting beads of a sample: single ones, acquired while the flow was steady."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.gate_regions import Region
from biocross.cohort.vocabulary import COUNTING_BEADS
from biocross.flow.events import Events
from biocross.flow.gate_shapes import inside_region
from biocross.flow.losses import BEADS

# Quality steps that judge the recording, cells and beads alike.
_OF_TIME = ("flow_rate", "time")
_OUT_OF_RANGE = ("nonfinite", "margin")

Mask = NDArray[np.bool_]


def has_beads(meta: Mapping[str, str]) -> bool:
    """Return whether counting beads were added to a sample, by its `META_NAMES`."""
    return bool(meta.get("beads_added"))


def acquired_steadily(sample: Events) -> Mask:
    """Return which events are in range and were acquired while flow and signals were steady.

    The steps over time judge cells alone. So that beads lose the same stretches of the recording,
    every other event goes with the judged one that is nearest to it in the order of acquisition.

    Parameters
    ----------
    sample
        Prepared events.

    Returns
    -------
    ndarray of bool
        Shape (events,); dead cells, doublets and beads among them.
    """
    flagged = _set_aside_by(sample, _OF_TIME)
    judged = np.flatnonzero((sample.quality == 0) | flagged)
    in_range = ~_set_aside_by(sample, _OUT_OF_RANGE)
    if not judged.size:
        return in_range
    order = np.arange(sample.quality.size)
    after = np.minimum(np.searchsorted(judged, order), judged.size - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(judged[before] - order) < np.abs(judged[after] - order)
    nearest = judged[np.where(nearer, before, after)]
    return np.asarray(in_range & ~flagged[nearest])


def find_beads(sample: Events, inside: Mask | None = None) -> Mask:
    """Return which events are counting beads that count.

    Parameters
    ----------
    sample
        Prepared events.
    inside
        Events of a gate that was drawn for beads, shape (events,); None takes the single beads
        that the quality steps found.

    Returns
    -------
    ndarray of bool
        Shape (events,); only those that were acquired steadily. None where no beads were added.
    """
    if not has_beads(sample.meta):
        return np.zeros(sample.quality.size, dtype=np.bool_)
    found = _set_aside_by(sample, (BEADS,)) if inside is None else inside
    return np.asarray(found & acquired_steadily(sample))


def inside_bead_gate(sample: Events, gate: Region | None) -> Mask | None:
    """Return the events of a strategy's own gate for beads; None where it has no such gate.

    Where the file lacks a marker of the gate, no event lies inside.
    """
    if gate is None:
        return None
    if not all(marker in sample.values for marker in gate.markers):
        return np.zeros(sample.quality.size, dtype=np.bool_)
    return inside_region(gate, [sample.values[marker] for marker in gate.markers])


def bead_row(sample: Events, beads: Mask) -> dict[str, object]:
    """Make the row of a sample's counting beads among its counts."""
    return {
        "sample_id": sample.meta["sample_id"],
        "population": COUNTING_BEADS,
        "parent": "",
        "count": int(np.count_nonzero(beads)),
    }


def _set_aside_by(sample: Events, steps: Sequence[str]) -> Mask:
    named = sample.meta.get("flag_steps", "").split(",")
    numbers = [number for number, step in enumerate(named, 1) if step in steps]
    return np.isin(sample.quality, numbers)
