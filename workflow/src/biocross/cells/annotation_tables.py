"""What was named, as tables: a row per population of the vocabulary, and one per cluster."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from biocross.cells.marker_scores import Markers, positions
from biocross.cells.population_tree import (
    UNASSIGNED,
    Evidence,
    has_evidence,
    is_remainder,
    is_resolved,
    stand_ins,
)

ANNOTATION_COLUMNS = (
    *("population", "parent", "status", "countable", "n_cells", "n_candidates", "confidence"),
    *("markers_measured", "markers_missing", "note"),
)
CLUSTER_COLUMNS = (
    *("cluster", "n_cells", "population", "share", "runner_up", "runner_up_share", "confidence"),
    *("unassigned_share",),
)
# A cluster without a population that half of its cells agree on has no name.
LEAST_SHARE = 0.5


class Named(Protocol):
    """The names of cells; see `annotation.Naming`."""

    @property
    def population(self) -> NDArray[np.object_]:
        """Finest population of each cell."""

    @property
    def candidate(self) -> NDArray[np.object_]:
        """What a cell may be that cannot be counted."""

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Of each cell's name."""


def annotation_rows(
    naming: Named, markers: Mapping[str, Markers], evidence: Evidence, tissues: Sequence[str]
) -> list[dict[str, object]]:
    """Say of every population whether it was found, and if not, whether it could have been.

    Parameters
    ----------
    naming
        The names of the cells.
    markers
        The vocabulary.
    evidence
        What was measured.
    tissues
        Of the samples.

    Returns
    -------
    list of dict
        Rows with `ANNOTATION_COLUMNS`; `n_cells` includes the finer populations, and is empty for
        what cannot be counted.
    """
    finest = {name: naming.population == name for name in set(naming.population)}
    maybe = {name: int((naming.candidate == name).sum()) for name in set(naming.candidate)}
    rows: list[dict[str, object]] = []
    for name, each in markers.items():
        inside = np.zeros(len(naming.population), dtype=bool)
        for found, cells in finest.items():
            if found in markers and _within(found, name, markers):
                inside |= cells
        status, note = _status(each, markers, evidence, tissues, int(inside.sum()))
        countable = status in ("found", "not_found")
        measured = len(positions(each.present, evidence.gene_columns))
        missing = [gene for gene in each.present if gene not in evidence.gene_columns]
        values = (
            *(name, each.parent or "", status, countable),
            int(inside.sum()) if countable else None,
            maybe.get(name, 0),
            float(naming.confidence[inside].mean()) if countable and inside.any() else None,
            *(measured, ", ".join(missing), note),
        )
        rows.append(dict(zip(ANNOTATION_COLUMNS, values, strict=True)))
    left = naming.population == UNASSIGNED
    note = "no lineage is clearly ahead, or no marker speaks: other cells, debris, doublets"
    last = (UNASSIGNED, "", "found", False, int(left.sum()), 0, None, 0, "", note)
    rows.append(dict(zip(ANNOTATION_COLUMNS, last, strict=True)))
    return rows


def cluster_rows(clusters: NDArray[np.int64], naming: Named) -> list[dict[str, object]]:
    """Name each cluster by what its cells are.

    Parameters
    ----------
    clusters
        Of each cell, from 0, shape (cells,).
    naming
        The names of the cells.

    Returns
    -------
    list of dict
        Rows with `CLUSTER_COLUMNS`.
    """
    rows: list[dict[str, object]] = []
    for cluster in range(int(clusters.max()) + 1):
        inside = clusters == cluster
        names, counts = np.unique(naming.population[inside].astype(str), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        size = int(inside.sum())
        lead = order[0]
        share = counts[lead] / size
        second = order[1] if len(order) > 1 else None
        values = (
            *(cluster + 1, size, str(names[lead]) if share >= LEAST_SHARE else UNASSIGNED),
            float(share),
            "" if second is None else str(names[second]),
            None if second is None else float(counts[second] / size),
            float(naming.confidence[inside].mean()),
            float((naming.population[inside] == UNASSIGNED).mean()),
        )
        rows.append(dict(zip(CLUSTER_COLUMNS, values, strict=True)))
    return rows


def _within(name: str, other: str, markers: Mapping[str, Markers]) -> bool:
    """Whether a population lies in another, by its parents or by what it is gated under."""
    if name == other:
        return True
    above = {markers[name].parent, markers[name].gated_under} - {None}
    return any(_within(each, other, markers) for each in above if each is not None)


def _status(
    each: Markers,
    markers: Mapping[str, Markers],
    evidence: Evidence,
    tissues: Sequence[str],
    n_cells: int,
) -> tuple[str, str]:
    if tissues and set(tissues) <= set(each.not_measured_in):
        return "not_measured", f"not measured in {', '.join(tissues)}"
    if not is_resolved(each, evidence):
        return "not_resolved", "RNA cannot tell it, and no surface protein that could was measured"
    known = has_evidence(each, evidence) or bool(stand_ins(each.name, markers, evidence))
    if not known and not is_remainder(each) and not n_cells:
        return "no_markers", "none of its markers was measured"
    note = {
        "partial": "RNA tells it in part: read its number as a lower bound",
        "module": "told by a set of genes or as what its siblings leave over",
    }.get(each.resolves, "")
    return ("found" if n_cells else "not_found"), note
