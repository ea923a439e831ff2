"""Gate all samples of a patient with thresholds that its visits share."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import load_panel
from biocross.cohort.strategy import ROOT, Gate, Strategy, ThresholdRule, load_strategy
from biocross.cohort.vocabulary import Vocabulary, counted_parent, load_vocabulary
from biocross.flow.events import Events, read_events
from biocross.flow.marker_modes import MODE_COLUMNS, mode_rows
from biocross.flow.thresholds import Threshold, find_valley
from biocross.tables import write_rows

THRESHOLD_COLUMNS = (
    *("patient_id", "samples", "threshold", "marker", "estimate_on", "method"),
    *("source", "value", "depth", "n_events"),
)
COUNT_COLUMNS = ("sample_id", "population", "parent", "count", "parent_count")
EXPRESSION_COLUMNS = ("sample_id", "population", "marker", "value", "sd", "n_cells", "n_positive")
MAX_EVENTS_PER_SAMPLE = 50_000

Indices = NDArray[np.intp]


class Gating:
    """Populations and thresholds of samples that share them.

    Each gate is evaluated once, and only on the events of the population it is gated under.

    Parameters
    ----------
    samples
        Prepared events of the samples.
    strategy
        What to gate.

    Attributes
    ----------
    thresholds
        Every threshold found so far, by name and the population it was estimated on.
    unknown
        Populations that could not be gated, because a border could not be found or because they
        rest on such a population: their count is not zero, but not known.
    """

    def __init__(self, samples: Sequence[Events], strategy: Strategy) -> None:
        self.samples = samples
        self.strategy = strategy
        self.thresholds: dict[tuple[str, str], tuple[Threshold, int]] = {}
        self.unknown: set[str] = set()
        self._members: dict[str, list[Indices]] = {
            ROOT: [np.flatnonzero(sample.quality == 0) for sample in samples]
        }

    def members(self, population: str) -> list[Indices]:
        """Return the events of a population, as indices into each sample."""
        if population not in self._members:
            gate = self.strategy.gates[population]
            self._members[population] = self._union(gate) if gate.any_of else self._cut(gate)
            if self.unknown & {gate.under, *gate.any_of}:
                self.unknown.add(population)
        return self._members[population]

    def threshold(self, name: str, population: str) -> float:
        """Return a border, estimating it on a population where it is not fixed."""
        rule = self.strategy.thresholds[name]
        population = rule.estimate_on or population
        if (name, population) not in self.thresholds:
            self.thresholds[name, population] = self._estimate(rule, population)
        return self.thresholds[name, population][0].value

    def own_border(self, marker: str) -> float | None:
        """Return the border that the strategy gives for a marker by its own name, if any.

        A border that is found anew on every population being gated is none of the marker's own.
        """
        rule = self.strategy.thresholds.get(marker)
        if rule is None or not (rule.method == "fixed" or rule.estimate_on):
            return None
        border = self.threshold(marker, ROOT)
        return None if np.isnan(border) else border

    def _estimate(self, rule: ThresholdRule, population: str) -> tuple[Threshold, int]:
        if rule.value is not None and rule.method == "fixed":
            return Threshold(rule.value, "fixed"), 0
        pooled = _equal_shares(
            [
                sample.values[rule.marker][members]
                for sample, members in zip(self.samples, self.members(population), strict=True)
            ]
        )
        return find_valley(pooled, rule.between), pooled.size

    def _cut(self, gate: Gate) -> list[Indices]:
        borders = [
            (self.strategy.thresholds[name].marker, self.threshold(name, gate.under), positive)
            for name, positive in gate.signs
        ]
        if any(np.isnan(border) for _, border, _ in borders):
            self.unknown.add(gate.population)
        kept = []
        for sample, parents in zip(self.samples, self.members(gate.under), strict=True):
            inside = parents
            for marker, border, positive in borders:
                values = sample.values[marker][inside]
                inside = inside[(values > border) if positive else (values <= border)]
            kept.append(inside)
        return kept

    def _union(self, gate: Gate) -> list[Indices]:
        parts = [self.members(part) for part in gate.any_of]
        return [
            np.intersect1d(np.unique(np.concatenate(of_sample)), under, assume_unique=True)
            for *of_sample, under in zip(*parts, self.members(gate.under), strict=True)
        ]


def _equal_shares(values: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Pool samples so that each weighs the same, by taking evenly spaced events."""
    filled = [column for column in values if column.size]
    if not filled:
        return np.empty(0, dtype=np.float32)
    share = min(min(column.size for column in filled), MAX_EVENTS_PER_SAMPLE)
    if share * len(filled) < 1000:
        return np.concatenate(filled)
    picks = [np.linspace(0, column.size - 1, share).astype(np.intp) for column in filled]
    return np.concatenate([column[pick] for column, pick in zip(filled, picks, strict=True)])


def gate_patient(
    events: Sequence[Path | str],
    strategy: Path | str,
    populations: Path | str,
    panel: Path | str,
    thresholds_out: Path | str,
    counts_out: Path | str,
    expression_out: Path | str,
    modes_out: Path | str,
) -> None:
    """Gate the samples of one patient and count their populations.

    Parameters
    ----------
    events
        Prepared events of the patient's samples, in order of the visits.
    strategy, populations, panel
        ``gating.yaml``, ``populations.yaml`` and ``panel.tsv``.
    thresholds_out
        Every border, how it was found and how deep its valley is.
    counts_out
        A row per sample and population, zero counts included; a population that the sample's
        tissue cannot contain has an empty count, as have all of a sample that was excluded.
    expression_out
        Median and standard deviation of every signal channel per sample and population.
    modes_out
        Where the negative and the positive cells of every border lie, per sample.
    """
    channels = load_panel(Path(panel))
    vocabulary = load_vocabulary(Path(populations))
    rules = load_strategy(Path(strategy), vocabulary, {channel.marker for channel in channels})
    prepared = [read_events(path) for path in events]
    samples = [sample for sample in prepared if "excluded" not in sample.meta]
    groups = [samples] if rules.scope == "patient" else [[sample] for sample in samples]
    gatings = [Gating(group, rules) for group in groups if group]
    markers = [channel.marker for channel in channels if channel.kind in ("lineage", "state")]
    order = [name for name in vocabulary if name in rules.gates]
    counts = [row for gating in gatings for row in _count(gating, order, vocabulary)]
    expression = [row for gating in gatings for row in _express(gating, order, vocabulary, markers)]
    thresholds = [row for gating in gatings for row in _threshold_rows(gating)]
    modes = [row for gating in gatings for row in _mode_rows(gating)]
    excluded = [sample for sample in prepared if "excluded" in sample.meta]
    counts += [row for sample in excluded for row in _unknown_counts(sample, order, vocabulary)]
    write_rows(thresholds_out, THRESHOLD_COLUMNS, thresholds)
    write_rows(counts_out, COUNT_COLUMNS, counts)
    write_rows(expression_out, EXPRESSION_COLUMNS, expression)
    write_rows(modes_out, MODE_COLUMNS, modes)


def _count(
    gating: Gating, order: Sequence[str], vocabulary: Vocabulary
) -> Iterator[dict[str, object]]:
    for position, sample in enumerate(gating.samples):
        for name in order:
            parent = counted_parent(name, vocabulary, order)
            known = _is_known(gating, sample, name, vocabulary)
            yield {
                "sample_id": sample.meta["sample_id"],
                "population": name,
                "parent": parent or "",
                "count": gating.members(name)[position].size if known else None,
                "parent_count": gating.members(parent or ROOT)[position].size,
            }


def _unknown_counts(
    sample: Events, order: Sequence[str], vocabulary: Vocabulary
) -> Iterator[dict[str, object]]:
    for name in order:
        yield {
            "sample_id": sample.meta["sample_id"],
            "population": name,
            "parent": counted_parent(name, vocabulary, order) or "",
            "count": None,
            "parent_count": None,
        }


def _mode_rows(gating: Gating) -> Iterator[dict[str, object]]:
    borders = [
        (name, gating.strategy.thresholds[name].marker, population, found.value)
        for (name, population), (found, _) in gating.thresholds.items()
    ]
    for position, sample in enumerate(gating.samples):
        members: dict[str, dict[str, NDArray[np.float32]]] = {}
        for _, marker, population, _ in borders:
            cells = gating.members(population)[position]
            members.setdefault(population, {})[marker] = sample.values[marker][cells]
        yield from mode_rows(sample.meta["sample_id"], borders, members)


def _is_known(gating: Gating, sample: Events, name: str, vocabulary: Vocabulary) -> bool:
    """Tell a count from what could not be measured: the wrong tissue, or no border."""
    gating.members(name)
    in_tissue = sample.meta["tissue"] not in vocabulary[name].not_measured_in
    return in_tissue and name not in gating.unknown


def _express(
    gating: Gating, order: Sequence[str], vocabulary: Vocabulary, markers: Sequence[str]
) -> Iterator[dict[str, object]]:
    for position, sample in enumerate(gating.samples):
        for name in order:
            cells = gating.members(name)[position]
            if not _is_known(gating, sample, name, vocabulary):
                continue
            for marker in markers:
                values = sample.values[marker][cells].astype(np.float64)
                border = gating.own_border(marker)
                yield {
                    "sample_id": sample.meta["sample_id"],
                    "population": name,
                    "marker": marker,
                    "value": float(np.median(values)) if values.size else float("nan"),
                    "sd": float(values.std(ddof=1)) if values.size > 1 else float("nan"),
                    "n_cells": int(cells.size),
                    "n_positive": None if border is None else int((values > border).sum()),
                }


def _threshold_rows(gating: Gating) -> Iterator[dict[str, object]]:
    first = gating.samples[0].meta
    for (name, population), (found, n_events) in gating.thresholds.items():
        rule = gating.strategy.thresholds[name]
        yield {
            "patient_id": first["patient_id"],
            "samples": ",".join(sample.meta["sample_id"] for sample in gating.samples),
            "threshold": name,
            "marker": rule.marker,
            "estimate_on": population,
            "method": rule.method,
            "source": found.source,
            "value": found.value,
            "depth": found.depth,
            "n_events": n_events,
        }
