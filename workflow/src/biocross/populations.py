"""The long tables: whatever found the populations, they become rows of one table.

The statistics engine reads nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biocross.absolute_counts import SCALE_COLUMNS, cells_per_ul, scale_rows
from biocross.cohort.frequency_table import read_frequencies
from biocross.cohort.vocabulary import COUNTING_BEADS, Vocabulary, load_vocabulary
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
    scale_out: Path | str | None = None,
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
    scale_out
        ``results/populations/cells_per_ul.tsv``: what each sample's cells per microlitre rest on;
        None leaves it out.

    Raises
    ------
    TableError
        A table counts a sample that the sheet does not know.
    """
    sheet = {row["sample_id"]: row for row in read_rows(samples)}
    vocabulary = load_vocabulary(Path(populations))
    tables = {source: read_rows(path) for source, path in counts.items()}
    _add_beads(sheet, tables)
    rows = [
        row
        for source, table in tables.items()
        for row in _long_rows(table, source, sheet, vocabulary)
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
    if scale_out:
        told = (row for table in tables.values() for row in table if row.get("cells_per_ul"))
        given = {row["sample_id"] for row in told}
        write_rows(scale_out, SCALE_COLUMNS, scale_rows(sheet.values(), rows, given))
    write_rows(counts_out, COUNTS_COLUMNS, rows)
    write_rows(expression_out, EXPRESSION_COLUMNS, medians)


def _add_beads(
    sheet: Mapping[str, dict[str, str]], tables: Mapping[str, Sequence[Mapping[str, str]]]
) -> None:
    """Write into each sample's row how many counting beads the gates found."""
    for table in tables.values():
        for row in table:
            if row["population"] == COUNTING_BEADS and row["sample_id"] in sheet:
                sheet[row["sample_id"]]["beads_counted"] = row["count"]


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
            if name == COUNTING_BEADS:
                continue  # they are no cells
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
