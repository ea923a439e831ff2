"""Tab-separated tables, written whole or not at all.

Light on purpose: steps that run once per sample read and write their tables through this module
without paying for pandas.
"""

import codecs
import csv
import io
import math
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from biocross.errors import TableError

_HOST = socket.gethostname()


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` only if the block succeeds.

    Parameters
    ----------
    path
        Where the file shall be; its folder is made if it is missing.

    Yields
    ------
    Path
        A name in the same folder, to be written by the caller.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes of this machine left of this file; some may be at work."""
    for leftover in path.parent.glob(f".{escape(path.name)}.{escape(_HOST)}.*.part"):
        process = leftover.suffixes[-2][1:]
        if process.isdecimal() and not _is_alive(int(process)):
            leftover.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # Another user's.
        return True
    return True


def format_cell(value: Any) -> str:
    """Write one value as it stands in a table: empty for nothing, ten digits for a float."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if math.isnan(value) else format(value, ".10g")
    return str(value)


def write_rows(path: Path | str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as a tab-separated table with exactly these columns.

    Parameters
    ----------
    path
        The table's file.
    columns
        Column names, in order.
    rows
        One mapping per row; a column that a row lacks stays empty, a key that is no column is
        an error.
    """
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            if unknown := set(row) - set(columns):
                raise ValueError(f"{path}: no such column: {sorted(unknown)}")
            writer.writerow([format_cell(row.get(column)) for column in columns])


def read_rows(path: Path | str) -> list[dict[str, str]]:
    """Read a tab-separated table as one mapping per row; every value is text.

    A byte-order mark, UTF-16, Windows line ends, blanks around values, and empty columns are
    harmless. Blank lines are kept as rows of empty values, so that row numbers stay those of a
    spreadsheet.

    Parameters
    ----------
    path
        The table's file.

    Returns
    -------
    list of dict
        Column name to text, in file order. Row `i` of the list is line `i + 2` of the file.

    Raises
    ------
    TableError
        The file is missing, empty or not text, a quotation mark is never closed, or a row has
        more cells than there are columns.
    """
    return named_rows(path, split_cells(path, read_text(path), "\t"))


def read_text(path: Path | str) -> str:
    """Read a text file in UTF-8, or in UTF-16 where its byte-order mark says so.

    Parameters
    ----------
    path
        The file; Excel's "Unicode text" is UTF-16.

    Returns
    -------
    str
        Its text, line ends as they are, without a byte-order mark.

    Raises
    ------
    TableError
        The file is missing or is no such text.
    """
    try:
        content = Path(path).read_bytes()
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except FileNotFoundError:
        raise TableError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"{path}: cannot be read as a text table ({error}); export it as tab-separated UTF-8"
        ) from None


def split_cells(path: Path | str, text: str, separator: str) -> list[list[str]]:
    """Split text into rows of cells, quotation marks honoured.

    Parameters
    ----------
    path
        The file, for messages.
    text
        Its text.
    separator
        One character.

    Returns
    -------
    list of list of str
        Rows, blank ones included.

    Raises
    ------
    TableError
        A quotation mark is never closed.
    """
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise TableError(f"{path}: {error}; is a quotation mark never closed?") from None


def named_rows(path: Path | str, lines: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Give the cells of every row the names that the first row holds.

    Parameters
    ----------
    path
        The file, for messages.
    lines
        Rows of cells.

    Returns
    -------
    list of dict
        Column name to text without the blanks around it, for every row but the first.

    Raises
    ------
    TableError
        No column has a name, two have the same, or a value stands where no column is named.
    """
    if not lines or not any(cell.strip() for cell in lines[0]):
        raise TableError(f"{path}: is empty; its first line must name the columns")
    columns = [cell.strip() for cell in lines[0]]
    while not columns[-1]:
        columns.pop()
    named = [column for column in columns if column]
    if repeated := {column for column in named if named.count(column) > 1}:
        raise TableError(f"{path}: column {sorted(repeated)[0]!r} appears more than once")
    return [_named_cells(path, columns, number, cells) for number, cells in enumerate(lines[1:], 2)]


def _named_cells(
    path: Path | str, columns: Sequence[str], number: int, cells: Sequence[str]
) -> dict[str, str]:
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise TableError(
            f"{path} row {number}: has {len(cells)} cells, but the table has {len(columns)} columns"
        )
    padded = [*cells[: len(columns)], *[""] * (len(columns) - len(cells))]
    row = {column: cell.strip() for column, cell in zip(columns, padded, strict=True) if column}
    if len(row) < len(columns):
        _refuse_nameless_values(path, columns, number, padded)
    return row


def _refuse_nameless_values(
    path: Path | str, columns: Sequence[str], number: int, cells: Sequence[str]
) -> None:
    for position, (column, cell) in enumerate(zip(columns, cells, strict=True), 1):
        if cell.strip() and not column:
            raise TableError(
                f"{path} row {number}: has a value in column {position}, which has no name in the "
                "first line; name the column or empty it"
            )
