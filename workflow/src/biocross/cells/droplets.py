"""Tell the droplets that hold a cell from those that hold only what floats between the cells."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.thresholds import find_peaks, smooth

# At or below this total a droplet is taken to be empty, as in EmptyDrops (Lun 2019).
EMPTY_COUNTS = 100
# No instrument's run gives as many cells; Cell Ranger's raw matrices list 100,000s of barcodes.
MIN_UNFILTERED = 20_000
# Cell Ranger 3 looks for cells of little RNA among the droplets from here on.
LITTLE_RNA = 500
# Logarithms of smaller totals lie too far apart to show a density.
_LEAST_SHOWN = 30
MOST_CELLS = 45_000


class Calling(NamedTuple):
    """Which droplets of an unfiltered matrix hold a cell.

    Parameters
    ----------
    is_cell
        Shape (barcodes,).
    is_empty
        Droplets of the ambient profile, shape (barcodes,).
    minimum
        Total from which a droplet is taken to hold a cell.
    doubtful
        Droplets below the minimum with 500 counts or more.
    """

    is_cell: NDArray[np.bool_]
    is_empty: NDArray[np.bool_]
    minimum: int
    doubtful: int


def is_unfiltered(totals: NDArray[np.int64]) -> bool:
    """Say whether a matrix still has the droplets without a cell.

    Parameters
    ----------
    totals
        Counts per barcode, shape (barcodes,).

    Returns
    -------
    bool
        Whether there are more than 20,000 barcodes and most of them have at most 100 counts.
    """
    return totals.size > MIN_UNFILTERED and bool(np.median(totals) <= EMPTY_COUNTS)


def call_cells(totals: NDArray[np.int64], expected_cells: int | None = None) -> Calling:
    """Call cells by their total: from the valley between empty droplets and cells.

    The border of Cell Ranger 2 is a tenth of the 99th percentile of the `expected_cells` largest
    totals. Without an expectation, that number of cells is taken that agrees best with its own
    result: least (called - expected)² / expected. It passes over cells of little RNA, such as
    granulocytes and innate lymphoid cells. So the minimum is lowered to the first valley between
    100 counts and that border in the density of the logarithms of the totals, if there is one.

    Parameters
    ----------
    totals
        Counts per barcode, shape (barcodes,).
    expected_cells
        How many cells the library should have.

    Returns
    -------
    Calling
        No cell where every total is at most 100.

    References
    ----------
    Zheng 2017, Nat Commun 8:14049 (the rule of Cell Ranger up to 2); 10x Genomics, Cell Ranger's
    algorithms, "Calling cell barcodes" (number of cells); Lun 2019, Genome Biol 20:63 (100 counts).
    """
    is_empty = totals <= EMPTY_COUNTS
    ordered = np.sort(totals[~is_empty])[::-1]
    if not ordered.size:
        return Calling(np.zeros(totals.size, dtype=bool), is_empty, EMPTY_COUNTS + 1, 0)
    expected = expected_cells or _cells_in_agreement(ordered)
    border = max(int(_borders(ordered, np.array([expected]))[0]), EMPTY_COUNTS + 1)
    minimum = _lowest_valley(totals, border)
    is_cell = totals >= minimum
    doubtful = int(np.count_nonzero(totals >= LITTLE_RNA) - np.count_nonzero(is_cell))
    return Calling(is_cell, is_empty, minimum, max(doubtful, 0))


def _lowest_valley(totals: NDArray[np.int64], border: int) -> int:
    """Return the lowest total at which the density has a valley below a border, or the border."""
    grid, density, effective = smooth(np.log10(totals[totals >= _LEAST_SHOWN]))
    for left, right in itertools.pairwise(find_peaks(density, effective)):
        place = float(10 ** grid[left + int(np.argmin(density[left : right + 1]))])
        if EMPTY_COUNTS < place < border:
            return int(np.ceil(place))
    return border


def _borders(ordered: NDArray[np.int64], expected: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a tenth of the 99th percentile of the largest totals, for numbers of cells."""
    places = np.minimum(np.rint(0.01 * expected).astype(np.int64), ordered.size - 1)
    borders: NDArray[np.int64] = np.rint(0.1 * ordered[places]).astype(np.int64)
    return borders


def _cells_in_agreement(ordered: NDArray[np.int64]) -> int:
    most = min(MOST_CELLS, ordered.size)
    expected = np.unique(np.rint(np.geomspace(1, most, 2000)).astype(np.int64))
    called = np.searchsorted(-ordered, -_borders(ordered, expected), side="right")
    return int(expected[np.argmin(np.square(called - expected) / expected)])
