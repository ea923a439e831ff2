"""Flag the cells of one library step by step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cells.doublets import (
    CELLS_TO_JUDGE,
    call_doublets,
    expected_rate,
    score_doublets,
)
from biocross.cells.flags import FLAGS, Step, nothing, set_aside
from biocross.cells.hashtags import SampleCalls
from biocross.cells.quality import (
    CellQuality,
    Outliers,
    find_concentrated,
    find_few_or_many,
    find_mitochondrial,
    measure_cells,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NO_COUNTS = "the values are not counts"


class LibraryQuality(NamedTuple):
    """What the quality steps found in a library.

    Parameters
    ----------
    measured
        Measures of every cell.
    flag
        Number of the first step that flagged each cell, 0 for none, shape (cells,).
    doublet_score
        Scrublet's, NaN for cells flagged before, shape (cells,).
    notes
        What each step says, by step.
    """

    measured: CellQuality
    flag: NDArray[np.uint8]
    doublet_score: NDArray[np.float64]
    notes: dict[str, str]


def flag_library(
    counts: "csr_matrix",
    genes: Sequence[str],
    calls: SampleCalls,
    is_integer: bool,
    loaded: int,
    seed: int,
) -> LibraryQuality:
    """Number every cell of a library by the first step that flags it.

    Parameters
    ----------
    counts
        Cells x genes.
    genes
        Symbols.
    calls
        Whose each cell is.
    is_integer
        Whether the values are counts. Of other values only the number of genes is judged.
    loaded
        Cells recovered, for the expected share of doublets.
    seed
        For simulated doublets.

    Returns
    -------
    LibraryQuality
        Each step judges only what passed the steps before it.
    """
    measured = measure_cells(counts, genes)
    flag = np.zeros(counts.shape[0], dtype=np.uint8)
    hashed_doublet = calls.call == "doublet"
    set_aside(flag, "unassigned", (calls.sample == "") & ~hashed_doublet)
    set_aside(flag, "hashtag_doublet", hashed_doublet & (calls.sample == ""))
    notes = {"unassigned": calls.note, "hashtag_doublet": calls.note}
    for step, values in (
        ("counts", measured.n_counts),
        ("genes", measured.n_genes),
        ("top_genes", measured.top20_percent),
        ("mitochondrial", measured.mito_percent),
    ):
        done = _judge(step, values, flag == 0, is_integer)
        set_aside(flag, step, done.flagged)
        notes[step] = done.note
    score, done = _doublets(counts, flag, hashed_doublet, is_integer, loaded, seed)
    set_aside(flag, "doublet", done.flagged)
    notes["doublet"] = done.note
    return LibraryQuality(measured, flag, score, notes)


def _judge(
    step: str, values: NDArray[np.float64], passing: NDArray[np.bool_], is_integer: bool
) -> Step:
    if not passing.any():
        return nothing(values.size, "no cell is left")
    if not is_integer and step != "genes":
        return nothing(values.size, NO_COUNTS)
    found: Outliers
    if step == "mitochondrial":
        found = find_mitochondrial(values[passing])
    elif step == "top_genes":
        found = find_concentrated(values[passing])
    else:
        found = find_few_or_many(values[passing], step)
    flagged = np.zeros(values.size, dtype=bool)
    flagged[passing] = found.flagged
    return Step(flagged, found.note)


def _doublets(
    counts: "csr_matrix",
    flag: NDArray[np.uint8],
    hashed: NDArray[np.bool_],
    is_integer: bool,
    loaded: int,
    seed: int,
) -> tuple[NDArray[np.float64], Step]:
    """Score the cells that pass together with the known doublets, which show what is recognised."""
    score = np.full(flag.size, np.nan)
    judged = np.flatnonzero((flag == 0) | (flag == FLAGS.index("hashtag_doublet") + 1))
    if not is_integer:
        return score, nothing(flag.size, NO_COUNTS)
    if judged.size < CELLS_TO_JUDGE:
        why = f"{judged.size} cells, fewer than {CELLS_TO_JUDGE}"
        return score, nothing(flag.size, why)
    # Cells that were set aside, or removed before, were loaded too.
    rate = expected_rate(max(loaded, flag.size))
    scores = score_doublets(counts[judged], rate, seed)
    call = call_doublets(scores, rate)
    score[judged] = scores.cells
    flagged = np.zeros(flag.size, dtype=bool)
    flagged[judged] = call.flagged
    note = call.note
    if hashed[judged].any() and not note.startswith("not_possible"):
        known = flagged[hashed & (flag != 0)].mean()
        note += f"; {known:.0%} of the doublets known by their hashtags are recognised"
    return score, Step(flagged, note)
