"""Remove the spill of every fluorochrome into the other detectors."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.markers import channel_kind
from biocross.errors import FcsError
from biocross.flow.spillover import (
    MAX_CONDITION,
    NO_SPILL,
    Spillover,
    did_you_mean,
    match_channels,
    normalise_spillover,
    spillover_problems,
)

MODES = ("auto", "file", "table", "none")
# Small enough for a processor's cache, large enough for a fast matrix product.
_BLOCK = 16_384
# Detectors of a spectral cytometer before unmixing: laser and number (V1-A ... V16-A, YG10-A).
# MACSQuant calls up to 14 detectors of conventional dyes so.
_RAW_DETECTOR = re.compile(r"(UV|V|B|YG|Y|R|IR)\d{1,2}(-[AHW])?")
_MOST_CONVENTIONAL = 14
# Seven public files have .00 to .21 as recorded and .30 to .67 once compensated.
DOUBLE_SHARE = 0.25
# A spill large enough to be seen in the values of a single sample.
_SEEN_SPILL = 0.1


class SpilloverChoice(NamedTuple):
    """Which matrix a file is compensated with.

    Parameters
    ----------
    spillover
        Its diagonal is 1 and its detectors are called as in the file; None compensates nothing.
    note
        Why, in words, for the ledger.
    """

    spillover: Spillover | None
    note: str


def compensate(
    events: NDArray[np.float32],
    channels: Sequence[str],
    spillover: Spillover,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Compensate events with a spillover matrix.

    Parameters
    ----------
    events
        Raw values, shape (events, channels), in either memory order.
    channels
        Names of the columns.
    spillover
        The matrix; its detectors must be among `channels`.
    out
        Where to write, of the shape of `events`; may be `events` itself, which needs no memory
        beyond some thousand events. None makes a copy.

    Returns
    -------
    ndarray
        Compensated events, shape (events, channels); other columns as they were. An event with
        a missing or infinite value in the matrix's detectors is missing in some of them.

    Raises
    ------
    FcsError
        The matrix names a detector that the file lacks, or cannot be inverted.

    References
    ----------
    Bagwell & Adams 1993, Ann N Y Acad Sci 677:167 (observed = true @ spillover).
    """
    columns = _columns(channels, spillover)
    if not np.linalg.cond(spillover.matrix) <= MAX_CONDITION:
        raise FcsError("the spillover matrix is singular: two fluorochromes spill alike")
    inverse = np.linalg.inv(spillover.matrix).astype(np.float32)
    if out is None:
        out = events.copy(order="K")
    elif out is not events:
        out[...] = events
    with np.errstate(invalid="ignore"):  # infinite values become missing, and are flagged later
        for start in range(0, len(events), _BLOCK):
            block = slice(start, start + _BLOCK)
            out[block, columns] = events[block, columns] @ inverse
    return out


def _columns(channels: Sequence[str], spillover: Spillover) -> list[int]:
    for name in spillover.channels:
        if name not in channels:
            raise FcsError(
                f'the spillover matrix names "{name}", which is no channel of the file'
                f"{did_you_mean(name, channels)}"
            )
    return [channels.index(name) for name in spillover.channels]


def is_compensated(channel: str) -> bool:
    """Return whether a channel's name says that it holds compensated values.

    Parameters
    ----------
    channel
        ``$PnN``; FlowJo exports ``Comp-PE-A`` or ``FJComp-PE-A``, and wrote ``<PE-A>``.
    """
    return bool(re.match(r"(FJ-?)?Comp-|<.+>$", channel.strip(), re.IGNORECASE))


def choose_spillover(
    mode: str,
    header: Spillover | None,
    from_table: Spillover | None,
    channels: Sequence[str],
    cytometry: str,
) -> SpilloverChoice:
    """Decide which matrix a file is compensated with.

    Parameters
    ----------
    mode
        ``auto``: the table's where there is one, else the file's. ``file``: the file's.
        ``table``: the table's. ``none``: nothing is compensated.
    header
        The matrix of the file's header.
    from_table
        The matrix of a table, or computed from single-stain controls.
    channels
        Names of the file's channels.
    cytometry
        ``conventional``, ``spectral`` or ``mass``. A header's matrix counts only in the first:
        spectral cytometers write one that is all but the identity, and mass cytometers none.

    Returns
    -------
    SpilloverChoice
        The matrix or None, and a note.

    Raises
    ------
    FcsError
        The file holds the raw detectors of a spectral cytometer; a table is demanded and missing;
        the matrix cannot be used; or a matrix with spill names detectors that the file lacks.
    """
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode}")
    _refuse_raw_detectors(channels, cytometry)
    if mode == "none":
        return SpilloverChoice(None, "compensation is switched off")
    if mode == "table" and from_table is None:
        raise FcsError("a spillover table is asked for, but none is given; name it in the config")
    chosen = None if mode == "file" else from_table
    if chosen is None and header is not None and cytometry != "conventional":
        return SpilloverChoice(None, _passed_over(header, cytometry))
    chosen = chosen or header
    if chosen is None:
        none = "no spillover matrix in the file or as a table; values used as measured"
        return SpilloverChoice(None, none if cytometry == "conventional" else "none needed")
    chosen = match_channels(chosen, [name for name in channels if not is_compensated(name)])
    errors = [words for severity, words in spillover_problems(chosen) if severity == "error"]
    if errors:
        raise FcsError(f"the matrix of {chosen.source or 'the header'}: {errors[0]}")
    return _applicable(normalise_spillover(chosen), channels, chosen is from_table)


def _applicable(spillover: Spillover, channels: Sequence[str], demanded: bool) -> SpilloverChoice:
    source = spillover.source or ("the table" if demanded else "the header")
    spill = np.abs(spillover.matrix - np.eye(len(spillover.channels))).max()
    if spill < NO_SPILL:
        return SpilloverChoice(None, f"the matrix of {source} holds no spill")
    compensated = list(filter(is_compensated, channels))
    if compensated and not set(spillover.channels) <= set(channels) - set(compensated):
        note = f'channels such as "{compensated[0]}" are compensated already'
        return SpilloverChoice(None, f"{note}; the matrix of {source} is not applied again")
    _columns(channels, spillover)
    return SpilloverChoice(
        spillover, f"compensated with {source} ({len(spillover.channels)} channels)"
    )


def _passed_over(header: Spillover, cytometry: str) -> str:
    spill = np.abs(header.matrix - np.eye(len(header.channels))).max()
    return (
        f"the matrix of {header.source or 'the header'} (spill up to {spill:.2g}) is not applied "
        f"to {cytometry} cytometry"
    )


def _refuse_raw_detectors(channels: Sequence[str], cytometry: str) -> None:
    raw = {re.sub(r"-[AHW]$", "", name) for name in channels if _RAW_DETECTOR.fullmatch(name)}
    signals = {re.sub(r"-[AHW]$", "", name) for name in channels if channel_kind(name) is None}
    if cytometry != "mass" and len(raw) > max(_MOST_CONVENTIONAL, len(signals) / 2):
        raise FcsError(
            f"holds {len(raw)} raw detectors of a spectral cytometer ({', '.join(sorted(raw)[:3])} "
            "...); unmix first, and export the unmixed file"
        )


def share_below_spill(
    events: NDArray[np.float32], channels: Sequence[str], spillover: Spillover
) -> float:
    """Measure whether the spill that a matrix would remove is in the values at all.

    Where dye i is bright, detector j holds at least the spill of i: in raw values hardly any
    event lies far below it, in compensated values every cell without dye j does. For each pair
    with a spill of 0.1 or more, the brightest hundredth of the events in i is taken.

    Parameters
    ----------
    events
        Values to be compensated, shape (events, channels).
    channels
        Names of the columns.
    spillover
        The matrix.

    Returns
    -------
    float
        Share of bright events below half the spill, mean over pairs. Above `DOUBLE_SHARE` the
        values are probably compensated already, or the matrix is not theirs; a matrix of a
        single pair tells little. NaN without a pair or with fewer than 1,000 events.

    Raises
    ------
    FcsError
        The matrix names a detector that the file lacks.
    """
    columns = _columns(channels, spillover)
    if len(events) < 1000:
        return float("nan")
    shares = []
    for i, row in enumerate(spillover.matrix):
        primary = events[:, columns[i]]
        strong = [j for j in np.flatnonzero(row >= _SEEN_SPILL) if j != i]
        border = np.quantile(primary, 0.99)
        if not strong or not border > 0:
            continue
        bright = events[primary >= border]
        for j in strong:
            expected = row[j] * bright[:, columns[i]]
            shares.append(float(np.mean(bright[:, columns[j]] < expected / 2)))
    return float(np.mean(shares)) if shares else float("nan")
