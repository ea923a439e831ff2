"""Counts of imported gates beside those that FlowJo stored."""

from collections.abc import Mapping
from typing import Any

from biocross.flow.imported.evaluation import Memberships
from biocross.flow.imported.model import GateTree

STORED_COUNTS_COLUMNS = (
    *("sample_id", "gate", "population", "count", "stored_count", "difference", "note"),
)
_BINNED = (
    "FlowJo decides polygons and ellipses on a grid of its display, so that events at their "
    "borders may differ"
)


def compare_counts(
    memberships: Memberships,
    tree: GateTree,
    populations: Mapping[str, str],
    others_gates: str = "",
) -> list[dict[str, Any]]:
    """List our count of every gate beside the one that the workspace stores.

    Parameters
    ----------
    memberships
        The sample's gates as applied.
    tree
        The sample's own gates as imported, with their stored counts.
    populations
        Population by gate path, from ``gate_paths.tsv``.
    others_gates
        Name of the sample whose gates were applied instead of its own; stored counts then belong
        to other gates and are left out.

    Returns
    -------
    list of dict
        Keys `STORED_COUNTS_COLUMNS`; one row per gate of the sample, those that could not be
        applied included, with an empty count and the reason. A stored count of 0 or less means
        that FlowJo had not counted, and stays empty.
    """
    rows = []
    for path in dict.fromkeys((*tree.gates, *memberships.inside, *memberships.pruned)):
        inside = memberships.inside.get(path)
        count = None if inside is None else int(inside.sum())
        gate = tree.gates.get(path)
        stored = gate.stored_count if gate and not others_gates else None
        difference = None if count is None or stored is None else count - stored
        notes = [memberships.pruned.get(path, ""), memberships.notes.get(path, "")]
        if others_gates:
            notes.append(f"gates of {others_gates} applied: FlowJo counted with other gates")
        elif stored is None:
            notes.append("FlowJo stored no count")
        elif difference and _is_binned(path, tree):
            notes.append(_BINNED)
        rows.append(
            {
                "sample_id": memberships.sample_id,
                "gate": path,
                "population": populations.get(path),
                "count": count,
                "stored_count": stored,
                "difference": difference,
                "note": "; ".join(filter(None, notes)),
            }
        )
    return rows


def _is_binned(path: str, tree: GateTree) -> bool:
    """Whether a gate, one above it, or one it combines is a polygon or an ellipse."""
    todo, seen = [path], set()
    while todo:
        gate = tree.gates.get(todo.pop())
        if gate is None or gate.path in seen:
            continue
        seen.add(gate.path)
        if gate.kind in ("polygon", "ellipse", "ellipsoid"):
            return True
        todo += [gate.parent, *(other for other, _ in gate.references)]
    return False
