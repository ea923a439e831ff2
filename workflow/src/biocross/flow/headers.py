"""Read what an FCS file says of itself, without its events: the HEADER and TEXT segments."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from biocross.errors import FcsError
from biocross.flow.segments import VERSIONS, read_segments, shown, whole_number

__all__ = ["VERSIONS", "FcsHeader", "Repair", "read_header", "stored_bits"]

_AGAIN = "export it again from the instrument's software"


class Repair(NamedTuple):
    """Something in a file that is not as the format wants it, and what was made of it.

    Parameters
    ----------
    what
        Short stable term, such as ``data_offsets`` or ``duplicate_channel``.
    note
        A sentence.
    """

    what: str
    note: str


class FcsHeader(NamedTuple):
    """What an FCS file says of itself.

    Parameters
    ----------
    version
        ``2.0``, ``3.0``, ``3.1`` or ``3.2``.
    n_events
        ``$TOT``.
    channels
        Short names, ``$PnN``, each once: ``P6`` for a sixth channel without a name, ``PE-A_2`` for
        the second of the name ``PE-A``.
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
    repairs
        What had to be repaired to understand TEXT.
    datatypes
        Type of each channel; ``$PnDATATYPE`` (FCS 3.2) where there is one, else ``$DATATYPE``.
    start
        Byte of the file at which the data set begins; its offsets count from there.
    data_offsets
        First and last byte of the events as HEADER says; None where it says nothing.
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
    repairs: tuple[Repair, ...] = ()
    datatypes: tuple[str, ...] = ()
    start: int = 0
    data_offsets: tuple[int, int] | None = None

    @property
    def data_bytes(self) -> int:
        """Bytes that the events need at least."""
        kinds = self.datatypes or (self.datatype,) * len(self.bits)
        widths = map(stored_bits, kinds, self.bits)
        return self.n_events * sum(widths) // 8

    @property
    def has_broken_spillover(self) -> bool:
        """Whether there is a spillover matrix that cannot be parsed."""
        text = _spillover_text(self.keywords).split(",")[0].strip()
        return text not in ("", "0") and not self.spillover_channels


def read_header(path: Path | str, data_set: int = 1) -> FcsHeader:
    """Read the HEADER and TEXT segments of an FCS file, or of one of its data sets.

    Parameters
    ----------
    path
        An FCS 2.0, 3.0, 3.1 or 3.2 file.
    data_set
        Which of several data sets, from 1.

    Returns
    -------
    FcsHeader
        What the file says of itself.

    Raises
    ------
    FcsError
        There is no such file or data set, it is not FCS, is cut off within its header, or does not
        say how many channels and events it has.

    References
    ----------
    Seamer 1997, Cytometry 28:118 (FCS 3.0); Spidlen 2010, Cytometry A 77:97 (FCS 3.1); Spidlen
    2021, Cytometry A 99:100 (FCS 3.2).
    """
    path = Path(path)
    if "\0" in str(path):
        raise FcsError(f"{str(path)!r}: is no possible name of a file; correct it")
    try:
        with path.open("rb") as handle:
            segments = read_segments(path, handle, data_set)
    except FileNotFoundError:
        raise FcsError(f"{path}: there is no such file") from None
    except OSError as error:
        raise FcsError(f"{path}: cannot be opened ({error.strerror})") from None
    keywords = segments.keywords
    n_channels = _count(path, keywords, "par", "channels")
    named = range(1, _existing_channels(path, keywords, n_channels) + 1)
    repairs = []
    if segments.has_empty_values:
        repairs.append(Repair("empty_values", "TEXT has values of no length; read as empty"))
    channels, renamed = _name_channels([keywords.get(f"p{n}n", "").strip() for n in named])
    repairs += renamed
    datatype = keywords.get("datatype", "").strip().upper()
    several = bool(whole_number(keywords.get("nextdata", "")))
    if several and data_set == 1:
        repairs.append(Repair("several_data_sets", "several data sets in the file; the first read"))
    return FcsHeader(
        version=segments.version,
        n_events=_count(path, keywords, "tot", "events"),
        channels=channels,
        markers=tuple(keywords.get(f"p{n}s", "").strip() for n in named),
        ranges=tuple(_number(keywords.get(f"p{n}r", "")) for n in named),
        bits=tuple(whole_number(keywords.get(f"p{n}b", "")) or 0 for n in named),
        datatype=datatype,
        mode=keywords.get("mode", "").strip().upper() or "L",
        cytometer=keywords.get("cyt", "").strip(),
        date=keywords.get("date", "").strip(),
        source=keywords.get("src", "").strip(),
        sample_number=keywords.get("smno", "").strip(),
        file_name=keywords.get("fil", "").strip(),
        spillover_channels=_spillover_channels(keywords),
        several_data_sets=several,
        keywords=keywords,
        repairs=tuple(repairs),
        datatypes=tuple(
            keywords.get(f"p{n}datatype", "").strip().upper() or datatype for n in named
        ),
        start=segments.start,
        data_offsets=segments.data_offsets,
    )


def stored_bits(datatype: str, bits: int) -> int:
    """Return the bits that a value takes: floating-point types have one width, whatever $PnB says.

    Parameters
    ----------
    datatype
        I, F or D.
    bits
        ``$PnB``.

    Returns
    -------
    int
        32 for F, 64 for D, else `bits`.
    """
    return {"F": 32, "D": 64}.get(datatype, bits)


def _name_channels(names: Sequence[str]) -> tuple[tuple[str, ...], list[Repair]]:
    """Name a nameless channel by its number, and number the later ones of a name."""
    taken = set(names)
    seen: set[str] = set()
    last = Counter[str]()
    given: list[str] = []
    repairs = []
    for number, name in enumerate(names, 1):
        new = name or f"P{number}"
        if new in seen or (not name and new in taken):
            last[new] = max(last[new], 1)
            stem = new
            while new in taken or new in seen:
                last[stem] += 1
                new = f"{stem}_{last[stem]}"
        seen.add(new)
        given.append(new)
        if not name:
            repairs.append(Repair("blank_channel", f"channel {number} has no name; called {new}"))
        elif new != name:
            note = f'channel {number} is not the first named "{shown(name)}"; called {shown(new)}'
            repairs.append(Repair("duplicate_channel", note))
    return tuple(given), repairs


def _count(path: Path, keywords: Mapping[str, str], keyword: str, what: str) -> int:
    text = keywords.get(keyword, "")
    if not text.strip():
        raise FcsError(
            f"{path}: does not say how many {what} it has (${keyword.upper()}); {_AGAIN}"
        )
    count = whole_number(text)
    if count is None:
        raise FcsError(
            f'{path}: ${keyword.upper()} is "{shown(text)}", not a number of {what}; {_AGAIN}'
        )
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


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _spillover_text(keywords: Mapping[str, str]) -> str:
    return keywords.get("spillover") or keywords.get("spill") or ""


def _spillover_channels(keywords: Mapping[str, str]) -> tuple[str, ...]:
    fields = [field.strip() for field in _spillover_text(keywords).split(",")]
    size = whole_number(fields[0])
    if not size or len(fields) != 1 + size + size**2:
        return ()
    values = map(_number, fields[1 + size :])
    return tuple(fields[1 : 1 + size]) if all(map(math.isfinite, values)) else ()
