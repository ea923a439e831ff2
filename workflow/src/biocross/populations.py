"""The long tables: whatever found the populations, they become rows of one table.

The statistics engine reads nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biocross.cohort.frequency_table import read_frequencies
from biocross.cohort.vocabulary import ANCHOR_POPULATIONS, Vocabulary, lies_within, load_vocabulary
from biocross.errors import TableError
from biocross.statistics.kernels.scale import frequency_interval
from biocross.tables import read_rows, write_rows

KEYS = (
    *("sample_id", "patient_id", "visit", "treatment", "modality", "source"),
    *("population", "parent", "count", "parent_count", "cells_per_ul"),
)
COUNTS_COLUMNS = (*KEYS, "percent", "percent_low", "percent_high")
EXPRESSION_COLUMNS = (*KEYS, "marker", "value", "sd", "n_cells", "n_positive")
IMPORTED_COLUMNS = (
    *("sample_id", "modality", "population", "parent", "count", "parent_count"),
    *("percent", "cells_per_ul"),
)


def import_counts(counts: Path | str, populations: Path | str, counts_out: Path | str) -> None:
    """Read a table of frequencies that were counted elsewhere.

    Parameters
    ----------
    counts
        The table that ``inputs.counts`` names.
    populations
        ``populations.yaml``, which gives the parents that the table does not name.
    counts_out
        The same frequencies by sample.

    Raises
    ------
    TableError
        One line for every broken row.
    """
    frequencies, problems = read_frequencies(Path(counts), load_vocabulary(Path(populations)))
    if problems:
        raise TableError("\n".join(str(problem) for problem in problems))
    rows = (
        {
            "sample_id": row.sample.sample_id,
            "modality": row.sample.modality,
            "population": row.population,
            "parent": row.parent,
            "count": row.count,
            "parent_count": row.parent_count,
            "percent": row.percent,
            "cells_per_ul": row.cells_per_ul,
        }
        for row in frequencies
    )
    write_rows(counts_out, IMPORTED_COLUMNS, rows)


def gather_populations(
    samples: Path | str,
    populations: Path | str,
    counts: Mapping[str, Path | str],
    expression: Sequence[Path | str],
    counts_out: Path | str,
    expression_out: Path | str,
) -> None:
    """Join all counts with the sheets into the long tables.

    Parameters
    ----------
    samples
        ``results/cohort/samples.tsv``.
    populations
        ``populations.yaml``.
    counts
        By source (``gate``, ``table``), its table of counts by sample. Where a table's rows name
        their own ``source``, as those of clusters do, this one stands.
    expression
        Tables of marker medians; rows that name no ``source`` are those of gates.
    counts_out, expression_out
        ``results/populations/counts.tsv`` and ``expression.tsv``.

    Raises
    ------
    TableError
        A table counts a sample that the sheet does not know.
    """
    sheet = {row["sample_id"]: row for row in read_rows(samples)}
    vocabulary = load_vocabulary(Path(populations))
    rows = [
        row
        for source, path in counts.items()
        for row in _long_rows(read_rows(path), source, sheet, vocabulary)
    ]
    _add_percent(rows)
    by_key = {
        (row["source"], row["sample_id"], row["population"]): {key: row[key] for key in KEYS}
        for row in rows
    }
    medians = (
        {**by_key[row.get("source", "gate"), row["sample_id"], row["population"]], **row}
        for path in expression
        for row in read_rows(path)
    )
    write_rows(counts_out, COUNTS_COLUMNS, rows)
    write_rows(expression_out, EXPRESSION_COLUMNS, medians)


def _long_rows(
    rows: Sequence[Mapping[str, str]],
    source: str,
    sheet: Mapping[str, Mapping[str, str]],
    vocabulary: Vocabulary,
) -> Iterator[dict[str, Any]]:
    of_sample: dict[str, dict[str, Mapping[str, str]]] = {}
    for row in rows:
        if row["sample_id"] not in sheet:
            raise TableError(
                f'{source}: sample "{row["sample_id"]}" was counted but is in no sheet of samples; '
                "run check_cohort again"
            )
        of_sample.setdefault(row["sample_id"], {})[row["population"]] = _if_measured(
            row, sheet[row["sample_id"]]["tissue"], vocabulary
        )
    for sample_id, sample in sheet.items():
        counted = of_sample.get(sample_id, {})
        for name, row in counted.items():
            per_ul = row.get("cells_per_ul") or cells_per_ul(name, counted, sample, vocabulary)
            yield {
                **{key: sample[key] for key in ("patient_id", "visit", "treatment", "modality")},
                "source": source,
                **row,
                "cells_per_ul": per_ul,
            }


def _if_measured(row: Mapping[str, str], tissue: str, vocabulary: Vocabulary) -> Mapping[str, str]:
    """Take the numbers from a row whose population the tissue's preparation has removed."""
    known = vocabulary.get(row["population"])
    if known is None or tissue not in known.not_measured_in:
        return row
    return {**row, **dict.fromkeys(("count", "percent", "cells_per_ul"), "")}


def _add_percent(rows: list[dict[str, Any]]) -> None:
    """Fill in every row's percentage and, where its events are known, the 95 % interval."""
    count = _numbers(rows, "count")
    total = _numbers(rows, "parent_count")
    known = ~np.isnan(count) & (total > 0)
    interval = frequency_interval(count[known], total[known])
    for position, low, high in zip(np.flatnonzero(known), interval.low, interval.high, strict=True):
        row = rows[position]
        row["percent"] = float(100 * count[position] / total[position])
        row["percent_low"], row["percent_high"] = float(100 * low), float(100 * high)


def _numbers(rows: Sequence[Mapping[str, Any]], key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(row[key] or "nan") for row in rows], dtype=np.float64)


def cells_per_ul(
    name: str,
    counted: Mapping[str, Mapping[str, str]],
    sample: Mapping[str, str],
    vocabulary: Vocabulary,
) -> float | None:
    """Scale a count to cells per microlitre of blood by the analyser's count of an anchor.

    Parameters
    ----------
    name
        The population.
    counted
        The sample's rows by population, with their ``count``.
    sample
        The sample's row of ``results/cohort/samples.tsv``, blood counts included.
    vocabulary
        Names the anchor of each population in PBMC.

    Returns
    -------
    float or None
        count / anchor's count x anchor per microlitre. Whole blood is anchored on leukocytes;
        PBMC on lymphocytes or monocytes, never on leukocytes, because its granulocytes are gone.
        None where the anchor was not measured, or the population does not lie within it.
    """
    blood = sample["tissue"] == "whole_blood"
    # A single cluster is anchored as the population that it is a part of.
    inside = name if name in vocabulary else counted[name].get("parent", "")
    known = vocabulary.get(inside)
    anchor = "leukocytes_per_ul" if blood else known and known.absolute_anchor
    if known is None or anchor is None or sample["tissue"] not in ("whole_blood", "pbmc"):
        return None
    if not blood and anchor == "leukocytes_per_ul":
        return None
    population = ANCHOR_POPULATIONS.get(anchor)
    count, per_ul = counted[name]["count"], sample.get(anchor)
    if population is None or population not in counted or not count or not per_ul:
        return None
    if not lies_within(inside, population, vocabulary):
        return None
    anchor_count = float(counted[population]["count"] or 0)
    return float(count) / anchor_count * float(per_ul) if anchor_count else None
