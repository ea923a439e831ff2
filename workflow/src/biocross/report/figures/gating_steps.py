"""Which plots show a gating tree: every gate in one or several steps of at most two markers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.gate_regions import Ellipse, Polygon, Region, Singlets
from biocross.cohort.panel import Channel
from biocross.flow.applied_gates import AppliedGate, Range
from biocross.flow.events import Events
from biocross.flow.gate_shapes import inside_rectangle, inside_region
from biocross.flow.settled_gating import settled_gates
from biocross.report.words import plain

Indices = NDArray[np.intp]
Corners = NDArray[np.float64]
ELLIPSE_CORNERS = 60


class Visit(NamedTuple):
    """What is shown of one sample.

    Parameters
    ----------
    title
        The head of its column.
    events
        Prepared events.
    members
        By population, indices of its events; under ``""`` those that passed quality control.
        A population that is not known in the sample is missing.
    gates
        As they were applied to it, of `applied_gates`.
    """

    title: str
    events: Events
    members: Mapping[str, Indices]
    gates: Sequence[AppliedGate]


def read_visits(
    titles: Mapping[Any, str],
    strategy: Path | str,
    thresholds: Path | str,
    populations: Path | str,
    channels: Sequence[Channel],
) -> list[Visit]:
    """Gate the samples of a patient as the run did.

    Parameters
    ----------
    titles
        By path of prepared events, the head of its column.
    strategy, thresholds, populations, channels
        As of `settled_gates`.

    Returns
    -------
    list of Visit
        In order, without samples whose file could not be used.
    """
    of_sample = {Path(path).stem: title for path, title in titles.items()}
    return [
        Visit(of_sample[one.events.meta["sample_id"]], one.events, one.members, one.gates)
        for one in settled_gates(list(titles), strategy, thresholds, populations, channels)
    ]


class Outline(NamedTuple):
    """One gate in one plot of one visit.

    Parameters
    ----------
    x, y
        Ends of the region on both axes; infinite where it is open.
    corners
        Of a polygon or an ellipse, shape (corners, 2); None for a rectangle.
    inside
        Indices of the events inside.
    is_drawn
        False for a gate without borders that could be drawn: one of single cells.
    whole
        Events of the population that the gate's percentage refers to, where that is not the one
        that is plotted; else None.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    corners: Corners | None
    inside: Indices
    is_drawn: bool = True
    whole: int | None = None


class ShownGate(NamedTuple):
    """One gate of a plot.

    Parameters
    ----------
    name
        The population; empty where more steps follow.
    under
        Its parent where other steps lie between, else empty.
    outlines
        One per visit; None where it was not applied.
    """

    name: str
    under: str
    outlines: tuple[Outline | None, ...]


class Step(NamedTuple):
    """One row of plots, a plot per visit.

    Parameters
    ----------
    parent
        The population whose events are plotted.
    within
        What else its events fulfil, of the steps before, such as ``CD3− CD19−``.
    x, y
        Markers of the axes; y is empty for a histogram.
    events
        Indices of the events plotted, per visit; None where a file lacks a marker.
    gates
        What is drawn on them.
    """

    parent: str
    within: str
    x: str
    y: str
    events: tuple[Indices | None, ...]
    gates: list[ShownGate]


_OPEN = (-math.inf, math.inf)


class _Cut(NamedTuple):
    """What one step asks of the events of one visit: ranges of markers, or a region."""

    ranges: tuple[Range, ...] = ()
    region: Region | None = None

    @property
    def markers(self) -> tuple[str, ...]:
        return tuple(r.marker for r in self.ranges) + (self.region.markers if self.region else ())


# Per visit; None where the gate was not applied.
_Cuts = tuple[_Cut | None, ...]


class _Place(NamedTuple):
    """Events that are plotted: those of a population, narrowed by the steps before."""

    population: str
    narrowed: tuple[_Cuts, ...] = ()


def gating_steps(visits: Sequence[Visit]) -> list[Step]:
    """Arrange the gates of a patient in plots.

    A gate of one marker is a histogram, of two a plot; of more, several in sequence, each
    narrowing the events of the next, in the order of the strategy. Gates that look at the same
    events on the same markers share a plot. Boolean conditions have none.

    Parameters
    ----------
    visits
        In order.

    Returns
    -------
    list of Step
        In order of the tree.
    """
    by_name = [{gate.population: gate for gate in visit.gates} for visit in visits]
    arrangement = _Arrangement(visits)
    for name in dict.fromkeys(name for gates in by_name for name in gates):
        arrangement.add([gates.get(name) for gates in by_name])
    return arrangement.steps


class _Arrangement:
    """Collects the steps of one gate after the other."""

    def __init__(self, visits: Sequence[Visit]) -> None:
        self.visits = visits
        self.steps: list[Step] = []
        self._step_of: dict[tuple[_Place, frozenset[str]], Step] = {}
        self._shared: set[_Place] = set()
        self._events: dict[_Place, tuple[Indices | None, ...]] = {}

    def add(self, gates: Sequence[AppliedGate | None]) -> None:
        """Add the steps of a gate, as it was applied to each visit."""
        gate = next(one for one in gates if one is not None)
        place = _Place(gate.under)
        cuts = list(zip(*(_cuts(one, gates) for one in gates), strict=True))
        for number, own in enumerate(cuts, 1):
            is_last = number == len(cuts) and not gate.parts
            place = self._add_step(place, own, gate.population if is_last else "")

    def _add_step(self, place: _Place, cuts: _Cuts, name: str) -> _Place:
        markers = next((cut.markers for cut in cuts if cut), ())
        inside = _Place(place.population, (*place.narrowed, cuts))
        if not markers or (len(markers) > 2 and not _is_singlets(cuts)):
            return inside
        step = self._step(place, markers[:2])
        # Gates that begin alike share their first steps.
        if name or inside not in self._shared:
            self._shared.add(inside)
            found = zip(self.visits, cuts, self._events_at(inside), strict=True)
            outlines = tuple(
                None if cut is None or kept is None else _outline(step, cut, kept, visit, name)
                for visit, cut, kept in found
            )
            named = name or ("single cells" if _is_singlets(cuts) else "")
            step.gates.append(ShownGate(named, _under(place, name), outlines))
        return inside

    def _step(self, place: _Place, markers: Sequence[str]) -> Step:
        key = (place, frozenset(markers))
        if key not in self._step_of:
            found = zip(self.visits, self._events_at(place), strict=True)
            events = tuple(
                within if set(markers) <= set(visit.events.values) else None
                for visit, within in found
            )
            x, y = _axes(markers)
            self._step_of[key] = Step(place.population, _words(place), x, y, events, [])
            self.steps.append(self._step_of[key])
        return self._step_of[key]

    def _events_at(self, place: _Place) -> tuple[Indices | None, ...]:
        """Return the events of a place per visit; None where they are not known."""
        if place not in self._events:
            if not place.narrowed:
                found = [visit.members.get(place.population) for visit in self.visits]
            else:
                above = self._events_at(_Place(place.population, place.narrowed[:-1]))
                parts = zip(self.visits, above, place.narrowed[-1], strict=True)
                found = [_narrow(visit.events, within, cut) for visit, within, cut in parts]
            self._events[place] = tuple(found)
        return self._events[place]


def _cuts(gate: AppliedGate | None, gates: Sequence[AppliedGate | None]) -> list[_Cut | None]:
    """Divide a gate into steps; every visit has the same ones, None where it has no gate."""
    markers = list(dict.fromkeys(r.marker for one in gates if one for r in one.ranges))
    pairs = [markers[start : start + 2] for start in range(0, len(markers), 2)]
    region = next((one.region for one in gates if one), None)
    known = gate is not None and not gate.unknown
    cuts: list[_Cut | None] = []
    for pair in pairs:
        own = tuple(r for m in pair for r in gate.ranges if r.marker == m) if gate else ()
        cuts.append(_Cut(own) if known and len(own) == len(pair) else None)
    if region is not None:
        own_region = _Cut((), gate.region) if gate is not None and known else None
        # Single cells are told first, as in the gating itself.
        cuts.insert(0 if isinstance(region, Singlets) else len(cuts), own_region)
    return cuts


def _is_singlets(cuts: _Cuts) -> bool:
    return any(cut and isinstance(cut.region, Singlets) for cut in cuts)


def _narrow(events: Events, within: Indices | None, cut: _Cut | None) -> Indices | None:
    if within is None or cut is None or not set(cut.markers) <= set(events.values):
        return None
    columns = [events.values[marker][within] for marker in cut.markers]
    if cut.region is not None:
        mask = inside_region(cut.region, columns)
    else:
        mask = inside_rectangle(columns, [r.low for r in cut.ranges], [r.high for r in cut.ranges])
    return within[np.flatnonzero(mask)]


def _outline(step: Step, cut: _Cut, kept: Indices, visit: Visit, name: str) -> Outline:
    whole = None
    if name and step.within and (parent := visit.members.get(step.parent)) is not None:
        whole = parent.size
    if isinstance(cut.region, Polygon | Ellipse):
        corners = region_corners(cut.region)
        if cut.region.markers[0] != step.x:
            corners = corners[:, ::-1]
        (left, right), (bottom, top) = ((s.min(), s.max()) for s in corners.T)
        box = (float(left), float(right)), (float(bottom), float(top))
        return Outline(*box, corners, kept, whole=whole)
    ends = {part.marker: (part.low, part.high) for part in cut.ranges}
    box = (ends.get(step.x, _OPEN), ends.get(step.y, _OPEN))
    return Outline(*box, None, kept, is_drawn=cut.region is None, whole=whole)


def region_corners(region: Polygon | Ellipse) -> Corners:
    """Return corners that show the border of a polygon, or of an ellipse of two markers.

    Parameters
    ----------
    region
        The region.

    Returns
    -------
    ndarray
        Shape (corners, 2), the first not repeated.
    """
    if isinstance(region, Polygon):
        return np.array(region.vertices)
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
    circle = np.column_stack([np.cos(angles), np.sin(angles)]) * math.sqrt(region.distance_square)
    return np.array(region.mean) + circle @ np.linalg.cholesky(np.array(region.covariance)).T


def _axes(markers: Sequence[str]) -> tuple[str, str]:
    """Put side scatter on the vertical axis and forward scatter on the horizontal one."""
    if len(markers) == 1:
        return markers[0], ""
    x, y = markers
    scatter = [marker.upper().startswith(("SSC", "FSC")) for marker in (x, y)]
    if x.upper().startswith("SSC") or (y.upper().startswith("FSC") and not scatter[0]):
        x, y = y, x
    return x, y


def _under(place: _Place, name: str) -> str:
    return place.population if name and place.narrowed else ""


def _words(place: _Place) -> str:
    """Word the steps before, as `CD3− CD19−`."""
    words = []
    for cuts in place.narrowed:
        cut = next((cut for cut in cuts if cut), _Cut())
        words += [part.words or f"{part.marker} range" for part in cut.ranges]
        if cut.region is not None:
            single = isinstance(cut.region, Singlets)
            words.append("single cells" if single else "/".join(cut.region.markers) + " region")
    return " ".join(words)


def combined_populations(visits: Sequence[Visit]) -> dict[str, str]:
    """Word the gates that combine populations, which no plot shows.

    Parameters
    ----------
    visits
        In order.

    Returns
    -------
    dict of str to str
        By population, such as ``T cells or B cells``.
    """
    told = {}
    for gate in (gate for visit in visits for gate in visit.gates if gate.parts):
        wording = [
            " or ".join(map(plain, gate.any_of)),
            " and ".join(map(plain, gate.all_of)),
            " and ".join(f"not {plain(name)}" for name in gate.none_of),
        ]
        told[gate.population] = ", ".join(filter(None, wording))
    return told
