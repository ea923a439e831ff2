"""What an imported file of gates holds, whichever program wrote it."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

UNCOMPENSATED = "uncompensated"
FILE_SPILLOVER = "FCS"


class UnreadableGateError(ValueError):
    """One gate cannot be read or applied; its text says why, as the end of a sentence."""


class Scale(NamedTuple):
    """The scale of an axis.

    Parameters
    ----------
    kind
        ``linear``, ``log``, ``arcsinh``, ``hyperlog``, ``logicle`` (GatingML 2.0), ``flowjo_log``,
        ``biex`` (FlowJo), or ``ratio`` of two channels.
    parameters
        By their names in GatingML (T, W, M, A; A, B, C of a ratio) or in FlowJo (offset, decades;
        maxRange, pos, neg, width).
    channels
        Numerator and denominator of a ratio.
    """

    kind: str
    parameters: dict[str, float]
    channels: tuple[str, ...] = ()


class GateMatrix(NamedTuple):
    """A spillover matrix as the file of gates gives it.

    Parameters
    ----------
    detectors, dyes
        Names of columns and rows; a gate may name either.
    matrix
        Shape (dyes, detectors).
    """

    detectors: tuple[str, ...]
    dyes: tuple[str, ...]
    matrix: NDArray[np.float64]


class Axis(NamedTuple):
    """One dimension of a gate.

    Parameters
    ----------
    channel
        As the file of gates names it, without what marks a compensated channel; empty for a ratio.
    compensation
        ``uncompensated``, ``FCS`` (the spillover matrix of the sample's file), or the name of a
        matrix of the file of gates.
    scale
        Name of its scale; empty where the gate is drawn on the values themselves.
    low, high
        Borders of a rectangle: inside is low <= value < high.
    ratio
        Name of the ratio that is its value, if it is one.
    """

    channel: str
    compensation: str = UNCOMPENSATED
    scale: str = ""
    low: float = -math.inf
    high: float = math.inf
    ratio: str = ""


class ImportedGate(NamedTuple):
    """One gate, or one quadrant of a quadrant gate.

    Parameters
    ----------
    path
        Names from the top of the tree to the gate, joined by ``/``.
    name
        Its own name.
    parent
        Path of the gate it is drawn under; empty at the top.
    kind
        ``rectangle``, ``polygon``, ``ellipsoid``, ``ellipse`` (of FlowJo: a polygon of 128
        corners), ``and``, ``or``, ``not``; anything else is the name of a type we cannot read.
    axes
        Its dimensions; none for a Boolean gate.
    borders
        Where borders and corners are given: ``scale`` (on the display scale), ``data`` (before the
        scale is applied, as FlowJo does) or ``axis`` (shares of the axis, as FlowJo's ellipses).
    points
        Corners, shape (corners, 2); centre of an ellipsoid, shape (1, axes).
    covariance, distance
        Covariance matrix and squared Mahalanobis distance of an ellipsoid.
    inside
        False where the population is what lies outside.
    references
        Path of every gate that a Boolean gate combines, and whether its complement is meant.
    stored_count
        Events that the program which drew the gate found; None where it stored none.
    reason
        Why it cannot be used; empty where it can.
    """

    path: str
    name: str
    parent: str
    kind: str
    axes: tuple[Axis, ...] = ()
    borders: str = "scale"
    points: Any = None
    covariance: Any = None
    distance: float = 1.0
    inside: bool = True
    references: tuple[tuple[str, bool], ...] = ()
    stored_count: int | None = None
    reason: str = ""

    @property
    def is_boolean(self) -> bool:
        """Whether it combines other gates."""
        return self.kind in ("and", "or", "not")


class GateTree(NamedTuple):
    """The gates of one sample, or of all samples.

    Parameters
    ----------
    gates
        By path; every gate after its parent and after the gates it combines.
    scales
        By name.
    matrices
        By name.
    """

    gates: dict[str, ImportedGate]
    scales: dict[str, Scale]
    matrices: dict[str, GateMatrix]

    @property
    def usable(self) -> tuple[str, ...]:
        """Paths of the gates that can be read."""
        return tuple(path for path, gate in self.gates.items() if not gate.reason)

    @property
    def pruned(self) -> dict[str, str]:
        """Why each of the other gates cannot be used, by path."""
        return {path: gate.reason for path, gate in self.gates.items() if gate.reason}


class WorkspaceSample(NamedTuple):
    """A sample of a FlowJo workspace.

    Parameters
    ----------
    key
        FlowJo's identifier of the sample, unique in the workspace.
    name
        Its name in FlowJo: the file's name, unless somebody changed it.
    uri
        Where the FCS file was when the workspace was saved.
    file_name
        ``$FIL``.
    n_events
        ``$TOT``; None where the workspace does not say.
    """

    key: str
    name: str
    uri: str = ""
    file_name: str = ""
    n_events: int | None = None


class ImportedGates(NamedTuple):
    """The content of a file of gates.

    Parameters
    ----------
    path
        The file.
    form
        ``gatingml`` or ``flowjo``.
    trees
        By the key of a workspace's sample; GatingML has one tree for all samples, under ``""``.
    samples
        Samples of a workspace; none for GatingML.
    notes
        What to know of the file, in sentences.
    """

    path: Path
    form: str
    trees: dict[str, GateTree]
    samples: tuple[WorkspaceSample, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def gates(self) -> tuple[str, ...]:
        """Paths of all gates of all samples, usable or not, in their order in the file."""
        return tuple(dict.fromkeys(path for tree in self.trees.values() for path in tree.gates))

    def tree(self, key: str = "") -> GateTree:
        """Return the gates of a workspace's sample; those of GatingML for any sample."""
        return self.trees.get("" if self.form == "gatingml" else key, GateTree({}, {}, {}))


def clean_name(name: str) -> str:
    """Return a gate's name as it can stand in a sheet: single blanks, none around it."""
    return " ".join(name.split())


def join_path(parent: str, name: str) -> str:
    """Return the path of a gate under a parent."""
    return f"{parent}/{name}" if parent else name


def order_gates(gates: Iterable[ImportedGate]) -> dict[str, ImportedGate]:
    """Put every gate behind those it needs, and prune what needs a gate that cannot be used.

    Parameters
    ----------
    gates
        In any order, with unique paths.

    Returns
    -------
    dict of str to ImportedGate
        By path. A gate whose parent, or one of whose combined gates, is missing, unusable or
        part of a circle has a reason; all others are as they were.
    """
    known = {gate.path: gate for gate in gates}
    done: dict[str, ImportedGate] = {}
    # An explicit stack: a damaged file must not run into Python's limit of recursion.
    for start in known:
        stack = [start]
        open_paths: list[str] = []
        while stack:
            path = stack[-1]
            if path in done:
                stack.pop()
                continue
            needed = _needed(known[path])
            if open_paths and open_paths[-1] == path:
                open_paths.pop()
                stack.pop()
                done[path] = _with_reason(known[path], done)
                continue
            if circle := [other for other in needed if other in (*open_paths, path)]:
                reason = f'it depends on itself through "{circle[0]}"'
                known[path] = known[path]._replace(reason=known[path].reason or reason)
                needed = [other for other in needed if other not in circle]
            open_paths.append(path)
            stack += [other for other in reversed(needed) if other in known and other not in done]
    return done


def _needed(gate: ImportedGate) -> list[str]:
    parents = [gate.parent] if gate.parent else []
    return parents + [path for path, _ in gate.references]


def _with_reason(gate: ImportedGate, done: dict[str, ImportedGate]) -> ImportedGate:
    if gate.reason:
        return gate
    for path in _needed(gate):
        role = "the gate it is drawn under" if path == gate.parent else "a gate it combines"
        if path not in done:
            return gate._replace(reason=f'{role}, "{path}", is not in the file')
        if done[path].reason:
            return gate._replace(reason=f'{role}, "{path}", cannot be used')
    return gate
