"""Read FCS files: events, channel names and the keywords that analysis needs."""

import os
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.errors import FcsError
from biocross.flow.event_layouts import (
    MOST_BITS,
    Layout,
    decode,
    implausible_share,
    is_big_endian,
    possible_layouts,
)
from biocross.flow.headers import FcsHeader, Repair, read_header
from biocross.flow.scales import Scale, read_scales
from biocross.flow.segments import shown, whole_number
from biocross.flow.spillover import Spillover, parse_spillover

__all__ = ["FcsFile", "Repair", "read_fcs"]

# Bytes decoded at a time: they and their values stay in the processor's cache.
_CHUNK = 1 << 19
# Beyond this offset HEADER has no room, and rightly leaves it out.
_LAST_IN_HEADER = 99_999_999
_BLOCKS = 40
# Events that show whether the data begin a byte earlier or later than announced.
_TRIED_EVENTS = 1000
_TRIED_VALUES = 30
_AGAIN = "export it again from the instrument's software"


class FcsFile(NamedTuple):
    """The content of one FCS file.

    Parameters
    ----------
    events
        Shape (events, channels), float32, each channel contiguous in memory; gain, log
        amplification and time step applied.
    channels
        Short names, as `FcsHeader` gives them.
    markers
        Labels, ``$PnS``; empty where a channel has none.
    ranges
        Top of each channel's scale in the units of its events; NaN where ``$PnR`` is no number.
    n_events
        Events of the whole data set, also where only a sample of them was read.
    spillover
        Matrix of the header, or None.
    repairs
        What had to be repaired to read the file.
    time_step
        Seconds per stored unit of time, already applied; NaN where the file gives none.
    """

    events: NDArray[np.float32]
    channels: tuple[str, ...]
    markers: tuple[str, ...]
    ranges: tuple[float, ...]
    n_events: int
    spillover: Spillover | None
    repairs: tuple[Repair, ...]
    time_step: float


class _Data(NamedTuple):
    """Where the events lie, counted from the beginning of the file, and how."""

    start: int
    layout: Layout


def read_fcs(path: Path | str, data_set: int = 1, sample: int | None = None) -> FcsFile:
    """Read an FCS 2.0, 3.0, 3.1 or 3.2 list-mode file.

    Parameters
    ----------
    path
        The file.
    data_set
        Which of several data sets, from 1.
    sample
        About how many events to read, in contiguous blocks spread evenly over the file; None
        reads all of them.

    Returns
    -------
    FcsFile
        Its events and channels; no events where the file has none.

    Raises
    ------
    FcsError
        The file is not FCS, is truncated, is not in list mode, or stores its values in a way
        that cannot be read.

    References
    ----------
    Seamer 1997, Cytometry 28:118 (FCS 3.0); Spidlen 2010, Cytometry A 77:97 (FCS 3.1); Spidlen
    2021, Cytometry A 99:100 (FCS 3.2).
    """
    path = Path(path)
    header = read_header(path, data_set)
    layouts = _layouts(path, header)
    scales, time_step, scale_repairs = read_scales(path, header)
    try:
        with path.open("rb", buffering=0) as handle:
            data, data_repairs = _find_data(path, handle, header, layouts)
            events = _read_events(path, handle, data, _blocks(header.n_events, sample), scales)
    except OSError as error:
        raise FcsError(f"{path}: cannot be read ({error.strerror})") from None
    return FcsFile(
        events=events,
        channels=header.channels,
        markers=header.markers,
        ranges=tuple(scale.top for scale in scales),
        n_events=header.n_events,
        spillover=parse_spillover(header.keywords, path),
        repairs=(*header.repairs, *data_repairs, *scale_repairs),
        time_step=time_step,
    )


def _layouts(path: Path, header: FcsHeader) -> list[Layout]:
    """Return the layouts that the keywords allow, or refuse what is no list of binary values."""
    if header.mode != "L":
        raise FcsError(
            f'{path}: holds histograms (mode "{shown(header.mode)}"), not events; export it '
            "in list mode"
        )
    fields = list(zip(header.channels, header.datatypes, header.bits, strict=True))
    for channel, kind, bits in fields:
        if kind == "A":
            raise FcsError(
                f"{path}: stores its values as text ($DATATYPE A); export it with binary values"
            )
        if kind not in ("I", "F", "D"):
            raise FcsError(
                f'{path}: stores channel "{shown(channel)}" as values of type "{shown(kind)}", '
                f"where I, F or D is possible; {_AGAIN}"
            )
        if kind == "I" and not 1 <= bits <= MOST_BITS:
            raise FcsError(
                f'{path}: does not say in how many bits channel "{shown(channel)}" is stored '
                f"($PnB, 1 to {MOST_BITS}); {_AGAIN}"
            )
    byte_order = header.keywords.get("byteord", "")
    big_endian = is_big_endian(byte_order)
    if big_endian is None:
        if any(kind != "I" or bits != 8 for _, kind, bits in fields):
            raise FcsError(
                f'{path}: orders the bytes of a value as "{shown(byte_order)}" ($BYTEORD), '
                f"where 1,2,3,4 or 4,3,2,1 is possible; {_AGAIN}"
            )
        big_endian = False
    return possible_layouts(header.datatypes, header.bits, header.ranges, big_endian)


def _find_data(
    path: Path, handle: FileIO, header: FcsHeader, layouts: Sequence[Layout]
) -> tuple[_Data, list[Repair]]:
    """Find the events: among the offsets and layouts that there are, those that fit."""
    segments = _announced_segments(header)
    if not segments:
        raise FcsError(f"{path}: does not say where its events are; {_AGAIN}")
    available = handle.seek(0, os.SEEK_END) - header.start
    fitting = (
        (source, layout)
        for allowed in (0, 1)
        for source, (start, stop) in segments.items()
        for layout in layouts
        if abs(stop - start + 1 - layout.n_bytes(header.n_events)) <= allowed
    )
    source, layout = next(fitting, (next(iter(segments)), layouts[0]))
    start, stop = segments[source]
    needed, size = layout.n_bytes(header.n_events), stop - start + 1
    if header.n_events == 0 and size < layout.n_bytes(1):
        return _Data(header.start + start, layout), _layout_repairs(header, layout)
    found, place = min((size, "DATA segment"), (available - start, "file"))
    if found < needed - 1:
        raise FcsError(
            f"{path}: is truncated: its {header.n_events} events need {needed} bytes from byte "
            f"{header.start + start} on, and the {place} has {max(found, 0)} there; copy the file "
            "or export it again"
        )
    if size > needed + 1:
        raise FcsError(
            f"{path}: announces {header.n_events} events ($TOT), which take {needed} bytes, but "
            f"holds {size} bytes of events; {_AGAIN}"
        )
    data = _Data(header.start + start, layout)
    slip = _find_slip(handle, data, header.n_events)
    if slip is None:
        raise FcsError(
            f"{path}: is truncated: its {header.n_events} events need {needed} bytes from byte "
            f"{data.start} on, and the file has {available - start} there; copy the file or export "
            "it again"
        )
    repairs = _offset_repairs(header, segments, source, size - needed, slip)
    repairs += _layout_repairs(header, layout)
    return data._replace(start=data.start + slip), repairs


def _announced_segments(header: FcsHeader) -> dict[str, tuple[int, int]]:
    """Return first and last byte of the events by who says so, the more trusted first."""
    first, last = (whole_number(header.keywords.get(k, "")) for k in ("begindata", "enddata"))
    said = {
        "TEXT": (first, last),
        "HEADER": header.data_offsets or (None, None),
    }
    # FCS 2.0 knows no such keywords.
    order = ("HEADER", "TEXT") if header.version == "2.0" else ("TEXT", "HEADER")
    known = {}
    for source in order:
        start, stop = said[source]
        if start and stop is not None and stop >= start - 1:
            known[source] = start, stop
    if not known and header.n_events == 0:
        return {order[0]: (1, 0)}
    return known


def _find_slip(handle: FileIO, data: _Data, n_events: int) -> int | None:
    """Return by how many bytes, at most one, the events begin elsewhere than announced.

    Out of step by a byte, values become absurd. None where the file is too short.
    """
    size = handle.seek(0, os.SEEK_END)
    needed = data.layout.n_bytes(n_events)
    slips = [slip for slip in (0, -1, 1) if data.start + slip + needed <= size]
    tried = min(n_events, _TRIED_EVENTS)
    if not slips or slips[0] != 0 or tried * len(data.layout.bits) < _TRIED_VALUES:
        return slips[0] if slips else None
    if data.layout.packing != "bytes":
        return 0
    shares = []
    for slip in slips:
        handle.seek(data.start + slip)
        content = np.frombuffer(handle.read(data.layout.n_bytes(tried)), dtype=np.uint8)
        shares.append(implausible_share(content, data.layout, tried))
        if shares[0] <= 0.1:
            return 0
    best = int(np.argmin(shares))
    return slips[best] if shares[best] < 0.01 else 0


def _offset_repairs(
    header: FcsHeader,
    segments: dict[str, tuple[int, int]],
    source: str,
    excess: int,
    slip: int,
) -> list[Repair]:
    repairs = []
    trusted = next(iter(segments))
    if source != trusted:
        note = f"the data offsets in {trusted} do not fit the number of events; {source} used"
        repairs.append(Repair("data_offsets", note))
    elif len(set(segments.values())) > 1:
        note = f"HEADER and TEXT disagree on the data offsets; {source} used"
        repairs.append(Repair("data_offsets", note))
    elif len(segments) == 1 and header.version != "2.0":
        silent = "HEADER" if source == "TEXT" else "TEXT"
        if silent == "TEXT" or segments[source][1] <= _LAST_IN_HEADER:
            repairs.append(Repair("data_offsets", f"{silent} has no data offsets; {source} used"))
    if excess:
        amount = "one byte more" if excess > 0 else "one byte less"
        note = f"the data offsets span {amount} than the events take; read at their size"
        repairs.append(Repair("data_offsets", note))
    if slip:
        where = "earlier" if slip < 0 else "later"
        note = f"the data begin one byte {where} than the offsets say; read from there"
        repairs.append(Repair("data_offsets", note))
    return repairs


def _layout_repairs(header: FcsHeader, layout: Layout) -> list[Repair]:
    odd = [
        f"channel {number} announces {said} bits, and takes {width}"
        for number, (said, width) in enumerate(zip(header.bits, layout.bits, strict=True), 1)
        if said not in (0, width)
    ]
    notes = []
    if odd:
        more = f" (as do {len(odd) - 1} more)" if len(odd) > 1 else ""
        notes.append(f"{odd[0]}{more}; told by type and size of the data")
    if layout.packing == "events" and layout.event_bits != sum(layout.bits):
        notes.append("every event is filled up to whole bytes; told by the size of the data")
    return [Repair("bit_width", note) for note in notes]


def _blocks(n_events: int, sample: int | None) -> list[tuple[int, int]]:
    """Return first event and number of events of each block to read."""
    if sample is None or sample >= n_events:
        return [(0, n_events)]
    if sample < 1:
        raise ValueError(f"a sample has at least one event, not {sample}")
    # Eight events of any width take whole bytes, so that every block begins at one.
    n_blocks = min(_BLOCKS, -(-sample // 8))
    size = 8 * -(-sample // (8 * n_blocks))
    if n_blocks * size >= n_events:
        return [(0, n_events)]
    last = n_events - size
    starts = (last * number // max(n_blocks - 1, 1) for number in range(n_blocks))
    return [(start - start % 8, size) for start in starts]


def _chunks(blocks: Sequence[tuple[int, int]], event_bits: int) -> Iterator[tuple[int, int]]:
    """Cut blocks into pieces of a size that is decoded at a time."""
    most = max(8, 8 * (_CHUNK // event_bits))
    for first, count in blocks:
        for start in range(first, first + count, most):
            yield start, min(most, first + count - start)


def _read_events(
    path: Path,
    handle: FileIO,
    data: _Data,
    blocks: Sequence[tuple[int, int]],
    scales: Sequence[Scale],
) -> NDArray[np.float32]:
    """Read blocks of events into columns, on their scales."""
    scaled = [column for column, scale in enumerate(scales) if not scale.is_identity]
    columns = np.empty((len(scales), sum(count for _, count in blocks)), dtype=np.float32)
    event_bits = data.layout.event_bits
    chunks = list(_chunks(blocks, event_bits))
    # One buffer for all chunks: the memory of a new one would have to be fetched first.
    largest = max((count for _, count in chunks), default=0)
    buffer = np.empty(data.layout.n_bytes(largest), dtype=np.uint8)
    done = 0
    # Values beyond single precision become infinite, and are flagged later.
    with np.errstate(over="ignore", invalid="ignore"):
        for first, count in chunks:
            content = buffer[: -(-count * event_bits // 8)]
            handle.seek(data.start + first * event_bits // 8)
            if handle.readinto(content.data) < content.size:
                raise FcsError(f"{path}: became shorter while it was read; copy it again")
            events = decode(content, data.layout, count)
            columns[:, done : done + count] = events.T
            for column in scaled:
                values = events[:, column].astype(np.float64)
                columns[column, done : done + count] = scales[column].apply(values)
            done += count
    return columns.T
