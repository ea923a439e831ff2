"""Normalise counts of RNA, and choose the genes that tell populations apart."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

TARGET_COUNTS = 1e4
# Genes whose variation is not the identity of a population: RNA of mitochondria and ribosomes
# (quality, growth), the variable parts of the receptors of T and B cells and the constant chains of
# immunoglobulins (clones, ambient RNA of plasma cells), haemoglobins (lysed erythrocytes) and
# genes of one sex.
UNINFORMATIVE = re.compile(
    r"(MT-.*|MTRNR2.*|RP[LS]\d.*|RPLP\d|RPSA|MRP[LS]\d.*|TR[ABDG][VDJ]\d.*|IG[HKL][VDJ]\d.*"
    r"|IGH[ADEGM]\d?|IGKC|IGLC\d|HB[ABDEGMQZ]\d?|XIST|TSIX|RPS4Y\d|DDX3Y|EIF1AY|KDM5D|UTY|USP9Y)"
)
# What treatments induce in every population (interferon: Mostafavi 2016, Cell 164:564; immediate
# early and heat-shock genes of handling: van den Brink 2017, Nat Methods 14:935). In a paired
# study they would split each population by visit.
INDUCED = re.compile(
    r"(ISG15|ISG20|IFI\d+L?\d*|IFIT\d.?|IFITM[123]|IFIH1|MX[12]|OAS[123L]|RSAD2|HERC5|USP18|XAF1"
    r"|EPSTI1|LY6E|STAT1|IRF7|SAMD9L?|DDX58|RIGI|PLSCR1|BST2|TNFSF10|CXCL1[01]|CMPK2|SP110|PARP14|AIM2"
    r"|FOSB?|JUN[BD]?|EGR1|ATF3|DUSP1|IER2|IER3|HSPA1[AB]|HSPA6|HSPH1|DNAJB1|HSP90AA1)"
)
MIN_DETECTED = 3
ROWS_AT_A_TIME = 5_000


class VariableGenes(NamedTuple):
    """The variability of genes, judged within groups of cells.

    Parameters
    ----------
    selected
        Whether a gene is among the chosen ones, shape (genes,).
    median_rank
        Median over groups of the gene's rank, 0 the most variable; infinity for a gene that was
        not eligible, shape (genes,).
    n_groups
        In how many groups the gene is among the most variable, shape (genes,).
    """

    selected: NDArray[np.bool_]
    median_rank: NDArray[np.float64]
    n_groups: NDArray[np.int64]


def are_counts(values: sparse.csr_matrix) -> bool:
    """Whether a matrix holds whole, non-negative numbers."""
    return bool(np.all(values.data >= 0) and np.all(values.data == np.rint(values.data)))


def log_normalise(counts: sparse.csr_matrix, target: float = TARGET_COUNTS) -> sparse.csr_matrix:
    """Scale every cell to the same number of counts, and take log(1 + x).

    Parameters
    ----------
    counts
        Counts, shape (cells, genes).
    target
        Counts of a cell after scaling.

    Returns
    -------
    scipy.sparse.csr_matrix of float32
        In natural logarithms; a cell without counts stays zero. The places of the values
        (``indices``, ``indptr``) are shared with the counts.
    """
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    factors = np.divide(target, totals, out=np.zeros_like(totals), where=totals > 0)
    values = np.empty(counts.nnz, dtype=np.float32)
    # By parts, and with the places of the counts: 100,000 cells must not be held three times.
    for start in range(0, counts.shape[0], ROWS_AT_A_TIME):
        rows = slice(start, min(start + ROWS_AT_A_TIME, counts.shape[0]))
        part = slice(counts.indptr[rows.start], counts.indptr[rows.stop])
        lengths = np.diff(counts.indptr[rows.start : rows.stop + 1])
        values[part] = np.log1p(counts.data[part] * np.repeat(factors[rows], lengths))
    return sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)


def eligible_genes(genes: Sequence[str], excluded: Collection[str] = ()) -> NDArray[np.bool_]:
    """Tell which genes may be used to tell populations apart.

    Parameters
    ----------
    genes
        Symbols.
    excluded
        Further symbols to leave out, such as what the study's drug induces.

    Returns
    -------
    ndarray of bool
        False for `UNINFORMATIVE`, `INDUCED` and excluded genes, shape (genes,).
    """
    left_out = {gene.upper() for gene in excluded}
    return np.array(
        [
            gene.upper() not in left_out
            and not UNINFORMATIVE.fullmatch(gene.upper())
            and not INDUCED.fullmatch(gene.upper())
            for gene in genes
        ],
        dtype=bool,
    )


def variable_genes(
    values: sparse.csr_matrix,
    groups: NDArray[np.int64],
    n_top: int,
    eligible: NDArray[np.bool_],
) -> VariableGenes:
    """Choose the genes that vary most within groups of cells.

    The variance of a gene is judged against that of genes with the same mean, in every group by
    itself, so that what only differs between groups (batches, patients, visits) does not count.

    Parameters
    ----------
    values
        Log-normalised expression, shape (cells, genes).
    groups
        Group of each cell, from 0, shape (cells,).
    n_top
        How many genes to choose.
    eligible
        Genes that may be chosen, shape (genes,).

    Returns
    -------
    VariableGenes
        Fewer than `n_top` genes where fewer are eligible and vary.

    References
    ----------
    Stuart 2019, Cell 177:1888 (standardised variance, clipped); ranks are joined over batches by
    their median.
    """
    n_genes = values.shape[1]
    ranks = []
    for group in np.unique(groups):
        scaled = values[groups == group]
        scaled.data = np.expm1(scaled.data, dtype=np.float64)
        variance = _standardised_variance(scaled)
        variance[~eligible] = np.nan
        rank = np.full(n_genes, np.nan)
        known = np.flatnonzero(~np.isnan(variance))
        rank[known[np.argsort(-variance[known], kind="stable")]] = np.arange(len(known))
        ranks.append(rank)
    table = np.array(ranks)
    known = ~np.isnan(table)
    # A gene that a group does not express is no evidence against it: rare populations.
    median_rank = np.full(n_genes, np.inf)
    seen = known.sum(axis=0) > 0
    median_rank[seen] = np.nanmedian(table[:, seen], axis=0)
    n_groups = np.sum(known & (np.nan_to_num(table, nan=np.inf) < n_top), axis=0)
    order = np.lexsort((median_rank, -n_groups))
    selected = np.zeros(n_genes, dtype=bool)
    selected[order[:n_top]] = True
    return VariableGenes(selected & seen, median_rank, n_groups)


def _standardised_variance(scaled: sparse.csr_matrix) -> NDArray[np.float64]:
    """Variance of values standardised by what a gene of that mean is expected to vary."""
    n_cells = scaled.shape[0]
    result = np.full(scaled.shape[1], np.nan)
    columns = scaled.tocsc().astype(np.float64)
    detected = np.diff(columns.indptr)
    used = detected >= MIN_DETECTED
    if n_cells < MIN_DETECTED or not used.any():
        return result
    columns = columns[:, used]
    mean = np.asarray(columns.mean(axis=0)).ravel()
    square = columns.copy()
    square.data **= 2
    variance = np.asarray(square.mean(axis=0)).ravel() - mean**2
    varies = variance > 0
    expected = np.sqrt(np.exp(_trend(np.log(mean), np.log(np.where(varies, variance, 1.0)))))
    limit = np.sqrt(n_cells)
    # The zeros, all alike, are summed apart from what is stored.
    standard = columns.copy()
    lengths = np.diff(columns.indptr)
    centred = (standard.data - np.repeat(mean, lengths)) / np.repeat(expected, lengths)
    standard.data = np.clip(centred, -limit, limit) ** 2
    stored = np.asarray(standard.sum(axis=0)).ravel()
    zeros = (n_cells - lengths) * (mean / expected) ** 2
    result[used] = np.where(varies, (stored + zeros) / max(n_cells - 1, 1), np.nan)
    return result


def _trend(log_mean: NDArray[np.float64], log_variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Follow the typical variance along the mean: medians of bins, joined by lines."""
    n_bins = int(np.clip(len(log_mean) // 50, 1, 30))
    order = np.argsort(log_mean, kind="stable")
    bins = np.array_split(order, n_bins)
    centres = np.array([np.median(log_mean[part]) for part in bins])
    heights = np.array([np.median(log_variance[part]) for part in bins])
    if n_bins == 1:
        return np.full(len(log_mean), heights[0])
    slope_low = (heights[1] - heights[0]) / max(centres[1] - centres[0], 1e-9)
    slope_high = (heights[-1] - heights[-2]) / max(centres[-1] - centres[-2], 1e-9)
    inside: NDArray[np.float64] = np.interp(log_mean, centres, heights)
    inside += np.minimum(log_mean - centres[0], 0) * np.clip(slope_low, 0, 2)
    inside += np.maximum(log_mean - centres[-1], 0) * np.clip(slope_high, 0, 2)
    return inside
