"""The quality steps of single-cell RNA, their numbers, and the ledger of what each set aside."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# In this order; a cell's flag is the number, from 1, of the first step that set it aside.
FLAGS = (
    *("unassigned", "hashtag_doublet", "counts", "genes", "top_genes", "mitochondrial"),
    "doublet",
)
# The columns of the flow ledger, so that one test of losses reads both.
LEDGER_COLUMNS = ("sample_id", "library", "step", "events_before", "flagged", "share", "note")
READ = "read"
# Cells without a sample: negative for every hashtag, or positive for two.
NO_SAMPLE = ""


class Step(NamedTuple):
    """What one step did to a library: which of all its cells it names, and a note in words."""

    flagged: NDArray[np.bool_]
    note: str = ""


def nothing(n_cells: int, why: str) -> Step:
    """Flag no cell, because a step is not possible."""
    return Step(np.zeros(n_cells, dtype=bool), f"not_possible: {why}")


def set_aside(flag: NDArray[np.uint8], step: str, flagged: NDArray[np.bool_]) -> None:
    """Number the cells that a step flags and that passed all the steps before it, in place.

    Parameters
    ----------
    flag
        Number of the first step that flagged each cell, 0 for none, shape (cells,).
    step
        One of `FLAGS`.
    flagged
        What the step says of every cell, shape (cells,).
    """
    flag[flagged & (flag == 0)] = FLAGS.index(step) + 1


def ledger_row(
    sample_id: str, library: str, step: str, before: int, flagged: int, note: str = ""
) -> dict[str, object]:
    """Make a row of the ledger."""
    share = flagged / before if before else 0.0
    values = (sample_id, library, step, before, flagged, share, note)
    return dict(zip(LEDGER_COLUMNS, values, strict=True))


def ledger_rows(
    library: str,
    samples: Sequence[str],
    sample_of: NDArray[np.str_],
    flag: NDArray[np.uint8],
    notes: Mapping[str, str],
    remarks: Mapping[str, str],
) -> list[dict[str, object]]:
    """Count per sample what every step set aside.

    Parameters
    ----------
    library
        Name of the library.
    samples
        Samples of the sheet; each gets its rows, also where it has no cells.
    sample_of
        Sample of each cell, `NO_SAMPLE` where none is known, shape (cells,).
    flag
        Number of the first step that flagged each cell, shape (cells,).
    notes
        What a step says of the whole library, by step.
    remarks
        What the reading says of a sample, by sample.

    Returns
    -------
    list of dict
        Rows of `LEDGER_COLUMNS`. Cells without a sample have rows under `NO_SAMPLE`; within a
        sample the hashtag steps flag nothing, because what they flag belongs to no sample.
    """
    named = [*samples, NO_SAMPLE] if (sample_of == NO_SAMPLE).any() else list(samples)
    rows = []
    for sample in named:
        mine = flag[sample_of == sample]
        before = int(mine.size)
        rows.append(ledger_row(sample, library, READ, before, 0, remarks.get(sample, "")))
        for number, step in enumerate(FLAGS, 1):
            flagged = int((mine == number).sum())
            note = notes.get(step, "") if before else "not_possible: no cell is left"
            rows.append(ledger_row(sample, library, step, before, flagged, note))
            before -= flagged
    return rows


def sum_ledgers(rows: Iterable[Mapping[str, str]]) -> list[dict[str, object]]:
    """Add up the ledgers of several libraries, so that every sample and step has one row.

    Parameters
    ----------
    rows
        Rows of the libraries' ledgers, as read from their tables.

    Returns
    -------
    list of dict
        Rows of `LEDGER_COLUMNS`, ``library`` listing where the cells came from. Cells without a
        sample are left out. A step that was possible in some libraries only is possible, and its
        note says where it was not.
    """
    grouped: dict[tuple[str, str], list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        if row["sample_id"] != NO_SAMPLE:
            grouped[row["sample_id"], row["step"]].append(row)
    return [_summed(sample, step, found) for (sample, step), found in grouped.items()]


def _summed(sample: str, step: str, found: Sequence[Mapping[str, str]]) -> dict[str, object]:
    before = sum(int(row["events_before"]) for row in found)
    flagged = sum(int(row["flagged"]) for row in found)
    libraries = ";".join(row["library"] for row in found)
    if len({row["note"] for row in found}) == 1:
        note = found[0]["note"]
    else:
        note = "; ".join(f"{row['library']}: {row['note']}" for row in found if row["note"])
    return ledger_row(sample, libraries, step, before, flagged, note)
