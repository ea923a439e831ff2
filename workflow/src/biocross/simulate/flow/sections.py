"""Reading what a study says of the panel, the cytometer, and what passes it beside cells."""

from collections.abc import Iterable

from biocross.errors import ConfigError
from biocross.simulate.model import (
    SCATTER,
    SIGNAL_KINDS,
    TIME,
    Beads,
    Channel,
    Clogs,
    Cytometer,
    Dead,
    Debris,
    Staining,
    StuckPairs,
    TandemDecay,
)
from biocross.simulate.sections import Section, as_stain, read_stains, require_known


def read_panel(top: Section) -> tuple[Channel, ...]:
    """Read the panel: scatter, time, one viability dye, and markers."""
    panel = tuple(_channel(row) for row in top.sections_in_list("panel"))
    names = [channel.channel for channel in panel]
    for name in (*SCATTER, TIME):
        require_known(name, names, f"{top.place('panel')} lacks a channel")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f'{top.place("panel")}: channel "{name}" stands there twice')
    if sum(channel.kind == "viability" for channel in panel) != 1:
        raise ConfigError(f"{top.place('panel')} must have one channel of kind viability")
    return panel


def read_staining(entry: Section) -> Staining:
    """Read how bright cells without a marker are, and how stainings differ."""
    staining = Staining(
        negative=as_stain(entry.take("negative"), entry.place("negative")),
        batch=entry.number("batch_shift", high=1),
        patient=entry.number("patient_shift", high=1),
        sample=entry.number("sample_shift", high=1),
    )
    entry.finish()
    return staining


def read_dead(entry: Section) -> Dead:
    """Read how many cells are dead, and what that does."""
    dead = Dead(
        share=entry.span("share", high=0.5),
        dye=as_stain(entry.take("dye"), entry.place("dye")),
        fsc_factor=entry.number("fsc_factor"),
        autofluorescence_factor=entry.number("autofluorescence_factor"),
        sticking=entry.number("sticking", high=3),
    )
    entry.finish()
    return dead


def read_debris(entry: Section, cell_types: Iterable[str], markers: Iterable[str]) -> Debris:
    """Read how much debris there is, and how it looks."""
    debris = Debris(
        share=entry.span("share", high=0.5),
        cell_type=entry.choice("cell_type", cell_types),
        stains=read_stains(entry, markers),
    )
    entry.finish()
    return debris


def read_clogs(entry: Section) -> Clogs:
    """Read in how many files the flow clogs, for how long, and what that does."""
    clogs = Clogs(
        share_of_files=entry.number("share_of_files", high=1),
        events=entry.span("events", high=0.5),
        dimming=entry.number("dimming", high=2),
        slowing=entry.number("slowing", low=1, high=100),
    )
    entry.finish()
    return clogs


def read_beads(top: Section, cell_types: Iterable[str]) -> Beads | None:
    """Read ``beads``: how many are added to how much blood, and how they look, or nothing."""
    value = top.take("beads", None)
    if value is None:
        return None
    entry = Section(value, top.place("beads"))
    beads = Beads(
        added=entry.number("added", low=1),
        blood_ul=entry.number("blood_ul", low=0.1),
        cell_type=entry.choice("cell_type", cell_types),
        stain=as_stain(entry.take("brightness"), entry.place("brightness")),
    )
    entry.finish()
    return beads


def read_stuck_pairs(top: Section, populations: Iterable[str]) -> StuckPairs | None:
    """Read ``stuck_pairs``: two populations, and the share of events that are such pairs."""
    value = top.take("stuck_pairs", None)
    if value is None:
        return None
    entry = Section(value, top.place("stuck_pairs"))
    names = entry.texts("populations", populations)
    if len(names) != 2:
        raise ConfigError(f"{entry.place('populations')} must name two populations")
    pairs = StuckPairs((names[0], names[1]), entry.number("share", high=0.2))
    entry.finish()
    return pairs


def read_tandem_decay(
    top: Section, detectors: Iterable[str], batches: Iterable[str]
) -> TandemDecay | None:
    """Read ``tandem_decay``: which dye shines into which detector, in which batches."""
    value = top.take("tandem_decay", None)
    if value is None:
        return None
    entry = Section(value, top.place("tandem_decay"))
    decay = TandemDecay(
        dye=entry.choice("dye", detectors),
        detector=entry.choice("detector", detectors),
        share=entry.number("share", high=1),
        batches=entry.texts("batches", batches),
    )
    entry.finish()
    return decay


def read_cytometer(entry: Section, detectors: Iterable[str]) -> Cytometer:
    """Read the instrument."""
    rows = entry.sections("spillover", {})
    for channel in (*rows, *(name for row in rows.values() for name in row.names())):
        require_known(channel, detectors, entry.place("spillover"))
    cytometer = Cytometer(
        name=entry.text("name"),
        range=entry.number("range", low=1024),
        units_per_photoelectron=entry.number("units_per_photoelectron"),
        read_noise=entry.number("read_noise"),
        events_per_second=entry.number("events_per_second", low=1),
        time_step=entry.number("time_step", low=1e-6),
        spillover={
            fluor: {name: row.number(name, high=1) for name in row.names()}
            for fluor, row in rows.items()
        },
    )
    entry.finish()
    return cytometer


def _channel(row: Section) -> Channel:
    name = row.text("channel")
    kind = row.choice("kind", (*SIGNAL_KINDS, "scatter", "time"))
    if (kind in SIGNAL_KINDS) == (name in (*SCATTER, TIME)):
        raise ConfigError(f'{row.place("kind")}: "{name}" cannot be of kind {kind}')
    marker = row.text("marker", name)
    brightness = row.number("autofluorescence", 0.0, high=1)
    row.finish()
    return Channel(name, marker, kind, brightness)
