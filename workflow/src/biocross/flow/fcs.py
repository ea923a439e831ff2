"""Read FCS files: events, channel names and the keywords that analysis needs."""

import io
import warnings
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import flowio
import numpy as np
from flowio.exceptions import DataOffsetDiscrepancyError, FCSParsingError, MultipleDataSetsError
from numpy.typing import NDArray

from biocross.errors import FcsError
from biocross.flow.spillover import Spillover, parse_spillover

# Where the HEADER says where the data lie.
_DATA_OFFSETS = slice(26, 42)
# Tried in order; the name of the first that works, unless strict, is recorded as a repair.
_READINGS: tuple[tuple[str, dict[str, object]], ...] = (
    ("strict", {}),
    (
        "HEADER and TEXT disagree on the data offsets; TEXT used",
        {"ignore_offset_discrepancy": True},
    ),
    (
        "the data offsets do not match the number of events; last byte ignored",
        {"ignore_offset_discrepancy": True, "ignore_offset_error": True},
    ),
)


class FcsFile(NamedTuple):
    """The content of one FCS file.

    Parameters
    ----------
    events
        Shape (events, channels), float32; gain, log amplification and time step applied.
    channels
        Short names, ``$PnN``.
    ranges
        Top of each channel's scale in the units of its events; ``$PnR`` for linear channels.
    spillover
        Matrix of the header, or None.
    repairs
        What had to be repaired to read the file, in words.
    """

    events: NDArray[np.float32]
    channels: tuple[str, ...]
    ranges: tuple[float, ...]
    spillover: Spillover | None
    repairs: tuple[str, ...]


def read_fcs(path: Path | str) -> FcsFile:
    """Read an FCS 2.0, 3.0 or 3.1 list-mode file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    FcsFile
        Its events and channels.

    Raises
    ------
    FcsError
        The file is not FCS, is truncated, is not in list mode, or has no events.
    """
    path = Path(path)
    data, repairs = _open(path)
    if data.text.get("mode", "L").upper() != "L":
        raise FcsError(f"{path}: holds histograms, not events; export it in list mode")
    if data.event_count == 0:
        raise FcsError(
            f"{path}: has no events; remove its row from samples.tsv or acquire it again"
        )
    if not _is_number(data.text.get("timestep") or "1"):
        data.text["timestep"] = ""
        repairs.append("the time step is not a number; time left in the instrument's units")
    events = _events(path, data)
    channels = [_channel(data, number, repairs) for number in range(1, data.channel_count + 1)]
    return FcsFile(
        events=events,
        channels=tuple(channel["pnn"].strip() for channel in channels),
        ranges=tuple(_top(channel) for channel in channels),
        spillover=parse_spillover(data.text, path),
        repairs=tuple(repairs),
    )


def _open(path: Path) -> tuple[flowio.FlowData, list[str]]:
    failure: Exception | None = None
    for repair, options in _READINGS:
        try:
            data, repairs = _read_first(path, options)
        except FileNotFoundError:
            raise FcsError(f"{path}: there is no such file") from None
        except (FCSParsingError, DataOffsetDiscrepancyError) as error:
            failure = error
            continue
        except Exception as error:  # FlowIO lets through whatever a damaged file provokes
            raise FcsError(
                f"{path}: is not a readable FCS file ({error}); export it again"
            ) from None
        return data, [*repairs, repair] if options else repairs
    raise FcsError(f"{path}: is truncated or damaged ({failure}); export it again")


def _read_first(path: Path, options: dict[str, object]) -> tuple[flowio.FlowData, list[str]]:
    """Read a file's only data set, or the first of several."""
    try:
        return _read(path, options), []
    except MultipleDataSetsError:
        first = _read(path, {**options, "nextdata_offset": 0})
        return first, ["several data sets in the file; the first one read"]


def _read(path: Path, options: dict[str, object]) -> flowio.FlowData:
    # Opened here, because FlowIO leaves a file open that it cannot parse.
    with warnings.catch_warnings(), path.open("rb") as handle:
        warnings.simplefilter("ignore")
        return flowio.FlowData(_without_blank_offsets(handle), **options)


def _without_blank_offsets(handle: BinaryIO) -> BinaryIO:
    """Put 0 where the HEADER leaves the offsets of the data blank, so that FlowIO looks in TEXT."""
    content = handle.read(_DATA_OFFSETS.stop)
    offsets = content[_DATA_OFFSETS]
    if len(offsets) == 16 and not offsets.strip():
        zeros = b"0".rjust(8) * 2
        return io.BytesIO(content[: _DATA_OFFSETS.start] + zeros + handle.read())
    handle.seek(0)
    return handle


def _events(path: Path, data: flowio.FlowData) -> NDArray[np.float32]:
    """Return the events with gain, log amplification and time step applied."""
    if data.events is None:
        raise FcsError(
            f"{path}: stores its values in {data.text.get('p1b')} bits, which cannot be read; "
            "export it with 32 bits per value"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            events = np.asarray(data.as_array(), dtype=np.float32)
    except (ValueError, IndexError, OverflowError) as error:
        raise FcsError(f"{path}: is damaged ({error}); export it again") from None
    if events.shape[0] != data.event_count:
        raise FcsError(
            f"{path}: announces {data.event_count} events, but holds {events.shape[0]}; "
            "export it again"
        )
    return events


def _channel(data: flowio.FlowData, number: int, repairs: list[str]) -> dict[str, Any]:
    """Return what TEXT says of a channel; one without a name must not lend it another's."""
    if number in data.channels:
        return dict(data.channels[number])
    repairs.append(f"channel {number} has no readable name; called P{number}")
    return {"pnn": f"P{number}", "pne": (0.0, 0.0), "png": 1.0, "pnr": "nan"}


def _top(channel: dict[str, Any]) -> float:
    """Return the top of a channel's scale in the units of its events."""
    decades, lowest = channel["pne"]
    top = lowest * float(np.float_power(10, decades)) if decades > 0 else float(channel["pnr"])
    gain = channel["png"]
    return top / gain if gain else top


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
