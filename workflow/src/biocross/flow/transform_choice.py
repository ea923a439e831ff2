"""Choose one transform per channel for the whole cohort."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from biocross.cohort.panel import Channel, load_panel
from biocross.errors import FcsError
from biocross.flow.gatingml import write_gatingml
from biocross.flow.signals import Compensation, read_signals
from biocross.flow.transform_table import TRANSFORM_COLUMNS, load_transforms
from biocross.flow.transforms import (
    DEFAULT_COFACTOR,
    default_transform,
    logicle_decades,
    logicle_width,
    negative_reference,
    why_not_logicle,
)
from biocross.tables import write_rows

EVENTS_PER_SAMPLE = 20_000


class _Seen(NamedTuple):
    """What the samples of a cohort show of one channel."""

    tops: list[float]
    references: list[float]

    @property
    def top(self) -> float:
        return max((top for top in self.tops if not math.isnan(top)), default=math.nan)


def estimate_transforms(
    fcs: Sequence[Path | str],
    panel: Path | str,
    cytometry: str,
    transform: str | None,
    cofactor: float | None,
    compensations: Sequence[Compensation],
    transforms_out: Path | str,
    gatingml_out: Path | str,
) -> None:
    """Choose one transform per channel for the whole cohort.

    A part of every file is read, spread over its acquisition. Files that cannot be read are left
    out; `prepare_flow_sample` says so of each.

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
    compensations
        How each file is compensated.
    transforms_out
        Table with a row per channel of the panel.
    gatingml_out
        The same transforms as GatingML 2.0.

    Raises
    ------
    FcsError
        Not one file could be read, or a channel of the panel is in none.
    """
    channels = load_panel(Path(panel))
    default = transform or default_transform(cytometry)
    kinds = {channel.marker: _kind(channel, default) for channel in channels}
    seen = {channel.marker: _Seen([], []) for channel in channels}
    failures = []
    for number, (path, compensation) in enumerate(zip(fcs, compensations, strict=True), 1):
        try:
            _look(path, channels, cytometry, compensation, kinds, seen)
        except FcsError as error:
            failures.append(str(error))
            print(f"{number} of {len(fcs)} left out: {error}")
        else:
            print(f"{number} of {len(fcs)}: {path}")
    if len(failures) == len(fcs):
        raise FcsError("none of the FCS files can be read:\n" + "\n".join(failures))
    _refuse_absent(channels, seen)
    rows = [_row(c, kinds[c.marker], seen[c.marker], cytometry, cofactor) for c in channels]
    _fill_unknown_widths(rows)
    write_rows(transforms_out, TRANSFORM_COLUMNS, rows)
    write_gatingml(gatingml_out, load_transforms(transforms_out))


def _refuse_absent(channels: Sequence[Channel], seen: dict[str, _Seen]) -> None:
    for channel in channels:
        if not seen[channel.marker].tops:
            raise FcsError(
                f'panel.tsv: channel "{channel.channel}" ({channel.marker}) is in none of the FCS '
                "files; correct its name, or call it unused"
            )


def _kind(channel: Channel, default: str) -> str:
    if channel.transform:
        return channel.transform
    return default if channel.is_signal else "linear"


def _look(
    path: Path | str,
    channels: Sequence[Channel],
    cytometry: str,
    compensation: Compensation,
    kinds: dict[str, str],
    seen: dict[str, _Seen],
) -> None:
    signals = read_signals(path, channels, cytometry, compensation, sample=EVENTS_PER_SAMPLE)
    for marker, values in signals.compensated.items():
        seen[marker].tops.append(signals.tops[marker])
        if kinds[marker] == "logicle" and values.size:
            seen[marker].references.append(negative_reference(values))


def _row(
    channel: Channel, kind: str, seen: _Seen, cytometry: str, cofactor: float | None
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "marker": channel.marker,
        "channel": channel.channel,
        "transform": kind,
        "top": seen.top,
    }
    if kind == "arcsinh":
        row["cofactor"] = channel.cofactor or cofactor or DEFAULT_COFACTOR[cytometry]
    if kind in ("logicle", "biex") and (why := why_not_logicle(seen.top)):
        return {**row, "transform": "linear", "note": why}
    if kind == "logicle":
        row["decades"] = logicle_decades(seen.top)
        row["width"] = logicle_width(seen.references, seen.top)
        row["negative"] = 0.0
        row["n_samples"] = int(np.sum(~np.isnan(seen.references)))
    if kind == "biex":
        # What FlowJo proposes for a channel with this range.
        row |= {"decades": math.log10(seen.top) - 1, "negative": 0.0, "width_basis": -10.0}
    return row


def _fill_unknown_widths(rows: Sequence[dict[str, Any]]) -> None:
    """Give channels with too few negative values the panel's median width."""
    logicle = [row for row in rows if row["transform"] == "logicle"]
    known = [row["width"] for row in logicle if not math.isnan(row["width"])]
    for row in logicle:
        if math.isnan(row["width"]):
            width = float(np.median(known)) if known else 0.5
            row["width"] = min(width, row["decades"] / 2)
            row["note"] = "too few negative values; the panel's median width used"
