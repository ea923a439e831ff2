"""How complete each cell's RNA is, and which cells lie outside the rest of their library."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Values = NDArray[np.float64]

N_MADS, MITO_MADS = 5.0, 3.0
MITO_LIMIT = 8.0
MAD_TO_SD = 1.4826
MOST_OUTLYING = 0.10
TOP_GENES = 20
# Below, the median and the MAD of a library say too little about it to set a cell aside.
CELLS_TO_JUDGE = 50
MITOCHONDRIAL = ("MT-", "mt-", "Mt-")
RIBOSOMAL = ("RPL", "RPS", "Rpl", "Rps")


class CellQuality(NamedTuple):
    """Measures of every cell, each of shape (cells,).

    Parameters
    ----------
    n_counts
        Molecules counted.
    n_genes
        Genes with at least one.
    mito_percent
        Percent of the counts in mitochondrial genes; NaN where the matrix has none of them.
    ribo_percent
        Percent of the counts in genes of ribosomal proteins.
    top20_percent
        Percent of the counts in the cell's 20 most abundant genes.
    """

    n_counts: Values
    n_genes: Values
    mito_percent: Values
    ribo_percent: Values
    top20_percent: Values


class Outliers(NamedTuple):
    """Which cells lie outside, the limits, and why none could be set where `note` says so."""

    flagged: NDArray[np.bool_]
    low: float
    high: float
    note: str = ""


def measure_cells(counts: "csr_matrix", genes: Sequence[str]) -> CellQuality:
    """Measure counts, genes and what the counts are spent on, in every cell.

    Parameters
    ----------
    counts
        Cells x genes.
    genes
        Symbols; mitochondrial genes begin with ``MT-`` (``mt-`` in mice).

    Returns
    -------
    CellQuality
        Percentages are 0 in cells without counts.
    """
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    whole = np.maximum(totals, 1e-12) / 100
    mitochondrial = np.array([gene.startswith(MITOCHONDRIAL) for gene in genes], dtype=bool)
    ribosomal = np.array([gene.startswith(RIBOSOMAL) for gene in genes], dtype=bool)
    mito = counts @ mitochondrial.astype(np.float64) / whole
    if not mitochondrial.any():
        mito = np.full(totals.size, np.nan)
    ribo = counts @ ribosomal.astype(np.float64) / whole
    top = _top_counts(counts) / whole
    present = (
        np.add.reduceat(np.append(counts.data > 0, False).astype(np.int64), counts.indptr[:-1])
        if totals.size
        else np.zeros(0)
    )
    n_genes = np.where(np.diff(counts.indptr) > 0, present, 0).astype(np.float64)
    return CellQuality(totals, n_genes, np.asarray(mito), np.asarray(ribo), top)


def find_outliers(
    values: Values,
    n_mads: float,
    below: bool = True,
    above: bool = True,
    least: int = CELLS_TO_JUDGE,
) -> Outliers:
    """Find cells that lie some MADs from the median of their library.

    The MAD is scaled to the standard deviation of a normal distribution (1.4826), as in the source.

    Parameters
    ----------
    values
        One measure, shape (cells,).
    n_mads
        How far from the median is outside.
    below, above
        Which sides are judged.
    least
        Fewer cells are not judged.

    Returns
    -------
    Outliers
        Nothing is flagged, and the note says why, of fewer than `least` cells or where half of them
        are equal.

    References
    ----------
    Germain 2020, Genome Biol 21:227; McCarthy 2017, Bioinformatics 33:1179 (scaled MAD).
    """
    none = np.zeros(values.size, dtype=bool)
    if values.size < least:
        why = f"not_possible: {values.size} cells, fewer than {least}"
        return Outliers(none, -np.inf, np.inf, why)
    median = float(np.median(values))
    reach = n_mads * MAD_TO_SD * float(np.median(np.abs(values - median)))
    if reach == 0:
        return Outliers(none, -np.inf, np.inf, "not_possible: half the cells have the same value")
    low = median - reach if below else -np.inf
    high = median + reach if above else np.inf
    return Outliers((values < low) | (values > high), low, high)


def find_few_or_many(values: Values, unit: str, least: int = CELLS_TO_JUDGE) -> Outliers:
    """Find cells with too few or too many counts, or genes.

    Parameters
    ----------
    values
        Counts or genes per cell, shape (cells,).
    unit
        ``counts`` or ``genes``, for the note.
    least
        As in `find_outliers`.

    Returns
    -------
    Outliers
        More than 5 MAD from the median of log(1 + value); limits in the unit. A cell with nothing
        is outside whatever the rest is like.
    """
    found = find_outliers(np.log1p(values), N_MADS, least=least)
    low, high = float(np.expm1(found.low)), float(np.expm1(found.high))
    note = found.note or f"outside {max(low, 0):.0f} to {high:.0f} {unit}"
    return Outliers(found.flagged | (values == 0), low, high, note)


def find_concentrated(top20_percent: Values, least: int = CELLS_TO_JUDGE) -> Outliers:
    """Find cells whose 20 top genes hold much more, or less, than in the rest of the library.

    Parameters
    ----------
    top20_percent
        Of `measure_cells`, shape (cells,).
    least
        As in `find_outliers`.

    Returns
    -------
    Outliers
        More than 5 MAD from the median. More than a tenth of the cells are no outliers but a
        population, such as monocytes full of S100A8: then none is flagged, and the note says so.
    """
    found = find_outliers(top20_percent, N_MADS, least=least)
    limits = f"outside {found.low:.1f} to {found.high:.1f} % in the top 20 genes"
    share = float(found.flagged.mean()) if found.flagged.size else 0.0
    if share > MOST_OUTLYING:
        none = np.zeros(top20_percent.size, dtype=bool)
        why = f"not_possible: {share:.0%} of the cells lie {limits}, a population and no outliers"
        return Outliers(none, found.low, found.high, why)
    return found._replace(note=found.note or limits)


def find_mitochondrial(mito_percent: Values, least: int = CELLS_TO_JUDGE) -> Outliers:
    """Find cells whose mitochondrial share is that of dying cells.

    Parameters
    ----------
    mito_percent
        Of `measure_cells`, shape (cells,).
    least
        As in `find_outliers`.

    Returns
    -------
    Outliers
        More than 3 MAD above the median, or more than 8 %. The fixed limit holds where the library
        has too few cells for its own; nothing is possible without mitochondrial genes.
    """
    if np.isnan(mito_percent).any():
        none = np.zeros(mito_percent.size, dtype=bool)
        why = "not_possible: no gene of the matrix begins with MT-"
        return Outliers(none, -np.inf, np.inf, why)
    found = find_outliers(mito_percent, MITO_MADS, below=False, least=least)
    high = min(found.high, MITO_LIMIT)
    why = f"; no limit of its own ({found.note.removeprefix('not_possible: ')})"
    note = f"above {high:.1f} % mitochondrial" + (why if found.note else "")
    return Outliers(mito_percent > high, -np.inf, high, note)


def _top_counts(counts: "csr_matrix") -> Values:
    """Return the sum of the 20 highest counts of every cell."""
    tops = np.zeros(counts.shape[0])
    for cell, (start, end) in enumerate(zip(counts.indptr[:-1], counts.indptr[1:], strict=True)):
        values = counts.data[start:end]
        if values.size > TOP_GENES:
            values = np.partition(values, values.size - TOP_GENES)[-TOP_GENES:]
        tops[cell] = values.sum()
    return tops
