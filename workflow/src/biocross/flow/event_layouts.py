"""How FCS files store the values of their events, and how to decode them."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 64
_FLOAT_BITS = {"F": 32, "D": 64}
# What a measured value never exceeds, and never falls short of unless it is zero.
_PLAUSIBLE = (1e-20, 1e20)


class Layout(NamedTuple):
    """How the values of an event are stored, channel by channel.

    Parameters
    ----------
    kinds
        I, F or D of each channel: unsigned integer, single or double precision.
    bits
        Width of each channel's values.
    masks
        Bits of an integer that count, as a number; 0 where all of them do.
    big_endian
        Whether the most significant byte comes first.
    packing
        ``bytes``: every value takes whole bytes. ``stream``: bit follows bit over all events.
        ``events``: bit follows bit, and every event begins with a new byte.
    """

    kinds: tuple[str, ...]
    bits: tuple[int, ...]
    masks: tuple[int, ...]
    big_endian: bool
    packing: str = "bytes"

    @property
    def event_bits(self) -> int:
        """Bits from the beginning of an event to that of the next."""
        width = sum(self.bits)
        return width if self.packing == "stream" else 8 * math.ceil(width / 8)

    def n_bytes(self, n_events: int) -> int:
        """Bytes that so many events take."""
        return -(-n_events * self.event_bits // 8)


def is_big_endian(byte_order: str) -> bool | None:
    """Read ``$BYTEORD``.

    Parameters
    ----------
    byte_order
        Such as ``1,2,3,4`` (the least significant byte first) or ``2,1``.

    Returns
    -------
    bool or None
        None where bytes are neither in ascending nor in descending order, as in ``3,4,1,2``.
    """
    order = [field.strip() for field in byte_order.split(",")]
    ascending = [str(number) for number in range(1, len(order) + 1)]
    if len(order) < 2 or order not in (ascending, ascending[::-1]):
        return None
    return order != ascending


def possible_layouts(
    kinds: Sequence[str], bits: Sequence[int], ranges: Sequence[float], big_endian: bool
) -> list[Layout]:
    """List the ways in which events of given types and widths may be stored.

    Parameters
    ----------
    kinds
        I, F or D of each channel.
    bits
        ``$PnB``, 1 to 64; of no effect for floating-point channels.
    ranges
        ``$PnR``; of no effect where it is no number above 1.
    big_endian
        Whether the most significant byte comes first.

    Returns
    -------
    list of Layout
        As the standard wants it first; then events that begin with a new byte; last integers that
        take 8, 16, 32 or 64 bits although another width is announced (Beckman Coulter's CXP
        announces 10 bits and stores 16). The size of the data tells which it is.
    """
    announced = tuple(_FLOAT_BITS.get(k, b) for k, b in zip(kinds, bits, strict=True))
    rounded = tuple(max(8, 1 << (width - 1).bit_length()) for width in announced)
    ways = []
    if all(width % 8 == 0 for width in announced):
        ways.append((announced, "bytes"))
    elif set(kinds) == {"I"}:
        ways += [(announced, "stream"), (announced, "events")]
    if rounded != announced:
        ways.append((rounded, "bytes"))
    return [
        Layout(tuple(kinds), widths, _masks(kinds, widths, ranges), big_endian, packing)
        for widths, packing in ways
    ]


def decode(content: NDArray[np.uint8], layout: Layout, n_events: int) -> NDArray[Any]:
    """Decode stored events.

    Parameters
    ----------
    content
        Bytes of the events, shape (bytes,).
    layout
        How they are stored.
    n_events
        How many they are.

    Returns
    -------
    ndarray
        Shape (events, channels): of the stored type where all channels share one that NumPy has
        (a view of `content` where no bits are masked), else double precision.
    """
    if layout.packing != "bytes":
        return _unpack(content, layout, n_events)
    fields = set(zip(layout.kinds, layout.bits, strict=True))
    shared = _stored_type(*fields.pop(), layout.big_endian) if len(fields) == 1 else None
    if shared is None:
        return _gather(content, layout, n_events)
    n_channels = len(layout.bits)
    n_bytes = n_events * n_channels * shared.itemsize
    values = content[:n_bytes].view(shared).reshape(n_events, n_channels)
    if any(layout.masks):
        all_bits = (1 << layout.bits[0]) - 1
        values = values & np.array([m or all_bits for m in layout.masks], dtype=shared)
    return values


def implausible_share(content: NDArray[np.uint8], layout: Layout, n_events: int) -> float:
    """Measure how much of the data cannot have been meant, as where a byte is out of step.

    Parameters
    ----------
    content, layout, n_events
        As for `decode`.

    Returns
    -------
    float
        Share of values of absurd size, or beyond the bits that count. A value that is not finite
        is none: missing values may have been meant.
    """
    values = decode(content, layout._replace(masks=(0,) * len(layout.bits)), n_events)
    floating = np.array([kind in _FLOAT_BITS for kind in layout.kinds])
    # Single bytes keep their values when they slip by one: they tell nothing.
    limits = zip(layout.bits, layout.masks, strict=True)
    tops = [mask if mask and width > 8 else math.inf for width, mask in limits]
    with np.errstate(invalid="ignore"):
        sizes = np.abs(values.astype(np.float64))
    plausible = sizes <= np.where(floating, _PLAUSIBLE[1], tops)
    plausible &= (sizes >= np.where(floating, _PLAUSIBLE[0], 0.0)) | (sizes == 0)
    plausible |= ~np.isfinite(sizes)
    return 1.0 - float(plausible.mean()) if plausible.size else 0.0


def _masks(kinds: Sequence[str], bits: Sequence[int], ranges: Sequence[float]) -> tuple[int, ...]:
    """Return the bits that count: those of the first power of two that is no less than $PnR."""
    masks = []
    for kind, width, top in zip(kinds, bits, ranges, strict=True):
        limited = kind == "I" and math.isfinite(top) and top > 1
        used = (math.ceil(top) - 1).bit_length() if limited else width
        masks.append((1 << used) - 1 if used < width else 0)
    return tuple(masks)


@functools.cache
def _stored_type(kind: str, bits: int, big_endian: bool) -> np.dtype[Any] | None:
    """Return NumPy's type of a value, or None where it has none, as for 24 bits."""
    if bits not in (8, 16, 32, 64):
        return None
    return np.dtype(f"{'>' if big_endian else '<'}{'u' if kind == 'I' else 'f'}{bits // 8}")


def _gather(content: NDArray[np.uint8], layout: Layout, n_events: int) -> NDArray[np.float64]:
    """Decode events whose channels differ in type, or have one that NumPy lacks."""
    table = content[: layout.n_bytes(n_events)].reshape(n_events, -1)
    columns = np.empty((len(layout.bits), n_events), dtype=np.float64)
    first = 0
    for column, kind, width, mask in zip(columns, *layout[:3], strict=True):
        stored = _stored_type(kind, width, layout.big_endian)
        field = table[:, first : first + width // 8]
        if stored is not None:
            values = np.ascontiguousarray(field).view(stored)[:, 0]
        else:
            values = _odd_integers(field, layout.big_endian)
        column[:] = values & values.dtype.type(mask) if mask else values
        first += width // 8
    return columns.T


def _odd_integers(field: NDArray[np.uint8], big_endian: bool) -> NDArray[np.uint64]:
    """Decode integers of any number of bytes, shape (events, bytes)."""
    values = np.zeros(len(field), dtype=np.uint64)
    for byte in field.T if big_endian else field.T[::-1]:
        values = (values << np.uint64(8)) | byte
    return values


def _unpack(content: NDArray[np.uint8], layout: Layout, n_events: int) -> NDArray[np.float64]:
    """Decode integers that follow one another bit by bit.

    With the least significant byte first, bits are taken from the low end of each byte.
    """
    order: Any = "big" if layout.big_endian else "little"
    bits = np.unpackbits(content, bitorder=order)[: n_events * layout.event_bits]
    table = bits.reshape(n_events, layout.event_bits)
    columns = np.empty((len(layout.bits), n_events), dtype=np.float64)
    first = 0
    for column, width, mask in zip(columns, layout.bits, layout.masks, strict=True):
        powers = np.left_shift(np.uint64(1), np.arange(width, dtype=np.uint64))
        field = table[:, first : first + width].astype(np.uint64)
        values = field @ (powers[::-1] if layout.big_endian else powers)
        column[:] = values & np.uint64(mask) if mask else values
        first += width
    return columns.T
