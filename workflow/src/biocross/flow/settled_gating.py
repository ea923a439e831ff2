"""The gates of a patient as they were settled: for pictures, and for other programs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from biocross.cohort.panel import Channel, load_panel
from biocross.cohort.strategy import ROOT, load_strategy
from biocross.cohort.vocabulary import load_vocabulary
from biocross.flow.applied_gates import AppliedGate, applied_gates, sample_borders
from biocross.flow.evenly import evenly
from biocross.flow.events import Events, read_events
from biocross.flow.gate_borders import SettledBorders
from biocross.flow.gate_tree import Gating, Indices
from biocross.flow.gatingml_gates import GateSet, write_gates
from biocross.flow.spillover import Spillover
from biocross.flow.transform_table import load_transforms
from biocross.tables import read_rows


class SettledGates(NamedTuple):
    """One sample with the gates that were applied to it.

    Parameters
    ----------
    events
        Its prepared events.
    gates
        Of `applied_gates`.
    members
        By population, its events, as indices; under ``""`` those that passed quality control. A
        population that is not known in the sample is missing.
    borders
        By threshold and the population that it was estimated on.
    """

    events: Events
    gates: tuple[AppliedGate, ...]
    members: dict[str, Indices]
    borders: dict[tuple[str, str], float]


def settled_gates(
    events: Sequence[Path | str],
    strategy: Path | str,
    thresholds: Path | str,
    populations: Path | str,
    panel: Sequence[Channel],
    most_events: int | None = None,
) -> list[SettledGates]:
    """Gate samples with their settled borders.

    Parameters
    ----------
    events
        Prepared events; samples whose file could not be read are left out.
    strategy, thresholds, populations
        ``gating.yaml``, the settled borders, and ``populations.yaml``.
    panel
        Channels of ``panel.tsv``.
    most_events
        Gate about so many evenly spaced events of each sample; None takes all.

    Returns
    -------
    list of SettledGates
        In the order of the files.
    """
    rows = read_rows(thresholds)
    vocabulary = load_vocabulary(Path(populations))
    rules = load_strategy(Path(strategy), vocabulary, {channel.marker for channel in panel})
    every = [_fewer(read_events(path), most_events) for path in events]
    samples = [sample for sample in every if "excluded" not in sample.meta]
    gating = Gating(samples, rules, SettledBorders(rows))
    found = []
    for position, sample in enumerate(samples):
        members = {"": gating.members(ROOT)[position]}
        for name in rules.gates:
            if not gating.reasons(name)[position]:
                members[name] = gating.members(name)[position]
        borders = sample_borders(rows, sample.meta["sample_id"])
        found.append(SettledGates(sample, applied_gates(rules, borders), members, borders))
    return found


def export_gates(
    events: Sequence[Path | str],
    strategy: Path | str,
    thresholds: Path | str,
    populations: Path | str,
    panel: Path | str,
    transforms: Path | str,
    gates_out: Path | str,
) -> None:
    """Write the gates that were applied to a patient's samples as GatingML 2.0.

    Parameters
    ----------
    events
        Prepared events of the patient's samples.
    strategy, thresholds, populations, panel, transforms
        As of `gate_patient`.
    gates_out
        The document.
    """
    gated = settled_gates(events, strategy, thresholds, populations, load_panel(Path(panel)))
    sets = [_gate_set(one) for one in gated]
    for identifier, why in write_gates(gates_out, load_transforms(transforms), sets).items():
        print(f"{identifier}: {why}")


def _gate_set(one: SettledGates) -> GateSet:
    meta = one.events.meta
    channels, compensated, spillover = json.loads(meta["channels"]), frozenset[str](), None
    if "spillover" in meta:
        names, matrix = json.loads(meta["spillover"])
        spillover = Spillover(tuple(names), np.array(matrix))
        compensated = frozenset(names)
    return GateSet((meta["sample_id"],), one.gates, channels, compensated, spillover)


def _fewer(sample: Events, most: int | None) -> Events:
    """Take evenly spaced events of a sample that has more."""
    if most is None or sample.quality.size <= most:
        return sample
    kept = evenly(np.arange(sample.quality.size), most)
    values = {marker: column[kept] for marker, column in sample.values.items()}
    return sample._replace(values=values, quality=sample.quality[kept])
