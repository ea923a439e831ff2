"""Write the gates that were applied to the samples of a patient as Gating-ML 2.0."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from biocross.cohort.gate_regions import Ellipse, Polygon, Singlets
from biocross.flow.applied_gates import AppliedGate, Range
from biocross.flow.gatingml import (
    add_comment,
    add_transforms,
    gatingml_document,
    gatingml_ids,
    qualified,
    save_document,
)
from biocross.flow.spillover import Spillover
from biocross.flow.transforms import Transform, invert_transform

UNCOMPENSATED, FILE_SPILLOVER = "uncompensated", "FCS"
ABOUT = (
    "The gates as they were applied, one document per patient. They apply to the events that "
    "passed quality control (margins, doublets, dead cells, unsteady signal), which Gating-ML "
    "cannot express: compare counts on those events. A threshold belongs to the negative events; "
    "the ranges here begin or end at the next number above it, because Gating-ML counts min as "
    "inside and max as outside. Counts of a mass cytometer are randomised within their unit before "
    "they are gated, which other programs do not repeat: events near a border can differ there."
)


class GateSet(NamedTuple):
    """Gates that hold for some samples alike.

    Parameters
    ----------
    samples
        Their identifiers.
    gates
        Of `applied_gates`.
    channels
        By marker, the name of its channel in the FCS files (``$PnN``).
    compensated
        Channels whose values were compensated.
    spillover
        The matrix of a table that they were compensated with; None for that of each file.
    """

    samples: tuple[str, ...]
    gates: tuple[AppliedGate, ...]
    channels: Mapping[str, str]
    compensated: frozenset[str] = frozenset()
    spillover: Spillover | None = None


def write_gates(
    path: Path | str, transforms: Mapping[str, Transform], sets: Sequence[GateSet]
) -> dict[str, str]:
    """Write the gates of a patient's samples as one Gating-ML 2.0 file.

    Samples whose gates, channels and compensation are equal share one set of gates, named like
    the populations. Where they differ, because a border moved between visits, each set has names
    of its own, which end in the samples: ``T_cells.P01_baseline``.

    Thresholds and rectangles become rectangle gates, and what a gate asks for besides becomes a
    gate under it; the last one bears the population's name. On FlowJo's biexponential scale, which
    the standard lacks, ranges are given in data units.

    Parameters
    ----------
    path
        The file; written whole or not at all.
    transforms
        By marker.
    sets
        In order of the visits.

    Returns
    -------
    dict of str to str
        By identifier, why a gate is missing from the file or wider than it was; comments in the
        file say the same.

    References
    ----------
    Spidlen 2015, Cytometry A 87A:683 (Gating-ML 2.0).
    """
    sets = _merge_equal(sets)
    document = gatingml_document()
    add_comment(document, ABOUT)
    matrices = _add_matrices(document, sets)
    add_transforms(document, transforms)
    taken = {*gatingml_ids(transforms).values(), *(name for name in matrices if name)}
    told: dict[str, str] = {}
    for one, matrix in zip(sets, matrices, strict=True):
        suffix = "" if len(sets) == 1 else f".{'-'.join(one.samples)}"
        writer = _Writer(document, transforms, one, matrix or FILE_SPILLOVER, suffix, taken)
        told |= writer.write()
    save_document(path, document)
    return told


def _merge_equal(sets: Sequence[GateSet]) -> list[GateSet]:
    merged: list[GateSet] = []
    for one in sets:
        for place, other in enumerate(merged):
            if _same(one, other):
                merged[place] = other._replace(samples=(*other.samples, *one.samples))
                break
        else:
            merged.append(one)
    return merged


def _same(one: GateSet, other: GateSet) -> bool:
    return (
        (one.gates, one.compensated) == (other.gates, other.compensated)
        and dict(one.channels) == dict(other.channels)
        and _same_spillover(one.spillover, other.spillover)
    )


def _same_spillover(one: Spillover | None, other: Spillover | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.channels == other.channels and bool((one.matrix == other.matrix).all())


def _add_matrices(document: ET.Element, sets: Sequence[GateSet]) -> list[str]:
    """Add every matrix once; return the identifier of each set's, empty for that of the files."""
    known: list[Spillover] = []
    names = []
    for one in sets:
        if one.spillover is None:
            names.append("")
            continue
        places = [i for i, other in enumerate(known) if _same_spillover(one.spillover, other)]
        if not places:
            known.append(one.spillover)
            places = [len(known) - 1]
            _add_matrix(document, f"spillover_{len(known)}", one.spillover)
        names.append(f"spillover_{places[0] + 1}")
    return names


def _add_matrix(document: ET.Element, name: str, spillover: Spillover) -> None:
    element = ET.SubElement(document, qualified("transforms", "spectrumMatrix"))
    element.set(qualified("transforms", "id"), name)
    # Dyes bear the names of their detectors, as gates call them.
    for role in ("fluorochromes", "detectors"):
        group = ET.SubElement(element, qualified("transforms", role))
        for channel in spillover.channels:
            _add_channel(group, channel)
    for row in spillover.matrix:
        spectrum = ET.SubElement(element, qualified("transforms", "spectrum"))
        for value in row:
            cell = ET.SubElement(spectrum, qualified("transforms", "coefficient"))
            cell.set(qualified("transforms", "value"), repr(float(value)))


def _add_channel(parent: ET.Element, channel: str) -> None:
    element = ET.SubElement(parent, qualified("data-type", "fcs-dimension"))
    element.set(qualified("data-type", "name"), channel)


class _Writer:
    """Adds one set of gates to a document."""

    def __init__(
        self,
        document: ET.Element,
        transforms: Mapping[str, Transform],
        gates: GateSet,
        compensation: str,
        suffix: str,
        taken: set[str],
    ) -> None:
        self.document = document
        self.transforms = transforms
        self.scale_ids = gatingml_ids(transforms)
        self.set = gates
        self.compensation = compensation
        names = [f"{gate.population}{suffix}" for gate in gates.gates]
        ids = gatingml_ids(names, taken)
        populations = [gate.population for gate in gates.gates]
        # By population, its gate in the file; that of the gate above where it adds no condition.
        self.ids = dict(zip(populations, (ids[name] for name in names), strict=True))
        self.taken = taken
        taken.update(ids.values())
        self.written: dict[str, str] = {"": ""}

    def write(self) -> dict[str, str]:
        """Add the gates; return what is missing or wider, by identifier."""
        told = {}
        for gate in self.set.gates:
            name = self.ids[gate.population]
            if why := self._why_not(gate):
                add_comment(self.document, f"{name} is not in this file: {why}")
                told[name] = why
                continue
            if isinstance(gate.region, Singlets):
                told[name] = (
                    "single cells are told within strata of scatter, which Gating-ML cannot "
                    "express; its doublets are not removed here"
                )
                add_comment(self.document, f"{name}: {told[name]}")
            self.written[gate.population] = self._add(gate, name)
        return told

    def _why_not(self, gate: AppliedGate) -> str:
        if gate.unknown:
            return gate.unknown
        for other in (gate.under, *gate.parts):
            if other not in self.written:
                return f"{other}, which it needs, is not"
        markers = [part.marker for part in gate.ranges]
        if isinstance(gate.region, Polygon | Ellipse):
            markers += gate.region.markers
            if any(self.transforms[name].kind == "biex" for name in gate.region.markers):
                return "it is drawn on FlowJo's biexponential scale, which Gating-ML lacks"
        missing = [name for name in markers if name not in self.set.channels]
        if missing:
            return f"the files have no channel for {missing[0]}"
        empty = [name for name in gate.parts if not self.written[name]]
        return f"it combines {empty[0]}, which is not expressed" if empty else ""

    def _add(self, gate: AppliedGate, name: str) -> str:
        """Add the conditions of a gate, each under the one before; return the last identifier."""
        steps = [
            (role, condition)
            for role, condition in (
                ("ranges", gate.ranges),
                ("region", None if isinstance(gate.region, Singlets) else gate.region),
                ("or", gate.any_of),
                ("and", gate.all_of),
                ("not", gate.none_of),
            )
            if condition
        ]
        above = self.written[gate.under]
        for number, (role, condition) in enumerate(steps, 1):
            own = name if number == len(steps) else self._spare_id(f"{name}.{role}")
            element = self._element(role, condition)
            element.set(qualified("gating", "id"), own)
            if above:
                element.set(qualified("gating", "parent_id"), above)
            above = own
        return above

    def _spare_id(self, wanted: str) -> str:
        """Return an identifier for a gate that is no population."""
        name = gatingml_ids([wanted], self.taken)[wanted]
        self.taken.add(name)
        return name

    def _element(self, role: str, condition: object) -> ET.Element:
        if isinstance(condition, Polygon):
            return self._polygon(condition)
        if isinstance(condition, Ellipse):
            return self._ellipse(condition)
        assert isinstance(condition, tuple)
        return self._rectangle(condition) if role == "ranges" else self._boolean(role, condition)

    def _gate(self, kind: str) -> ET.Element:
        return ET.SubElement(self.document, qualified("gating", kind))

    def _dimension(self, gate: ET.Element, marker: str) -> ET.Element:
        channel = self.set.channels[marker]
        element = ET.SubElement(gate, qualified("gating", "dimension"))
        spilled = channel in self.set.compensated
        reference = self.compensation if spilled else UNCOMPENSATED
        element.set(qualified("gating", "compensation-ref"), reference)
        if self.transforms[marker].kind not in ("linear", "biex"):
            element.set(qualified("gating", "transformation-ref"), self.scale_ids[marker])
        _add_channel(element, channel)
        return element

    def _rectangle(self, ranges: Sequence[Range]) -> ET.Element:
        gate = self._gate("RectangleGate")
        for part in ranges:
            element = self._dimension(gate, part.marker)
            for side, value in (("min", part.low), ("max", part.high)):
                if math.isfinite(value):
                    transform = self.transforms[part.marker]
                    if transform.kind == "biex":
                        value = float(invert_transform(np.array([value]), transform)[0])
                    element.set(qualified("gating", side), repr(value))
        return gate

    def _polygon(self, polygon: Polygon) -> ET.Element:
        gate = self._gate("PolygonGate")
        for marker in polygon.markers:
            self._dimension(gate, marker)
        for corner in polygon.vertices:
            vertex = ET.SubElement(gate, qualified("gating", "vertex"))
            for value in corner:
                _add_value(vertex, "gating", "coordinate", value)
        return gate

    def _ellipse(self, ellipse: Ellipse) -> ET.Element:
        gate = self._gate("EllipsoidGate")
        for marker in ellipse.markers:
            self._dimension(gate, marker)
        mean = ET.SubElement(gate, qualified("gating", "mean"))
        for value in ellipse.mean:
            _add_value(mean, "gating", "coordinate", value)
        covariance = ET.SubElement(gate, qualified("gating", "covarianceMatrix"))
        for numbers in ellipse.covariance:
            row = ET.SubElement(covariance, qualified("gating", "row"))
            for value in numbers:
                _add_value(row, "gating", "entry", value)
        _add_value(gate, "gating", "distanceSquare", ellipse.distance_square)
        return gate

    def _boolean(self, role: str, populations: Sequence[str]) -> ET.Element:
        gate = self._gate("BooleanGate")
        # The standard wants two operands at least of `and` and `or`; the same twice will do.
        several = len(populations) > 1
        kind = "and" if role == "not" and several else role
        operator = ET.SubElement(gate, qualified("gating", kind))
        once = several or role == "not"
        for population in populations if once else [*populations, *populations]:
            reference = ET.SubElement(operator, qualified("gating", "gateReference"))
            reference.set(qualified("gating", "ref"), self.written[population])
            if role == "not" and several:
                reference.set(qualified("gating", "use-as-complement"), "true")
        return gate


def _add_value(parent: ET.Element, prefix: str, name: str, value: float) -> None:
    element = ET.SubElement(parent, qualified(prefix, name))
    # Attributes of numbers belong to the namespace of data types.
    element.set(qualified("data-type", "value"), repr(float(value)))
