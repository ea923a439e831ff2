"""Read FCS files: events, channel names and the keywords that analysis needs."""

import warnings
from pathlib import Path
from typing import NamedTuple

import flowio
import numpy as np
from flowio.exceptions import DataOffsetDiscrepancyError, FCSParsingError, MultipleDataSetsError
from numpy.typing import NDArray

from biocross.errors import FcsError

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


class Spillover(NamedTuple):
    """Share of each fluorochrome's signal that every detector sees.

    Parameters
    ----------
    channels
        Detectors, in matrix order.
    matrix
        Shape (channels, channels); row = fluorochrome, column = detector, diagonal 1.
    """

    channels: tuple[str, ...]
    matrix: NDArray[np.float64]


class FcsFile(NamedTuple):
    """The content of one FCS file.

    Parameters
    ----------
    events
        Shape (events, channels), float32; gain, log amplification and time step applied.
    channels
        Short names, ``$PnN``.
    ranges
        Top of each channel's scale, ``$PnR``.
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
    return FcsFile(
        events=np.asarray(data.as_array(), dtype=np.float32),
        channels=tuple(data.pnn_labels),
        ranges=tuple(float(value) for value in data.pnr_values),
        spillover=parse_spillover(data.text, path),
        repairs=tuple(repairs),
    )


def parse_spillover(keywords: dict[str, str], path: Path) -> Spillover | None:
    """Parse the spillover matrix of an FCS header.

    Parameters
    ----------
    keywords
        TEXT keywords in lower case without ``$``, as FlowIO gives them.
    path
        The file, for messages.

    Returns
    -------
    Spillover or None
        None where the header has no matrix.

    Raises
    ------
    FcsError
        The matrix is not of the form ``n,name1..namen,value1..valuen*n``.
    """
    text = next((keywords[key] for key in ("spillover", "spill") if keywords.get(key)), None)
    if text is None:
        return None
    fields = [field.strip() for field in text.split(",")]
    try:
        size = int(fields[0])
        values = np.array([float(value) for value in fields[1 + size :]])
        matrix = values.reshape(size, size)
    except (ValueError, IndexError):
        raise FcsError(
            f"{path}: its spillover matrix cannot be parsed; export the file again"
        ) from None
    return Spillover(tuple(fields[1 : 1 + size]), matrix)


def _open(path: Path) -> tuple[flowio.FlowData, list[str]]:
    repairs: list[str] = []
    first_of_several: dict[str, object] = {}
    failure: Exception | None = None
    for repair, options in _READINGS:
        try:
            data = _read(path, {**options, **first_of_several})
        except MultipleDataSetsError:
            first_of_several = {"nextdata_offset": 0}
            repairs.append("several data sets in the file; the first one read")
            try:
                data = _read(path, {**options, **first_of_several})
            except (FCSParsingError, DataOffsetDiscrepancyError) as error:
                failure = error
                continue
        except FileNotFoundError:
            raise FcsError(f"{path}: there is no such file") from None
        except (FCSParsingError, DataOffsetDiscrepancyError) as error:
            failure = error
            continue
        except (ValueError, KeyError, IndexError, OSError) as error:
            raise FcsError(f"{path}: is not a readable FCS file ({error})") from None
        if options:
            repairs.append(repair)
        return data, repairs
    raise FcsError(f"{path}: is truncated or damaged ({failure}); export it again")


def _read(path: Path, options: dict[str, object]) -> flowio.FlowData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return flowio.FlowData(str(path), **options)
