"""The panel's channels of one file, as acquired and compensated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import Channel
from biocross.cohort.sheets import did_you_mean
from biocross.errors import FcsError
from biocross.flow.compensation import (
    DOUBLE_SHARE,
    choose_spillover,
    compensate,
    share_below_spill,
)
from biocross.flow.fcs import FcsFile, Repair, read_fcs
from biocross.flow.spillover import Spillover, spillover_problems

Column = NDArray[np.float32]
TIME = "Time"
EVENTS_FOR_CHECK = 50_000


class Compensation(NamedTuple):
    """How the files of a study are compensated.

    Parameters
    ----------
    mode
        ``file``: with the matrix of each file. ``table``: with `matrix`. ``none``: not at all.
    matrix
        The matrix of a table, or computed from single-stain controls.
    """

    mode: str = "file"
    matrix: Spillover | None = None


class Signals(NamedTuple):
    """The panel's channels of one file.

    Parameters
    ----------
    raw
        By marker, values as acquired, shape (events,).
    compensated
        By marker, compensated values, shape (events,).
    tops
        By marker, top of the scale.
    time
        Acquisition time, shape (events,); None where the file has none.
    time_step
        Seconds per unit of `time`; NaN where the file does not say.
    repairs
        What had to be repaired to read the file.
    compensation
        What was compensated with what, in words.
    cautions
        What casts doubt on the compensation.
    spillover
        The matrix that was used; None where nothing was compensated.
    channels
        By marker, the name of its channel in this file.
    missing
        Markers whose channel the file lacks, each with a sentence.
    """

    raw: dict[str, Column]
    compensated: dict[str, Column]
    tops: dict[str, float]
    time: Column | None
    time_step: float
    repairs: tuple[Repair, ...]
    compensation: str
    cautions: tuple[str, ...] = ()
    spillover: Spillover | None = None
    channels: Mapping[str, str] = {}
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def n_events(self) -> int:
        """Events in the file, or in the part of it that was read."""
        return int(next(iter(self.raw.values())).size)


def read_signals(
    path: Path | str,
    panel: Sequence[Channel],
    cytometry: str,
    compensation: Compensation,
    sample: int | None = None,
) -> Signals:
    """Read the channels of a panel from an FCS file.

    Parameters
    ----------
    path
        The file.
    panel
        Channels of ``panel.tsv``.
    cytometry
        ``conventional``, ``spectral`` or ``mass``.
    compensation
        What to compensate with.
    sample
        Read about so many events, spread over the file; None reads all.

    Returns
    -------
    Signals
        Values by marker.

    Raises
    ------
    FcsError
        The file cannot be read or compensated, or has no channel of the panel.
    """
    file = read_fcs(path, sample=sample)
    columns, missing = {}, []
    for channel in panel:
        column = _find_channel(file, channel)
        if column is None:
            missing.append(_missing(file, channel, panel))
        else:
            columns[channel.marker] = column
    if not columns:
        raise FcsError(
            f"{path}: has none of the channels of panel.tsv; it has {file.channels[0]} ..."
        )
    try:
        choice = choose_spillover(
            compensation.mode, file.spillover, compensation.matrix, file.channels, cytometry
        )
        compensated, cautions = file.events, []
        if choice.spillover is not None:
            cautions = _cautions(file, choice.spillover)
            compensated = compensate(file.events, file.channels, choice.spillover)
    except FcsError as error:
        raise FcsError(f"{path}: {error}") from None
    time = next((n for n, name in enumerate(file.channels) if name.casefold() == "time"), None)
    return Signals(
        raw={marker: file.events[:, column] for marker, column in columns.items()},
        compensated={marker: compensated[:, column] for marker, column in columns.items()},
        tops={marker: file.ranges[column] for marker, column in columns.items()},
        time=None if time is None else file.events[:, time],
        time_step=file.time_step,
        repairs=file.repairs,
        compensation=choice.note,
        cautions=tuple(cautions),
        spillover=choice.spillover,
        channels={marker: file.channels[column] for marker, column in columns.items()},
        missing=tuple(missing),
    )


def _cautions(file: FcsFile, spillover: Spillover) -> list[str]:
    """Say what is odd about a matrix, and whether its spill is in the values at all."""
    found = [words for severity, words in spillover_problems(spillover) if severity == "warning"]
    some = file.events[:: max(1, len(file.events) // EVENTS_FOR_CHECK)]
    share = share_below_spill(some, file.channels, spillover)
    if share > DOUBLE_SHARE:
        found.append(
            f"the spill that the matrix takes away is missing in {share:.0%} of the bright events: "
            "were the values compensated before, or is the matrix another file's?"
        )
    return found


def _find_channel(file: FcsFile, channel: Channel) -> int | None:
    for name in (channel.channel, *channel.aliases):
        if name in file.channels:
            return file.channels.index(name)
    return None


def _missing(file: FcsFile, channel: Channel, panel: Sequence[Channel]) -> tuple[str, str]:
    # A channel that another marker of the panel uses is not the one that is missing.
    taken = {name for other in panel for name in (other.channel, *other.aliases)}
    hint = did_you_mean(channel.channel, [name for name in file.channels if name not in taken])
    return channel.marker, f'no channel "{channel.channel}" in the file{hint}'
