"""Apply imported gates to the events of one sample, through FlowKit's gates and scales."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.sheets import did_you_mean
from biocross.flow.fcs import FcsFile, read_fcs
from biocross.flow.headers import read_header
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
    order_gates,
)
from biocross.flow.imported.scales import flowkit_scale

# FlowJo's biexponential reaches to 4096, all other scales of FlowKit to 1.
_BIEX_TOP = 4096.0
# Above it, compensation would make noise of every value.
_MAX_CONDITION = 1e8


class Memberships(NamedTuple):
    """Which events of a sample lie in which gate.

    Parameters
    ----------
    sample_id
        The sample.
    n_events
        Events of its file.
    inside
        By gate path: shape (events,), in the order of the file; an event in a gate is also in the
        gates above it.
    pruned
        Why the other gates could not be applied, by path.
    notes
        What to know of a gate that was applied, by path.
    """

    sample_id: str
    n_events: int
    inside: dict[str, NDArray[np.bool_]]
    pruned: dict[str, str]
    notes: dict[str, str]


def evaluate(
    imported: ImportedGates,
    sample_id: str,
    fcs: Path | str,
    own: str = "",
    gates_of: str | None = None,
) -> Memberships:
    """Apply a sample's gates to all events of its file.

    Values are read by our own reader, compensated with the matrix that the file of gates names,
    brought to the scale on which the gate was drawn, and compared with the gate by FlowKit. Each
    channel is compensated and scaled once, and a gate looks only at the events of its parent.

    Parameters
    ----------
    imported
        The gates.
    sample_id
        The sample, for the result.
    fcs
        Its FCS file.
    own
        Key of the workspace's sample that matches the file; of no meaning for GatingML.
    gates_of
        Key of the workspace's sample whose gates are applied; None for its own. Compensation is
        always the sample's own, the scales are those on which the gates were drawn.

    Returns
    -------
    Memberships
        A gate that cannot be applied to this file is listed as pruned with its descendants; the
        others are not touched by it.

    Raises
    ------
    FcsError
        The FCS file cannot be read.
    """
    tree = imported.tree(own if gates_of is None else gates_of)
    matrices = imported.tree(own).matrices
    content = read_fcs(fcs)
    values = _Values(content, read_header(fcs).markers, tree.scales, matrices)
    with _quiet_flowkit():
        return _apply_tree(tree, values, sample_id)


def _apply_tree(tree: GateTree, values: "_Values", sample_id: str) -> Memberships:
    inside: dict[str, NDArray[np.bool_]] = {}
    notes: dict[str, str] = {}
    gates = dict(tree.gates)
    for path, gate in tree.gates.items():
        if gate.reason or not {gate.parent, *(p for p, _ in gate.references)} <= {"", *inside}:
            continue
        try:
            inside[path] = _apply(gate, inside, values)
        except UnreadableGateError as error:
            gates[path] = gate._replace(reason=str(error))
        except Exception as error:  # FlowKit and the libraries below it raise what they like
            gates[path] = gate._replace(reason=f"FlowKit cannot apply it ({error})")
        else:
            if note := values.note(gate):
                notes[path] = note
    pruned = {path: gate.reason for path, gate in order_gates(gates.values()).items()}
    reasons = {path: reason for path, reason in pruned.items() if reason}
    return Memberships(sample_id, values.n_events, inside, reasons, notes)


def _apply(
    gate: ImportedGate, inside: dict[str, NDArray[np.bool_]], values: "_Values"
) -> NDArray[np.bool_]:
    """Return which of all events lie in a gate and in those above it."""
    parent = inside[gate.parent] if gate.parent else None
    if gate.is_boolean:
        within = _combine(gate, inside)
        return within if parent is None else within & parent
    rows = slice(None) if parent is None else np.flatnonzero(parent)
    points = np.column_stack([values.on_scale(axis)[rows] for axis in gate.axes])
    within = np.zeros(values.n_events, dtype=np.bool_)
    missing = np.isnan(points).any(axis=1)
    # A value that is no number lies neither inside nor outside of a gate.
    within[rows] = _apply_shape(gate, np.nan_to_num(points, nan=0.0), values) & ~missing
    return within


def _combine(gate: ImportedGate, inside: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    parts = [~inside[path] if complement else inside[path] for path, complement in gate.references]
    if gate.kind == "not":
        return ~parts[0]
    operator = np.logical_and if gate.kind == "and" else np.logical_or
    within: NDArray[np.bool_] = operator.reduce(parts)
    return within


def _apply_shape(
    gate: ImportedGate, points: NDArray[np.float64], values: "_Values"
) -> NDArray[np.bool_]:
    import flowkit
    import pandas as pd

    names = [str(number) for number in range(len(gate.axes))]
    borders = [values.borders(gate, axis) for axis in gate.axes]
    dimensions = [
        flowkit.Dimension(name, range_min=low, range_max=high)
        for name, (low, high) in zip(names, borders, strict=True)
    ]
    shape: Any
    if gate.kind == "rectangle":
        shape = flowkit.gates.RectangleGate("gate", dimensions, use_complement=not gate.inside)
    elif gate.kind == "ellipsoid":
        centre = list(gate.points[0])
        shape = flowkit.gates.EllipsoidGate(
            "gate", dimensions, centre, gate.covariance, gate.distance
        )
    else:
        corners = values.corners(gate)
        shape = flowkit.gates.PolygonGate(
            "gate", dimensions, corners, use_complement=not gate.inside
        )
    found: NDArray[np.bool_] = np.asarray(shape.apply(pd.DataFrame(points, columns=names)))
    return found.astype(np.bool_)


class _Values:
    """The values of one sample on the axes of gates, each computed once."""

    def __init__(
        self,
        content: FcsFile,
        labels: tuple[str, ...],
        scales: dict[str, Scale],
        matrices: dict[str, GateMatrix],
    ) -> None:
        self.n_events = len(content.events)
        self._content = content
        self._labels = labels
        self._scales = scales
        self._matrices = dict(matrices)
        if content.spillover is not None:
            names = tuple(content.spillover.channels)
            self._matrices[FILE_SPILLOVER] = GateMatrix(names, names, content.spillover.matrix)
        self._compensated: dict[str, tuple[list[int], NDArray[np.float64]]] = {}
        self._scaled: dict[tuple[str, str, str, str], NDArray[np.float64]] = {}
        self._functions: dict[str, Any] = {}

    def on_scale(self, axis: Axis) -> NDArray[np.float64]:
        """Return the values of all events on an axis, shape (events,)."""
        key = (axis.channel, axis.compensation, axis.scale, axis.ratio)
        if key not in self._scaled:
            self._scaled[key] = self._place(self._measured(axis), axis.scale)
        return self._scaled[key]

    def borders(self, gate: ImportedGate, axis: Axis) -> tuple[float | None, float | None]:
        """Return the borders of a rectangle on an axis; None for an open end."""
        low, high = (
            None
            if not np.isfinite(border)
            else float(self._place(np.array([border]), axis.scale)[0])
            if gate.borders == "data"
            else border
            for border in (axis.low, axis.high)
        )
        return low, high

    def corners(self, gate: ImportedGate) -> NDArray[np.float64]:
        """Return the corners of a polygon on the display scale, shape (corners, 2)."""
        columns = []
        for axis, column in zip(gate.axes, gate.points.T, strict=True):
            if gate.borders == "data":
                columns.append(self._place(column, axis.scale))
            elif gate.borders == "axis":
                scale = self._scales.get(axis.scale)
                columns.append(column * (_BIEX_TOP if scale and scale.kind == "biex" else 1.0))
            else:
                columns.append(column)
        return np.column_stack(columns)

    def note(self, gate: ImportedGate) -> str:
        """Say which of a gate's channels are compensated elsewhere, but not for this gate."""
        raw = []
        for axis in gate.axes:
            if axis.compensation == FILE_SPILLOVER and FILE_SPILLOVER not in self._matrices:
                return "the file has no spillover matrix, so its values are not compensated"
            if axis.compensation == UNCOMPENSATED and any(
                axis.channel in matrix.detectors for matrix in self._matrices.values()
            ):
                raw.append(axis.channel)
        return f"drawn on the uncompensated {' and '.join(raw)}" if raw else ""

    def _place(self, values: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
        if not scale:
            return values
        if scale not in self._functions:
            self._functions[scale] = flowkit_scale(self._scales[scale])
        missing = np.isnan(values)
        safe = np.where(missing, 1.0, values) if missing.any() else values
        with np.errstate(all="ignore"):
            placed = np.array(self._functions[scale](safe[:, None]), dtype=np.float64)[:, 0]
        placed[missing] = np.nan
        return placed

    def _measured(self, axis: Axis) -> NDArray[np.float64]:
        if not axis.ratio:
            return self._channel(axis.channel, axis.compensation)
        ratio = self._scales[axis.ratio]
        above, below = (self._channel(name, axis.compensation) for name in ratio.channels)
        p = ratio.parameters
        with np.errstate(all="ignore"):
            quotient: NDArray[np.float64] = p["A"] * ((above - p["B"]) / (below - p["C"]))
        return quotient

    def _channel(self, name: str, compensation: str) -> NDArray[np.float64]:
        column = self._column(name, compensation)
        if compensation in self._matrices:
            columns, compensated = self._compensate(compensation)
            if column in columns:
                return compensated[:, columns.index(column)]
        elif compensation not in (UNCOMPENSATED, FILE_SPILLOVER):
            raise UnreadableGateError(
                f'its channel "{name}" is compensated, but the workspace has no matrix for the '
                "sample"
            )
        return self._content.events[:, column].astype(np.float64)

    def _column(self, name: str, compensation: str = UNCOMPENSATED) -> int:
        """Find a channel by its name, its label, FlowJo's spelling of it, or its dye."""
        channels = list(self._content.channels)
        flowjo = [channel.replace("/", "_") for channel in channels]
        for names in (channels, list(self._labels), flowjo):
            if name in names:
                return names.index(name)
        matrix = self._matrices.get(compensation)
        if matrix is not None and name in matrix.dyes:
            return self._column(matrix.detectors[matrix.dyes.index(name)])
        raise UnreadableGateError(
            f'the FCS file has no channel "{name}"{did_you_mean(name, channels)}'
        )

    def _compensate(self, key: str) -> tuple[list[int], NDArray[np.float64]]:
        if key not in self._compensated:
            from flowutils.compensate import compensate

            matrix = self._matrices[key]
            columns = [self._column(name) for name in matrix.detectors]
            if np.linalg.cond(matrix.matrix) > _MAX_CONDITION:
                raise UnreadableGateError(
                    f'its compensation "{key}" is singular: two dyes spill alike'
                )
            raw = self._content.events[:, columns].astype(np.float64)
            self._compensated[key] = (columns, compensate(raw, matrix.matrix))
        return self._compensated[key]


@contextmanager
def _quiet_flowkit() -> Iterator[None]:
    """Import FlowKit without the warnings of the libraries that it draws with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import flowkit  # noqa: F401

        yield
