"""How much the cells look like each population of the vocabulary, by RNA and surface proteins."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.normalise import INDUCED
from biocross.cohort.sheets import load_yaml
from biocross.cohort.vocabulary import load_vocabulary

# Names in the vocabulary that stand for several genes or proteins.
GENE_FAMILIES = {"CD3": ("CD3D", "CD3E", "CD3G"), "CD8": ("CD8A", "CD8B")}
PROTEIN_FAMILIES = {
    "LIN": (
        *("CD3", "TCRab", "TCRgd", "CD5", "CD14", "CD16", "CD19", "CD20", "CD34", "CD94"),
        *("CD11c", "CD303", "CD123", "FceRI"),
    )
}
# The least level, in log counts of 10,000, of a gene that some neighbourhood really expresses: a
# fifth of the cells of a shallow library with one molecule each.
LEAST_LEVEL = 0.3
# Least distance of the two halves of a protein that divides the cells, in CLR units.
LEAST_PROTEIN_STEP = 0.8
# What a gene keeps of its weight if another population expresses it as strongly.
LEAST_WEIGHT = 0.1


class Markers(NamedTuple):
    """What tells one population.

    Parameters
    ----------
    name, parent, gated_under
        As in the vocabulary.
    present, absent
        Genes.
    proteins_present, proteins_absent
        Surface proteins.
    resolves
        ``yes``, ``no``, ``partial``, ``union`` or ``module``: whether RNA can tell it.
    not_measured_in
        Tissues that lack it.
    """

    name: str
    parent: str | None
    gated_under: str | None
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    proteins_present: tuple[str, ...] = ()
    proteins_absent: tuple[str, ...] = ()
    resolves: str = "yes"
    not_measured_in: tuple[str, ...] = ()


def load_markers(path: Path) -> dict[str, Markers]:
    """Load the RNA and protein markers of ``populations.yaml``.

    Genes that treatments induce in every population (`normalise.INDUCED`) are left out: a cell
    must not change its name because its patient was treated.

    Parameters
    ----------
    path
        The vocabulary.

    Returns
    -------
    dict of str to Markers
        In the order of the file.

    Raises
    ------
    ConfigError
        The file is not a valid vocabulary.
    """
    vocabulary = load_vocabulary(path)
    raw = load_yaml(path)
    found = {}
    for name, population in vocabulary.items():
        entry = raw[name]
        present, absent = _signed(entry.get("rna", ()), GENE_FAMILIES)
        proteins, no_proteins = _signed(entry.get("adt", ()), PROTEIN_FAMILIES)
        found[name] = Markers(
            name,
            population.parent,
            population.gated_under,
            tuple(gene for gene in present if not INDUCED.fullmatch(gene)),
            tuple(gene for gene in absent if not INDUCED.fullmatch(gene)),
            proteins,
            no_proteins,
            str(entry.get("rna_resolves", "yes")),
            population.not_measured_in,
        )
    return found


def plain_protein(name: str) -> str:
    """Write a protein's name as it is compared: ``TotalSeq-B_CD3 (UCHT1)`` and ``CD3`` agree.

    Parameters
    ----------
    name
        Of a feature or in the vocabulary.

    Returns
    -------
    str
        Capital letters and digits, without suffixes that name clones or reagents.
    """
    text = re.sub(r"^(ADT|AB|TOTALSEQ-?[ABC])[_:. -]+", "", name.strip().upper())
    text = re.sub(r"\(.*?\)", "", text)
    text = re.sub(r"[_. -]*(TOTALSEQ-?[ABC]|PROT|ADT|PROTEIN)$", "", text)
    return re.sub(r"[^A-Z0-9]", "", text)


def neighbour_means(graph: sparse.csr_matrix, own_weight: float = 0.0) -> sparse.csr_matrix:
    """Make the matrix that averages a cell with its neighbours.

    Parameters
    ----------
    graph
        Stored entries name the neighbours of each cell, shape (cells, cells).
    own_weight
        Share of the mean that is the cell's own, beyond its part as one of the neighbours.

    Returns
    -------
    scipy.sparse.csr_matrix
        Rows sum to one; to be multiplied by values of shape (cells, ...).
    """
    joined = graph.tocsr().copy()
    joined.data = np.ones(len(joined.data))
    joined = (joined + sparse.identity(graph.shape[0], format="csr")).tocsr()
    joined.data[:] = np.minimum(joined.data, 1.0)
    joined.data *= (1 - own_weight) / np.repeat(np.diff(joined.indptr), np.diff(joined.indptr))
    own = sparse.identity(graph.shape[0], format="csr") * own_weight
    return (joined + own).tocsr()


def gene_levels(smoothed: NDArray[np.float64], least: float = LEAST_LEVEL) -> NDArray[np.float64]:
    """Express each gene relative to the neighbourhoods that express it fully.

    Parameters
    ----------
    smoothed
        Log-normalised expression averaged over neighbours, shape (cells, genes).
    least
        Least level that counts as full expression.

    Returns
    -------
    ndarray
        0 to 1: the value divided by the median of those above half the maximum, shape
        (cells, genes). Unlike a quantile it does not depend on how rare the population is.
    """
    levels = np.empty_like(smoothed)
    for column in range(smoothed.shape[1]):
        values = smoothed[:, column]
        peak = values.max(initial=0.0)
        full = np.median(values[values > peak / 2]) if peak > 0 else least
        levels[:, column] = np.clip(values / max(full, least), 0, 1)
    return levels


def protein_levels(smoothed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Express each protein relative to its negative and positive cells.

    Parameters
    ----------
    smoothed
        CLR-normalised counts averaged over neighbours, shape (cells, proteins).

    Returns
    -------
    ndarray
        0 at the mean of the negative, 1 at that of the positive cells; NaN for a protein that
        does not divide the cells, shape (cells, proteins).
    """
    levels = np.full(smoothed.shape, np.nan)
    for column in range(smoothed.shape[1]):
        values = smoothed[:, column]
        low, high = _two_means(values)
        if high - low >= LEAST_PROTEIN_STEP:
            levels[:, column] = np.clip((values - low) / (high - low), 0, 1)
    return levels


def contrast_weights(
    levels: NDArray[np.float64],
    codes: NDArray[np.int64],
    markers: Sequence[NDArray[np.int64]],
    rivals: NDArray[np.bool_],
    before: Sequence[NDArray[np.float64]],
) -> list[NDArray[np.float64]]:
    """Weigh each marker by how much more its population expresses it than any rival does.

    Parameters
    ----------
    levels
        0 to 1, shape (cells, genes).
    codes
        A first guess at each cell's population; negative for none, shape (cells,).
    markers
        By population, the columns of its markers.
    rivals
        Which populations exclude each other, shape (populations, populations).
    before
        Weights kept for a population to which no cell belongs, or that has no rival.

    Returns
    -------
    list of ndarray
        Weights from `LEAST_WEIGHT` to 1, by population.
    """
    means = np.full((len(markers), levels.shape[1]), np.nan)
    for code in range(len(markers)):
        if np.any(codes == code):
            means[code] = levels[codes == code].mean(axis=0)
    weights = []
    for code, columns in enumerate(markers):
        if np.isnan(means[code]).all() or not rivals[code].any():
            weights.append(before[code])
            continue
        others = np.nan_to_num(means[rivals[code]][:, columns])
        elsewhere = others.max(axis=0, initial=0.0)
        weights.append(np.maximum(means[code, columns] - elsewhere, LEAST_WEIGHT))
    return weights


def weighted_level(
    levels: NDArray[np.float64], columns: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted mean of some columns, shape (cells,); those without values are left out."""
    if not len(columns):
        return np.full(len(levels), np.nan)
    chosen = levels[:, columns]
    known = ~np.isnan(chosen).any(axis=0)
    if not known.any():
        return np.full(len(levels), np.nan)
    mean: NDArray[np.float64] = chosen[:, known] @ (weights[known] / weights[known].sum())
    return mean


def positions(wanted: Sequence[str], known: Mapping[str, int]) -> NDArray[np.int64]:
    """Find the columns of those names that are known."""
    return np.array([known[name] for name in wanted if name in known], dtype=np.int64)


def _signed(
    entries: Sequence[str], families: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split a list of markers into those present and those absent, families spelt out."""
    present: list[str] = []
    absent: list[str] = []
    for entry in entries:
        name = entry.removeprefix("-")
        target = absent if entry.startswith("-") else present
        target.extend(families.get(name.upper(), (name,)))
    return tuple(present), tuple(absent)


def _two_means(values: NDArray[np.float64], rounds: int = 50) -> tuple[float, float]:
    """Means of the two groups that a one-dimensional 2-means ends with."""
    low, high = (float(v) for v in np.quantile(values, [0.02, 0.98]))
    for _ in range(rounds):
        above = values > (low + high) / 2
        if not above.any() or above.all():
            return low, low
        new = float(values[~above].mean()), float(values[above].mean())
        if new == (low, high):
            break
        low, high = new
    return low, high
