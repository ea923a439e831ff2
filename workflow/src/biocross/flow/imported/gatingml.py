"""Read the gates of a GatingML 2.0 file."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from biocross.flow.imported.elements import (
    attribute,
    child,
    children,
    descendants,
    finite,
    local_name,
    number,
    polygon_corners,
)
from biocross.flow.imported.model import (
    FILE_SPILLOVER,
    UNCOMPENSATED,
    Axis,
    GateMatrix,
    GateTree,
    ImportedGate,
    ImportedGates,
    Scale,
    UnreadableGateError,
    clean_name,
    join_path,
    order_gates,
)
from biocross.flow.imported.scales import read_gatingml_scale


class _Entry(NamedTuple):
    """An element that defines one population: a gate, or one quadrant of a quadrant gate."""

    key: str
    parent: str
    element: Element
    quadrant: Element | None = None


class _Definitions(NamedTuple):
    """What the gates of a file refer to, and why some of it cannot be read."""

    scales: dict[str, Scale]
    matrices: dict[str, GateMatrix]
    broken: dict[str, str]


def read_gatingml(path: Path, root: Element) -> ImportedGates:
    """Read the gates of a GatingML 2.0 document.

    Cytobank names its gates in its own elements, and its populations are Boolean gates
    (``GateSet``); both are read. A quadrant gate gives one gate per quadrant.

    Parameters
    ----------
    path
        The file, for messages.
    root
        Its root element.

    Returns
    -------
    ImportedGates
        One tree for all samples; what cannot be read has a reason.

    References
    ----------
    Spidlen 2015, Cytometry A 87:683 (GatingML 2.0).
    """
    definitions = _definitions(root)
    entries, repeated = _entries(root)
    paths = _paths(entries)
    gates = [_gate(entry, entries, paths, definitions) for entry in entries.values()]
    tree = GateTree(order_gates(gates), definitions.scales, definitions.matrices)
    notes = tuple(f'the gate "{key}" is there twice; the first is used' for key in repeated)
    return ImportedGates(path, "gatingml", {"": tree}, notes=notes)


def _definitions(root: Element) -> _Definitions:
    scales: dict[str, Scale] = {}
    matrices: dict[str, GateMatrix] = {}
    broken: dict[str, str] = {}
    for element in descendants(root, "transformation"):
        key = attribute(element, "id") or ""
        try:
            scales[key] = read_gatingml_scale(element)
        except UnreadableGateError as error:
            broken[key] = f'its transformation "{key}" cannot be read: {error}'
    for element in descendants(root, "spectrumMatrix"):
        key = attribute(element, "id") or ""
        try:
            matrices[key] = _matrix(element)
        except UnreadableGateError as error:
            broken[key] = f'its compensation "{key}" cannot be read: {error}'
    return _Definitions(scales, matrices, broken)


def _matrix(element: Element) -> GateMatrix:
    dyes, detectors = (
        tuple(attribute(part, "name") or "" for part in children(group, "fcs-dimension"))
        if (group := child(element, role)) is not None
        else ()
        for role in ("fluorochromes", "detectors")
    )
    rows = [
        [number(cell, "value") for cell in children(row, "coefficient")]
        for row in children(element, "spectrum")
    ]
    if attribute(element, "matrix-inverted-already") == "true":
        raise UnreadableGateError("it is inverted already; export the spillover matrix itself")
    if not detectors or len(dyes) != len(detectors):
        raise UnreadableGateError(
            f"it has {len(dyes)} dyes and {len(detectors)} detectors; unmix spectral data first"
        )
    if len(rows) != len(dyes) or any(len(row) != len(detectors) for row in rows):
        raise UnreadableGateError("its rows are not as long as its list of detectors")
    return GateMatrix(detectors, dyes, np.array(rows, dtype=np.float64))


def _entries(root: Element) -> tuple[dict[str, _Entry], list[str]]:
    """Return the populations of a file by their identifiers, and identifiers met again."""
    entries: dict[str, _Entry] = {}
    repeated = []
    for entry in _all_entries(root):
        if entry.key in entries:
            repeated.append(entry.key)
        else:
            entries[entry.key] = entry
    return entries, repeated


def _all_entries(root: Element) -> Iterator[_Entry]:
    # Wherever they stand: some programs wrap the gates of a sample in an element of their own.
    gates = (element for element in root.iter() if local_name(element).endswith("Gate"))
    for position, element in enumerate(gates, 1):
        key = attribute(element, "id") or f"{local_name(element)} {position}"
        parent = attribute(element, "parent_id") or ""
        if local_name(element) != "QuadrantGate":
            yield _Entry(key, parent, element)
            continue
        for number_, quadrant in enumerate(children(element, "Quadrant"), 1):
            own = attribute(quadrant, "id") or f"{key} {number_}"
            yield _Entry(own, parent, element, quadrant)


def _paths(entries: dict[str, _Entry]) -> dict[str, str]:
    """Return the path of every entry: names where they are unique, else with the identifier."""
    named = {key: _given_name(entry) for key, entry in entries.items()}
    # Cytobank's populations are named like the gate they consist of; the population keeps it.
    times = Counter((entry.parent, named[key]) for key, entry in entries.items())
    sets = Counter(
        (entry.parent, named[key])
        for key, entry in entries.items()
        if local_name(entry.element) == "BooleanGate"
    )
    own = {}
    for key, entry in entries.items():
        place = (entry.parent, named[key])
        kept = times[place] == 1 or (
            sets[place] == 1 and local_name(entry.element) == "BooleanGate"
        )
        own[key] = named[key] if kept else f"{named[key]} [{clean_name(key)}]"
    paths: dict[str, str] = {}
    for key in entries:
        chain = [key]
        while (up := entries[chain[-1]].parent) in entries and up not in chain:
            chain.append(up)
        path = ""
        for step in reversed(chain):
            path = join_path(path, own[step])
        paths[key] = path if path not in paths.values() else f"{path} [{clean_name(key)}]"
    return paths


def _given_name(entry: _Entry) -> str:
    """Return the name that Cytobank gave a gate, or its identifier."""
    if entry.quadrant is None and (info := _cytobank(entry.element)) is not None:
        name = child(info, "name")
        if name is not None and name.text and clean_name(name.text):
            return clean_name(name.text)
    return clean_name(entry.key)


def _cytobank(element: Element) -> Element | None:
    info = child(element, "custom_info")
    return None if info is None else child(info, "cytobank")


def _gate(
    entry: _Entry, entries: dict[str, _Entry], paths: dict[str, str], known: _Definitions
) -> ImportedGate:
    kind = local_name(entry.element)
    path = paths[entry.key]
    gate = ImportedGate(path, path.rpartition("/")[2], paths.get(entry.parent, ""), kind)
    try:
        if entry.parent and entry.parent not in entries:
            raise UnreadableGateError(
                f'it is drawn under "{entry.parent}", which is no gate or quadrant of the file'
            )
        _refuse_tailored(entry.element)
        return _shaped(gate, entry, paths, known)
    except UnreadableGateError as error:
        return gate._replace(reason=str(error))


def _refuse_tailored(element: Element) -> None:
    info = _cytobank(element)
    file = None if info is None else child(info, "fcs_file_filename")
    if file is not None and file.text and file.text.strip():
        raise UnreadableGateError(
            f'Cytobank tailored it to the file "{file.text.strip()}"; GatingML has one gate for '
            "all files: remove the tailoring in Cytobank and export again"
        )


def _shaped(
    gate: ImportedGate, entry: _Entry, paths: dict[str, str], known: _Definitions
) -> ImportedGate:
    element = entry.element
    if gate.kind == "BooleanGate":
        return _boolean(gate, element, paths)
    if entry.quadrant is not None:
        return gate._replace(kind="rectangle", axes=_quadrant(element, entry.quadrant, known))
    axes = tuple(_axis(part, known) for part in children(element, "dimension"))
    if not axes:
        raise UnreadableGateError(f"a {gate.kind} is not a gate of GatingML 2.0 with channels")
    if gate.kind == "RectangleGate":
        return gate._replace(kind="rectangle", axes=axes)
    if gate.kind == "PolygonGate":
        return gate._replace(kind="polygon", axes=axes, points=polygon_corners(element, len(axes)))
    if gate.kind == "EllipsoidGate":
        return _ellipsoid(gate._replace(axes=axes), element)
    raise UnreadableGateError(f"{gate.kind} is not a gate of GatingML 2.0")


def _axis(element: Element, known: _Definitions) -> Axis:
    compensation = attribute(element, "compensation-ref") or UNCOMPENSATED
    scale = attribute(element, "transformation-ref") or ""
    low, high = (attribute(element, name) for name in ("min", "max"))
    channel = child(element, "fcs-dimension")
    new = child(element, "new-dimension")
    ratio = "" if new is None else attribute(new, "transformation-ref") or ""
    name = "" if channel is None else attribute(channel, "name") or ""
    if not name and not ratio:
        raise UnreadableGateError("one of its dimensions names no channel")
    for reference in (compensation, scale, ratio):
        if reference in known.broken:
            raise UnreadableGateError(known.broken[reference])
    if compensation not in (UNCOMPENSATED, FILE_SPILLOVER, *known.matrices):
        raise UnreadableGateError(f'its compensation "{compensation}" is not in the file')
    for reference in filter(None, (scale, ratio)):
        if reference not in known.scales:
            raise UnreadableGateError(f'its transformation "{reference}" is not in the file')
        if (known.scales[reference].kind == "ratio") != (reference == ratio):
            raise UnreadableGateError(f'its transformation "{reference}" is of the wrong kind')
    return Axis(
        channel=name,
        compensation=compensation,
        scale=scale,
        low=-math.inf if low is None else finite(low, "min"),
        high=math.inf if high is None else finite(high, "max"),
        ratio=ratio,
    )


def _quadrant(element: Element, quadrant: Element, known: _Definitions) -> tuple[Axis, ...]:
    """Return a quadrant as a rectangle: on each divider, between the values next to it."""
    dividers = {attribute(part, "id"): part for part in children(element, "divider")}
    axes = []
    for position in children(quadrant, "position"):
        divider = dividers.get(attribute(position, "divider_ref"))
        if divider is None:
            raise UnreadableGateError("one of its positions is on no divider of its gate")
        location = number(position, "location")
        values = [finite(value.text or "", "value") for value in children(divider, "value")]
        axes.append(
            _axis(divider, known)._replace(
                low=max((value for value in values if value <= location), default=-math.inf),
                high=min((value for value in values if value > location), default=math.inf),
            )
        )
    if not axes:
        raise UnreadableGateError("the quadrant has no position")
    return tuple(axes)


def _ellipsoid(gate: ImportedGate, element: Element) -> ImportedGate:
    mean, covariance = child(element, "mean"), child(element, "covarianceMatrix")
    if mean is None or covariance is None:
        raise UnreadableGateError("an ellipsoid needs a mean and a covariance matrix")
    centre = [number(part, "value") for part in children(mean, "coordinate")]
    rows = [
        [number(cell, "value") for cell in children(row, "entry")]
        for row in children(covariance, "row")
    ]
    n = len(gate.axes)
    if n < 2 or len(centre) != n or len(rows) != n or any(len(row) != n for row in rows):
        raise UnreadableGateError("its mean, covariance matrix and channels are not equally many")
    matrix = np.array(rows, dtype=np.float64)
    # Not required to be symmetric: the standard's own reference file has one that is not.
    if np.linalg.det(matrix) <= 0:
        raise UnreadableGateError("its covariance matrix makes no ellipsoid")
    return gate._replace(
        kind="ellipsoid",
        points=np.array([centre], dtype=np.float64),
        covariance=matrix,
        distance=number(child(element, "distanceSquare"), "value"),
    )


def _boolean(gate: ImportedGate, element: Element, paths: dict[str, str]) -> ImportedGate:
    operators = children(element, "and", "or", "not")
    if len(operators) != 1:
        raise UnreadableGateError("a Boolean gate needs one of and, or, not")
    references = []
    for part in children(operators[0], "gateReference"):
        key = attribute(part, "ref") or ""
        if key not in paths:
            raise UnreadableGateError(f'a gate it combines, "{key}", is not in the file')
        references.append((paths[key], attribute(part, "use-as-complement") in ("true", "1")))
    kind = local_name(operators[0])
    if not references or (kind == "not" and len(references) > 1):
        raise UnreadableGateError(f'"{kind}" of {len(references)} gates has no meaning')
    return gate._replace(kind=kind, references=tuple(references))
