"""Frequencies that were counted elsewhere: a FlowJo export, or the table of a paper."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biocross.cohort.design import Sample
from biocross.cohort.sheets import Problem, SheetRow, read_sheet
from biocross.cohort.vocabulary import Vocabulary

KEYS = ("modality", "patient_id", "visit", "stimulation", "population")


@dataclass(frozen=True)
class Frequency:
    """One frequency of the table.

    Parameters
    ----------
    sample
        The sample it was measured in.
    population, parent
        The population and its denominator; the parent is empty where nothing names it.
    count, parent_count
        Events, or None where only a percentage is known.
    percent
        Percent of the parent.
    cells_per_ul
        Cells per microlitre, or None.
    """

    sample: Sample
    population: str
    parent: str
    count: int | None
    parent_count: int | None
    percent: float
    cells_per_ul: float | None


def read_frequencies(path: Path, vocabulary: Vocabulary) -> tuple[list[Frequency], list[Problem]]:
    """Read and check a table of frequencies.

    Parameters
    ----------
    path
        The table: ``patient_id, visit, population`` with ``count, parent_count`` or ``percent``.
    vocabulary
        Gives the parents that the table does not name.

    Returns
    -------
    frequencies : list of Frequency
        In file order; empty where there are problems.
    problems : list of Problem
        Every broken row: negative or fractional counts, counts above their parent, duplicates,
        two tissues of one sample, populations that contain themselves.
    """
    rows, problems = read_sheet(path, "counts")
    problems += [
        Problem(str(path), row.number, message)
        for row in rows
        if (message := _row_problem(row.cells))
    ]
    problems += _duplicate_problems(path, rows)
    problems += _tissue_problems(path, rows)
    problems += _tree_problems(path, rows, vocabulary)
    if problems:
        return [], problems
    return [_frequency(row.cells, vocabulary) for row in rows], []


def frequency_samples(frequencies: Sequence[Frequency]) -> tuple[Sample, ...]:
    """Return the samples of a table of frequencies, each once, in file order."""
    return tuple(dict.fromkeys(frequency.sample for frequency in frequencies))


def _row_problem(cells: Mapping[str, Any]) -> str:
    count, parent, percent = (cells.get(name) for name in ("count", "parent_count", "percent"))
    if (count is None) != (parent is None):
        return '"count" and "parent_count" go together; fill in both or give "percent"'
    if count is None and percent is None:
        return 'has neither "count" with "parent_count" nor "percent"; fill in one of them'
    if isinstance(count, float) or isinstance(parent, float):
        return 'counts are whole numbers of events; percentages go into the column "percent"'
    if isinstance(count, int) and isinstance(parent, int) and count > parent:
        return f'"count" {count} is above its "parent_count" {parent}; are the two swapped?'
    return ""


def _duplicate_problems(path: Path, rows: Sequence[SheetRow]) -> list[Problem]:
    seen: dict[tuple[Any, ...], int] = {}
    problems = []
    for row in rows:
        key = tuple(row.cells.get(name, "") for name in KEYS)
        if key in seen:
            message = (
                f"repeats row {seen[key]}: the same population of the same sample; keep one of them"
            )
            problems.append(Problem(str(path), row.number, message))
        seen.setdefault(key, row.number)
    return problems


def _tissue_problems(path: Path, rows: Sequence[SheetRow]) -> list[Problem]:
    first: dict[tuple[Any, ...], SheetRow] = {}
    problems = []
    for row in rows:
        other = first.setdefault(_sample_key(row), row)
        tissue, known = (r.cells.get("tissue", "") for r in (row, other))
        if tissue != known:
            message = (
                f'tissue "{tissue}" of the sample that has tissue "{known}" in row '
                f"{other.number}; write the same in all its rows"
            )
            problems.append(Problem(str(path), row.number, message))
    return problems


def _tree_problems(path: Path, rows: Sequence[SheetRow], vocabulary: Vocabulary) -> list[Problem]:
    """Find populations within themselves, and those that outnumber the row of their parent."""
    samples: dict[tuple[Any, ...], dict[str, SheetRow]] = {}
    for row in rows:
        samples.setdefault(_sample_key(row), {}).setdefault(row.cells.get("population", ""), row)
    problems = []
    for by_name in samples.values():
        for name, row in by_name.items():
            chain = _ancestors(name, by_name, vocabulary)
            if chain[-1] == name:
                circle = " within ".join([name, *chain])
                message = f"{circle}: a population cannot lie within itself; correct its parent"
                problems.append(Problem(str(path), row.number, message))
            above = by_name.get(chain[0], row)
            count, limit = (r.cells.get("count") for r in (row, above))
            if isinstance(count, int) and isinstance(limit, int) and count > limit:
                message = (
                    f'"count" {count} of {name} is above the {limit} of its parent '
                    f"{chain[0]} in row {above.number}; correct one of them, or name another parent"
                )
                problems.append(Problem(str(path), row.number, message))
    return problems


def _ancestors(name: str, by_name: Mapping[str, SheetRow], vocabulary: Vocabulary) -> list[str]:
    """Return a population's parents among the rows of its sample, ending where they go round."""
    chain = [_parent(by_name[name].cells, vocabulary)]
    while (last := chain[-1]) != name and last in by_name and last not in chain[:-1]:
        chain.append(_parent(by_name[last].cells, vocabulary))
    return chain


def _parent(cells: Mapping[str, Any], vocabulary: Vocabulary) -> str:
    known = vocabulary.get(cells.get("population", ""))
    return cells.get("parent") or (known.parent if known and known.parent else "parent")


def _sample_key(row: SheetRow) -> tuple[Any, ...]:
    return tuple(row.cells.get(name, "") for name in KEYS[:-1])


def _frequency(cells: Mapping[str, Any], vocabulary: Vocabulary) -> Frequency:
    names = (cells["patient_id"], cells["visit"], cells.get("stimulation", ""))
    modality = cells.get("modality", "flow")
    sample = Sample(
        sample_id="_".join(["table", modality, *(name for name in names if name)]),
        patient_id=names[0],
        visit=names[1],
        modality=modality,
        tissue=cells.get("tissue", ""),
        stimulation=names[2],
    )
    count, parent_count = cells.get("count"), cells.get("parent_count")
    percent = cells.get("percent")
    if percent is None:
        percent = 100 * cells["count"] / parent_count if parent_count else math.nan
    return Frequency(
        sample,
        cells["population"],
        _parent(cells, vocabulary),
        count,
        parent_count,
        float(percent),
        cells.get("cells_per_ul"),
    )
