"""Sheets in Excel workbooks, as rows of text."""

import datetime
import math
import warnings
from pathlib import Path
from typing import Any

from biocross.errors import TableError


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
                    rows = [
                        [_text(v) for v in row] for row in sheets[0].iter_rows(values_only=True)
                    ]
            finally:
                book.close()
    except Exception as error:  # whatever a broken archive or its XML makes openpyxl raise
        raise TableError(
            f"{path}: cannot be read as an Excel workbook ({type(error).__name__}: {error}); is it "
            "protected by a password? Export it as tab-separated text"
        ) from None
    if not sheets:
        raise TableError(f"{path}: has no worksheet; the first one must hold the table")
    return rows


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
