"""Antibody counts of cells (ADT): the centred log ratio, and isotype controls."""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_ISOTYPE = re.compile(r"iso(?:type)?(?:[\W_]|c|k|$)|(?:mouse|rat|hamster)[\W_]*ig[gm]", re.I)


def centred_log_ratio(
    counts: NDArray[np.int32], over: Literal["proteins", "cells"] = "proteins"
) -> NDArray[np.float32]:
    """Take antibody counts relative to their geometric mean, on a log scale.

    ``log(1 + x / g)`` with ``log g = Σ log(1 + x) / n`` over the n proteins of the cell, or over
    the n cells of the protein. It is Seurat's formula: with ``margin = 2`` over proteins, with
    ``margin = 1`` over cells.

    Over the proteins of a cell is the default, because a cell's value then depends on that cell
    alone. Over cells it depends on which cells share the library: where monocytes double under
    treatment, the CD14 of every single cell falls.

    Parameters
    ----------
    counts
        Shape (cells, proteins).
    over
        What the geometric mean is taken over.

    Returns
    -------
    NDArray
        Shape (cells, proteins), 0 where the count is 0.

    References
    ----------
    Stoeckius 2017, Nat Methods 14:865; Aitchison 1982, J R Stat Soc B 44:139.
    """
    axis = 1 if over == "proteins" else 0
    logs = np.log1p(counts.astype(np.float64))
    mean = logs.sum(axis=axis, keepdims=True) / max(counts.shape[axis], 1)
    return np.asarray(np.log1p(counts / np.exp(mean)), dtype=np.float32)


def isotype_controls(names: Sequence[str]) -> list[str]:
    """Name the antibodies that bind nothing: isotype controls.

    Parameters
    ----------
    names
        Of proteins, as the library has them.

    Returns
    -------
    list of str
        Names with ``isotype``, or with the IgG or IgM of mouse, rat or hamster.
    """
    return [name for name in names if _ISOTYPE.search(name)]


def weak_proteins(
    counts: NDArray[np.int32], names: Sequence[str], minimum: float = 1.0
) -> list[str]:
    """Name the antibodies that stained no cell to speak of.

    Parameters
    ----------
    counts
        Shape (cells, proteins).
    names
        Of proteins.
    minimum
        Counts below which the 99th percentile of the cells means no stain.

    Returns
    -------
    list of str
        In the order of the library; none where there are no cells.
    """
    if not counts.size:
        return []
    tops = np.percentile(counts, 99, axis=0)
    return [name for name, top in zip(names, tops, strict=True) if top < minimum]
