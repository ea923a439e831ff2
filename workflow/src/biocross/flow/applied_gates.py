"""The gates as they were applied to one sample: numbers alone, for export and for pictures."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from biocross.cohort.gate_regions import Ellipse, Polygon, Rectangle, Singlets
from biocross.cohort.strategy import ROOT, Gate, Strategy


class Range(NamedTuple):
    """A range of one marker: low <= value < high, on the transformed scale.

    Parameters
    ----------
    marker
        The marker.
    low, high
        Ends of the range; infinite where it is open.
    words
        How phenotypes call it, such as ``CD3−``.
    """

    marker: str
    low: float = -math.inf
    high: float = math.inf
    words: str = ""


class AppliedGate(NamedTuple):
    """One gate; every condition must hold.

    Parameters
    ----------
    population
        What it gates.
    under
        The population it is gated from; empty at the top.
    ranges
        One per marker, of thresholds and rectangles together.
    region
        A polygon, an ellipse, or a singlet gate.
    any_of, all_of, none_of
        Populations of which an event must be in one, in all, in none.
    unknown
        Why it could not be applied; empty where it was.
    """

    population: str
    under: str = ""
    ranges: tuple[Range, ...] = ()
    region: Polygon | Ellipse | Singlets | None = None
    any_of: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """Every population that it combines."""
        return (*self.any_of, *self.all_of, *self.none_of)


def applied_gates(
    strategy: Strategy, borders: Mapping[tuple[str, str], float]
) -> tuple[AppliedGate, ...]:
    """Put the borders of one sample into its gating strategy.

    Parameters
    ----------
    strategy
        The strategy.
    borders
        By name of the threshold and the population on which it was estimated.

    Returns
    -------
    tuple of AppliedGate
        Each after the gates that it needs. Where a border is not known the gate says so.
    """
    return tuple(
        _applied(strategy.gates[name], strategy, borders) for name in _in_order(strategy.gates)
    )


def sample_borders(
    rows: Iterable[Mapping[str, str]], sample_id: str
) -> dict[tuple[str, str], float]:
    """Take the borders of one sample from the rows of ``thresholds.tsv``.

    Parameters
    ----------
    rows
        With columns sample_id, threshold, population and value.
    sample_id
        The sample.

    Returns
    -------
    dict
        By threshold and population; NaN where the value is empty.
    """
    return {
        (row["threshold"], row["population"]): float(row["value"] or "nan")
        for row in rows
        if row["sample_id"] == sample_id
    }


def _in_order(gates: Mapping[str, Gate]) -> list[str]:
    """Put every gate behind its parent and its parts; the strategy has no circles."""
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in done or name not in gates:
            return
        for other in (gates[name].under, *gates[name].parts):
            visit(other)
        done[name] = None

    for name in gates:
        visit(name)
    return list(done)


def _applied(
    gate: Gate, strategy: Strategy, borders: Mapping[tuple[str, str], float]
) -> AppliedGate:
    ranges: dict[str, Range] = {}
    missing = []
    for name, positive in gate.signs:
        rule = strategy.thresholds[name]
        on = rule.estimate_on or gate.under
        border = borders.get((name, on), math.nan)
        if math.isnan(border) and rule.method == "fixed" and rule.value is not None:
            border = rule.value
        if math.isnan(border):
            missing.append(f"no border for {name} on {on}")
            continue
        # An event on a threshold is negative: the first number above it is the first positive.
        first = math.nextafter(border, math.inf)
        ends = (first, math.inf) if positive else (-math.inf, first)
        one = Range(rule.marker, *ends, f"{name}{'+' if positive else '−'}")
        ranges[rule.marker] = _both(ranges.get(rule.marker), one)
    region = gate.region
    if isinstance(region, Rectangle):
        for marker, low, high in zip(region.markers, region.low, region.high, strict=True):
            one = Range(marker, low, high, f"{marker} range")
            ranges[marker] = _both(ranges.get(marker), one)
        region = None
    return AppliedGate(
        population=gate.population,
        under="" if gate.under == ROOT else gate.under,
        ranges=tuple(ranges.values()),
        region=region,
        any_of=gate.any_of,
        all_of=gate.all_of,
        none_of=gate.none_of,
        unknown="; ".join(missing),
    )


def _both(one: Range | None, other: Range) -> Range:
    if one is None:
        return other
    words = f"{one.words} {other.words}"
    return Range(one.marker, max(one.low, other.low), min(one.high, other.high), words)
