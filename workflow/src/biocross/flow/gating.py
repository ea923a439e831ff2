"""Gate the samples of a patient: first estimate borders, then, with the settled ones, count."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from biocross.cohort.panel import Channel, load_panel
from biocross.cohort.strategy import Strategy, load_strategy
from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.flow.beads import bead_row, find_beads, has_beads, inside_bead_gate
from biocross.flow.events import Events, read_events
from biocross.flow.gate_borders import EstimatedBorders, SettledBorders
from biocross.flow.gate_counts import (
    COUNT_COLUMNS,
    EXPRESSION_COLUMNS,
    UNKNOWN_COLUMNS,
    border_mode_rows,
    count_rows,
    empty_rows,
    expression_rows,
    unknown_rows,
)
from biocross.flow.gate_membership import find_membership, write_membership
from biocross.flow.gate_shifts import SHIFTED_COLUMNS, SHIFTS, shifted_counts
from biocross.flow.gate_tree import Gating
from biocross.flow.marker_modes import MODE_COLUMNS
from biocross.flow.settled_thresholds import ESTIMATE_COLUMNS, estimate_rows
from biocross.flow.transform_table import decades_by_marker, load_transforms
from biocross.tables import read_rows, write_rows


class _Plan(NamedTuple):
    """What the sheets say about gating."""

    channels: list[Channel]
    vocabulary: Vocabulary
    strategy: Strategy

    @property
    def order(self) -> list[str]:
        """The populations that are gated, in the order of the vocabulary."""
        return [name for name in self.vocabulary if name in self.strategy.gates]

    @property
    def markers(self) -> list[str]:
        """The markers whose values are told of every population."""
        return [one.marker for one in self.channels if one.kind in ("lineage", "state")]


def estimate_thresholds(
    events: Sequence[Path | str],
    strategy: Path | str,
    populations: Path | str,
    panel: Path | str,
    transforms: Path | str,
    estimates_out: Path | str,
    by_stimulation: bool = True,
) -> None:
    """Estimate every border of a patient's gating tree on the patient's own samples.

    Parameters
    ----------
    events
        Prepared events of the patient's samples, in order of the visits, and of the FMO controls
        of their batches. A sample whose file could not be read takes no part.
    strategy, populations, panel
        ``gating.yaml``, ``populations.yaml`` and ``panel.tsv``.
    transforms
        The cohort's transforms, which tell how long a decade is.
    estimates_out
        A row per sample, threshold and population that it was estimated on.
    by_stimulation
        Whether stimulated samples are told from the unstimulated (see `EstimatedBorders`); not
        where the study compares them as a pair.
    """
    plan = _load_plan(strategy, populations, panel)
    samples = [sample for sample in map(read_events, events) if "excluded" not in sample.meta]
    borders = EstimatedBorders(
        decades_by_marker(transforms),
        {channel.marker: channel.kind for channel in plan.channels},
        fmo_controls(samples, plan.channels),
        by_stimulation,
        load_transforms(transforms),
    )
    gating = Gating(samples, plan.strategy, borders)
    for population in plan.order:
        gating.members(population)
    for marker in plan.markers:
        gating.own_borders(marker)
    rows = (
        row
        for estimates in borders.estimates.values()
        for one in estimates
        for row in estimate_rows(
            [samples[i].meta for i in one.samples], one.rule, one.population, one.joint
        )
    )
    write_rows(estimates_out, ESTIMATE_COLUMNS, rows)


def gate_patient(
    events: Sequence[Path | str],
    strategy: Path | str,
    thresholds: Path | str,
    populations: Path | str,
    panel: Path | str,
    transforms: Path | str,
    counts_out: Path | str,
    expression_out: Path | str,
    modes_out: Path | str,
    shifts_out: Path | str,
    unknown_out: Path | str,
    membership_out: Path | str,
) -> None:
    """Gate the samples of one patient with settled borders and count their populations.

    Parameters
    ----------
    events
        Prepared events of the patient's samples, in order of the visits.
    strategy
        ``gating.yaml``.
    thresholds
        The settled borders: ``sample_id, threshold, population, value`` and what else there is.
    populations, panel
        ``populations.yaml`` and ``panel.tsv``.
    transforms
        The cohort's transforms, which tell how long a decade is.
    counts_out
        A row per sample and population, zero counts included; what could not be measured has an
        empty count, and a sample whose file could not be read has only empty ones. Where counting
        beads were added, they have a row of their own.
    expression_out
        Median and standard deviation of every lineage and state marker per sample and population.
    modes_out
        The modes on both sides of every border, per sample.
    shifts_out
        Counts of the primary populations with the borders of their own gates shifted.
    unknown_out
        Why populations have no count, per sample.
    membership_out
        The gates that each event lies in; see `gate_membership`.
    """
    plan = _load_plan(strategy, populations, panel)
    every = [read_events(path) for path in events]
    samples = [sample for sample in every if "excluded" not in sample.meta]
    gating = Gating(samples, plan.strategy, SettledBorders(read_rows(thresholds)))
    order, vocabulary = plan.order, plan.vocabulary
    primary = [name for name in order if vocabulary[name].primary]

    def of_all(
        rows: Callable[..., Iterator[dict[str, object]]], *what: Any
    ) -> Iterator[dict[str, object]]:
        for position in range(len(samples)):
            yield from rows(gating, position, *what)

    write_rows(counts_out, COUNT_COLUMNS, _all_counts(every, gating, plan))
    write_rows(
        expression_out,
        EXPRESSION_COLUMNS,
        of_all(expression_rows, order, vocabulary, plan.markers),
    )
    write_rows(modes_out, MODE_COLUMNS, of_all(border_mode_rows))
    write_rows(
        shifts_out,
        SHIFTED_COLUMNS,
        shifted_counts(gating, primary, SHIFTS, decades_by_marker(transforms), vocabulary, order),
    )
    write_rows(
        unknown_out,
        UNKNOWN_COLUMNS,
        [*_excluded_rows(every, order), *of_all(unknown_rows, order, vocabulary)],
    )
    write_membership(membership_out, find_membership(every, gating, order, vocabulary))


def fmo_controls(samples: Sequence[Events], channels: Sequence[Channel]) -> dict[int, str]:
    """Find the FMO controls among samples, and the markers that they leave out.

    Parameters
    ----------
    samples
        Prepared events; the metadata of a control have the role ``fmo`` and, as ``control_for``,
        a marker or its channel.
    channels
        The panel.

    Returns
    -------
    dict of int to str
        By position among the samples. A control for something that the panel lacks keeps that
        name, which is no threshold's marker.
    """
    markers = {
        name: channel.marker
        for channel in channels
        for name in (*channel.aliases, channel.channel, channel.marker)
    }
    return {
        position: markers.get(sample.meta["control_for"], sample.meta["control_for"])
        for position, sample in enumerate(samples)
        if sample.meta.get("role") == "fmo"
    }


def _load_plan(strategy: Path | str, populations: Path | str, panel: Path | str) -> _Plan:
    channels = load_panel(Path(panel))
    vocabulary = load_vocabulary(Path(populations))
    markers = {channel.marker for channel in channels}
    return _Plan(channels, vocabulary, load_strategy(Path(strategy), vocabulary, markers))


def _all_counts(
    every: Sequence[Events], gating: Gating, plan: _Plan
) -> Iterator[Mapping[str, object]]:
    """Count in the order of the files, those that could not be read among them."""
    position = 0
    for sample in every:
        if "excluded" in sample.meta:
            yield from empty_rows(sample.meta["sample_id"], plan.order, plan.vocabulary)
        else:
            yield from count_rows(gating, position, plan.order, plan.vocabulary)
            if has_beads(sample.meta):
                gated = inside_bead_gate(sample, plan.strategy.beads)
                yield bead_row(sample, find_beads(sample, gated))
            position += 1


def _excluded_rows(every: Sequence[Events], order: Sequence[str]) -> Iterator[dict[str, object]]:
    for sample in every:
        if why := sample.meta.get("excluded"):
            reason = f"the file was not read: {why}"
            for name in order:
                yield {
                    "sample_id": sample.meta["sample_id"],
                    "population": name,
                    "reason": reason,
                }
