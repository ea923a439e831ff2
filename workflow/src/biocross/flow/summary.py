"""Gather what the samples' and patients' jobs found into tables of the whole cohort."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from biocross.flow.flagging import LEDGER_COLUMNS
from biocross.flow.gate_counts import COUNT_COLUMNS, EXPRESSION_COLUMNS, UNKNOWN_COLUMNS
from biocross.flow.gate_shifts import SHIFTED_COLUMNS
from biocross.flow.imported.counts import STORED_COUNTS_COLUMNS
from biocross.flow.marker_modes import MODE_COLUMNS
from biocross.flow.marker_sanity import SANITY_COLUMNS
from biocross.flow.prepare import REPAIR_COLUMNS, WARNING_COLUMNS
from biocross.tables import read_rows, write_rows

COLUMNS = {
    "counts": COUNT_COLUMNS,
    "expression": EXPRESSION_COLUMNS,
    "shifts": SHIFTED_COLUMNS,
    "unknown": UNKNOWN_COLUMNS,
    "stored_counts": STORED_COUNTS_COLUMNS,
    "modes": MODE_COLUMNS,
    "ledger": LEDGER_COLUMNS,
    "repairs": REPAIR_COLUMNS,
    "warnings": WARNING_COLUMNS,
    "sanity": SANITY_COLUMNS,
}


def summarise_flow(
    parts: Mapping[str, Sequence[Path | str]], tables_out: Mapping[str, Path | str]
) -> None:
    """Put the tables of all patients and samples one below the other.

    Parameters
    ----------
    parts
        By name of the table (see `COLUMNS`), the files of `prepare_flow_sample` or
        `gate_patient`.
    tables_out
        By name, the cohort's table, with the same columns.
    """
    for name, path in tables_out.items():
        write_rows(path, COLUMNS[name], _read_all(parts[name]))


def _read_all(paths: Sequence[Path | str]) -> Iterator[dict[str, str]]:
    for path in paths:
        yield from read_rows(path)
