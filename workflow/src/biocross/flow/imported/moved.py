"""Gates that differ between the visits of one patient, and whose gates are applied."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.errors import ConfigError
from biocross.flow.imported.model import Axis, GateTree, ImportedGate, ImportedGates, Scale
from biocross.flow.transforms import Transform, decades_between, transform_exactly

AS_DRAWN, PATIENT = "as_drawn", "patient"
# Copies of one gate agree but for rounding; no hand moves a border by so little.
_SAME = 1e-6


class MovedGate(NamedTuple):
    """A gate that is not the same in all visits of a patient.

    Parameters
    ----------
    patient_id
        The patient.
    gate
        Its path.
    sample_ids
        The samples in which it differs from the first that has it.
    first
        That first sample.
    decades
        Largest move of a border or corner on a logarithmic or biexponential axis; NaN if none.
    share
        Largest move on a linear axis, as a share of the axis; NaN if none.
    note
        What else differs, in words.
    """

    patient_id: str
    gate: str
    sample_ids: tuple[str, ...]
    first: str
    decades: float
    share: float
    note: str = ""


class Application(NamedTuple):
    """Whose gates are applied to a sample.

    Parameters
    ----------
    sample_id
        The sample.
    own
        Key of its own sample in the workspace.
    gates_of
        Key of the workspace's sample whose gates are applied.
    drawn_for
        The sample of the cohort for which they were drawn.
    """

    sample_id: str
    own: str
    gates_of: str
    drawn_for: str


def choose_gates(
    imported: ImportedGates,
    keys: Mapping[str, str],
    patients: Mapping[str, Sequence[str]],
    mode: str = AS_DRAWN,
) -> list[Application]:
    """Choose whose gates are applied to each sample.

    Parameters
    ----------
    imported
        The gates.
    keys
        Key of the workspace's sample by sample of the cohort; not needed for GatingML.
    patients
        Samples of each patient in the order of visits.
    mode
        ``as_drawn``: every sample gets its own gates. ``patient``: the gates of the patient's
        first sample that has any are applied to all visits, so that no change comes from a moved
        gate.

    Returns
    -------
    list of Application
        Samples that the workspace does not hold are left out; so are samples without usable
        gates, unless they get those of another visit.

    Raises
    ------
    ConfigError
        There is no such mode.
    """
    if mode not in (AS_DRAWN, PATIENT):
        raise ConfigError(f'moved gates: "{mode}" is neither {AS_DRAWN} nor {PATIENT}')
    chosen = []
    for samples in patients.values():
        if imported.form == "gatingml":
            chosen += [Application(sample, "", "", sample) for sample in samples]
            continue
        gated = [s for s in samples if s in keys and imported.tree(keys[s]).usable]
        for sample in samples:
            if sample not in keys or not gated:
                continue
            if mode == PATIENT:
                chosen.append(Application(sample, keys[sample], keys[gated[0]], gated[0]))
            elif sample in gated:
                chosen.append(Application(sample, keys[sample], keys[sample], sample))
    return chosen


def find_moved_gates(
    imported: ImportedGates, keys: Mapping[str, str], patients: Mapping[str, Sequence[str]]
) -> list[MovedGate]:
    """List the gates whose borders differ between the visits of a patient.

    Borders are compared on the display on which they were drawn: a moved gate invents a change
    between the visits, however honest each of the two gates is.

    Parameters
    ----------
    imported
        The gates.
    keys
        Key of the workspace's sample by sample of the cohort.
    patients
        Samples of each patient in the order of visits.

    Returns
    -------
    list of MovedGate
        By patient and gate, in the order of the tree. GatingML has one set of gates, so none.
    """
    found: list[MovedGate] = []
    if imported.form == "gatingml":
        return found
    for patient, samples in patients.items():
        trees = {s: imported.tree(keys[s]) for s in samples if s in keys}
        for path in dict.fromkeys(path for tree in trees.values() for path in tree.usable):
            holders = {s: tree for s, tree in trees.items() if path in tree.usable}
            if moved := _moved(patient, path, holders):
                found.append(moved)
    return found


def _moved(patient: str, path: str, holders: Mapping[str, GateTree]) -> MovedGate | None:
    (first, reference), *others = holders.items()
    decades, shares, notes, samples = [], [], [], []
    for sample, tree in others:
        note, moves = _compare(reference.gates[path], tree.gates[path], reference.scales)
        if not note and not any(move > _SAME for _, move in moves):
            continue
        samples.append(sample)
        notes.append(note)
        decades += [move for logarithmic, move in moves if logarithmic]
        shares += [move for logarithmic, move in moves if not logarithmic]
    if not samples:
        return None
    return MovedGate(
        patient,
        path,
        tuple(samples),
        first,
        max(decades, default=math.nan),
        max(shares, default=math.nan),
        "; ".join(dict.fromkeys(filter(None, notes))),
    )


def _compare(
    one: ImportedGate, other: ImportedGate, scales: Mapping[str, Scale]
) -> tuple[str, list[tuple[bool, float]]]:
    """Return what differs in kind, and by how much each axis moved and whether in decades."""
    if one.kind != other.kind:
        return f"{one.kind} in one visit, {other.kind} in another", []
    if [_drawn_on(axis) for axis in one.axes] != [_drawn_on(axis) for axis in other.axes]:
        return "drawn on other channels", []
    if one.inside != other.inside:
        return "inside in one visit, outside in another", []
    if one.references != other.references:
        return "combines other gates", []
    notes, moves = [], []
    for number, (axis, twin) in enumerate(zip(one.axes, other.axes, strict=True)):
        if one.points is None:
            here, there = (np.array([a.low, a.high]) for a in (axis, twin))
            if (np.isfinite(here) != np.isfinite(there)).any():
                notes.append(f'a border on "{axis.channel}" is open in one visit')
            both = np.isfinite(here) & np.isfinite(there)
            move = _distance(here[both], there[both], axis, one.borders, scales)
        else:
            here, there = one.points[:, number], other.points[:, number]
            if len(here) != len(there):
                notes.append("redrawn with another number of corners")
            move = _distance(here, there, axis, one.borders, scales)
        moves.append((_logarithmic(axis, one.borders, scales), move))
    return "; ".join(dict.fromkeys(notes)), moves


def _drawn_on(axis: Axis) -> tuple[str, str, str]:
    return axis.channel, axis.compensation, axis.ratio


def _logarithmic(axis: Axis, borders: str, scales: Mapping[str, Scale]) -> bool:
    return borders == "data" and _display(scales.get(axis.scale)) is not None


def _distance(
    here: NDArray[np.float64],
    there: NDArray[np.float64],
    axis: Axis,
    borders: str,
    scales: Mapping[str, Scale],
) -> float:
    """Return the largest move along one axis, in decades or in shares of the axis."""
    if not here.size or not there.size:
        return 0.0
    scale = scales.get(axis.scale)
    display = _display(scale)
    if borders == "data" and scale is not None and scale.kind == "flowjo_log":
        offset = scale.parameters["offset"]
        return _farthest(*(np.log10(np.maximum(v, offset)) for v in (here, there)))
    if borders == "data" and display is not None:
        unit = decades_between(0.0, 1.0, display)
        return unit * _farthest(*(transform_exactly(v, display) for v in (here, there)))
    length = 1.0
    if borders == "data" and scale is not None:
        length = abs(scale.parameters.get("T", 1.0) + scale.parameters.get("A", 0.0)) or 1.0
    return _farthest(here, there) / length


def _farthest(here: NDArray[np.float64], there: NDArray[np.float64]) -> float:
    """Return the largest difference of paired values, or of each to its nearest if unpaired."""
    if here.size == there.size:
        return float(np.abs(here - there).max())
    apart = np.abs(here[:, None] - there[None, :])
    return float(max(apart.min(axis=0).max(), apart.min(axis=1).max()))


def _display(scale: Scale | None) -> Transform | None:
    """Return our own transform for a scale that has decades; None for one that has not."""
    if scale is None:
        return None
    p = scale.parameters
    if scale.kind == "biex":
        return Transform("biex", p["maxRange"], p["pos"], negative=p["neg"], width_basis=p["width"])
    if scale.kind == "logicle":
        return Transform("logicle", p["T"], p["M"], width=p["W"], negative=p["A"])
    if scale.kind == "arcsinh":
        return Transform("arcsinh", cofactor=p["T"] / math.sinh(p["M"] * math.log(10)))
    if scale.kind == "flowjo_log":
        return Transform("linear")
    return None
