"""Kernels: molecules that a droplet sequencer would count, drawn from arrays about the cells.

The counts of a gene in a cell are negative binomial, as a Poisson of a gamma. A barcode holds one
cell or two, and soup. Sums run in a fixed order (no matrix product), so that the same seed gives
the same counts on any machine load.

References
----------
Zappia 2017, Genome Biol 18:174 (simulating counts from genes' means, library sizes and a gamma);
Fleming 2023, Nat Methods 20:1323 (ambient RNA, and what a droplet holds);
Stoeckius 2018, Genome Biol 19:224 (hashtags, doublets across them).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float32]
Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Counts = NDArray[np.int32]

# Cells that are drawn together: enough to be fast, few enough to fit the cache of a small machine.
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Cells:
    """The captured cells of a library, and how they share barcodes.

    Cells are ordered such that cell `i` is the first of barcode `i`; the second cells of doublets
    come after them.

    Attributes
    ----------
    group
        Row of the expression that the cell has, shape (cells,).
    dead
        Whether it is dead, shape (cells,).
    second
        Index of the second cell of each barcode, -1 where there is none, shape (barcodes,).
    """

    group: Codes
    dead: NDArray[np.bool_]
    second: Codes


@dataclass(frozen=True, eq=False)
class Rna:
    """What decides the counts of a library.

    Attributes
    ----------
    expression
        Shares of a cell's molecules, shape (groups, genes): those of the nuclear genes sum to
        about 1, and so do those of the mitochondrial genes, which are the last.
    n_mitochondrial
        How many genes are mitochondrial.
    size, mitochondrial
        Expected molecules of each cell, and the share of them from mitochondria, shape (cells,).
    modules
        Columns of the genes that move together.
    activity
        Factor of each module in each cell, shape (cells, modules).
    soup
        Expected ambient molecules of each barcode, shape (barcodes,).
    dispersion
        Of the negative binomial.
    """

    expression: Reals
    n_mitochondrial: int
    size: Floats
    mitochondrial: Floats
    modules: tuple[Codes, ...]
    activity: Floats
    soup: Floats
    dispersion: float


class SparseCounts(NamedTuple):
    """Counts of barcodes (rows) by compressed rows; columns ascend within a row."""

    data: Counts
    indices: NDArray[np.int64]
    indptr: NDArray[np.int64]


def pair_cells(
    rng: np.random.Generator, live: NDArray[np.int64], dead: NDArray[np.int64], per_thousand: float
) -> Cells:
    """Put the captured cells of a library into droplets, in random order.

    Parameters
    ----------
    rng
        The library's random stream.
    live, dead
        Cells of each group, shape (groups,).
    per_thousand
        Share of barcodes that hold two cells, for every 1,000 cells of the library.

    Returns
    -------
    Cells
        The cells and their barcodes.
    """
    groups = np.arange(live.size)
    group = np.concatenate([np.repeat(groups, live), np.repeat(groups, dead)])
    is_dead = np.arange(group.size) >= live.sum()
    order = rng.permutation(group.size)
    rate = min(per_thousand * group.size / 1000, 1.0)
    doublets = round(rate / (1 + rate) * group.size)
    barcodes = group.size - doublets
    second = np.full(barcodes, -1, dtype=np.intp)
    second[rng.permutation(barcodes)[:doublets]] = np.arange(barcodes, group.size)
    return Cells(group=group[order], dead=is_dead[order], second=second)


def draw_rna(rng: np.random.Generator, cells: Cells, rna: Rna) -> SparseCounts:
    """Draw the counts of a library.

    Parameters
    ----------
    rng
        The library's random stream.
    cells
        Its cells.
    rna
        What they express.

    Returns
    -------
    SparseCounts
        Shape (barcodes, genes).
    """
    profile = ambient_profile(cells, rna)
    data, indices, lengths = [], [], []
    for start in range(0, cells.second.size, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, cells.second.size))
        rates = _molecules(rng, cells, rna, rows)
        second = cells.second[rows]
        rates[second >= 0] += _molecules(rng, cells, rna, second[second >= 0])
        rates += rna.soup[rows, None] * profile
        counts = rng.poisson(rates)
        row, column = np.nonzero(counts)
        data.append(counts[row, column].astype(np.int32))
        indices.append(column.astype(np.int64))
        lengths.append(np.bincount(row, minlength=rows.size))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return SparseCounts(np.concatenate(data), np.concatenate(indices), indptr)


def ambient_profile(cells: Cells, rna: Rna) -> Floats:
    """Compute the shares of genes in the soup: those of all the library's molecules.

    Parameters
    ----------
    cells, rna
        The library.

    Returns
    -------
    numpy.ndarray
        Shape (genes,); sums to 1.
    """
    n = rna.n_mitochondrial
    groups = len(rna.expression)
    nuclear = np.bincount(cells.group, rna.size * (1 - rna.mitochondrial), minlength=groups)
    mitochondrial = np.bincount(cells.group, rna.size * rna.mitochondrial, minlength=groups)
    profile = (rna.expression * nuclear[:, None]).sum(axis=0)
    profile[-n:] = (rna.expression[:, -n:] * mitochondrial[:, None]).sum(axis=0)
    shares: Floats = profile / profile.sum()
    return shares


def _molecules(rng: np.random.Generator, cells: Cells, rna: Rna, which: Codes) -> Reals:
    """Draw the expected molecules of some cells, which the negative binomial's gamma spreads."""
    n = rna.n_mitochondrial
    share = rna.mitochondrial[which]
    rates = rna.expression[cells.group[which]]
    rates[:, :-n] *= (rna.size[which] * (1 - share))[:, None]
    rates[:, -n:] *= (rna.size[which] * share)[:, None]
    for module, columns in enumerate(rna.modules):
        rates[:, columns] *= rna.activity[which, module, None]
    shape = 1 / rna.dispersion
    rates *= rng.standard_gamma(shape, rates.shape, dtype=np.float32) / np.float32(shape)
    return rates


@dataclass(frozen=True, eq=False)
class Staining:
    """How antibodies bind.

    Attributes
    ----------
    level, spread, share
        Brightness in decades, its SD, and share of cells that have it, shape (groups, proteins).
    negative, negative_spread
        Brightness in decades of cells that lack a protein.
    gain
        Counts where the brightness is 0 decades.
    background
        Counts of antibody that floats about, shape (proteins,).
    depth
        Factor of each cell, shape (cells,).
    """

    level: Reals
    spread: Reals
    share: Reals
    negative: float
    negative_spread: float
    gain: float
    background: Floats
    depth: Floats


def draw_proteins(rng: np.random.Generator, cells: Cells, staining: Staining) -> Counts:
    """Draw the counts of antibodies that mark proteins.

    Parameters
    ----------
    rng
        The library's random stream.
    cells
        Its cells.
    staining
        What they bear.

    Returns
    -------
    numpy.ndarray
        Shape (barcodes, proteins).
    """
    shape = (cells.group.size, staining.level.shape[1])
    bears = rng.random(shape) < staining.share[cells.group]
    spread = np.where(bears, staining.spread[cells.group], staining.negative_spread)
    level = np.where(bears, staining.level[cells.group], staining.negative)
    bound = staining.gain * 10 ** (level + spread * rng.standard_normal(shape))
    bound *= staining.depth[:, None]
    return _barcode_counts(rng, cells, bound, staining.background)


def draw_hashtags(
    rng: np.random.Generator, cells: Cells, tag: Codes, bound: Floats, background: Floats
) -> Counts:
    """Draw the counts of hashtags.

    Parameters
    ----------
    rng
        The library's random stream.
    cells
        Its cells.
    tag
        The tag that each cell was stained with, shape (cells,).
    bound
        Expected counts of its tag on each cell, shape (cells,).
    background
        Expected counts of each tag on any barcode, shape (tags,).

    Returns
    -------
    numpy.ndarray
        Shape (barcodes, tags).
    """
    expected = np.zeros((tag.size, background.size))
    expected[np.arange(tag.size), tag] = bound
    return _barcode_counts(rng, cells, expected, background)


def _barcode_counts(
    rng: np.random.Generator, cells: Cells, expected: Floats, background: Floats
) -> Counts:
    """Add up the cells of each barcode, and draw."""
    total = expected[: cells.second.size] + background
    double = cells.second >= 0
    total[double] += expected[cells.second[double]]
    return rng.poisson(total).astype(np.int32)
