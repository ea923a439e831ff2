"""Spillover matrices as tables: those that cytometry software exports, and our own."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from biocross.errors import ConfigError
from biocross.flow.spillover import Spillover, as_fractions, clean_channel, did_you_mean
from biocross.tables import written_whole


def read_spillover(path: Path | str) -> Spillover:
    """Read a spillover matrix from a table.

    Commas, semicolons, tabs or (as R writes them) blanks separate; row names, percent, decimal
    commas beside other separators, ``Comp-`` before a name and ``:: CD4`` after it are understood,
    and so are the text matrices of old FlowJo versions.

    Parameters
    ----------
    path
        Text with one row of detector names above one row of numbers per fluorochrome.

    Returns
    -------
    Spillover
        Rows in the order of the columns, as fractions; the diagonal as it was written.

    Raises
    ------
    ConfigError
        There is no such file, or it is not a square table of numbers under channel names.
    """
    path = Path(path)
    header, rows = _split_table(path, _read_lines(path))
    named = all(len(cells) == len(header) + 1 for _, cells in rows) or any(
        _cell_value(cells[0]) is None for _, cells in rows
    )
    size = len(rows[0][1]) - named
    columns = [clean_channel(name) for name in header[max(len(header) - size, 0) :]]
    if len(rows) != len(columns):
        raise ConfigError(
            f"{path}: has {len(rows)} rows of numbers for {len(columns)} channels; a spillover "
            "matrix has one row per channel"
        )
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise ConfigError(f'{path}: names the channel "{twice}" twice; keep one of them')
    values = []
    for line, cells in rows:
        if len(cells) - named != len(columns):
            raise ConfigError(
                f"{path} row {line}: has {len(cells) - named} values for {len(columns)} channels; "
                "export the matrix again"
            )
        values.append([_checked_value(path, line, cell) for cell in cells[int(named) :]])
    matrix = as_fractions(np.array(values, dtype=float))
    order = _row_order(
        path, [clean_channel(cells[0]) for _, cells in rows] if named else columns, columns
    )
    return Spillover(tuple(columns), matrix[order], path.name)


def _read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not empty, with their numbers."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be opened ({error.strerror})") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", errors="replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    if text.lstrip().startswith("<"):
        raise ConfigError(
            f"{path}: holds XML; in FlowJo, export the compensation matrix as CSV, and give that"
        )
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip(" \t,;")
    ]
    # Old FlowJo versions put the matrix's name and a line <prefix TAB suffix> before the names.
    if len(lines) > 2 and re.fullmatch(r"<[^<>]*\t[^<>]*>", lines[1][1].strip(" ")):
        del lines[:2]
    return lines


def _split_table(
    path: Path, lines: Sequence[tuple[int, str]]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the names above the columns and the cells of every row with its number."""
    if len(lines) < 2:
        raise ConfigError(f"{path}: has no rows; a spillover matrix has one row per channel")
    first = lines[0][1].removeprefix("#").strip(" ")
    separator = next((mark for mark in "\t;," if mark in first), " ")
    header, *rows = (
        [
            cell.strip()
            for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))
        ]
        for line in (first, *(line for _, line in lines[1:]))
    )
    if all(_cell_value(cell) is not None for cell in header if cell):
        raise ConfigError(f"{path}: has no channel names above its numbers; add a row of them")
    # Columns that are empty in every row, as separators at the end of lines make them.
    while not any(row[len(header) - 1 :] and row[-1] for row in rows) and not header[-1]:
        rows = [row[: len(header) - 1] for row in rows]
        header = header[:-1]
    if "" in header[1:]:
        raise ConfigError(f"{path}: has a column without a channel name; write it or delete it")
    return header, [(number, row) for (number, _), row in zip(lines[1:], rows, strict=True)]


def _cell_value(cell: str) -> float | None:
    percent = cell.endswith("%")
    number = _number(cell.rstrip("% ").replace(",", "."))
    return number / 100 if percent and number is not None else number


def _checked_value(path: Path, line: int, cell: str) -> float:
    value = _cell_value(cell)
    if value is None or not np.isfinite(value):
        raise ConfigError(f'{path} row {line}: "{cell}" is no number; correct it or export again')
    return value


def _row_order(path: Path, rows: list[str], columns: list[str]) -> list[int]:
    """Return the rows' positions in the order of the columns."""
    if set(rows) == set(columns):
        return [rows.index(name) for name in columns]
    # Rows may be called by fluorochrome while columns are called by detector.
    if shared := set(rows) & set(columns):
        stray = next(name for name in rows if name not in shared)
        raise ConfigError(
            f'{path}: has a row "{stray}" but no column of that name'
            f"{did_you_mean(stray, columns)}; rows and columns must name the same channels"
        )
    return list(range(len(columns)))


def write_spillover(path: Path | str, spillover: Spillover) -> None:
    """Write a spillover matrix as `read_spillover` reads it, with row names.

    Parameters
    ----------
    path
        Separated by tabs if it ends in ``.tsv``, else by commas.
    spillover
        The matrix; its numbers are written in full.
    """
    separator = "\t" if Path(path).suffix == ".tsv" else ","
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as to:
        writer = csv.writer(to, delimiter=separator, lineterminator="\n")
        writer.writerow(("", *spillover.channels))
        for name, row in zip(spillover.channels, spillover.matrix.tolist(), strict=True):
            writer.writerow((name, *map(repr, row)))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
