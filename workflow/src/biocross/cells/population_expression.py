"""Scores of gene sets and levels of surface proteins, per sample and population."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from biocross.cells.gene_sets import SCALE, Measured, score_samples, set_weights
from biocross.cells.normalise import eligible_genes
from biocross.flow.clusters.counting import EXPRESSION_COLUMNS
from biocross.flow.clusters.groups import MERGED

__all__ = ["EXPRESSION_COLUMNS", "expression_rows"]


class Expressed(Protocol):
    """Cells; see `summary.Named`."""

    @property
    def counts(self) -> Any:
        """Sparse matrix, shape (cells, genes)."""

    @property
    def genes(self) -> list[str]:
        """Symbols."""

    @property
    def sample_id(self) -> NDArray[np.object_]:
        """Of each cell."""

    @property
    def proteins(self) -> NDArray[np.float64]:
        """CLR-normalised, shape (cells, proteins)."""

    @property
    def protein_names(self) -> list[str]:
        """Of the proteins."""


def expression_rows(
    cells: Expressed,
    samples: Sequence[str],
    inside: Mapping[str, NDArray[np.bool_]],
    sets: Sequence[Measured],
) -> Iterator[dict[str, object]]:
    """Score the sets of genes and take the medians of proteins in every population and sample.

    Parameters
    ----------
    cells
        All cells.
    samples
        In order of the sheet.
    inside
        By population, whether a cell is of it, shape (cells,).
    sets
        Those that can be scored.

    Yields
    ------
    dict
        Rows with `EXPRESSION_COLUMNS`, for samples with cells of the population. There are no
        borders, so that ``n_positive`` is empty.
    """
    place = {sample: position for position, sample in enumerate(samples)}
    codes = np.array([place[sample] for sample in cells.sample_id], dtype=np.int64)
    totals = np.asarray(cells.counts.sum(axis=1), dtype=np.float64).ravel()
    in_sets = {gene for one in sets for gene in one.gene_set.genes}
    eligible = eligible_genes(cells.genes, in_sets)
    for name, chosen in inside.items():
        rows = np.flatnonzero(chosen)
        if not rows.size:
            continue
        group = codes[rows]
        shared = {"source": MERGED, "population": name}
        if sets:
            found = _scores(cells, rows, totals[rows], group, len(samples), sets, eligible)
            for row in _score_rows(found, group, samples, sets):
                yield shared | row
        for row in _protein_rows(cells, rows, group, samples):
            yield shared | row


def _scores(
    cells: Expressed,
    rows: NDArray[np.int64],
    totals: NDArray[np.float64],
    group: NDArray[np.int64],
    n_samples: int,
    sets: Sequence[Measured],
    eligible: NDArray[np.bool_],
) -> Any:
    """Score one population; its genes are compared with those it expresses as strongly."""
    counts = cells.counts[rows]
    sums = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    level = np.log1p(sums / max(totals.sum(), 1.0) * SCALE)
    weights = set_weights(level, [one.columns for one in sets], eligible)
    return score_samples(counts, totals, group, n_samples, weights)


def _score_rows(
    found: Any, group: NDArray[np.int64], samples: Sequence[str], sets: Sequence[Measured]
) -> Iterator[dict[str, object]]:
    n_cells = np.bincount(group, minlength=len(samples))
    for position in map(int, np.flatnonzero(n_cells)):
        for number, one in enumerate(sets):
            yield {
                "sample_id": samples[position],
                "marker": one.gene_set.name,
                "value": float(found.value[position, number]),
                "sd": float(found.sd[position, number]),
                "n_cells": int(n_cells[position]),
            }


def _protein_rows(
    cells: Expressed, rows: NDArray[np.int64], group: NDArray[np.int64], samples: Sequence[str]
) -> Iterator[dict[str, object]]:
    for position in map(int, np.unique(group)):
        values = cells.proteins[rows[group == position]]
        for column, protein in enumerate(cells.protein_names):
            own = values[:, column]
            own = own[~np.isnan(own)]
            if own.size:
                yield {
                    "sample_id": samples[position],
                    "marker": protein,
                    "value": float(np.median(own)),
                    "sd": float(own.std(ddof=1)) if own.size > 1 else float("nan"),
                    "n_cells": int(own.size),
                }
