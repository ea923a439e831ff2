"""Evaluate a gating strategy on samples: every gate once, on the events of its parent alone."""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.gate_regions import Region, Singlets
from biocross.cohort.strategy import ROOT, Gate, Strategy, ThresholdRule, own_markers
from biocross.flow.beads import find_beads, inside_bead_gate
from biocross.flow.events import Events
from biocross.flow.gate_shapes import inside_region, is_above

Indices = NDArray[np.intp]


class Borders(Protocol):
    """Where borders come from."""

    def border(
        self,
        rule: ThresholdRule,
        population: str,
        members: Sequence[Indices],
        samples: Sequence[Events],
    ) -> Sequence[float]:
        """Return a threshold's border in each sample.

        Parameters
        ----------
        rule
            The threshold.
        population
            On whose events it is found.
        members
            These events, by sample.
        samples
            The samples.

        Returns
        -------
        sequence of float
            One per sample, on the transformed scale; NaN where it is not known.
        """
        ...


class Gating:
    """The populations of samples that are gated together.

    Parameters
    ----------
    samples
        Prepared events of the samples.
    strategy
        What to gate.
    borders
        Where borders come from.

    Attributes
    ----------
    borders_used
        By name of the threshold and population, the border in each sample, of all asked so far.
    """

    def __init__(self, samples: Sequence[Events], strategy: Strategy, borders: Borders) -> None:
        self.samples = samples
        self.strategy = strategy
        self.borders = borders
        self.borders_used: dict[tuple[str, str], tuple[float, ...]] = {}
        self._members: dict[str, list[Indices]] = {
            ROOT: [_cells(sample, strategy.beads) for sample in samples]
        }
        self._reasons: dict[str, list[str]] = {ROOT: [""] * len(samples)}

    def members(self, population: str) -> list[Indices]:
        """Return the events of a population, as rising indices into each sample.

        Parameters
        ----------
        population
            A population of the strategy, or `ROOT`.

        Returns
        -------
        list of ndarray
            One per sample; empty where `reasons` says that the population is not known.
        """
        self._evaluate(population)
        return self._members[population]

    def reasons(self, population: str) -> list[str]:
        """Return why a population is not known, by sample.

        Parameters
        ----------
        population
            A population of the strategy, or `ROOT`.

        Returns
        -------
        list of str
            Empty where it is known. It is not where the file lacks a marker that the gate needs,
            where a border is missing (unless there is no event to be divided), or where it rests
            on a population that is not known.
        """
        self._evaluate(population)
        return self._reasons[population]

    def borders_of(self, name: str, population: str) -> tuple[float, ...]:
        """Return a threshold's border in each sample.

        Parameters
        ----------
        name
            The threshold.
        population
            What is being gated; a threshold with ``estimate_on`` does not depend on it.

        Returns
        -------
        tuple of float
            NaN where it is not known.
        """
        rule = self.strategy.thresholds[name]
        population = rule.estimate_on or population
        if (name, population) not in self.borders_used:
            found = self.borders.border(rule, population, self.members(population), self.samples)
            self.borders_used[name, population] = tuple(float(value) for value in found)
        return self.borders_used[name, population]

    def own_borders(self, marker: str) -> tuple[float, ...] | None:
        """Return the borders that the strategy gives for a marker by its own name, if any.

        A border that is found anew on every population being gated is none of the marker's own.

        Parameters
        ----------
        marker
            Of the panel.

        Returns
        -------
        tuple of float or None
            One per sample.
        """
        rule = self.strategy.thresholds.get(marker)
        if rule is None:
            return None
        if rule.method == "fixed" and rule.value is not None:
            return (rule.value,) * len(self.samples)
        return self.borders_of(marker, rule.estimate_on) if rule.estimate_on else None

    def select(self, gate: Gate) -> list[Indices]:
        """Apply a gate to the events it is gated under.

        Parameters
        ----------
        gate
            Any gate whose populations and thresholds the strategy has.

        Returns
        -------
        list of ndarray
            Rising indices into each sample.
        """
        borders = {name: self.borders_of(name, gate.under) for name, _ in gate.signs}
        markers = {name: self.strategy.thresholds[name].marker for name, _ in gate.signs}
        needed = own_markers(gate, self.strategy)
        kept = []
        for position, sample in enumerate(self.samples):
            inside = self.members(gate.under)[position]
            if not all(marker in sample.values for marker in needed):
                kept.append(inside[:0])
                continue
            # Doublets are judged among all events of the parent, whatever else the gate asks for.
            if isinstance(gate.region, Singlets):
                inside = _in_region(gate.region, sample, inside)
            for name, positive in gate.signs:
                border = borders[name][position]
                above = is_above(sample.values[markers[name]][inside], border)
                kept_by_sign = above if positive else ~above & ~np.isnan(border)
                # Twice as fast as the mask itself as an index.
                inside = inside[np.flatnonzero(kept_by_sign)]
            if gate.region and not isinstance(gate.region, Singlets):
                inside = _in_region(gate.region, sample, inside)
            kept.append(self._combine(gate, position, inside))
        return kept

    def replaced(self, population: str, members: Sequence[Indices]) -> Self:
        """Return a gating in which a population has other events, and all borders stay.

        Parameters
        ----------
        population
            A population of the strategy.
        members
            Its events, rising indices by sample.

        Returns
        -------
        Gating
            Populations that rest on it are evaluated anew.
        """
        other = type(self)(self.samples, self.strategy, self.borders)
        self._evaluate(population)
        # Borders are those of the population as it was, wherever they are estimated on it.
        other.borders_used = dict(self.borders_used)
        other._members[population] = list(members)
        other._reasons[population] = self._reasons[population]
        for name in self._members:
            if not self.rests_on(name, population):
                other._members[name] = self._members[name]
                other._reasons[name] = self._reasons[name]
        return other

    def rests_on(self, population: str, other: str) -> bool:
        """Return whether the events of a population depend on those of another one.

        Parameters
        ----------
        population
            Whose events.
        other
            The one that may change.

        Returns
        -------
        bool
            True also where they are the same. What borders are estimated on does not count.
        """
        if population == ROOT:
            return False
        gate = self.strategy.gates[population]
        return population == other or any(
            self.rests_on(above, other) for above in (gate.under, *gate.parts)
        )

    def _evaluate(self, population: str) -> None:
        if population not in self._members:
            gate = self.strategy.gates[population]
            members = self.select(gate)
            reasons = [self._why_unknown(gate, i) for i in range(len(self.samples))]
            self._members[population] = [
                inside[:0] if why else inside for inside, why in zip(members, reasons, strict=True)
            ]
            self._reasons[population] = reasons

    def _why_unknown(self, gate: Gate, position: int) -> str:
        for other in (gate.under, *gate.parts):
            if why := self.reasons(other)[position]:
                return why
        sample = self.samples[position]
        for marker in own_markers(gate, self.strategy):
            if marker not in sample.values:
                return f"the file has no {marker}"
        if not self.members(gate.under)[position].size:
            return ""
        for name, _ in gate.signs:
            if np.isnan(self.borders_of(name, gate.under)[position]):
                on = self.strategy.thresholds[name].estimate_on or gate.under
                return f"no border for {name} on {on}"
        return ""

    def _combine(self, gate: Gate, position: int, inside: Indices) -> Indices:
        """Keep the events that are in any, in all and in none of the populations asked for."""
        size = self.samples[position].quality.size

        def within(names: Sequence[str]) -> NDArray[np.bool_]:
            mask = np.zeros(size, dtype=bool)
            for name in names:
                mask[self.members(name)[position]] = True
            return mask[inside]

        if gate.any_of:
            inside = inside[within(gate.any_of)]
        for name in gate.all_of:
            inside = inside[within([name])]
        if gate.none_of:
            inside = inside[~within(gate.none_of)]
        return inside


def _cells(sample: Events, bead_gate: Region | None) -> Indices:
    """Return the events that passed, without those in a gate that was drawn for beads."""
    passing = sample.quality == 0
    if bead_gate is not None:
        passing &= ~find_beads(sample, inside_bead_gate(sample, bead_gate))
    return np.flatnonzero(passing)


def _in_region(region: Region, sample: Events, inside: Indices) -> Indices:
    columns = [sample.values[marker][inside] for marker in region.markers]
    return inside[np.flatnonzero(inside_region(region, columns))]
