"""Sheets in Excel workbooks, as rows of text."""

import datetime
import math
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from biocross.errors import TableError
from biocross.safe_xml import declares_entities

# A thousand times what the sheets of a study take.
_MOST_BYTES = 400_000_000
_MOST_PARTS = 10_000
_MOST_CELLS = 10_000_000


def read_workbook(path: Path | str) -> list[list[str]]:
    """Read the first worksheet of an ``.xlsx`` file.

    Parameters
    ----------
    path
        The workbook.

    Returns
    -------
    list of list of str
        Its cells as text, by row: dates as ISO 8601, times as HH:MM, whole numbers without
        decimals, the stored result of a formula. Row `i` of the list is row `i + 1` in Excel.

    Raises
    ------
    TableError
        The file is missing, is no workbook, is protected by a password, or has no worksheet.
    """
    # 0.3 s that a study of text sheets need not spend.
    from openpyxl import load_workbook  # type: ignore[import-untyped]

    path = Path(path)
    if not path.is_file():
        raise TableError(f"{path}: there is no such file")
    _refuse_bombs(path)
    try:
        with warnings.catch_warnings():
            # Styles and input checks that openpyxl does not keep do not matter here.
            warnings.simplefilter("ignore")
            book = load_workbook(path, read_only=True, data_only=True)
            try:
                sheets = book.worksheets
                if sheets:
                    # Some programs store a wrong size; without it every row is read as it is.
                    sheets[0].reset_dimensions()
                    rows = _texts(path, sheets[0].iter_rows(values_only=True))
            finally:
                book.close()
    except TableError:
        raise
    except Exception as error:  # whatever a broken archive or its XML makes openpyxl raise
        raise TableError(
            f"{path}: cannot be read as an Excel workbook ({type(error).__name__}: {error}); is it "
            "protected by a password? Export it as tab-separated text"
        ) from None
    if not sheets:
        raise TableError(f"{path}: has no worksheet; the first one must hold the table")
    return rows


def _refuse_bombs(path: Path) -> None:
    """Refuse an archive that would fill the memory: small on the disk, huge when unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            unpacked = sum(part.file_size for part in parts)
            if unpacked > _MOST_BYTES or len(parts) > _MOST_PARTS:
                raise TableError(
                    f"{path}: has {len(parts)} parts that unpack to {unpacked / 1e6:.0f} MB, too "
                    "much for a sheet; export it as tab-separated text"
                )
            for part in parts:
                if not part.filename.endswith((".xml", ".rels")):
                    continue
                with archive.open(part) as stream:
                    if declares_entities(stream):
                        raise TableError(
                            f"{path}: declares XML entities, which no Excel workbook has; export "
                            "it as tab-separated text"
                        )
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error):
        # No sound archive: openpyxl says so.
        return


def _texts(path: Path, rows: Iterable[tuple[Any, ...]]) -> list[list[str]]:
    """Write rows as text; a cell far out makes openpyxl fill up all the others."""
    texts, cells = [], 0
    for row in rows:
        cells += max(len(row), 1)
        if cells > _MOST_CELLS:
            raise TableError(
                f"{path}: has more than {_MOST_CELLS:,} cells, too many for a sheet; delete the "
                "rows and columns beyond the table, or export it as tab-separated text"
            )
        texts.append([_text(value) for value in row])
    return texts


def _text(value: Any) -> str:
    """Write a cell as a text sheet would hold it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and math.isfinite(value) else f"{value:.15g}"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.datetime | datetime.time):
        exact = bool(value.second or value.microsecond)
        return value.isoformat(timespec="seconds" if exact else "minutes")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)
