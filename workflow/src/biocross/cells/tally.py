"""How many cells of each population a sample has, and whether that is enough."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cells.population_tree import ROOT
from biocross.cells.pseudobulk import MIN_CELLS, MIN_COUNTS, Pseudobulk, is_enough
from biocross.cohort.vocabulary import Vocabulary, counted_parent, within
from biocross.errors import TableError
from biocross.flow.clusters.counting import COUNT_COLUMNS
from biocross.flow.clusters.groups import MERGED

__all__ = ["CELLS_COLUMNS", "COUNT_COLUMNS", "Tally", "cells_rows", "count_rows", "tally_cells"]

CELLS_COLUMNS = (
    *("patient_id", "visit", "treatment", "sample_id", "population", "n_cells", "n_counts"),
    *("status", "note"),
)
NO_COUNTS = "the counts are no whole numbers, as if normalised; its genes are not tested"
FEW = f"fewer than {MIN_CELLS} cells or {MIN_COUNTS:,} counts: its genes are not tested"
MIXED = "holds several lineages: a change of their mixture would look like one of genes"


class Tally(NamedTuple):
    """Cells by sample and population.

    Parameters
    ----------
    samples
        Rows of the sheet, in its order.
    counted
        Populations with a cell anywhere in the cohort that the data can tell, with those of their
        cells' finest names that lie within them.
    n_cells
        Shape (samples, populations counted); the first population is the root.
    """

    samples: list[dict[str, str]]
    counted: dict[str, list[str]]
    n_cells: NDArray[np.int64]


def tally_cells(
    sample_id: NDArray[np.object_],
    population: NDArray[np.object_],
    sheet: Sequence[dict[str, str]],
    told: Mapping[str, Mapping[str, str]],
    vocabulary: Vocabulary,
) -> Tally:
    """Count the cells of every population that the data tell.

    Parameters
    ----------
    sample_id, population
        Of each cell, shape (cells,); the population is the finest that it was given.
    sheet
        Samples of RNA.
    told
        Rows of ``annotation.tsv`` by population.
    vocabulary
        Says what lies within what.

    Returns
    -------
    Tally
        A cell counts in its population and in all that hold it; one without a name in the root.

    Raises
    ------
    TableError
        The cells name a sample that the sheet does not know.
    """
    place = {row["sample_id"]: position for position, row in enumerate(sheet)}
    if unknown := sorted(set(sample_id) - set(place)):
        raise TableError(
            f'the cells are of sample "{unknown[0]}", which is no RNA sample of the sheet; '
            "run check_cohort again"
        )
    inside: dict[str, list[str]] = {}
    for finest in sorted(set(population) & set(vocabulary)):
        for name in within(finest, vocabulary):
            inside.setdefault(name, []).append(finest)
    inside[root_of(vocabulary)] = sorted(set(population))
    can = {name for name, row in told.items() if row["countable"] == "yes"}
    can.add(root_of(vocabulary))
    counted = {name: inside[name] for name in vocabulary if name in inside and name in can}
    codes = np.array([place[sample] for sample in sample_id], dtype=np.int64)
    of_finest = {
        finest: np.bincount(codes[population == finest], minlength=len(sheet))
        for finest in set(population)
    }
    nothing = np.zeros(len(sheet), dtype=np.int64)
    columns = [sum((of_finest[one] for one in finest), nothing) for finest in counted.values()]
    return Tally(list(sheet), counted, np.column_stack(columns).astype(np.int64))


def root_of(vocabulary: Vocabulary) -> str:
    """Name the population that holds all others."""
    return next(name for name, population in vocabulary.items() if population.parent is None)


def mixed_populations(vocabulary: Vocabulary) -> set[str]:
    """Name the populations that hold several lineages.

    Parameters
    ----------
    vocabulary
        Whose lineages are gated under the leukocytes.

    Returns
    -------
    set of str
        Such as lymphocytes: their sums of RNA change when the share of B cells does.
    """
    lineages = [name for name, one in vocabulary.items() if one.gated_under == ROOT]
    return {up for name in lineages for up in within(name, vocabulary) if up != name}


def count_rows(tally: Tally, vocabulary: Vocabulary) -> Iterator[dict[str, object]]:
    """Write the counts as rows of the long table.

    Parameters
    ----------
    tally
        The counts.
    vocabulary
        Every population of which gets a row in every sample.

    Yields
    ------
    dict
        Rows with `COUNT_COLUMNS`. The count is empty, not zero, where the data cannot tell a
        population, the preparation has removed it, or the sample has no cells.
    """
    column = {name: position for position, name in enumerate(tally.counted)}
    root = root_of(vocabulary)
    for row, sample in enumerate(tally.samples):

        def number(name: str, row: int = row) -> int | None:
            known = name in column and tally.n_cells[row, column[root]] > 0
            return int(tally.n_cells[row, column[name]]) if known else None

        for name, population in vocabulary.items():
            parent = counted_parent(name, vocabulary, column) or ""
            removed = sample["tissue"] in population.not_measured_in
            yield {
                "sample_id": sample["sample_id"],
                "source": MERGED,
                "population": name,
                "parent": parent,
                "count": None if removed else number(name),
                "parent_count": number(parent or root),
            }


def cells_rows(
    tally: Tally,
    tested: Sequence[str],
    sums: Mapping[str, Pseudobulk],
    told: Mapping[str, Mapping[str, str]],
    vocabulary: Vocabulary,
    is_integer: bool = True,
) -> Iterator[dict[str, object]]:
    """Say of every sample and population how many cells it has, and whether that is enough.

    Parameters
    ----------
    tally
        The cells.
    tested
        Populations whose genes are tested.
    sums
        Of `sum_populations`.
    told
        Rows of ``annotation.tsv`` by population.
    vocabulary
        The populations.
    is_integer
        Whether the cells have counts that can be summed.

    Yields
    ------
    dict
        Rows with `CELLS_COLUMNS`; the status is ``enough``, ``underpowered``, ``none`` (no cells)
        or ``not_possible`` (which cells these are cannot be told, or they are of several
        lineages, or have no counts).
    """
    enough = {name: is_enough(sums[name]) for name in tested}
    column = {name: position for position, name in enumerate(tally.counted)}
    for row, sample in enumerate(tally.samples):
        keys = {key: sample[key] for key in ("patient_id", "visit", "treatment", "sample_id")}
        has_cells = bool(tally.n_cells[row].any())
        for name, population in vocabulary.items():
            found: dict[str, object] = {"population": name, "status": "not_possible"}
            if sample["tissue"] in population.not_measured_in:
                found["note"] = f"not measured in {sample['tissue']}"
            elif not has_cells:
                found |= {"status": "none", "note": "no cell of this sample passed quality"}
            elif name not in column:
                found["note"] = _why_untold(told.get(name))
            else:
                n_cells = int(tally.n_cells[row, column[name]])
                found |= {"n_cells": n_cells, "note": MIXED}
                if name in enough and not is_integer:
                    found["note"] = NO_COUNTS
                elif name in enough:
                    n_counts = int(sums[name].sums[row].sum())
                    found |= {"n_counts": n_counts, **_verdict(n_cells, bool(enough[name][row]))}
            yield keys | found


def _verdict(n_cells: int, enough: bool) -> dict[str, str]:
    if not n_cells:
        return {"status": "none", "note": "none of its cells in this sample"}
    if not enough:
        return {"status": "underpowered", "note": FEW}
    return {"status": "enough", "note": ""}


def _why_untold(row: Mapping[str, str] | None) -> str:
    if row is None:
        return "the cells were named by another vocabulary; run annotate_cells again"
    if row["countable"] == "yes":
        return "no cell of the whole cohort has this name: none, or markers too weak to tell"
    return row["note"]
