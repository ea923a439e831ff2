"""The HEADER and TEXT segments of an FCS file: where they lie, and their keywords."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from biocross.errors import FcsError

VERSIONS = ("2.0", "3.0", "3.1", "3.2")
# Version, four blanks, and the offsets of TEXT, DATA and ANALYSIS at eight bytes each.
_HEADER_BYTES = 58
_SHORTEST_HEADER = 26
_DATA_OFFSETS = (slice(26, 34), slice(34, 42))
# Bounds that no instrument comes near; beyond them, a damaged offset would fill the memory.
_LONGEST_TEXT = 4_000_000
_MOST_FIELDS = 200_000
_MOST_DIGITS = 18
_AGAIN = "export it again from the instrument's software"


class Segments(NamedTuple):
    """What HEADER and TEXT of a data set hold.

    Parameters
    ----------
    version
        ``2.0``, ``3.0``, ``3.1`` or ``3.2``.
    keywords
        All keywords by name, in lower case without ``$``.
    has_empty_values
        Whether doubled delimiters had to be read as values of no length.
    start
        Byte of the file at which the data set begins; its offsets count from there.
    data_offsets
        First and last byte of the events as HEADER says; None where it says nothing.
    """

    version: str
    keywords: dict[str, str]
    has_empty_values: bool
    start: int
    data_offsets: tuple[int, int] | None


def read_segments(path: Path, handle: BinaryIO, data_set: int = 1) -> Segments:
    """Read HEADER and TEXT of a data set, a supplemental TEXT included.

    Parameters
    ----------
    path
        The file, for messages.
    handle
        The file, open.
    data_set
        Which of several data sets, from 1; ``$NEXTDATA`` counts from the beginning of its own.

    Returns
    -------
    Segments
        What they hold.

    Raises
    ------
    FcsError
        The file is not FCS, is cut off within its header, or has no such data set.
    """
    size = handle.seek(0, os.SEEK_END)
    segments = _read_one(path, handle, 0)
    for number in range(1, data_set):
        following = whole_number(segments.keywords.get("nextdata", ""))
        if not following or segments.start + following >= size:
            raise FcsError(
                f"{path}: has no data set {data_set}: the last one is number {number}; ask for that"
            )
        segments = _read_one(path, handle, segments.start + following)
    return segments


def _read_one(path: Path, handle: BinaryIO, base: int) -> Segments:
    handle.seek(base)
    header = handle.read(_HEADER_BYTES)
    if header[:3] != b"FCS":
        if base:
            raise FcsError(
                f"{path}: has no data set at byte {base}, where $NEXTDATA points; {_AGAIN}"
            )
        raise FcsError(f"{path}: is not an FCS file; remove its row or give the FCS file's path")
    version = header[3:6].decode("latin-1")
    if version not in VERSIONS:
        raise FcsError(
            f'{path}: has version "{shown(version)}" of the FCS format, and only '
            f"{', '.join(VERSIONS)} can be read; export it as FCS 3.1"
        )
    start, stop = whole_number(header[10:18]), whole_number(header[18:_SHORTEST_HEADER])
    if start is None or stop is None or not _SHORTEST_HEADER <= start < stop:
        raise FcsError(f"{path}: is truncated or damaged (no TEXT segment in its header); {_AGAIN}")
    text = _segment(handle, base + start, base + stop)
    if len(text) < 2:
        raise FcsError(
            f"{path}: is truncated or damaged (it ends before its TEXT segment); {_AGAIN}"
        )
    keywords, has_empty_values = _parse_text(text)
    first, last = (whole_number(keywords.get(key, "")) for key in ("beginstext", "endstext"))
    if first and last and first < last:
        supplement = _segment(handle, base + first, base + last)
        if supplement[:1] == text[:1]:
            keywords = {**_parse_text(supplement)[0], **keywords}
    offsets = None
    if start >= _DATA_OFFSETS[-1].stop:
        begin, end = (whole_number(header[field]) for field in _DATA_OFFSETS)
        offsets = None if begin is None or end is None else (begin, end)
    return Segments(version, keywords, has_empty_values, base, offsets)


def _segment(handle: BinaryIO, start: int, stop: int) -> str:
    """Read a segment whose last byte is `stop`; nothing where it is too long to be true."""
    if stop - start >= _LONGEST_TEXT:
        return ""
    try:
        handle.seek(start)
        content = handle.read(stop - start + 1)
    except OSError:
        return ""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _parse_text(text: str) -> tuple[dict[str, str], bool]:
    """Split a TEXT segment at its first character into keywords and values.

    A doubled delimiter stands for the character itself. Some writers mean an empty value by it:
    taken so where two keywords would otherwise become one, or a channel lack its name.
    """
    delimiter = text[0]
    body = text[1:].rstrip("\0 \r\n").removesuffix(delimiter)
    if body.count(delimiter) > _MOST_FIELDS:
        return {}, False
    # A character that TEXT cannot hold keeps the place of the escaped delimiter.
    escaped = body.replace("\ufffe", "").replace(delimiter * 2, "\ufffe").split(delimiter)
    keywords = _paired([field.replace("\ufffe", delimiter) for field in escaped])
    joined = any(f"{delimiter}$" in name for name in keywords)
    if not joined and _names_all_channels(keywords):
        return keywords, False
    with_empty = _paired(body.split(delimiter))
    if not _names_all_channels(with_empty):
        return keywords, False
    return with_empty, True


def _paired(fields: list[str]) -> dict[str, str]:
    names = (field.strip().lower().removeprefix("$") for field in fields[::2])
    return dict(zip(names, fields[1::2], strict=False))


def _names_all_channels(keywords: Mapping[str, str]) -> bool:
    n_channels = whole_number(keywords.get("par", ""))
    if n_channels is None or n_channels > len(keywords):
        return False
    return all(f"p{number}n" in keywords for number in range(1, n_channels + 1))


def whole_number(text: str | bytes) -> int | None:
    """Return a number that is written in ASCII digits, or None.

    Parameters
    ----------
    text
        A keyword's value or a field of HEADER; blanks and zero bytes around it do not matter.

    Returns
    -------
    int or None
        None also for a number too large to be one of bytes or events.
    """
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    digits = text.strip(" \0\t\r\n")
    if not (digits.isascii() and digits.isdigit()) or len(digits.lstrip("0")) > _MOST_DIGITS:
        return None
    return int(digits.lstrip("0") or "0")


def shown(text: str) -> str:
    """Return the beginning of a value for a message, in one line whatever it holds.

    Parameters
    ----------
    text
        A keyword's value.

    Returns
    -------
    str
        At most 20 characters, with a question mark for each that cannot be printed.
    """
    return "".join(sign if sign.isprintable() else "?" for sign in text.strip()[:20])
