"""A gating strategy: which thresholds and which tree of populations."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from biocross.cohort.gate_regions import Region, read_bead_gate, read_region
from biocross.cohort.missing_markers import (
    Optional,
    leave_out_missing,
    missing_marker_problems,
)
from biocross.cohort.sheets import did_you_mean, load_schema, load_yaml, schema_problems
from biocross.cohort.vocabulary import COUNTING_BEADS, Vocabulary
from biocross.errors import GatingError

ROOT = "root"


class ThresholdRule(NamedTuple):
    """How one border is found.

    Parameters
    ----------
    name
        As phenotypes call it.
    marker
        Whose values it divides.
    method
        ``valley``, ``mixture``, ``tail``, ``fmo`` or ``fixed``.
    estimate_on
        Population on whose events it is found; None for the population that is being gated.
    value
        The border of method ``fixed``, on the transformed scale.
    between
        Range in which a border is believed; None for any.
    scope
        Whose samples share it: ``patient``, ``batch``, ``cohort`` or ``sample``.
    """

    name: str
    marker: str
    method: str
    estimate_on: str | None = None
    value: float | None = None
    between: tuple[float, float] | None = None
    scope: str = "patient"


class Gate(NamedTuple):
    """How one population is taken from the one it is gated under; every condition must hold.

    Parameters
    ----------
    population
        What it gates.
    under
        The population it is gated from, or `ROOT`.
    signs
        Names of thresholds, and whether the events lie above them.
    any_of, all_of, none_of
        Populations of which an event must be in one, in all, in none.
    region
        A rectangle, polygon, ellipse or singlet gate.
    """

    population: str
    under: str
    signs: tuple[tuple[str, bool], ...] = ()
    any_of: tuple[str, ...] = ()
    all_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    region: Region | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Every population that it combines."""
        return (*self.any_of, *self.all_of, *self.none_of)


class Strategy(NamedTuple):
    """A checked gating strategy.

    Parameters
    ----------
    scope
        Whose samples share a border where a threshold says nothing else.
    thresholds, gates
        By name.
    skipped
        By population, why it is not gated: the panel lacks a marker that it needs.
    beads
        Where counting beads lie among all events; None where the quality steps find them.
    """

    scope: str
    thresholds: dict[str, ThresholdRule]
    gates: dict[str, Gate]
    skipped: Mapping[str, str] = MappingProxyType({})
    beads: Region | None = None


def parse_phenotype(phenotype: str) -> tuple[tuple[str, bool], ...]:
    """Parse ``CD3+ CD19-`` into thresholds and signs.

    Parameters
    ----------
    phenotype
        Names of thresholds, each followed by ``+`` or ``-``, separated by blanks.

    Returns
    -------
    tuple of (str, bool)
        Name and whether the cells lie above the threshold.

    Raises
    ------
    GatingError
        A word does not end in ``+`` or ``-``.
    """
    signs = []
    for word in phenotype.split():
        name, sign = word[:-1], word[-1]
        if not name or sign not in "+-":
            raise GatingError(f'"{word}" in "{phenotype}" must be a name followed by "+" or "-"')
        signs.append((name, sign == "+"))
    return tuple(signs)


def load_strategy(path: Path, vocabulary: Vocabulary, markers: set[str]) -> Strategy:
    """Load ``gating.yaml`` and check it against vocabulary and panel.

    Parameters
    ----------
    path
        The YAML file.
    vocabulary
        Known populations.
    markers
        Markers of the panel.

    Returns
    -------
    Strategy
        The strategy as this panel allows it: signs such as ``TCRgd-?`` only where the panel has
        the marker and, if the file says ``missing_markers: skip``, without the gates that need a
        marker which the panel lacks.

    Raises
    ------
    GatingError
        One line for every unknown name, missing or unusable value, and circle.
    """
    raw = load_yaml(path) or {}
    problems = [str(p) for p in schema_problems(str(path), None, raw, load_schema("gating"))]
    if problems:
        raise GatingError("\n".join(problems))
    scope = raw.get("scope", "patient")
    gates: dict[str, Gate] = {}
    optional: dict[str, Optional] = {}
    beads = None
    for key, entry in raw["gates"].items():
        name = str(key)
        try:
            if name == COUNTING_BEADS:
                beads = read_bead_gate(entry, markers)
                continue
            gates[name], optional[name] = _gate(name, entry, vocabulary)
        except GatingError as error:
            problems.append(str(error))
    thresholds = {
        str(name): _threshold(str(name), {"scope": scope, **entry})
        for name, entry in raw.get("thresholds", {}).items()
    }
    problems += [
        f'threshold "{name}": a phenotype cannot name it because of the blank; call it '
        f'"{name.replace(" ", "_")}" and give its marker'
        for name in thresholds
        if " " in name
    ]
    strategy = Strategy(scope, thresholds, gates, beads=beads)
    skip = raw.get("missing_markers") == "skip"
    if not problems:
        problems = _name_problems(strategy) + _value_problems(strategy)
        problems += [] if skip else missing_marker_problems(strategy, optional, markers)
    if not problems:
        strategy = leave_out_missing(strategy, optional, markers)
        problems = _skip_problems(strategy, skip) or _circle_problems(strategy)
    if problems:
        raise GatingError("\n".join(f"{path}: {problem}" for problem in problems))
    return strategy


def needs(name: str, strategy: Strategy) -> list[str]:
    """List the populations that must be gated before population `name` can be.

    Parameters
    ----------
    name
        A population of the strategy.
    strategy
        The strategy.

    Returns
    -------
    list of str
        Its `under`, its parts, and the populations its thresholds are estimated on.
    """
    gate = strategy.gates[name]
    estimated_on = [
        strategy.thresholds[threshold].estimate_on or gate.under for threshold, _ in gate.signs
    ]
    return [other for other in (gate.under, *gate.parts, *estimated_on) if other != ROOT]


def own_markers(gate: Gate, strategy: Strategy) -> tuple[str, ...]:
    """List the markers that a gate itself looks at, without those above it.

    Parameters
    ----------
    gate
        A gate of the strategy.
    strategy
        The strategy.

    Returns
    -------
    tuple of str
        Each marker once: of its signs, then of its region.
    """
    of_signs = [strategy.thresholds[name].marker for name, _ in gate.signs]
    of_region = gate.region.markers if gate.region else ()
    return tuple(dict.fromkeys([*of_signs, *of_region]))


def _gate(name: str, entry: Mapping[str, Any], vocabulary: Vocabulary) -> tuple[Gate, Optional]:
    if name not in vocabulary:
        raise GatingError(
            f'gate "{name}" is no population of the vocabulary{did_you_mean(name, vocabulary)}'
        )
    _refuse_mixtures(name, entry)
    without = entry.get("not", [])
    named = {
        "any_of": entry.get("any_of", []),
        "all_of": entry.get("all_of", []),
        "none_of": [without] if isinstance(without, str) else without,
    }
    words = entry.get("phenotype", "").split()
    try:
        signs = parse_phenotype(" ".join(word.removesuffix("?") for word in words))
        region = read_region(entry)
    except GatingError as error:
        raise GatingError(_of_gate(name, str(error))) from None
    signs += _quadrant_signs(entry)
    _refuse_contradictions(name, signs)
    gate = Gate(
        population=name,
        under=entry.get("under") or vocabulary[name].gated_under or ROOT,
        signs=signs,
        region=region,
        **{key: tuple(part.removesuffix("?") for part in parts) for key, parts in named.items()},
    )
    return gate, Optional(
        signs=frozenset(word[:-2] for word in words if word.endswith("?")),
        parts=frozenset(p[:-1] for parts in named.values() for p in parts if p.endswith("?")),
    )


def _of_gate(name: str, sentence: str) -> str:
    """Name the gate in the end of a sentence about its region, or in one about its phenotype."""
    return (
        f'gate "{name}" {sentence}'
        if sentence.startswith(("has ", "leaves "))
        else (f'gate "{name}": {sentence}')
    )


def _refuse_mixtures(name: str, entry: Mapping[str, Any]) -> None:
    """A union or an intersection stands alone, but for what it leaves out."""
    for key in ("any_of", "all_of"):
        if key in entry and (others := set(entry) - {key, "under", "not"}):
            other = sorted(others)[0]
            named = {"all_of": "all_of", "ellipse": "an ellipse", "singlets": "singlets"}
            given = named.get(other, f"a {other}")
            raise GatingError(f'gate "{name}" has {given} and {key}; keep one of them')


def _quadrant_signs(entry: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
    quadrant = entry.get("quadrant", {})
    names = quadrant.get("thresholds", ())
    return tuple((name, quadrant["which"][i] == "+") for i, name in enumerate(names))


def _refuse_contradictions(name: str, signs: Iterable[tuple[str, bool]]) -> None:
    signs = set(signs)
    for threshold, positive in sorted(signs):
        if positive and (threshold, False) in signs:
            raise GatingError(
                f'gate "{name}" asks for {threshold}+ and {threshold}-; no event is both'
            )


def _threshold(name: str, entry: Mapping[str, Any]) -> ThresholdRule:
    fields = {"marker": name, **entry}
    if "between" in fields:
        low, high = fields["between"]
        fields["between"] = (float(low), float(high))
    return ThresholdRule(name=name, **fields)


def _name_problems(strategy: Strategy) -> list[str]:
    gates, thresholds = strategy.gates, strategy.thresholds
    problems = []
    for gate in gates.values():
        problems += [
            f'gate "{gate.population}" needs "{other}", which is not gated'
            f"{did_you_mean(other, gates)}"
            for other in (gate.under, *gate.parts)
            if other != ROOT and other not in gates
        ]
        problems += [
            f'gate "{gate.population}" uses "{name}", which has no entry under thresholds'
            f"{did_you_mean(name, thresholds)}"
            for name, _ in gate.signs
            if name not in thresholds
        ]
    problems += [
        f'threshold "{rule.name}": estimate_on "{rule.estimate_on}" is not gated'
        f"{did_you_mean(str(rule.estimate_on), gates)}"
        for rule in thresholds.values()
        if rule.estimate_on not in (None, ROOT, *gates)
    ]
    return problems


def _value_problems(strategy: Strategy) -> list[str]:
    problems = []
    for rule in strategy.thresholds.values():
        given = [number for number in (rule.value, *(rule.between or ())) if number is not None]
        if not all(map(math.isfinite, given)):
            problems.append(f'threshold "{rule.name}": its numbers must be finite')
        elif rule.between and rule.between[0] >= rule.between[1]:
            problems.append(f'threshold "{rule.name}": between must rise, as in [0.4, 0.6]')
        if rule.method == "fixed" and rule.value is None:
            problems.append(f'threshold "{rule.name}": method fixed needs a value')
        if rule.method != "fixed" and rule.value is not None:
            problems.append(
                f'threshold "{rule.name}": value goes with method fixed, not with {rule.method}; '
                "leave it out, or use between"
            )
        if rule.method == "fixed" and rule.between:
            problems.append(f'threshold "{rule.name}": method fixed has no use for between')
    return problems


def _skip_problems(strategy: Strategy, skip: bool) -> list[str]:
    if not strategy.gates:
        return ["each of the gates needs a marker that the panel lacks; nothing can be gated"]
    # What only follows from another gate that cannot be had is not said again.
    return [
        f'gate "{name}": {reason}; leave it out, or write "missing_markers: skip"'
        for name, reason in strategy.skipped.items()
        if not skip and "is skipped" not in reason
    ]


def _circle_problems(strategy: Strategy) -> list[str]:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> list[str]:
        if name in path:
            return [f"gates need each other in a circle: {' -> '.join([*path, name])}"]
        if name in done:
            return []
        for other in needs(name, strategy):
            if found := visit(other, (*path, name)):
                return found
        done.add(name)
        return []

    for name in strategy.gates:
        if found := visit(name, ()):
            return found
    return []
