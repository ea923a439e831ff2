"""Gather what quality found in every library into tables of the cohort."""

from collections.abc import Sequence
from pathlib import Path

from biocross.cells.flags import LEDGER_COLUMNS, sum_ledgers
from biocross.cells.prepare import GENE_COLUMNS, WARNING_COLUMNS
from biocross.tables import read_rows, write_rows


def summarise_libraries(
    ledgers: Sequence[Path | str],
    warnings: Sequence[Path | str],
    genes: Sequence[Path | str],
    ledger_out: Path | str,
    warnings_out: Path | str,
    genes_out: Path | str,
) -> None:
    """Gather the tables of all libraries.

    Parameters
    ----------
    ledgers, warnings, genes
        Tables of `prepare_library`, one of each library.
    ledger_out
        ``results/cells/ledger.tsv``: a row per sample and step, the libraries of a sample added
        up, in the form that `find_quality_losses` tests between visits.
    warnings_out, genes_out
        ``results/cells/warnings.tsv`` and ``genes.tsv``: the rows of every library.
    """
    write_rows(ledger_out, LEDGER_COLUMNS, sum_ledgers(_rows(ledgers)))
    write_rows(warnings_out, WARNING_COLUMNS, _rows(warnings))
    write_rows(genes_out, GENE_COLUMNS, _rows(genes))


def _rows(paths: Sequence[Path | str]) -> list[dict[str, str]]:
    return [row for path in paths for row in read_rows(path)]
