"""Whether the quality steps took cells for broken that belong to a population of little RNA."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cells.flags import FLAGS
from biocross.cells.quality import (
    find_concentrated,
    find_few_or_many,
    find_mitochondrial,
)

RECHECK_COLUMNS = (
    *("library", "population", "cells", "flagged", "flagged_share", "library_share"),
    *("flagged_within", "rescued", "mitochondrial_share", "library_mitochondrial_share"),
    *("status", "note"),
)
# The steps that judge a cell by how much RNA it has.
RECHECKED = ("counts", "genes", "top_genes")
# Much RNA of mitochondria means a dying cell in every population: such a flag stands, and a
# population that loses many cells by it is named.
UNCHANGED = ("mitochondrial",)
# A population loses more than its library where the share is this many times as high ...
MUCH_MORE = 2.0
# ... and chance, by the normal score of the two shares, does not explain it.
MIN_SCORE = 3.0
# Fewer cells than of a library: within a population cells are alike.
LEAST_CELLS = 20
ALL = "all libraries"


class CellMeasures(NamedTuple):
    """Measures of `quality.measure_cells`, each of shape (cells,)."""

    n_counts: NDArray[np.float64]
    n_genes: NDArray[np.float64]
    top20_percent: NDArray[np.float64]
    mito_percent: NDArray[np.float64]


class Recheck(NamedTuple):
    """A row for every population, and the flags with the rescued cells passing again."""

    rows: list[dict[str, object]]
    flag: NDArray[np.uint8]


def recheck_flags(
    measures: CellMeasures,
    flag: NDArray[np.uint8],
    population: NDArray[np.str_],
    library: str,
    keep_out: Sequence[str] = (),
) -> Recheck:
    """Judge the RNA of flagged cells among their own population instead of the whole library.

    A population whose loss exceeds that of its library by more than chance is judged again: limits
    are taken within it, over its cells that passed or were flagged for their RNA only. Cells inside
    these limits pass again. Populations that lose no more than the rest keep their flags, because
    what is broken there looks like what is broken elsewhere.

    Parameters
    ----------
    measures
        Of the cells of one library.
    flag
        Number of the first step that flagged each cell, shape (cells,).
    population
        Label of each cell, also of flagged ones, shape (cells,); empty where none is known.
    library
        For the rows.
    keep_out
        Labels never judged again, such as one for debris.

    Returns
    -------
    Recheck
        ``status`` is ``kept`` (no unusual loss), ``rescued``, ``lost`` (unusual loss, but the cells
        are outside within their population too) or ``not_possible`` (too few cells to judge).
    """
    by_rna = np.isin(flag, [FLAGS.index(step) + 1 for step in RECHECKED])
    judged = by_rna | (flag == 0)
    revised = flag.copy()
    rows = []
    total, lost = int(judged.sum()), int(by_rna.sum())
    for name in sorted(set(population[judged]) - {"", *keep_out}):
        members = np.flatnonzero(judged & (population == name))
        flagged = by_rna[members]
        row: dict[str, object] = {
            "library": library,
            "population": name,
            "cells": members.size,
            "flagged": int(flagged.sum()),
            "flagged_share": float(flagged.mean()),
            "library_share": lost / total,
            "rescued": 0,
        }
        others = (lost - int(flagged.sum()), total - members.size)
        if not _much_more(int(flagged.sum()), members.size, *others):
            row["status"] = "kept"
        elif members.size < LEAST_CELLS:
            row["status"] = "not_possible"
            row["note"] = (
                f"{flagged.mean():.0%} of {name} are flagged for their RNA, {lost / total:.0%} of "
                f"the library, and {members.size} cells are too few for limits of their own"
            )
        else:
            outside = _outside(CellMeasures(*(values[members] for values in measures)))
            rescued = members[flagged & ~outside]
            revised[rescued] = 0
            row |= {"flagged_within": int(outside.sum()), "rescued": rescued.size}
            row["status"], row["note"] = _verdict(name, flagged, rescued.size)
        rows.append(row | _dying(name, population, flag, str(row.get("note", ""))))
    return Recheck(rows, revised)


def _dying(
    name: str, population: NDArray[np.str_], flag: NDArray[np.uint8], note: str
) -> dict[str, object]:
    """Say how many cells of a population were flagged for their mitochondria, and if unusually."""
    flagged = np.isin(flag, [FLAGS.index(step) + 1 for step in UNCHANGED])
    judged = flagged | (flag == 0)
    inside = judged & (population == name)
    lost, here, total = int(flagged.sum()), int((flagged & inside).sum()), int(judged.sum())
    n_inside = int(inside.sum())
    share, overall = here / max(n_inside, 1), lost / max(total, 1)
    if n_inside and _much_more(here, n_inside, lost - here, total - n_inside):
        said = f"{share:.0%} of {name} were flagged for their mitochondrial RNA, {overall:.0%} of "
        said += "the library; if they were not damaged, its frequency is underestimated"
        note = "; ".join(filter(None, (note, said)))
    return {
        "mitochondrial_share": share,
        "library_mitochondrial_share": overall,
        "note": note,
    }


def _outside(measures: CellMeasures) -> NDArray[np.bool_]:
    return np.asarray(
        find_few_or_many(measures.n_counts, "counts", LEAST_CELLS).flagged
        | find_few_or_many(measures.n_genes, "genes", LEAST_CELLS).flagged
        | find_concentrated(measures.top20_percent, LEAST_CELLS).flagged
        # Cells flagged for their RNA were not judged by the mitochondrial share before.
        | find_mitochondrial(measures.mito_percent, LEAST_CELLS).flagged
    )


def _much_more(flagged: int, cells: int, flagged_elsewhere: int, cells_elsewhere: int) -> bool:
    """Say whether a population loses more than the rest of its library, and not by chance."""
    if not flagged or not cells_elsewhere:
        return False
    here, elsewhere = flagged / cells, flagged_elsewhere / cells_elsewhere
    both = (flagged + flagged_elsewhere) / (cells + cells_elsewhere)
    error = np.sqrt(both * (1 - both) * (1 / cells + 1 / cells_elsewhere))
    return bool(here >= MUCH_MORE * elsewhere and here - elsewhere >= MIN_SCORE * error)


def _verdict(name: str, flagged: NDArray[np.bool_], rescued: int) -> tuple[str, str]:
    said = f"{flagged.mean():.0%} of {name} were flagged for their RNA, far more than elsewhere; "
    if rescued:
        inside = f"{rescued} of these {flagged.sum()} cells are usual within {name} and pass again"
        return "rescued", said + inside
    return "lost", said + f"they are unusual within {name} too; see whether the label is right"


def recheck_cohort(
    measures: CellMeasures,
    flag: NDArray[np.uint8],
    population: NDArray[np.str_],
    library: NDArray[np.str_],
    keep_out: Sequence[str] = (),
) -> Recheck:
    """Judge flagged cells among their population, library by library, then rare ones together.

    Populations of too few cells in one library are judged over all libraries, counts and genes
    scaled to one median of the passing cells, so that depth does not tell libraries apart.

    Parameters
    ----------
    measures, flag, population
        Of all libraries, as in `recheck_flags`.
    library
        Of each cell, shape (cells,).
    keep_out
        Labels never judged again.

    Returns
    -------
    Recheck
        Rows of every library, then those of ``all libraries`` for the populations that were
        ``not_possible`` in some.
    """
    revised = flag.copy()
    rows: list[dict[str, object]] = []
    scaled = CellMeasures(*(values.astype(np.float64) for values in measures))
    for name in sorted(set(library)):
        members = np.flatnonzero(library == name)
        mine = CellMeasures(*(values[members] for values in measures))
        found = recheck_flags(mine, flag[members], population[members], name, keep_out)
        revised[members] = found.flag
        rows += found.rows
        for values in (scaled.n_counts, scaled.n_genes):
            passing = values[members][flag[members] == 0]
            values[members] /= float(np.median(passing)) if passing.size else 1.0
    rare = {str(row["population"]) for row in rows if row["status"] == "not_possible"}
    if len(set(library)) < 2 or not rare:
        return Recheck(rows, revised)
    for values, original in (
        (scaled.n_counts, measures.n_counts),
        (scaled.n_genes, measures.n_genes),
    ):
        values *= float(np.median(original))
    together = recheck_flags(scaled, flag, population, ALL, keep_out)
    rescued = np.isin(population, list(rare)) & (together.flag == 0)
    revised[rescued] = 0
    return Recheck([*rows, *(row for row in together.rows if row["population"] in rare)], revised)
