"""Tab-separated tables, written whole or not at all.

Light on purpose: steps that run once per sample read and write their tables through this module
without paying for pandas.
"""

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from biocross.errors import TableError


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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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

    A byte-order mark, Windows line ends, blanks around values, and empty columns at the right are
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
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise TableError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"{path}: cannot be read as a text table ({error}); export it as tab-separated UTF-8"
        ) from None
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
    except csv.Error as error:
        raise TableError(f"{path}: {error}; is a quotation mark never closed?") from None
    if not lines or not any(cell.strip() for cell in lines[0]):
        raise TableError(f"{path}: is empty; its first line must name the columns")
    columns = [cell.strip() for cell in lines[0]]
    while not columns[-1]:
        columns.pop()
    if repeated := {column for column in columns if columns.count(column) > 1}:
        raise TableError(f"{path}: column {sorted(repeated)[0]!r} appears more than once")
    return [_named_cells(path, columns, number, cells) for number, cells in enumerate(lines[1:], 2)]


def _named_cells(
    path: Path, columns: Sequence[str], number: int, cells: Sequence[str]
) -> dict[str, str]:
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise TableError(
            f"{path} row {number}: has {len(cells)} cells, but the table has {len(columns)} columns"
        )
    padded = [*cells[: len(columns)], *[""] * (len(columns) - len(cells))]
    return {column: cell.strip() for column, cell in zip(columns, padded, strict=True)}
