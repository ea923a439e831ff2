"""Read what an FCS file says of itself, without its events: the HEADER and TEXT segments."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from biocross.errors import FcsError

VERSIONS = ("2.0", "3.0", "3.1", "3.2")
# Version, four blanks, and the offsets of TEXT, DATA and ANALYSIS at eight bytes each.
_HEADER_BYTES = 58
_SHORTEST_HEADER = 26
# Bounds that no instrument comes near; beyond them, a damaged offset would fill the memory.
_LONGEST_TEXT = 4_000_000
_MOST_FIELDS = 200_000
_MOST_DIGITS = 18
_AGAIN = "export it again from the instrument's software"


class FcsHeader(NamedTuple):
    """What an FCS file says of itself.

    Parameters
    ----------
    version
        ``2.0``, ``3.0``, ``3.1`` or ``3.2``.
    n_events
        ``$TOT``.
    channels
        Short names, ``$PnN``; ``P6`` for a sixth channel without a name.
    markers
        Labels, ``$PnS``; empty where a channel has none.
    ranges
        ``$PnR``; NaN where it is missing or no number.
    bits
        ``$PnB``; 0 where it is missing or no number.
    datatype
        ``$DATATYPE``: I, F, D or A.
    mode
        ``$MODE``; L for a list of events, also where the file does not say.
    cytometer, date, source, sample_number, file_name
        ``$CYT``, ``$DATE``, ``$SRC``, ``$SMNO`` and ``$FIL`` as written, empty where absent.
    spillover_channels
        Detectors of the spillover matrix; empty without a matrix of the right form.
    several_data_sets
        Whether more data sets follow; this one is the first.
    keywords
        All keywords by name, in lower case without ``$``.
    """

    version: str
    n_events: int
    channels: tuple[str, ...]
    markers: tuple[str, ...]
    ranges: tuple[float, ...]
    bits: tuple[int, ...]
    datatype: str
    mode: str
    cytometer: str
    date: str
    source: str
    sample_number: str
    file_name: str
    spillover_channels: tuple[str, ...]
    several_data_sets: bool
    keywords: dict[str, str]

    @property
    def data_bytes(self) -> int:
        """Bytes that the events need at least."""
        return self.n_events * sum(self.bits) // 8

    @property
    def has_broken_spillover(self) -> bool:
        """Whether there is a spillover matrix that cannot be parsed."""
        text = _spillover_text(self.keywords).split(",")[0].strip()
        return text not in ("", "0") and not self.spillover_channels


def read_header(path: Path | str) -> FcsHeader:
    """Read the HEADER and TEXT segments of an FCS file, or of its first data set.

    Parameters
    ----------
    path
        An FCS 2.0, 3.0, 3.1 or 3.2 file.

    Returns
    -------
    FcsHeader
        What the file says of itself.

    Raises
    ------
    FcsError
        There is no such file, it is not FCS, is cut off within its header, or does not say how
        many channels and events it has.
    """
    path = Path(path)
    if "\0" in str(path):
        raise FcsError(f"{str(path)!r}: is no possible name of a file; correct it")
    try:
        with path.open("rb") as handle:
            version, keywords = _read_segments(path, handle)
    except FileNotFoundError:
        raise FcsError(f"{path}: there is no such file") from None
    except OSError as error:
        raise FcsError(f"{path}: cannot be opened ({error.strerror})") from None
    n_channels = _count(path, keywords, "par", "channels")
    named = range(1, _existing_channels(path, keywords, n_channels) + 1)
    return FcsHeader(
        version=version,
        n_events=_count(path, keywords, "tot", "events"),
        channels=tuple(keywords.get(f"p{n}n", "").strip() or f"P{n}" for n in named),
        markers=tuple(keywords.get(f"p{n}s", "").strip() for n in named),
        ranges=tuple(_number(keywords.get(f"p{n}r", "")) for n in named),
        bits=tuple(_whole(keywords.get(f"p{n}b", "")) or 0 for n in named),
        datatype=keywords.get("datatype", "").strip().upper(),
        mode=keywords.get("mode", "").strip().upper() or "L",
        cytometer=keywords.get("cyt", "").strip(),
        date=keywords.get("date", "").strip(),
        source=keywords.get("src", "").strip(),
        sample_number=keywords.get("smno", "").strip(),
        file_name=keywords.get("fil", "").strip(),
        spillover_channels=_spillover_channels(keywords),
        several_data_sets=bool(_whole(keywords.get("nextdata", ""))),
        keywords=keywords,
    )


def _read_segments(path: Path, handle: BinaryIO) -> tuple[str, dict[str, str]]:
    """Return the version and all keywords, those of a supplemental TEXT included."""
    header = handle.read(_HEADER_BYTES)
    if header[:3] != b"FCS":
        raise FcsError(f"{path}: is not an FCS file; remove its row or give the FCS file's path")
    version = header[3:6].decode("latin-1")
    if version not in VERSIONS:
        raise FcsError(
            f'{path}: has version "{version}" of the FCS format, and only {", ".join(VERSIONS)} '
            "can be read; export it as FCS 3.1"
        )
    start, stop = _whole(header[10:18]), _whole(header[18:_SHORTEST_HEADER])
    if start is None or stop is None or not _SHORTEST_HEADER <= start < stop:
        raise FcsError(f"{path}: is truncated or damaged (no TEXT segment in its header); {_AGAIN}")
    text = _segment(handle, start, stop)
    if len(text) < 2:
        raise FcsError(
            f"{path}: is truncated or damaged (it ends before its TEXT segment); {_AGAIN}"
        )
    keywords = _parse_text(text)
    more = _whole(keywords.get("beginstext", "")), _whole(keywords.get("endstext", ""))
    if more[0] and more[1] and more[0] < more[1]:
        supplement = _segment(handle, more[0], more[1])
        if supplement[:1] == text[:1]:
            keywords = {**_parse_text(supplement), **keywords}
    return version, keywords


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


def _parse_text(text: str) -> dict[str, str]:
    """Split a TEXT segment at its first character into keywords and values.

    A doubled delimiter stands for the character itself. Some writers mean an empty value by it:
    taken so where two keywords would otherwise become one, or a channel lack its name.
    """
    delimiter = text[0]
    body = text[1:].rstrip("\0 \r\n").removesuffix(delimiter)
    if body.count(delimiter) > _MOST_FIELDS:
        return {}
    # A character that TEXT cannot hold keeps the place of the escaped delimiter.
    escaped = body.replace("\ufffe", "").replace(delimiter * 2, "\ufffe").split(delimiter)
    keywords = _paired([field.replace("\ufffe", delimiter) for field in escaped])
    joined = any(f"{delimiter}$" in name for name in keywords)
    if not joined and _names_all_channels(keywords):
        return keywords
    with_empty = _paired(body.split(delimiter))
    return with_empty if _names_all_channels(with_empty) else keywords


def _paired(fields: list[str]) -> dict[str, str]:
    names = (field.strip().lower().removeprefix("$") for field in fields[::2])
    return dict(zip(names, fields[1::2], strict=False))


def _names_all_channels(keywords: Mapping[str, str]) -> bool:
    n_channels = _whole(keywords.get("par", ""))
    if n_channels is None or n_channels > len(keywords):
        return False
    return all(f"p{number}n" in keywords for number in range(1, n_channels + 1))


def _count(path: Path, keywords: Mapping[str, str], keyword: str, what: str) -> int:
    text = keywords.get(keyword, "")
    if not text.strip():
        raise FcsError(
            f"{path}: does not say how many {what} it has (${keyword.upper()}); {_AGAIN}"
        )
    count = _whole(text)
    if count is None:
        shown = text.strip()[:20]
        raise FcsError(f'{path}: ${keyword.upper()} is "{shown}", not a number of {what}; {_AGAIN}')
    return count


def _existing_channels(path: Path, keywords: Mapping[str, str], n_channels: int) -> int:
    """Return the number of channels, refusing one that a damaged file has made up."""
    found = 0
    if n_channels <= len(keywords):
        numbers = range(1, n_channels + 1)
        found = sum(f"p{n}n" in keywords or f"p{n}r" in keywords for n in numbers)
    if found == 0 or found < n_channels / 2:
        raise FcsError(
            f"{path}: says that it has {n_channels} channels, and describes {found or 'hardly any'}"
            f"; {_AGAIN}"
        )
    return n_channels


def _whole(text: str | bytes) -> int | None:
    """Return a number that is written in ASCII digits, or None."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    digits = text.strip(" \0\t\r\n")
    if not (digits.isascii() and digits.isdigit()) or len(digits.lstrip("0")) > _MOST_DIGITS:
        return None
    return int(digits.lstrip("0") or "0")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _spillover_text(keywords: Mapping[str, str]) -> str:
    return keywords.get("spillover") or keywords.get("spill") or ""


def _spillover_channels(keywords: Mapping[str, str]) -> tuple[str, ...]:
    fields = [field.strip() for field in _spillover_text(keywords).split(",")]
    size = _whole(fields[0])
    if not size or len(fields) != 1 + size + size**2:
        return ()
    values = map(_number, fields[1 + size :])
    return tuple(fields[1 : 1 + size]) if all(map(math.isfinite, values)) else ()
