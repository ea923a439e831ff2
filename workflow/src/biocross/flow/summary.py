"""Gather what the patients' jobs found into tables of the whole cohort."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from biocross.flow.gating import COUNT_COLUMNS, EXPRESSION_COLUMNS, THRESHOLD_COLUMNS
from biocross.flow.prepare import LEDGER_COLUMNS
from biocross.tables import read_rows, write_rows


def summarise_flow(
    counts: Sequence[Path | str],
    expression: Sequence[Path | str],
    thresholds: Sequence[Path | str],
    ledgers: Sequence[Path | str],
    counts_out: Path | str,
    expression_out: Path | str,
    thresholds_out: Path | str,
    ledger_out: Path | str,
) -> None:
    """Put the tables of all patients and samples one below the other.

    Parameters
    ----------
    counts, expression, thresholds
        Tables of `gate_patient`.
    ledgers
        Tables of `prepare_flow_sample`.
    counts_out, expression_out, thresholds_out, ledger_out
        The cohort's tables, with the same columns.
    """
    write_rows(counts_out, COUNT_COLUMNS, _read_all(counts))
    write_rows(expression_out, EXPRESSION_COLUMNS, _read_all(expression))
    write_rows(thresholds_out, THRESHOLD_COLUMNS, _read_all(thresholds))
    write_rows(ledger_out, LEDGER_COLUMNS, _read_all(ledgers))


def _read_all(paths: Sequence[Path | str]) -> Iterator[dict[str, str]]:
    for path in paths:
        yield from read_rows(path)
