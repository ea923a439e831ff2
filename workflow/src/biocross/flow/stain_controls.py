"""A spillover matrix from the files of single-stain controls."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.markers import channel_kind
from biocross.errors import ConfigError, FcsError
from biocross.flow.fcs import FcsFile, read_fcs
from biocross.flow.single_stains import (
    METHODS,
    MIN_NEGATIVE,
    MIN_POSITIVE,
    Stain,
    estimate_spill,
)
from biocross.flow.spillover import Spillover, did_you_mean

COLUMNS = (
    "control",
    "channel",
    "n_events",
    "n_positive",
    "stain_index",
    "off_scale_share",
    "largest_error",
    "note",
)
# A coefficient known no better than this leaves a visible slant in the compensated events.
_TOLERABLE_ERROR = 0.01
_TOLERABLE_OFF_SCALE = 0.01


class Control(NamedTuple):
    """One control file.

    Parameters
    ----------
    path
        The FCS file.
    channel
        Detector of the only fluorochrome in it; None for an unstained control.
    """

    path: Path | str
    channel: str | None


def estimate_spillover(
    controls: Sequence[Control],
    channels: Sequence[str] | None = None,
    *,
    allow_missing: bool = False,
    method: str = "median",
) -> tuple[Spillover, list[dict[str, Any]]]:
    """Estimate a spillover matrix from single-stain controls.

    Parameters
    ----------
    controls
        One per fluorochrome, and at most one unstained.
    channels
        Detectors of the matrix; None takes those that have a control, in their file's order.
    allow_missing
        Whether a detector without a control is taken not to spill; otherwise that is an error.
    method
        ``median`` or ``residual``; see `estimate_spill`.

    Returns
    -------
    spillover : Spillover
        Rows in the order of `channels`.
    rows : list of dict
        One per control, with `COLUMNS`.

    Raises
    ------
    ConfigError
        Every fault of the controls, one sentence per line.
    """
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}, not {method}")
    stained = [control for control in controls if control.channel is not None]
    bare = [control for control in controls if control.channel is None]
    if faults := _list_faults(stained, bare):
        raise ConfigError("\n".join(faults))
    files, faults = _read_files(controls)
    wanted = channels or _in_file_order(files, [str(control.channel) for control in stained])
    faults += _channel_faults(files, wanted, stained, allow_missing)
    if faults:
        raise ConfigError("\n".join(faults))
    gated = _common_scatter(list(files.values()))
    unstained = _signals(files[str(bare[0].path)], wanted, gated) if bare else None
    matrix = np.eye(len(wanted))
    rows = []
    for control in stained:
        file = files[str(control.path)]
        position = wanted.index(str(control.channel))
        tops = np.array([file.ranges[file.channels.index(name)] for name in wanted], dtype=float)
        stain = estimate_spill(
            *_signals(file, wanted, gated),
            position,
            np.where(np.isfinite(tops), tops, np.inf),
            unstained,
            method,
        )
        if stain.problem:
            faults.append(_fault(control, stain, wanted, stained))
        matrix[position] = stain.row
        rows.append(_row(control, len(file.events), stain, wanted, bool(bare)))
    if faults:
        raise ConfigError("\n".join(faults))
    rows += [_missing_row(name) for name in wanted if name not in _stained_channels(stained)]
    return Spillover(tuple(wanted), matrix, "single-stain controls"), rows


def _list_faults(stained: Sequence[Control], bare: Sequence[Control]) -> list[str]:
    """Return what is wrong with the list itself."""
    faults = []
    if not stained:
        faults.append("there is no single-stain control; list one file per fluorochrome")
    if len(bare) > 1:
        faults.append(f"{bare[1].path}: is a second unstained control; keep one of them")
    seen: dict[str, Path | str] = {}
    for control in stained:
        channel = str(control.channel)
        if channel in seen:
            faults.append(
                f"{control.path}: is listed for {channel} as {seen[channel]} is; keep one of them"
            )
        seen[channel] = control.path
    return faults


def _read_files(controls: Sequence[Control]) -> tuple[dict[str, FcsFile], list[str]]:
    files, faults = {}, []
    for control in controls:
        try:
            files[str(control.path)] = read_fcs(control.path)
        except FcsError as error:
            faults.append(str(error))
    return files, faults


def _in_file_order(files: Mapping[str, FcsFile], channels: Sequence[str]) -> list[str]:
    known = [name for file in files.values() for name in file.channels]
    return sorted(channels, key=lambda name: known.index(name) if name in known else len(known))


def _channel_faults(
    files: Mapping[str, FcsFile],
    wanted: Sequence[str],
    stained: Sequence[Control],
    allow_missing: bool,
) -> list[str]:
    faults = [
        f'{path}: has no channel "{name}"{did_you_mean(name, file.channels)}; correct the list of '
        "controls"
        for path, file in files.items()
        for name in wanted
        if name not in file.channels
    ]
    known = _stained_channels(stained)
    faults += [
        f'{control.path}: is listed for "{control.channel}", which is not among the channels to '
        f"be compensated{did_you_mean(str(control.channel), wanted)}"
        for control in stained
        if control.channel not in wanted
    ]
    without = [name for name in wanted if name not in known]
    if without and not allow_missing:
        faults.append(
            f"no single-stain control for {', '.join(without)}; add them, or allow missing "
            "controls, which takes these fluorochromes not to spill"
        )
    return faults


def _stained_channels(stained: Sequence[Control]) -> set[str]:
    return {str(control.channel) for control in stained}


def _signals(
    file: FcsFile, channels: Sequence[str], scatter: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a file's events in some detectors, and its scatter."""
    columns = ([file.channels.index(name) for name in names] for names in (channels, scatter))
    detectors, gated = (file.events[:, column] for column in columns)
    return detectors, gated


def _common_scatter(files: Sequence[FcsFile]) -> list[str]:
    """Return the names of forward and side scatter, if all files have the same."""
    names = [files[0].channels[column] for column in scatter_columns(files[0].channels)]
    return names if all(set(names) <= set(file.channels) for file in files) else []


def scatter_columns(channels: Sequence[str]) -> list[int]:
    """Find forward and side scatter, areas rather than heights.

    Parameters
    ----------
    channels
        Names of a file's channels.

    Returns
    -------
    list of int
        Two columns, or none where one of the two is missing.
    """
    found = []
    for letter, word in (("F", "forward"), ("S", "side")):
        fitting = [
            (not re.search(r"A$|area|lin", name, re.IGNORECASE), column)
            for column, name in enumerate(channels)
            if channel_kind(name) == "scatter"
            and re.match(rf"[BVUYR]?{letter}S|{word}", name, re.IGNORECASE)
            and not re.search(r"[-_ ](W|width)$", name, re.IGNORECASE)
        ]
        found += [min(fitting)[1]] if fitting else []
    return found if len(found) == 2 else []


def _fault(
    control: Control, stain: Stain, channels: Sequence[str], stained: Sequence[Control]
) -> str:
    """Say in a sentence why a control cannot be used."""
    own, other = str(control.channel), channels[stain.brightest]
    faults = {
        "too_few_positive": f"has {stain.n_positive} events stained in {own}, of {MIN_POSITIVE} "
        "needed; stain it brighter or record more events",
        "too_few_negative": f"has {stain.n_negative} negative events, of {MIN_NEGATIVE} needed; "
        "give an unstained control",
        "no_valley": f"stained and unstained events cannot be told apart in {own}; give an "
        "unstained control",
        "off_scale": f"{stain.off_scale:.0%} of the stained events are at the top of a scale; "
        "record it with lower voltages",
        "too_dim": f"its stain in {own} is too dim (stain index {stain.stain_index:.1f}); use a "
        "brighter one",
        "not_brightest": f"its stained events differ more from the unstained in {other} than in "
        f"{own}, their own detector",
    }
    sentence = f"{control.path}: {faults[stain.problem]}"
    if other == own:
        return sentence
    listed = next((c.path for c in stained if c.channel == other), None)
    swap = f"; was it exchanged with {listed}?" if listed else "; does it belong there?"
    return f"{sentence}; it shines most in {other}{swap}"


def _row(
    control: Control, n_events: int, stain: Stain, channels: Sequence[str], unstained: bool
) -> dict[str, Any]:
    notes = []
    if stain.off_scale > _TOLERABLE_OFF_SCALE:
        notes.append(f"{stain.off_scale:.0%} of the stained events are off scale and left out")
    if unstained and stain.negatives == "control":
        notes.append("no unstained events of its scatter; its own negatives taken")
    if not stain.problem and (worst := float(stain.error.max())) > _TOLERABLE_ERROR:
        into = channels[int(stain.error.argmax())]
        notes.append(f"spill into {into} is known to ± {worst:.2g} only; a brighter stain helps")
    return {
        "control": Path(control.path).name,
        "channel": control.channel,
        "n_events": n_events,
        "n_positive": stain.n_positive,
        "stain_index": stain.stain_index,
        "off_scale_share": stain.off_scale,
        "largest_error": float(stain.error.max()),
        "note": "; ".join(notes),
    }


def _missing_row(channel: str) -> dict[str, Any]:
    values = dict.fromkeys(COLUMNS)
    note = "no control: taken not to spill"
    return {
        **values,
        "control": "",
        "channel": channel,
        "n_events": 0,
        "n_positive": 0,
        "note": note,
    }
