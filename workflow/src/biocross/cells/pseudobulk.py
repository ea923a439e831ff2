"""Sums of counts over the cells of a population in a sample: what gene changes are tested on."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_CELLS = 10
MIN_COUNTS = 1_000


class Pseudobulk(NamedTuple):
    """Summed counts of groups of cells.

    Parameters
    ----------
    sums
        Shape (groups, genes).
    n_cells
        Cells of each group, shape (groups,).
    """

    sums: NDArray[np.int64]
    n_cells: NDArray[np.int64]


def sum_counts(counts: Any, group: NDArray[np.integer[Any]], n_groups: int) -> Pseudobulk:
    """Sum the counts of the cells of every group.

    Parameters
    ----------
    counts
        Sparse matrix of whole numbers, shape (cells, genes).
    group
        Group of each cell, shape (cells,); a negative one is none.
    n_groups
        How many there are; one without cells sums to zero.

    Returns
    -------
    Pseudobulk
        Exact: the sums are made in whole numbers.
    """
    from scipy.sparse import csr_matrix

    cells = np.flatnonzero(group >= 0)
    ones = np.ones(cells.size, dtype=np.int64)
    shape = (n_groups, len(group))
    member = csr_matrix((ones, (group[cells], cells)), shape=shape)
    sums = (member @ csr_matrix(counts).astype(np.int64)).toarray()
    return Pseudobulk(sums, np.bincount(group[cells], minlength=n_groups).astype(np.int64))


def is_enough(pseudobulk: Pseudobulk) -> NDArray[np.bool_]:
    """Tell the groups with enough cells and counts to say something about genes.

    Parameters
    ----------
    pseudobulk
        Groups of cells.

    Returns
    -------
    ndarray
        Whether a group has `MIN_CELLS` cells and `MIN_COUNTS` counts, shape (groups,).
    """
    enough = pseudobulk.n_cells >= MIN_CELLS
    return np.asarray(enough & (pseudobulk.sums.sum(axis=1) >= MIN_COUNTS))
