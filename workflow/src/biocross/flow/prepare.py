"""From an FCS file to prepared events: read, compensate, transform, flag."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from biocross.cohort.panel import Channel, load_panel
from biocross.errors import FcsError
from biocross.flow.beads import has_beads
from biocross.flow.events import Events, write_events
from biocross.flow.fcs import Repair
from biocross.flow.flagging import LEDGER_COLUMNS, flag_events, flag_steps, ledger_row
from biocross.flow.marker_sanity import SANITY_COLUMNS, sanity_rows
from biocross.flow.quality.mass import randomise_counts
from biocross.flow.quality.scatter import off_scale_share
from biocross.flow.signals import TIME, Column, Compensation, Signals, read_signals
from biocross.flow.transform_table import load_transforms
from biocross.flow.transforms import Transform, apply_transform
from biocross.tables import write_rows

REPAIR_COLUMNS = ("sample_id", "file", "repair", "note")
WARNING_COLUMNS = ("sample_id", "check", "marker", "value", "message")
MUCH_OFF_SCALE = 0.01


def prepare_flow_sample(
    fcs: Path | str,
    panel: Path | str,
    transforms: Path | str,
    cytometry: str,
    compensation: Compensation,
    skip_quality: Sequence[str],
    meta: Mapping[str, str],
    events_out: Path | str,
    ledger_out: Path | str,
    repairs_out: Path | str,
    warnings_out: Path | str,
    sanity_out: Path | str,
) -> None:
    """Read, compensate, transform and flag the events of one sample.

    A file that cannot be read, or holds no events, gives a prepared file without events whose
    metadata say why it is ``excluded``; so does the ledger, and the cohort goes on without it.

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
    compensation
        What to compensate with.
    skip_quality
        Quality steps to leave out.
    meta
        The sample's row of ``samples.tsv``, its `META_NAMES`.
    events_out
        Prepared events in Arrow format.
    ledger_out
        How many events each step flagged.
    repairs_out
        What had to be repaired to read the file.
    warnings_out
        What casts doubt on the compensation, and channels of which more than 1 % of the events lie
        at the top of the scale.
    sanity_out
        Whether the markers occur together as they do in blood.
    """
    channels = load_panel(Path(panel))
    chosen = load_transforms(transforms)
    sample_id = meta["sample_id"]
    repairs: list[dict[str, str]] = []
    warnings: list[dict[str, object]] = []
    sanity: list[dict[str, object]] = []
    try:
        signals = read_signals(fcs, channels, cytometry, compensation)
        _refuse_empty(fcs, signals)
    except FcsError as error:
        reason = str(error).removeprefix(f"{fcs}: ")
        print(f"{sample_id} is excluded: {reason}")
        ledger = [ledger_row(sample_id, "read", 0, 0, f"excluded: {reason}")]
        prepared = _without_events(channels, {**meta, "excluded": reason})
    else:
        values = _transformed(signals, channels, chosen, cytometry, sample_id)
        measured = _measured(signals, channels)
        with_beads = has_beads(meta)
        quality, ledger = flag_events(
            signals, values, chosen, measured, cytometry, skip_quality, sample_id, with_beads
        )
        if signals.time is not None:
            values.setdefault(TIME, signals.time)
        prepared = Events(values, quality, {**meta, **_described(signals, cytometry, with_beads)})
        repairs = _repair_rows(sample_id, fcs, signals.repairs)
        warnings = _warning_rows(sample_id, signals, channels)
        sanity = sanity_rows(prepared, measured)
    write_rows(repairs_out, REPAIR_COLUMNS, repairs)
    write_rows(warnings_out, WARNING_COLUMNS, warnings)
    write_rows(sanity_out, SANITY_COLUMNS, sanity)
    write_rows(ledger_out, LEDGER_COLUMNS, ledger)
    write_events(events_out, *prepared)


def _without_events(channels: Sequence[Channel], meta: Mapping[str, str]) -> Events:
    nothing = np.empty(0, dtype=np.float32)
    values = {channel.marker: nothing for channel in channels}
    return Events(values, np.empty(0, dtype=np.uint8), dict(meta))


def _described(signals: Signals, cytometry: str, with_beads: bool) -> dict[str, str]:
    """Say what the flags and the time of the prepared events mean, and how they were made."""
    described = {
        "flag_steps": ",".join(flag_steps(cytometry, with_beads)),
        "channels": json.dumps(dict(signals.channels)),
    }
    if not np.isnan(signals.time_step):
        described["time_unit"] = "s"
    if signals.spillover is not None:
        channels, matrix, _ = signals.spillover
        described["spillover"] = json.dumps([channels, matrix.tolist()])
    return described


def _measured(signals: Signals, channels: Sequence[Channel]) -> list[Channel]:
    return [channel for channel in channels if channel.marker in signals.raw]


def _refuse_empty(fcs: Path | str, signals: Signals) -> None:
    if signals.n_events == 0:
        raise FcsError(f"{fcs}: has no events; remove its row from samples.tsv or acquire it again")


def _transformed(
    signals: Signals,
    channels: Sequence[Channel],
    chosen: Mapping[str, Transform],
    cytometry: str,
    sample_id: str,
) -> dict[str, Column]:
    """Transform every channel; integer counts of mass cytometry are randomised first."""
    random = np.random.default_rng(crc32(sample_id.encode()))
    values = {}
    for channel in _measured(signals, channels):
        column = signals.compensated[channel.marker]
        if cytometry == "mass" and channel.is_signal:
            column = randomise_counts(column, random)
        values[channel.marker] = apply_transform(column, chosen[channel.marker])
    return values


def _warning_rows(
    sample_id: str, signals: Signals, channels: Sequence[Channel]
) -> list[dict[str, object]]:
    """Say what is doubtful about the compensation, and which channels end too low."""
    found: list[tuple[object, ...]] = [
        (sample_id, "compensation", "", None, words) for words in signals.cautions
    ]
    found += [
        (sample_id, "missing_channel", marker, None, words) for marker, words in signals.missing
    ]
    for channel in _measured(signals, channels):
        if not (channel.is_signal or channel.marker.startswith("SSC")):
            continue
        share = off_scale_share(signals.raw[channel.marker], signals.tops[channel.marker])
        if share > MUCH_OFF_SCALE:
            words = f"{share:.1%} of the events are at the top of the scale of {channel.channel}"
            found.append((sample_id, "off_scale", channel.marker, share, f"{words}; kept"))
    return [dict(zip(WARNING_COLUMNS, cells, strict=True)) for cells in found]


def _repair_rows(
    sample_id: str, fcs: Path | str, repairs: Sequence[Repair]
) -> list[dict[str, str]]:
    return [
        {"sample_id": sample_id, "file": Path(fcs).name, "repair": repair.what, "note": repair.note}
        for repair in repairs
    ]
