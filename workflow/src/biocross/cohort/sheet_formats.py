"""Raw sheets: text or workbook, any of the usual separators, headers as people write them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from biocross.errors import TableError
from biocross.tables import named_rows, read_text, split_cells

# Blanks that do not look different, and marks that are not seen at all.
_INVISIBLE = str.maketrans(
    {"\xa0": " ", "\u2007": " ", "\u202f": " ", "\u200b": None, "\u2060": None, "\ufeff": None}
)
_WORKBOOKS = (".xlsx", ".xlsm")
_NO_SHEETS = {
    **dict.fromkeys((".xls", ".xlsb", ".ods", ".numbers"), "save it as .xlsx"),
    **dict.fromkeys((".json", ".yaml", ".yml", ".xml", ".html"), "give a table, .tsv or .xlsx"),
    **dict.fromkeys((".fcs", ".pdf", ".docx", ".doc", ".zip"), "give a table, .tsv or .xlsx"),
}


class RawSheet(NamedTuple):
    """Cells of a sheet as text.

    Parameters
    ----------
    rows
        Column name to text; row `i` of the list is row `i + 2` of the file.
    columns
        The names, also where there are no rows.
    decimal_comma
        Whether numbers may have a decimal comma, because cells are separated by semicolons.
    """

    rows: list[dict[str, str]]
    columns: tuple[str, ...]
    decimal_comma: bool


def read_raw_sheet(path: Path | str, known: Iterable[str] = ()) -> RawSheet:
    """Read a sheet in any of the forms that people export it in.

    Tabs, semicolons or commas; UTF-8 or UTF-16; with or without byte-order mark; any line ends;
    non-breaking blanks; or the first worksheet of an Excel workbook.

    Parameters
    ----------
    path
        The sheet.
    known
        Names of columns; a header that differs from exactly one of them in upper case, blanks or
        punctuation only (``Sample ID``) is read as that one.

    Returns
    -------
    RawSheet
        Its cells.

    Raises
    ------
    TableError
        The file is missing, empty, of another kind, or its cells do not fit its columns.
    """
    path = Path(path)
    if path.suffix.lower() in _WORKBOOKS:
        # Imported here: a study of text sheets need not have it.
        from biocross.cohort.workbook import read_workbook

        lines, separator = read_workbook(path), "\t"
    else:
        text = _checked_text(path)
        separator = _separator(text)
        lines = split_cells(path, text, separator)
    clean = [[cell.translate(_INVISIBLE) for cell in line] for line in lines]
    rows = named_rows(path, clean)
    written = [name for cell in clean[0] if (name := cell.strip())]
    names = _known_headers(written, known)
    if names != dict(zip(written, written, strict=True)):
        rows = [{names[column]: cell for column, cell in row.items()} for row in rows]
    return RawSheet(rows, tuple(names.values()), separator == ";")


def folded(name: str) -> str:
    """Reduce a name to its letters and digits in lower case, so that spellings compare equal."""
    return re.sub(r"[\W_]+", "", name.casefold().replace("μ", "u"))


def _checked_text(path: Path) -> str:
    if (remedy := _NO_SHEETS.get(path.suffix.lower())) and path.exists():
        raise TableError(f"{path}: a {path.suffix} file is no sheet; {remedy}")
    text = read_text(path)
    if text.startswith("PK\x03\x04"):
        raise TableError(f"{path}: is a workbook or archive; name it .xlsx, or export it as text")
    if "\0" in text:
        raise TableError(f"{path}: is not a text table; export it as tab-separated UTF-8")
    if text.lstrip()[:1] in ("{", "<"):
        raise TableError(f"{path}: looks like JSON or XML, not like a table; export it as text")
    return text


def _separator(text: str) -> str:
    """Find what separates cells: a tab where the header has one, else its usual stand-ins."""
    header = re.split(r"\r\n|\r|\n", text, maxsplit=1)[0]
    outside_quotes = re.sub(r'"[^"]*"', "", header)
    if "\t" in outside_quotes.strip():
        return "\t"
    semicolons, commas = (outside_quotes.count(separator) for separator in ";,")
    if not semicolons and not commas:
        return "\t"
    return ";" if semicolons >= commas else ","


def _known_headers(written: Sequence[str], known: Iterable[str]) -> dict[str, str]:
    """Map headers to the known names they are spellings of, where that is unambiguous."""
    known = list(known)
    spellings: dict[str, list[str]] = {}
    for name in known:
        spellings.setdefault(folded(name), []).append(name)
    same = [folded(header) for header in written]
    names = {}
    for header in written:
        meant = spellings.get(folded(header), [])
        plain = header not in known and len(meant) == 1 and same.count(folded(header)) == 1
        names[header] = meant[0] if plain else header
    return names
