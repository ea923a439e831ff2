"""Name cells by their markers: lineages first, then finer and finer populations."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.embedding import harmonise, principal_components
from biocross.cells.label_transfer import LEAST_VOTES, vote
from biocross.cells.marker_scores import (
    Markers,
    gene_levels,
    neighbour_means,
    plain_protein,
    protein_levels,
)
from biocross.cells.neighbourhoods import neighbours
from biocross.cells.normalise import eligible_genes, variable_genes
from biocross.cells.population_tree import (
    ROOT,
    UNASSIGNED,
    Decision,
    Evidence,
    children,
    decide,
    is_remainder,
    is_resolved,
    stand_ins,
)
from biocross.errors import ConfigError

LYMPHOID = ("T_cells", "NK_cells", "ILC")
# Fewer neighbours than among all cells, and more components: rare subsets are small.
FINE_NEIGHBOURS = 10
FINE_COMPONENTS = 30
FINE_GENES = 2_000
# There a cell's own RNA counts more: cytotoxic T cells lie among NK cells.
FINE_OWN_WEIGHT = 0.3
# And a cell's own proteins: hundreds of molecules, where of its RNA there are a few.
OWN_PROTEIN_WEIGHT = 0.5
LEAST_FINE_CELLS = 100
# Share of a cluster's cells that names the rest of them.
LEAST_CLUSTER_SHARE = 0.8
LEAST_NAMED = 10


class Naming(NamedTuple):
    """The names of cells, written to in place.

    Parameters
    ----------
    population
        The finest population that the data resolve, or `UNASSIGNED`, shape (cells,).
    lineage
        Its branch below the leukocytes, shape (cells,).
    candidate
        A finer population that RNA of this kind cannot count, to which the cell may belong;
        empty for none, shape (cells,).
    confidence
        The smallest lead along the branch, 0 to 1, shape (cells,).
    assigned_by
        ``markers``, ``neighbours``, ``cluster``, ``reference``, or empty, shape (cells,).
    """

    population: NDArray[np.object_]
    lineage: NDArray[np.object_]
    candidate: NDArray[np.object_]
    confidence: NDArray[np.float64]
    assigned_by: NDArray[np.object_]


class Cells(NamedTuple):
    """What naming needs of the cells.

    Parameters
    ----------
    values
        Log-normalised expression, shape (cells, genes).
    genes
        Symbols.
    proteins, protein_names
        CLR-normalised counts, shape (cells, proteins), NaN where not measured.
    points
        Integrated components, shape (cells, components).
    graph
        Stored entries name each cell's neighbours, shape (cells, cells).
    clusters
        From 0, shape (cells,).
    groups, batches
        Library of each cell, and batch if it was integrated over, shape (cells,).
    """

    values: sparse.csr_matrix
    genes: Sequence[str]
    proteins: NDArray[np.float64]
    protein_names: Sequence[str]
    points: NDArray[np.float32]
    graph: sparse.csr_matrix
    clusters: NDArray[np.int64]
    groups: NDArray[np.int64]
    batches: NDArray[np.int64] | None


def name_cells(
    cells: Cells, markers: Mapping[str, Markers], excluded_genes: Sequence[str], seed: int
) -> tuple[Naming, Evidence]:
    """Name cells by their markers, and their neighbours' where these leave it open.

    Parameters
    ----------
    cells
        The cells.
    markers
        The vocabulary.
    excluded_genes
        Genes that must not shape the finer embedding.
    seed
        Of the steps that draw.

    Returns
    -------
    naming : Naming
        Of every cell.
    evidence : Evidence
        Levels of markers around every cell.
    """
    evidence = gather_evidence(cells, markers, cells.graph, np.arange(len(cells.points)))
    lineages = [name for name in children(ROOT, markers) if stand_ins(name, markers, evidence)]
    if not lineages:
        raise ConfigError(
            "no marker of any lineage in the vocabulary is among the genes; are they symbols?"
        )
    print(f"naming {len(cells.points)} cells: {', '.join(lineages)}", flush=True)
    decision = decide(lineages, markers, evidence)
    codes, confidence, assigned_by = _settle_lineages(cells, decision, lineages, markers, evidence)
    naming = _started(codes, confidence, assigned_by, lineages, markers, evidence)
    lymphoid = np.isin(naming.lineage, LYMPHOID)
    _descend_all(~lymphoid & (codes >= 0), naming, markers, evidence)
    if lymphoid.sum() >= LEAST_FINE_CELLS:
        _name_lymphoid(np.flatnonzero(lymphoid), cells, naming, markers, excluded_genes, seed)
    else:
        _descend_all(lymphoid, naming, markers, evidence)
    return naming, evidence


def gather_evidence(
    cells: Cells,
    markers: Mapping[str, Markers],
    graph: sparse.csr_matrix,
    rows: NDArray[np.int64],
    own_weight: float = 0.0,
    own_protein_weight: float = 0.0,
) -> Evidence:
    """Average the markers of some cells over their neighbours, and bring them to 0 to 1.

    Parameters
    ----------
    cells
        All cells.
    markers
        The vocabulary.
    graph
        Neighbours of the chosen cells among themselves, shape (chosen, chosen).
    rows
        The chosen cells.
    own_weight, own_protein_weight
        Of genes and of proteins, see `neighbour_means`.

    Returns
    -------
    Evidence
        Of the chosen cells.
    """
    place = {gene: i for i, gene in enumerate(cells.genes)}
    wanted = {gene for each in markers.values() for gene in (*each.present, *each.absent)}
    genes = sorted(wanted & set(place))
    means = neighbour_means(graph, own_weight)
    values = cells.values[rows][:, [place[gene] for gene in genes]].toarray().astype(np.float64)
    proteins = cells.proteins[rows]
    known = ~np.isnan(proteins)
    levels = gene_levels(means @ values)
    means = neighbour_means(graph, own_protein_weight)
    total = means @ np.where(known, proteins, 0.0)
    smoothed = total / np.maximum(means @ known.astype(float), 1e-9)
    return Evidence(
        levels,
        {gene: i for i, gene in enumerate(genes)},
        protein_levels(smoothed),
        {plain_protein(name): i for i, name in enumerate(cells.protein_names)},
    )


def _settle_lineages(
    cells: Cells,
    decision: Decision,
    lineages: Sequence[str],
    markers: Mapping[str, Markers],
    evidence: Evidence,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.object_]]:
    """Let the nearest named cells, then the cluster, name what markers alone leave open."""
    codes, confidence = decision.codes.copy(), decision.confidence.copy()
    assigned_by = np.where(codes >= 0, "markers", "").astype(object)
    resolved = np.array([is_resolved(markers[name], evidence) for name in lineages])
    named = codes >= 0
    allowed = decision.allowed & resolved
    open_cells = np.flatnonzero(~named & decision.spoken_for & allowed.any(axis=1))
    if named.sum() >= LEAST_NAMED and len(open_cells):
        votes = vote(
            cells.points[named],
            codes[named],
            cells.points[open_cells],
            len(lineages),
            allowed[open_cells],
        )
        won = votes.confidence >= LEAST_VOTES
        codes[open_cells[won]] = votes.codes[won]
        # Never more certain than the least certain cell that markers name.
        confidence[open_cells[won]] = 0.1 * votes.confidence[won]
        assigned_by[open_cells[won]] = "neighbours"
    for cluster in range(int(cells.clusters.max()) + 1):
        inside = cells.clusters == cluster
        counts = np.bincount(codes[inside & (codes >= 0)], minlength=len(lineages))
        lead = int(counts.argmax())
        if counts[lead] < max(LEAST_CLUSTER_SHARE * inside.sum(), LEAST_NAMED):
            continue
        left = inside & (codes < 0) & allowed[:, lead]
        codes[left], confidence[left], assigned_by[left] = lead, 0.05, "cluster"
    return codes, confidence, assigned_by


def _started(
    codes: NDArray[np.int64],
    confidence: NDArray[np.float64],
    assigned_by: NDArray[np.object_],
    lineages: Sequence[str],
    markers: Mapping[str, Markers],
    evidence: Evidence,
) -> Naming:
    n_cells = len(codes)
    names = np.array([*lineages, UNASSIGNED], dtype=object)[codes]
    naming = Naming(
        names.copy(), names.copy(), np.full(n_cells, "", dtype=object), confidence, assigned_by
    )
    for name in lineages:
        _claim(name, codes == lineages.index(name), confidence, naming, markers, evidence)
    return naming


def _claim(
    name: str,
    rows: NDArray[np.bool_],
    confidence: NDArray[np.float64],
    naming: Naming,
    markers: Mapping[str, Markers],
    evidence: Evidence,
) -> None:
    """Give cells a name; one that the data cannot count is noted beside the nearest that is."""
    naming.confidence[rows] = np.minimum(
        np.where(naming.confidence[rows] > 0, naming.confidence[rows], 1.0), confidence[rows]
    )
    if is_resolved(markers[name], evidence):
        naming.population[rows] = name
        naming.candidate[rows] = ""
        return
    naming.candidate[rows] = name
    if name not in children(ROOT, markers):
        return  # the branch that it lies on has been claimed
    above = markers[name].parent
    while above is not None and not is_resolved(markers[above], evidence):
        above = markers[above].parent
    naming.population[rows] = above or UNASSIGNED


def _descend_all(
    rows: NDArray[np.bool_], naming: Naming, markers: Mapping[str, Markers], evidence: Evidence
) -> None:
    for lineage in dict.fromkeys(naming.lineage[rows]):
        cells = np.flatnonzero(rows & (naming.lineage == lineage))
        _descend(lineage, cells, naming, markers, evidence, cells)


def _descend(
    name: str,
    rows: NDArray[np.int64],
    naming: Naming,
    markers: Mapping[str, Markers],
    evidence: Evidence,
    places: NDArray[np.int64],
) -> None:
    """Tell apart what lies within a population; `places` are the rows of the evidence."""
    candidates = [
        child
        for child in children(name, markers)
        if is_remainder(markers[child]) or stand_ins(child, markers, evidence)
    ]
    if not any(stand_ins(child, markers, evidence) for child in candidates) or not len(rows):
        return
    subset = np.zeros(len(evidence.genes), dtype=bool)
    subset[places] = True
    order = np.argsort(places, kind="stable")
    rows, places = rows[order], places[order]
    decision = decide(candidates, markers, evidence.of(subset))
    for code, child in enumerate(candidates):
        inside = decision.codes == code
        if not inside.any():
            continue
        chosen = np.zeros(len(naming.population), dtype=bool)
        chosen[rows[inside]] = True
        confidence = np.zeros(len(naming.population))
        confidence[rows] = decision.confidence
        _claim(child, chosen, confidence, naming, markers, evidence)
        _descend(child, rows[inside], naming, markers, evidence, places[inside])


def _name_lymphoid(
    rows: NDArray[np.int64],
    cells: Cells,
    naming: Naming,
    markers: Mapping[str, Markers],
    excluded_genes: Sequence[str],
    seed: int,
) -> None:
    """Look at T, NK and innate lymphoid cells by themselves, cell by cell.

    Among all cells their differences are small beside those to other lineages: genes, components
    and neighbours are found anew. No majority of a cluster names a cell here; it would swallow
    the rare ones.
    """
    print(f"looking closer at {len(rows)} T, NK and innate lymphoid cells", flush=True)
    values = cells.values[rows]
    wanted = {gene for each in markers.values() for gene in each.present}
    eligible = eligible_genes(cells.genes, excluded_genes)
    found = variable_genes(values, cells.groups[rows], FINE_GENES, eligible)
    marked = np.array([gene in wanted for gene in cells.genes]) & eligible
    used = np.flatnonzero(found.selected | (marked & np.isfinite(found.median_rank)))
    points = principal_components(values[:, used], FINE_COMPONENTS, seed).scores
    if cells.batches is not None and len(np.unique(cells.batches[rows])) > 1:
        points = harmonise(points, cells.batches[rows], seed)
    graph, _ = neighbours(points, FINE_NEIGHBOURS, seed)
    evidence = gather_evidence(cells, markers, graph, rows, FINE_OWN_WEIGHT)
    lineages = [name for name in LYMPHOID if stand_ins(name, markers, evidence)]
    decision = decide(lineages, markers, evidence)
    evidence = gather_evidence(cells, markers, graph, rows, 0.0, OWN_PROTEIN_WEIGHT)
    for code, name in enumerate(lineages):
        inside = decision.codes == code
        chosen = np.zeros(len(naming.population), dtype=bool)
        chosen[rows[inside]] = True
        confidence = np.zeros(len(naming.population))
        confidence[rows] = decision.confidence
        naming.lineage[chosen] = name
        naming.confidence[chosen] = confidence[chosen]
        naming.assigned_by[chosen] = "markers"
        _claim(name, chosen, confidence, naming, markers, evidence)
    for name in lineages:
        places = np.flatnonzero(naming.lineage[rows] == name)
        _descend(name, rows[places], naming, markers, evidence, places)
