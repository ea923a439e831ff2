"""Measure whether integration mixed the batches, and kept apart what was apart in each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.neighbourhoods import nearest_others
from biocross.cells.resolutions import leiden

N_NEIGHBOURS = 30
# Cells that are looked at, in all and of each batch: distances are exact.
MOST_CELLS = 10_000
MOST_OF_BATCH = 1_500
RESOLUTION = 1.0
LEAST_CELLS = 20
# A cluster of one batch is lost where it was a neighbourhood of its own and is none any more.
PURE = 0.7
LOST = 0.5
# Batches that mix less than this are still apart.
MIXED = 0.5

QUALITY_COLUMNS = (*("measure", "group", "n_cells", "before", "after", "status", "note"),)


class Purity(NamedTuple):
    """How far the clusters of one batch keep to themselves.

    Parameters
    ----------
    n_cells
        Cells of each cluster, shape (clusters,).
    before, after
        Mean share of a cell's neighbours that are of its cluster, shape (clusters,).
    """

    n_cells: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def batch_mixing(
    neighbours: NDArray[np.int64], batches: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Measure how often neighbours come from another batch, relative to chance.

    Batches of patients hold populations in different numbers: chance is judged within the cell's
    cluster.

    Parameters
    ----------
    neighbours
        Positions of each cell's neighbours, shape (cells, neighbours).
    batches, labels
        Batch and cluster of each cell, from 0, shape (cells,).

    Returns
    -------
    ndarray
        By label, the mean share of neighbours from another batch over its expectation: 0 where
        batches are apart, 1 where they are mixed; NaN where the label has one batch only, shape
        (labels,).

    References
    ----------
    In the way of kBET (Buettner 2019, Nat Methods 16:43) and LISI (Korsunsky 2019).
    """
    n_labels, n_batches = int(labels.max()) + 1, int(batches.max()) + 1
    table = np.zeros((n_labels, n_batches))
    np.add.at(table, (labels, batches), 1)
    sizes = table.sum(axis=1)
    others = 1 - table / np.maximum(sizes, 1)[:, None]
    expected = np.bincount(labels, others[labels, batches], n_labels)
    observed = (batches[neighbours] != batches[:, None]).mean(axis=1)
    seen = np.bincount(labels, observed, n_labels)
    ratio: NDArray[np.float64] = np.full(n_labels, np.nan)
    return np.divide(seen, expected, out=ratio, where=expected > 0)


def cluster_purity(before: NDArray[np.float32], after: NDArray[np.float32], seed: int) -> Purity:
    """Cluster the cells of one batch before integration, and follow the clusters through it.

    Parameters
    ----------
    before, after
        Components of the cells of one batch, shape (cells, dimensions).
    seed
        Of the clustering.

    Returns
    -------
    Purity
        Of the clusters with `LEAST_CELLS` cells or more.
    """
    k = min(15, len(before) - 1)
    near_before = nearest_others(before, k)[0]
    near_after = nearest_others(after, k)[0]
    labels = leiden(_graph(near_before), RESOLUTION, seed)
    same_before = (labels[near_before] == labels[:, None]).mean(axis=1)
    same_after = (labels[near_after] == labels[:, None]).mean(axis=1)
    sizes = np.bincount(labels)
    large = sizes >= LEAST_CELLS
    means = [np.bincount(labels, same) / sizes for same in (same_before, same_after)]
    return Purity(sizes[large], means[0][large], means[1][large])


def quality_rows(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    batches: NDArray[np.int64],
    batch_names: Sequence[str],
    labels: NDArray[np.int64],
    seed: int,
) -> list[dict[str, object]]:
    """Measure the mixing of batches by cluster, and what each batch's clusters became.

    Parameters
    ----------
    before, after
        Components, shape (cells, dimensions).
    batches, batch_names
        Batch of each cell, from 0, shape (cells,), and their names.
    labels
        Cluster of each cell after integration, from 0, shape (cells,).
    seed
        Of the cells that are looked at.

    Returns
    -------
    list of dict
        Rows with `QUALITY_COLUMNS`: `mixing` of all cells and of each cluster, and `purity` of
        each batch and of each of its clusters that was lost.
    """
    random = np.random.default_rng(seed)
    n_cells = len(labels)
    part = np.sort(random.choice(n_cells, min(n_cells, MOST_CELLS), replace=False))
    rows = _mixing_rows(before[part], after[part], batches[part], labels[part])
    for code, name in enumerate(batch_names):
        cells = np.flatnonzero(batches == code)
        if len(cells) < 2 * LEAST_CELLS:
            note = f"not_possible: {len(cells)} cells"
            rows.append(_row("purity", name, len(cells), status="not_possible", note=note))
            continue
        chosen = np.sort(random.choice(cells, min(len(cells), MOST_OF_BATCH), replace=False))
        rows += _purity_rows(name, cluster_purity(before[chosen], after[chosen], seed))
    return rows


def _mixing_rows(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    batches: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> list[dict[str, object]]:
    k = min(N_NEIGHBOURS, len(labels) - 1)
    everything = np.zeros(len(labels), dtype=np.int64)
    near = [nearest_others(points, k)[0] for points in (before, after)]
    overall = [float(batch_mixing(each, batches, everything)[0]) for each in near]
    status, note = "measured", ""
    if overall[1] < MIXED:
        status = "poorly_mixed"
        note = "batches are still apart: clusters may be batches; count populations, not clusters"
    rows = [_row("mixing", "all cells", len(labels), overall[0], overall[1], status, note)]
    by_label = [batch_mixing(each, batches, labels) for each in near]
    for label, (was, became) in enumerate(zip(*by_label, strict=True)):
        size = int((labels == label).sum())
        if size == 0:
            continue
        single = bool(np.isnan(became))
        note = "its cells come from a single batch" if single else ""
        status = "one_batch" if single else "measured"
        rows.append(
            _row("mixing", f"cluster {label + 1}", size, float(was), float(became), status, note)
        )
    return rows


def _purity_rows(batch: str, purity: Purity) -> list[dict[str, object]]:
    weights = purity.n_cells / max(purity.n_cells.sum(), 1)
    overall = float(purity.before @ weights), float(purity.after @ weights)
    rows = [_row("purity", batch, int(purity.n_cells.sum()), *overall)]
    lost = (purity.before >= PURE) & (purity.after < LOST)
    note = "a cluster of this batch that integration merged with others"
    for n_cells, before, after in zip(
        purity.n_cells[lost], purity.before[lost], purity.after[lost], strict=True
    ):
        rows.append(_row("purity", batch, int(n_cells), float(before), float(after), "lost", note))
    return rows


def _row(
    measure: str,
    group: str,
    n_cells: int,
    before: float | None = None,
    after: float | None = None,
    status: str = "measured",
    note: str = "",
) -> dict[str, object]:
    values = (measure, group, n_cells, before, after, status, note)
    return dict(zip(QUALITY_COLUMNS, values, strict=True))


def _graph(neighbours: NDArray[np.int64]) -> sparse.csr_matrix:
    n_cells, k = neighbours.shape
    rows = np.repeat(np.arange(n_cells), k)
    one_way = sparse.csr_matrix(
        (np.ones(n_cells * k), (rows, neighbours.ravel())), shape=(n_cells, n_cells)
    )
    return sparse.csr_matrix(one_way + one_way.T)
