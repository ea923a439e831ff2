"""A gating strategy: which thresholds and which tree of populations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from biocross.cohort.sheets import did_you_mean, load_schema, load_yaml, schema_problems
from biocross.cohort.vocabulary import Vocabulary
from biocross.errors import GatingError

ROOT = "root"


class ThresholdRule(NamedTuple):
    """How one border is found."""

    name: str
    marker: str
    method: str
    estimate_on: str | None = None
    value: float | None = None
    between: tuple[float, float] | None = None


class Gate(NamedTuple):
    """How one population is taken from the one it is gated under."""

    population: str
    under: str
    signs: tuple[tuple[str, bool], ...] = ()
    any_of: tuple[str, ...] = ()


class Strategy(NamedTuple):
    """A checked gating strategy."""

    scope: str
    thresholds: dict[str, ThresholdRule]
    gates: dict[str, Gate]


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
        The strategy, thresholds of every marker that a phenotype uses included.

    Raises
    ------
    GatingError
        One line for every unknown name, missing value and cycle.
    """
    raw = load_yaml(path) or {}
    problems = [str(p) for p in schema_problems(str(path), None, raw, load_schema("gating"))]
    if problems:
        raise GatingError("\n".join(problems))
    gates = {}
    for name, entry in raw["gates"].items():
        try:
            gates[name] = _gate(name, entry, vocabulary)
        except GatingError as error:
            problems.append(str(error))
    thresholds = {
        name: _threshold(name, entry) for name, entry in raw.get("thresholds", {}).items()
    }
    strategy = Strategy(raw.get("scope", "patient"), thresholds, gates)
    problems = problems or _name_problems(strategy, markers) or _circle_problems(strategy)
    if problems:
        raise GatingError("\n".join(f"{path}: {problem}" for problem in problems))
    return strategy


def _gate(name: str, entry: Mapping[str, Any], vocabulary: Vocabulary) -> Gate:
    if name not in vocabulary:
        raise GatingError(
            f'gate "{name}" is no population of the vocabulary{did_you_mean(name, vocabulary)}'
        )
    if "phenotype" in entry and "any_of" in entry:
        raise GatingError(f'gate "{name}" has a phenotype and any_of; keep one of them')
    return Gate(
        population=name,
        under=entry.get("under") or vocabulary[name].gated_under or ROOT,
        signs=parse_phenotype(entry.get("phenotype", "")),
        any_of=tuple(entry.get("any_of", ())),
    )


def _threshold(name: str, entry: Mapping[str, Any]) -> ThresholdRule:
    fields = {"marker": name, **entry}
    if "between" in fields:
        low, high = fields["between"]
        fields["between"] = (float(low), float(high))
    return ThresholdRule(name=name, **fields)


def _name_problems(strategy: Strategy, markers: set[str]) -> list[str]:
    gates, thresholds = strategy.gates, strategy.thresholds
    problems = []
    for gate in gates.values():
        for other in (gate.under, *gate.any_of):
            if other != ROOT and other not in gates:
                problems.append(
                    f'gate "{gate.population}" needs "{other}", which is not gated'
                    f"{did_you_mean(other, gates)}"
                )
        problems += [
            f'gate "{gate.population}" uses "{name}", which has no entry under thresholds'
            f"{did_you_mean(name, thresholds)}"
            for name, _ in gate.signs
            if name not in thresholds
        ]
    for rule in thresholds.values():
        if rule.marker not in markers:
            hint = did_you_mean(rule.marker, markers)
            problems.append(
                f'threshold "{rule.name}": no marker "{rule.marker}" in the panel{hint}'
            )
        if rule.method == "fixed" and rule.value is None:
            problems.append(f'threshold "{rule.name}": method fixed needs a value')
        if rule.between and rule.between[0] >= rule.between[1]:
            problems.append(f'threshold "{rule.name}": between must rise, as in [0.4, 0.6]')
        if rule.estimate_on not in (None, ROOT, *gates):
            hint = did_you_mean(str(rule.estimate_on), gates)
            problems.append(
                f'threshold "{rule.name}": estimate_on "{rule.estimate_on}" is not gated{hint}'
            )
    return problems


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
    return [other for other in (gate.under, *gate.any_of, *estimated_on) if other != ROOT]


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
