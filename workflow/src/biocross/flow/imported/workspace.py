"""Read the gates of a FlowJo 10 workspace, sample by sample."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from biocross.flow.imported.elements import (
    attribute,
    child,
    children,
    descendants,
    finite,
    local_name,
    number,
    polygon_corners,
    vertices,
    whole_number,
)
from biocross.flow.imported.model import (
    UNCOMPENSATED,
    Axis,
    GateMatrix,
    GateTree,
    ImportedGate,
    ImportedGates,
    Scale,
    UnreadableGateError,
    WorkspaceSample,
    clean_name,
    join_path,
    order_gates,
)
from biocross.flow.imported.scales import read_flowjo_scale

# A workspace has one matrix per sample.
WORKSPACE_MATRIX = "workspace"
# FlowJo draws ellipses on a display of 256 x 256; FlowKit, and so we, gives them 128 corners.
_DISPLAY = 256.0
_CORNERS = 128
_OPERATORS = {"AndNode": "and", "OrNode": "or", "NotNode": "not"}


class _Channels(NamedTuple):
    """What the gates of one sample refer to."""

    scales: dict[str, Scale]
    broken_scales: dict[str, str]
    prefix: str
    suffix: str
    detectors: tuple[str, ...]
    broken_matrix: str
    derived: frozenset[str]


def read_workspace(path: Path, root: Element) -> ImportedGates:
    """Read a FlowJo 10 workspace.

    Gates on derived parameters or unpublished scales, of plugins, and of types that cannot be
    read have a reason, and so have all gates below them.

    Parameters
    ----------
    path
        The file, for messages.
    root
        Its root element.

    Returns
    -------
    ImportedGates
        One tree per sample.
    """
    samples, trees, notes = [], {}, []
    listed = child(root, "SampleList")
    for position, element in enumerate(children(listed, "Sample") if listed is not None else [], 1):
        node = child(element, "SampleNode")
        if node is None:
            notes.append(f"sample {position} of the workspace has no name and no gates")
            continue
        sample = _sample(element, node, position)
        if sample.key in trees:
            sample = sample._replace(key=f"{sample.key} ({position})")
        samples.append(sample)
        trees[sample.key] = _tree(element, node)
        if not trees[sample.key].gates:
            notes.append(f'sample "{sample.name}" has no gates in the workspace')
    return ImportedGates(path, "flowjo", trees, tuple(samples), tuple(notes))


def _sample(element: Element, node: Element, position: int) -> WorkspaceSample:
    data = child(element, "DataSet")
    keywords = {
        (attribute(keyword, "name") or "").upper(): attribute(keyword, "value") or ""
        for keyword in children(_or_empty(child(element, "Keywords")), "Keyword")
    }
    key = attribute(node, "sampleID") or (attribute(data, "sampleID") if data is not None else None)
    return WorkspaceSample(
        key=key or f"sample {position}",
        name=(attribute(node, "name") or "").strip(),
        uri=(attribute(data, "uri") or "") if data is not None else "",
        file_name=keywords.get("$FIL", "").strip(),
        n_events=whole_number(keywords.get("$TOT")),
    )


def _or_empty(element: Element | None) -> Element:
    return Element("none") if element is None else element


def _tree(element: Element, node: Element) -> GateTree:
    matrix, broken, prefix, suffix = _matrix(element)
    scales, broken_scales = {}, {}
    for part in _or_empty(child(element, "Transformations")):
        named = child(part, "parameter")
        if named is None:
            continue
        channel = attribute(named, "name") or ""
        try:
            scales[channel] = read_flowjo_scale(part)
        except UnreadableGateError as error:
            broken_scales[channel] = str(error)
    channels = _Channels(
        scales,
        broken_scales,
        prefix,
        suffix,
        matrix.detectors if matrix else (),
        broken,
        frozenset(
            attribute(part, "name") or "" for part in descendants(element, "DerivedParameter")
        ),
    )
    gates: dict[str, ImportedGate] = {}
    for gate in _gates(node, channels):
        path, times = gate.path, 1
        while path in gates:
            times += 1
            path = f"{gate.path} ({times})"
        gates[path] = gate._replace(path=path)
    return GateTree(
        order_gates(gates.values()), scales, {WORKSPACE_MATRIX: matrix} if matrix else {}
    )


def _matrix(element: Element) -> tuple[GateMatrix | None, str, str, str]:
    """Return a sample's matrix, or why it cannot be read, and what marks compensated channels."""
    found = children(element, "spilloverMatrix")
    if not found:
        return None, "", "Comp-", ""
    matrix = found[0]
    prefix, suffix = (attribute(matrix, name) or "" for name in ("prefix", "suffix"))
    detectors = tuple(
        attribute(part, "name") or ""
        for part in children(_or_empty(child(matrix, "parameters")), "parameter")
    )
    rows: dict[str, dict[str, float]] = {}
    try:
        if len(found) > 1:
            raise UnreadableGateError("the workspace has several matrices for this sample")
        if attribute(matrix, "spectral") == "1":
            raise UnreadableGateError("it is spectral; gate files unmixed before FlowJo")
        for row in children(matrix, "spillover"):
            rows[attribute(row, "parameter") or ""] = {
                attribute(cell, "parameter") or "": number(cell, "value")
                for cell in children(row, "coefficient")
            }
        if not detectors or any(set(rows.get(name, ())) != set(detectors) for name in detectors):
            raise UnreadableGateError("its rows and columns do not name the same detectors")
    except UnreadableGateError as error:
        return None, str(error), prefix, suffix
    values = [[rows[row][column] for column in detectors] for row in detectors]
    return GateMatrix(detectors, detectors, np.array(values, dtype=np.float64)), "", prefix, suffix


def _gates(node: Element, channels: _Channels) -> Iterator[ImportedGate]:
    """Yield the gates below a node, parents first."""
    todo = [(node, "")]
    while todo:
        above, parent = todo.pop(0)
        below = []
        for group in children(above, "Subpopulations"):
            for element in group:
                name = attribute(element, "name")
                if name is None or local_name(element) == "Statistic":
                    continue
                gate = _gate(element, clean_name(name), parent, channels)
                yield gate
                below.append((element, gate.path))
        todo = below + todo


def _gate(element: Element, name: str, parent: str, channels: _Channels) -> ImportedGate:
    kind = local_name(element)
    stored = whole_number(attribute(element, "count"))
    gate = ImportedGate(
        join_path(parent, name), name, parent, kind, borders="data", stored_count=stored or None
    )
    try:
        if kind in _OPERATORS:
            return _boolean(gate, element)
        if kind != "Population":
            raise UnreadableGateError(f"it is made by a plugin of FlowJo ({kind}), not drawn")
        shapes = list(_or_empty(child(element, "Gate")))
        if len(shapes) != 1:
            raise UnreadableGateError("the workspace holds no shape for it")
        return _shaped(gate, shapes[0], channels)
    except UnreadableGateError as error:
        return gate._replace(reason=str(error))


def _boolean(gate: ImportedGate, element: Element) -> ImportedGate:
    references = tuple(
        (clean_path(attribute(part, "name") or ""), False)
        for part in children(_or_empty(child(element, "Dependents")), "Dependent")
    )
    kind = _OPERATORS[gate.kind]
    if not references or (kind == "not" and len(references) > 1):
        raise UnreadableGateError(f'"{kind}" of {len(references)} gates has no meaning')
    return gate._replace(kind=kind, references=references)


def clean_path(path: str) -> str:
    """Return a path with every name as `clean_name` writes it."""
    return "/".join(clean_name(name) for name in path.split("/"))


def _shaped(gate: ImportedGate, shape: Element, channels: _Channels) -> ImportedGate:
    kind = local_name(shape)
    axes = tuple(_axis(part, channels) for part in children(shape, "dimension"))
    gate = gate._replace(kind=kind, axes=axes, inside=attribute(shape, "eventsInside") != "0")
    if not axes:
        raise UnreadableGateError(f"a {kind} without channels cannot be read")
    if kind == "RectangleGate":
        return gate._replace(kind="rectangle")
    if kind == "PolygonGate":
        return gate._replace(kind="polygon", points=polygon_corners(shape, len(axes)))
    if kind == "EllipsoidGate":
        if len(axes) != 2:
            raise UnreadableGateError(f"an ellipse of FlowJo has 2 channels, not {len(axes)}")
        return gate._replace(kind="ellipse", borders="axis", points=_ellipse(shape))
    raise UnreadableGateError(
        f"FlowJo's {kind} cannot be read; draw it again as polygons or rectangles"
    )


def _axis(element: Element, channels: _Channels) -> Axis:
    part = child(element, "fcs-dimension")
    name = "" if part is None else attribute(part, "name") or ""
    if not name:
        raise UnreadableGateError("one of its dimensions names no channel")
    marked = (
        name.startswith(channels.prefix)
        and name.endswith(channels.suffix)
        and len(name) > len(channels.prefix + channels.suffix)
    )
    bare = name[len(channels.prefix) : len(name) - len(channels.suffix)] if marked else name
    if {name, bare} & channels.derived:
        raise UnreadableGateError(f'"{name}" is a derived parameter, which no FCS file holds')
    compensated = marked and bare in channels.detectors
    if marked and channels.prefix + channels.suffix and channels.broken_matrix:
        raise UnreadableGateError(
            f'its channel "{name}" needs a compensation that cannot be read: '
            f"{channels.broken_matrix}"
        )
    channel = bare if compensated else name
    # The compensated channel has its own scale; older workspaces list the detector's alone.
    drawn_on = name if name in {**channels.scales, **channels.broken_scales} else channel
    if drawn_on in channels.broken_scales:
        raise UnreadableGateError(
            f'the scale of "{name}" cannot be read: {channels.broken_scales[drawn_on]}'
        )
    low, high = (attribute(element, border) for border in ("min", "max"))
    return Axis(
        channel=channel,
        compensation=WORKSPACE_MATRIX if compensated else UNCOMPENSATED,
        scale=drawn_on if drawn_on in channels.scales else "",
        low=-math.inf if low is None else finite(low, "min"),
        high=math.inf if high is None else finite(high, "max"),
    )


def _ellipse(shape: Element) -> NDArray[np.float64]:
    """Return the corners of FlowJo's ellipse as shares of its axes, shape (128, 2).

    FlowJo stores the foci and four points of the edge. The long half-axis is the farther reach of
    the edge along the foci's line or across it; the short one follows from it and the foci,
    because the stored points of the short axis are imprecise.
    """
    foci, edge = vertices(child(shape, "foci")), vertices(child(shape, "edge"))
    if len(foci) != 2 or len(edge) != 4:
        raise UnreadableGateError("an ellipse of FlowJo needs 2 foci and 4 points of its edge")
    foci, edge = foci / _DISPLAY, edge / _DISPLAY
    centre = foci.mean(axis=0)
    half = (foci[1] - foci[0]) / 2
    focal = float(np.hypot(*half))
    # A circle has both foci in its centre, and no direction.
    along = half / focal if focal > 0 else np.array([1.0, 0.0])
    across = np.array([-along[1], along[0]])
    reach = np.abs((edge - centre) @ np.array([along, across]).T)
    long = float(reach.max())
    short = math.sqrt(max(long**2 - focal**2, 0.0))
    if short == 0:
        raise UnreadableGateError("its foci and edge make no ellipse")
    angles = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
    corners: NDArray[np.float64] = (
        centre + long * np.cos(angles)[:, None] * along + short * np.sin(angles)[:, None] * across
    )
    return corners
