"""How much of the cells' counts floated in from outside: an indicator, not a correction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix, csr_matrix

Values = NDArray[np.float64]

# Genes that tell a cell's lineage. Erythrocytes are not told: a trace of haemoglobin is soup.
LINEAGES = {
    "T cells": ("CD3D", "CD3E", "CD3G", "TRAC", "TRBC1", "TRBC2"),
    "B cells": ("MS4A1", "CD79A", "CD79B", "CD19", "BANK1"),
    "monocytes": ("LYZ", "FCN1", "CST3", "CSF1R", "VCAN", "S100A8", "S100A9"),
}
# Genes that only one lineage makes: elsewhere they come from outside.
EXCLUSIVE = {
    "T cells": ("CD3D", "CD3E", "CD3G", "TRAC"),
    "B cells": ("MS4A1", "CD79A", "IGKC", "IGHM", "IGHD", "IGLC2", "IGLC3"),
    "monocytes": ("LYZ", "FCN1", "VCAN", "S100A8", "S100A9", "S100A12", "CD14"),
    "erythrocytes": ("HBB", "HBA1", "HBA2"),
}
MIN_MARKER_COUNTS = 2
# A lineage's genes must be this many times as frequent as in the soup, and as in other lineages.
ENRICHED = 1.5
MIN_EXPECTED = 20.0
HIGH_SHARE = 0.10
TOP = 5


class Ambient(NamedTuple):
    """The share of ambient RNA.

    Parameters
    ----------
    share
        Of all counts of the library, between 0 and 1; NaN where not possible.
    cells
        The same of every cell, shape (cells,). Cells of few counts lean on the library's share, as
        if one more ambient marker count were expected of them.
    low, high
        Lowest and highest share that one lineage's genes give.
    genes
        Exclusive genes that are most abundant in the soup.
    note
        What the estimate rests on, or why it is not possible.
    """

    share: float
    cells: Values
    low: float
    high: float
    genes: list[str]
    note: str


def measure_ambient(
    counts: "csr_matrix",
    genes: Sequence[str],
    passing: NDArray[np.bool_],
    empty: NDArray[np.int64] | None = None,
) -> Ambient:
    """Estimate the share of ambient RNA from genes that cells of other lineages cannot make.

    In cells of one lineage every count of another lineage's exclusive genes is ambient. Divided by
    what the cells would show if all their counts were soup, that gives the share, as in SoupX.
    Doublets of two lineages do not count, because in them neither stands out.

    Parameters
    ----------
    counts
        Raw counts, cells x genes.
    genes
        Symbols.
    passing
        Cells that the library's share is estimated from, shape (cells,).
    empty
        Counts of the droplets without cells, shape (genes,). Without them the soup is taken to be
        like all cells together.

    Returns
    -------
    Ambient
        The weighted median over pairs of lineage and foreign genes.

    References
    ----------
    Young & Behjati 2020, GigaScience 9:giaa151.
    """
    columns = {gene.upper(): place for place, gene in enumerate(genes)}
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    soup = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    source = "the cells' mean"
    if empty is not None and empty.sum() > 0:
        soup, source = empty.astype(np.float64), "empty droplets"
    soup = soup / max(soup.sum(), 1.0)
    by_column = counts.tocsc()
    lineage = _lineages(by_column, columns, soup, totals)
    observed = np.zeros_like(totals)
    expected = np.zeros_like(totals)
    shares, weights = [], []
    for foreign, names in EXCLUSIVE.items():
        if empty is None and foreign not in lineage:
            # All cells together are no measure of genes that none of them makes.
            continue
        places = [columns[name] for name in names if name in columns]
        found = _sum_columns(by_column, places)
        whole = totals * soup[places].sum()
        for own in LINEAGES:
            members = lineage == own
            if own == foreign or not members.any() or not places:
                continue
            judged = members & passing
            weight = float(whole[judged].sum())
            observed[members] += found[members]
            expected[members] += whole[members]
            if weight >= MIN_EXPECTED:
                shares.append(float(found[judged].sum()) / weight)
                weights.append(weight)
    if not shares:
        why = "not_possible: too few counts of genes that only one lineage makes"
        return Ambient(np.nan, np.full(totals.size, np.nan), np.nan, np.nan, [], why)
    share = _weighted_median(np.array(shares), np.array(weights))
    cells = np.clip((observed + share) / (expected + 1), 0, 1)
    note = f"{len(shares)} pairs of lineage and foreign genes; soup taken from {source}"
    return Ambient(share, cells, min(shares), max(shares), _top_genes(columns, soup), note)


def _lineages(
    by_column: "csc_matrix", columns: dict[str, int], soup: Values, totals: Values
) -> NDArray[np.str_]:
    """Name the lineage whose genes stand out in each cell; empty where none does."""
    names = np.array([*LINEAGES, ""])
    enrichment = np.zeros((len(LINEAGES), totals.size))
    for row, markers in enumerate(LINEAGES.values()):
        places = [columns[marker] for marker in markers if marker in columns]
        found = _sum_columns(by_column, places)
        whole = np.maximum(totals * soup[places].sum(), 1e-12)
        enrichment[row] = np.where(found >= MIN_MARKER_COUNTS, found / whole, 0)
    best = enrichment.argmax(axis=0)
    ordered = np.sort(enrichment, axis=0)
    clear = ordered[-1] >= ENRICHED * np.maximum(ordered[-2], 1)
    return names[np.where(clear, best, len(LINEAGES))]


def _sum_columns(by_column: "csc_matrix", places: Sequence[int]) -> Values:
    return np.asarray(by_column[:, list(places)].sum(axis=1), dtype=np.float64).ravel()


def _weighted_median(values: Values, weights: Values) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _top_genes(columns: dict[str, int], soup: Values) -> list[str]:
    known = {name for names in EXCLUSIVE.values() for name in names if name in columns}
    ordered = sorted(known, key=lambda name: (-soup[columns[name]], name))
    return [name for name in ordered[:TOP] if soup[columns[name]] > 0]
