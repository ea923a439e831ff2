"""From an FCS file to prepared events: read, compensate, transform, flag."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import Channel, load_panel
from biocross.cohort.sheets import did_you_mean
from biocross.errors import FcsError
from biocross.flow.compensation import compensate
from biocross.flow.events import write_events
from biocross.flow.fcs import FcsFile, read_fcs
from biocross.flow.quality.scatter import flag_doublets, flag_margin, flag_nonfinite
from biocross.flow.transforms import (
    DEFAULT_COFACTOR,
    Transform,
    apply_transform,
    default_transform,
    logicle_decades,
    logicle_width,
    negative_reference,
)
from biocross.tables import read_rows, write_rows

TRANSFORM_COLUMNS = (
    *("marker", "channel", "transform", "top", "decades", "width", "cofactor"),
    *("n_samples", "note"),
)
LEDGER_COLUMNS = ("sample_id", "step", "events_before", "flagged", "share", "note")
FLAG_STEPS = ("nonfinite", "margin", "doublet")
EVENTS_FOR_TRANSFORM = 20_000


class Signals(NamedTuple):
    """The panel's channels of one file, compensated.

    Parameters
    ----------
    raw
        By marker, values as acquired, shape (events,).
    compensated
        By marker, compensated values, shape (events,).
    tops
        By marker, top of the scale.
    repairs
        What had to be repaired to read the file.
    """

    raw: dict[str, NDArray[np.float32]]
    compensated: dict[str, NDArray[np.float32]]
    tops: dict[str, float]
    repairs: tuple[str, ...]


def estimate_transforms(
    fcs: Sequence[Path | str],
    panel: Path | str,
    cytometry: str,
    transform: str | None,
    cofactor: float | None,
    transforms_out: Path | str,
) -> None:
    """Choose one transform per channel for the whole cohort.

    Parameters
    ----------
    fcs
        The FCS files of all samples.
    panel
        ``panel.tsv``.
    cytometry
        ``conventional``, ``spectral`` or ``mass``.
    transform, cofactor
        What the config asks for; None takes the default of the cytometry.
    transforms_out
        Table with a row per channel of the panel.
    """
    channels = load_panel(Path(panel))
    default = transform or default_transform(cytometry)
    kinds = {c.marker: _transform_kind(c, default) for c in channels}
    references: dict[str, list[float]] = {c.marker: [] for c in channels}
    tops: dict[str, float] = {}
    for number, path in enumerate(fcs, 1):
        signals = _read_signals(path, channels, cytometry)
        for marker, values in signals.compensated.items():
            if kinds[marker] == "logicle":
                step = max(1, values.size // EVENTS_FOR_TRANSFORM)
                references[marker].append(negative_reference(values[::step]))
            tops[marker] = max(tops.get(marker, 0.0), signals.tops[marker])
        print(f"{number} of {len(fcs)}: {path}")
    rows = [
        _transform_row(
            c, kinds[c.marker], tops[c.marker], references[c.marker], cytometry, cofactor
        )
        for c in channels
    ]
    _fill_unknown_widths(rows)
    write_rows(transforms_out, TRANSFORM_COLUMNS, rows)


def prepare_flow_sample(
    fcs: Path | str,
    panel: Path | str,
    transforms: Path | str,
    cytometry: str,
    meta: Mapping[str, str],
    events_out: Path | str,
    ledger_out: Path | str,
) -> None:
    """Read, compensate, flag and transform the events of one sample.

    Parameters
    ----------
    fcs
        The FCS file.
    panel
        ``panel.tsv``.
    transforms
        The cohort's transforms, of `estimate_transforms`.
    cytometry
        ``conventional``, ``spectral`` or ``mass``.
    meta
        The sample's row of ``samples.tsv``.
    events_out
        Prepared events in Arrow format.
    ledger_out
        How many events each step flagged.

    Raises
    ------
    FcsError
        The file cannot be read, or lacks a channel of the panel.
    """
    channels = load_panel(Path(panel))
    chosen = load_transforms(transforms)
    signals = _read_signals(fcs, channels, cytometry)
    quality, ledger = _flag_events(signals, meta["sample_id"])
    values = {
        marker: apply_transform(column, chosen[marker])
        for marker, column in signals.compensated.items()
    }
    write_events(events_out, values, quality, meta)
    write_rows(ledger_out, LEDGER_COLUMNS, ledger)


def load_transforms(path: Path | str) -> dict[str, Transform]:
    """Load the transforms of `estimate_transforms`, by marker."""
    return {
        row["marker"]: Transform(
            row["transform"],
            *(float(row[key] or "nan") for key in ("top", "decades", "width", "cofactor")),
        )
        for row in read_rows(path)
    }


def _transform_kind(channel: Channel, default: str) -> str:
    if channel.transform:
        return channel.transform
    return default if channel.is_signal else "linear"


def _read_signals(path: Path | str, channels: Sequence[Channel], cytometry: str) -> Signals:
    file = read_fcs(path)
    columns = {c.marker: _find_channel(path, file, c) for c in channels}
    compensated = file.events
    if cytometry == "conventional" and file.spillover is not None:
        try:
            compensated = compensate(file.events, file.channels, file.spillover)
        except FcsError as error:
            raise FcsError(f"{path}: {error}") from None
    return Signals(
        raw={marker: file.events[:, column] for marker, column in columns.items()},
        compensated={marker: compensated[:, column] for marker, column in columns.items()},
        tops={marker: file.ranges[column] for marker, column in columns.items()},
        repairs=file.repairs,
    )


def _find_channel(path: Path | str, file: FcsFile, channel: Channel) -> int:
    for name in (channel.channel, *channel.aliases):
        if name in file.channels:
            return file.channels.index(name)
    raise FcsError(
        f'{path}: has no channel "{channel.channel}", where panel.tsv expects '
        f"{channel.marker}{did_you_mean(channel.channel, file.channels)}"
    )


def _transform_row(
    channel: Channel,
    kind: str,
    top: float,
    references: Sequence[float],
    cytometry: str,
    cofactor: float | None,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "marker": channel.marker,
        "channel": channel.channel,
        "transform": kind,
        "top": top,
    }
    if kind == "arcsinh":
        row["cofactor"] = channel.cofactor or cofactor or DEFAULT_COFACTOR[cytometry]
    if kind == "logicle":
        row["decades"] = logicle_decades(top)
        row["width"] = logicle_width(references, top)
        row["n_samples"] = int(np.sum(~np.isnan(references)))
    return row


def _fill_unknown_widths(rows: Sequence[dict[str, Any]]) -> None:
    """Give channels with too few negative values the panel's median width."""
    logicle = [row for row in rows if row["transform"] == "logicle"]
    known = [row["width"] for row in logicle if not np.isnan(row["width"])]
    for row in logicle:
        if np.isnan(row["width"]):
            row["width"] = float(np.median(known)) if known else 0.5
            row["note"] = "too few negative values; the panel's median width used"


def _flag_events(
    signals: Signals, sample_id: str
) -> tuple[NDArray[np.uint8], list[dict[str, object]]]:
    """Number every event by the first step that flagged it; 0 is a pass."""
    size = next(iter(signals.raw.values())).size
    quality = np.zeros(size, dtype=np.uint8)
    ledger: list[dict[str, object]] = [
        {
            "sample_id": sample_id,
            "step": "read",
            "events_before": size,
            "flagged": 0,
            "share": 0.0,
            "note": "; ".join(signals.repairs),
        }
    ]
    for number, step in enumerate(FLAG_STEPS, 1):
        passing = np.flatnonzero(quality == 0)
        flagged, note = _flag_step(step, signals, passing)
        quality[passing[flagged]] = number
        ledger.append(
            {
                "sample_id": sample_id,
                "step": step,
                "events_before": passing.size,
                "flagged": int(flagged.sum()),
                "share": float(flagged.mean()) if passing.size else 0.0,
                "note": note,
            }
        )
    return quality, ledger


def _flag_step(
    step: str, signals: Signals, passing: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], str]:
    raw = signals.raw
    if step == "nonfinite":
        # Compensated, because a value missing in a detector outside the panel spills into all.
        columns = [column[passing] for column in signals.compensated.values()]
        return flag_nonfinite(np.column_stack(columns)), ""
    needed = {"margin": ("FSC-A",), "doublet": ("FSC-A", "FSC-H")}[step]
    if missing := [name for name in needed if name not in raw]:
        return np.zeros(passing.size, dtype=bool), f"not_possible: no {missing[0]} in the panel"
    columns = [raw[name][passing] for name in needed]
    if step == "margin":
        return flag_margin(columns[0]), ""
    ssc = raw["SSC-A"][passing] if "SSC-A" in raw else None
    return flag_doublets(columns[0], columns[1], ssc), ""
