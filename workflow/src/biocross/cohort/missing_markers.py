"""What becomes of a gating strategy where the panel lacks some of its markers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from biocross.cohort.sheets import did_you_mean

if TYPE_CHECKING:
    from biocross.cohort.strategy import Gate, Strategy


class Optional(NamedTuple):
    """What of a gate is used only if it can be: the words that end in ``?``.

    Parameters
    ----------
    signs
        Names of thresholds.
    parts
        Populations of its Boolean conditions.
    """

    signs: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()


def missing_marker_problems(
    strategy: Strategy, optional: Mapping[str, Optional], markers: Collection[str]
) -> list[str]:
    """Word which markers the panel lacks, for a strategy that skips no gate.

    Parameters
    ----------
    strategy
        As written.
    optional
        By gate, what of it is optional.
    markers
        Markers of the panel.

    Returns
    -------
    list of str
        A sentence for each threshold and region that needs a marker which is not there, except
        thresholds that are only used by optional signs.
    """
    signs = [
        (name, name in optional[gate.population].signs)
        for gate in strategy.gates.values()
        for name, _ in gate.signs
    ]
    spared = {name for name, may in signs if may} - {name for name, may in signs if not may}
    problems = [
        f'threshold "{rule.name}": no marker "{rule.marker}" in the panel'
        f"{did_you_mean(rule.marker, markers)}"
        for rule in strategy.thresholds.values()
        if rule.marker not in markers and rule.name not in spared
    ]
    problems += [
        f'gate "{gate.population}": no marker "{marker}" in the panel'
        f"{did_you_mean(marker, markers)}"
        for gate in strategy.gates.values()
        if gate.region
        for marker in gate.region.markers
        if marker not in markers
    ]
    return problems


def leave_out_missing(
    strategy: Strategy, optional: Mapping[str, Optional], markers: Collection[str]
) -> Strategy:
    """Reduce a strategy to what a panel can gate.

    Parameters
    ----------
    strategy
        As written, every name in it known.
    optional
        By gate, what of it is optional.
    markers
        Markers of the panel.

    Returns
    -------
    Strategy
        Without the thresholds of missing markers, the optional signs and parts that rest on them,
        and the gates that cannot do without them; `skipped` says why, by population.
    """
    skipped: dict[str, str] = {}
    # A gate that is skipped takes others with it, in whatever order they are written.
    while found := next(_unusable(strategy, optional, markers, skipped), None):
        skipped.update([found])
    lost = _lost_thresholds(strategy, markers, skipped)
    gates = {
        name: _reduced(gate, lost, skipped)
        for name, gate in strategy.gates.items()
        if name not in skipped
    }
    thresholds = {name: rule for name, rule in strategy.thresholds.items() if name not in lost}
    in_order = {name: skipped[name] for name in strategy.gates if name in skipped}
    return strategy._replace(thresholds=thresholds, gates=gates, skipped=in_order)


def _unusable(
    strategy: Strategy,
    optional: Mapping[str, Optional],
    markers: Collection[str],
    skipped: Mapping[str, str],
) -> Iterator[tuple[str, str]]:
    """Yield gates, not yet skipped, that cannot be applied, and why."""
    lost = _lost_thresholds(strategy, markers, skipped)
    for name, gate in strategy.gates.items():
        if name in skipped:
            continue
        needed = {
            **{key: lost[key] for key, _ in gate.signs if key in lost},
            **{part: f"{part} is skipped" for part in gate.parts if part in skipped},
        }
        reasons = [
            reason
            for key, reason in needed.items()
            if key not in optional[name].signs | optional[name].parts
        ]
        if gate.region:
            reasons += [
                f"the panel has no {marker}"
                for marker in gate.region.markers
                if marker not in markers
            ]
        if gate.under in skipped:
            reasons.insert(0, f"{gate.under}, which it is gated under, is skipped")
        reduced = _reduced(gate, lost, skipped)
        emptied = gate.any_of and not reduced.any_of
        if not reasons and needed and (emptied or not _has_condition(reduced)):
            reasons = [f"nothing of its definition is left: {'; '.join(needed.values())}"]
        if reasons:
            yield name, "; ".join(dict.fromkeys(reasons))


def _lost_thresholds(
    strategy: Strategy, markers: Collection[str], skipped: Collection[str]
) -> dict[str, str]:
    """Say of each threshold that cannot be had why."""
    lost = {}
    for name, rule in strategy.thresholds.items():
        if rule.marker not in markers:
            lost[name] = f"the panel has no {rule.marker}"
        elif rule.estimate_on in skipped and rule.method != "fixed":
            lost[name] = f"{name} is estimated on {rule.estimate_on}, which is skipped"
    return lost


def _reduced(gate: Gate, lost: Collection[str], skipped: Collection[str]) -> Gate:
    return gate._replace(
        signs=tuple(sign for sign in gate.signs if sign[0] not in lost),
        any_of=tuple(part for part in gate.any_of if part not in skipped),
        all_of=tuple(part for part in gate.all_of if part not in skipped),
        none_of=tuple(part for part in gate.none_of if part not in skipped),
    )


def _has_condition(gate: Gate) -> bool:
    return bool(gate.signs or gate.parts or gate.region)
