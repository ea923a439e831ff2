"""Flag the events of one sample step by step, with a row in the ledger for each step."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import Channel
from biocross.flow.losses import BEAD_CLUMPS, BEADS
from biocross.flow.quality.counting_beads import MIN_CHANNELS, find_counting_beads
from biocross.flow.quality.flow_rate import flag_flow_rate
from biocross.flow.quality.mass import flag_beads, flag_dna, flag_event_length, flag_gaussian
from biocross.flow.quality.scatter import (
    flag_doublets,
    flag_margin,
    flag_nonfinite,
    height_from_width,
    pulse_channels,
)
from biocross.flow.quality.time import flag_time_anomalies
from biocross.flow.quality.viability import flag_dead
from biocross.flow.signals import Column, Signals
from biocross.flow.transforms import Transform, apply_transform, decades_between

LEDGER_COLUMNS = ("sample_id", "step", "events_before", "flagged", "share", "note")
_LIGHT = ("nonfinite", "margin", "doublet", "dead", "flow_rate", "time")
_TOO_FEW_COLOURS = "fewer than two fluorescence channels in the panel"
_MASS = ("nonfinite", "bead", "event_length", "gaussian", "dna", "dead", "flow_rate", "time")

Flag = tuple[NDArray[np.bool_], str]


class Measured(NamedTuple):
    """The events that passed the steps before, for one step to judge.

    Parameters
    ----------
    signals
        All events as acquired and compensated, by marker.
    values
        All events transformed, by marker.
    transforms
        By marker.
    panel
        Channels of ``panel.tsv``.
    cytometry
        ``conventional``, ``spectral`` or ``mass``.
    passing
        Events to judge, as indices.
    """

    signals: Signals
    values: Mapping[str, Column]
    transforms: Mapping[str, Transform]
    panel: Sequence[Channel]
    cytometry: str
    passing: NDArray[np.intp]

    def raw(self, marker: str) -> Column:
        """Return a marker's values as acquired, of the events to judge."""
        return self.signals.raw[marker][self.passing]

    def transformed(self, markers: Iterable[str]) -> list[Column]:
        """Return the transformed values of markers, of the events to judge."""
        return [self.values[marker][self.passing] for marker in markers]

    def of_kind(self, *kinds: str) -> list[str]:
        """Return the markers whose channels are of a kind."""
        return [channel.marker for channel in self.panel if channel.kind in kinds]

    def nothing(self, why: str) -> Flag:
        """Flag no event, because the step is not possible."""
        return np.zeros(self.passing.size, dtype=bool), f"not_possible: {why}"


class Flags(NamedTuple):
    """What became of a sample's events.

    Parameters
    ----------
    quality
        Number of the step, from 1, that flagged an event first; 0 is a pass. Shape (events,).
    ledger
        A row for reading and for every step.
    """

    quality: NDArray[np.uint8]
    ledger: list[dict[str, object]]


def flag_steps(cytometry: str, with_beads: bool = False) -> tuple[str, ...]:
    """Return the names of the quality steps, in the order that numbers them from 1.

    Parameters
    ----------
    cytometry
        ``conventional``, ``spectral`` or ``mass``.
    with_beads
        Whether counting beads were added to the sample; they cannot be told in mass cytometry.

    Returns
    -------
    tuple of str
        Of the sample.
    """
    if cytometry == "mass":
        return _MASS
    # Before dead cells and doublets are judged, because beads look like both.
    place = _LIGHT.index("doublet")
    return (*_LIGHT[:place], BEAD_CLUMPS, BEADS, *_LIGHT[place:]) if with_beads else _LIGHT


def ledger_row(
    sample_id: str, step: str, before: int, flagged: int, note: str = ""
) -> dict[str, object]:
    """Make a row of the ledger."""
    share = flagged / before if before else 0.0
    return dict(zip(LEDGER_COLUMNS, (sample_id, step, before, flagged, share, note), strict=True))


def flag_events(
    signals: Signals,
    values: Mapping[str, Column],
    transforms: Mapping[str, Transform],
    panel: Sequence[Channel],
    cytometry: str,
    skip: Sequence[str],
    sample_id: str,
    with_beads: bool = False,
) -> Flags:
    """Number every event by the first step that flags it.

    Parameters
    ----------
    signals
        The sample as acquired and compensated.
    values, transforms
        Transformed values and their transforms, by marker.
    panel
        Channels of ``panel.tsv``.
    cytometry
        Decides the steps.
    skip
        Steps to leave out.
    sample_id
        For the ledger.
    with_beads
        Whether counting beads were added to the sample.

    Returns
    -------
    Flags
        Each step judges only what passed the steps before it.
    """
    quality = np.zeros(signals.n_events, dtype=np.uint8)
    read = "; ".join([*(repair.note for repair in signals.repairs), signals.compensation])
    ledger = [ledger_row(sample_id, "read", signals.n_events, 0, read)]
    for number, step in enumerate(flag_steps(cytometry, with_beads), 1):
        passing = np.flatnonzero(quality == 0)
        measured = Measured(signals, values, transforms, panel, cytometry, passing)
        if step in skip:
            flagged, note = np.zeros(passing.size, dtype=bool), "left out, as configured"
        elif passing.size == 0:
            flagged, note = measured.nothing("no event is left")
        else:
            flagged, note = _STEPS[step](measured)
        quality[passing[flagged]] = number
        ledger.append(ledger_row(sample_id, step, passing.size, int(flagged.sum()), note))
    return Flags(quality, ledger)


def _nonfinite(measured: Measured) -> Flag:
    # Compensated, because a value missing in a detector outside the panel spills into all.
    columns = measured.signals.compensated.values()
    flagged = np.zeros(measured.passing.size, dtype=bool)
    for column in columns:
        flagged |= flag_nonfinite(column[measured.passing][:, None])
    return flagged, ""


def _margin(measured: Measured) -> Flag:
    if "FSC-A" not in measured.signals.raw:
        return measured.nothing("no FSC-A in the panel")
    return flag_margin(measured.raw("FSC-A")), ""


def _bead_clump(measured: Measured) -> Flag:
    columns = _bead_columns(measured)
    if not columns:
        return measured.nothing(_TOO_FEW_COLOURS)
    return find_counting_beads(*columns).clumps, ""


def _counting_bead(measured: Measured) -> Flag:
    columns = _bead_columns(measured)
    if not columns:
        return measured.nothing(_TOO_FEW_COLOURS)
    found = find_counting_beads(*columns)
    if not found.beads.any():
        return found.beads, "no counting beads were found, although some were added"
    return found.beads, f"varying by {found.spread:.3f} decade in the median channel"


def _bead_columns(measured: Measured) -> tuple[list[Column], list[Column]] | None:
    """Return fluorescence and areas of scatter as shares of the scale, where there is enough."""
    colours = measured.of_kind("lineage", "state", "viability", "dump")
    if len(colours) < MIN_CHANNELS:
        return None
    areas = [name for name in measured.of_kind("scatter") if name.endswith("-A")]
    fluorescence, scatter = (
        [measured.raw(name) / np.float32(measured.signals.tops[name]) for name in names]
        for names in (colours, areas)
    )
    return fluorescence, scatter


def _doublet(measured: Measured) -> Flag:
    pulse = pulse_channels(measured.of_kind("scatter"))
    if pulse is None:
        return measured.nothing("no pair of area and height, or area and width, in the panel")
    area, second = measured.raw(pulse.area), measured.raw(pulse.second)
    height = height_from_width(area, second) if pulse.kind == "width" else second
    side = measured.raw("SSC-A") if "SSC-A" in measured.signals.raw else None
    used = (
        ""
        if (pulse.area, pulse.second) == ("FSC-A", "FSC-H")
        else f"by {pulse.area} and {pulse.second}"
    )
    return flag_doublets(area, height, side), used


def _dead(measured: Measured) -> Flag:
    dyes = measured.of_kind("viability")
    if not dyes:
        return measured.nothing("no viability dye in the panel")
    transform = measured.transforms[dyes[0]]
    unit = decades_between(0.0, 1.0, transform)
    if np.isnan(unit):
        return measured.nothing(f"{dyes[0]} is on a linear scale")
    side = measured.raw("SSC-A") if "SSC-A" in measured.signals.raw else None
    zero = float(apply_transform(np.zeros(1, dtype=np.float32), transform)[0])
    dead = flag_dead(measured.transformed(dyes[:1])[0], side, 1 / unit, zero)
    return dead.flagged, dead.note


def _flow_rate(measured: Measured) -> Flag:
    if measured.signals.time is None:
        return measured.nothing("no time in the file")
    # Of all events: where a clump of doublets was set aside, the flow did not drop.
    rate = flag_flow_rate(measured.signals.time)
    return rate.flagged[measured.passing], rate.note


def _time(measured: Measured) -> Flag:
    markers = _steady_markers(measured)
    if not markers:
        return measured.nothing("no signal in the panel")
    found = flag_time_anomalies(measured.transformed(markers), measured.cytometry == "mass")
    directions = {1: "rises", -1: "falls"}
    drifts = [f"{markers[i]} {directions[way]} throughout" for i, way in found.drifting]
    return found.flagged, "; ".join([note for note in (found.note, *drifts) if note])


def _steady_markers(measured: Measured) -> list[str]:
    """Return the markers whose values should be steady over the time of acquisition."""
    return measured.of_kind("scatter", "lineage", "state", "viability", "dump", "dna")


def _bead(measured: Measured) -> Flag:
    beads = measured.of_kind("bead")
    if not beads:
        return measured.nothing("no bead channel in the panel")
    dna = measured.of_kind("dna")
    columns = np.column_stack(measured.transformed(beads))
    return flag_beads(columns, measured.transformed(dna[:1])[0] if dna else None), ""


def _event_length(measured: Measured) -> Flag:
    lengths = measured.of_kind("event_length")
    if not lengths:
        return measured.nothing("no event length in the panel")
    return flag_event_length(measured.raw(lengths[0])), ""


def _gaussian(measured: Measured) -> Flag:
    parameters = measured.of_kind("gaussian")
    if not parameters:
        return measured.nothing("no Gaussian parameters in the panel")
    return flag_gaussian(np.column_stack([measured.raw(name) for name in parameters])), ""


def _dna(measured: Measured) -> Flag:
    channels = measured.of_kind("dna")
    if len(channels) < 2:
        return measured.nothing("fewer than two DNA channels in the panel")
    first, second = measured.transformed(channels[:2])
    return flag_dna(first, second), ""


_STEPS: dict[str, Callable[[Measured], Flag]] = {
    "nonfinite": _nonfinite,
    "margin": _margin,
    BEAD_CLUMPS: _bead_clump,
    BEADS: _counting_bead,
    "doublet": _doublet,
    "dead": _dead,
    "flow_rate": _flow_rate,
    "time": _time,
    "bead": _bead,
    "event_length": _event_length,
    "gaussian": _gaussian,
    "dna": _dna,
}
