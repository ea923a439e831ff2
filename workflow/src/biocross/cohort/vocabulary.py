"""The vocabulary of populations: names, biological parents, anchors."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from biocross.cohort.phenotypes import Word, parse_words
from biocross.cohort.sheets import (
    Problem,
    SheetRow,
    did_you_mean,
    load_schema,
    load_yaml,
    schema_problems,
)
from biocross.errors import ConfigError

# The blood count that measures a whole population, by that population.
ANCHOR_POPULATIONS = {
    "leukocytes_per_ul": "leukocytes",
    "lymphocytes_per_ul": "lymphocytes",
    "monocytes_per_ul": "monocytes",
}
# How gates and sheets call the beads that were added to be counted: no population of cells.
COUNTING_BEADS = "counting_beads"


class Population(NamedTuple):
    """One entry of the vocabulary."""

    name: str
    parent: str | None
    gated_under: str | None
    absolute_anchor: str | None = None
    not_measured_in: tuple[str, ...] = ()
    inflammatory: bool = False
    primary: bool = False
    note: str = ""
    phenotype: tuple[Word, ...] = ()


Vocabulary = dict[str, Population]
# What a cluster may be called beside the names of populations.
UNASSIGNED = "unassigned"


def load_vocabulary(path: Path) -> Vocabulary:
    """Load and check ``populations.yaml``.

    Parameters
    ----------
    path
        The YAML file.

    Returns
    -------
    dict of str to Population
        In the order of the file.

    Raises
    ------
    ConfigError
        One line for every unknown key, unreadable phenotype, unknown parent, and cycle.
    """
    raw = load_yaml(path)
    if not isinstance(raw, dict) or not raw:
        raise ConfigError(f"{path}: must map population names to their descriptions")
    problems = [str(p) for p in schema_problems(str(path), None, raw, load_schema("populations"))]
    if problems:
        raise ConfigError("\n".join(problems))
    vocabulary = {}
    for name, entry in raw.items():
        try:
            vocabulary[name] = _population(name, entry)
        except ConfigError as error:
            problems.append(f"phenotype of {name}: {error}")
    problems = problems or _parent_problems(vocabulary)
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems))
    return vocabulary


def counted_parent(name: str, vocabulary: Vocabulary, counted: Collection[str]) -> str | None:
    """Find the denominator of a population: its nearest biological ancestor that was counted.

    Parameters
    ----------
    name
        The population.
    vocabulary
        Its vocabulary.
    counted
        Populations that the gating strategy counts.

    Returns
    -------
    str or None
        The ancestor's name; None for a population that has none.
    """
    parent = vocabulary[name].parent
    while parent is not None and parent not in counted:
        parent = vocabulary[parent].parent
    return parent


def container(name: str, vocabulary: Vocabulary, counted: Collection[str]) -> str | None:
    """Find the smallest counted population that holds a population whole.

    The biological parent may be wider than the population something is gated under (ILC2 are gated
    under ILC, and counted in percent of lymphocytes), or narrower (T cells are gated under
    leukocytes, and lie within the lymphocytes): the narrower of the two holds it.

    Parameters
    ----------
    name
        The population.
    vocabulary
        Its vocabulary.
    counted
        Populations that were counted.

    Returns
    -------
    str or None
        The container's name; None where nothing counted holds it.
    """
    if name not in vocabulary:
        return None
    parent, gated_under = vocabulary[name].parent, vocabulary[name].gated_under
    narrower = gated_under if lies_within(gated_under, parent, vocabulary) else parent
    if narrower is None or narrower in counted:
        return narrower
    return container(narrower, vocabulary, counted)


def within(name: str, vocabulary: Vocabulary) -> Iterator[str]:
    """Yield a population and all that hold it whole, from the inside out; see `container`.

    Parameters
    ----------
    name
        The population.
    vocabulary
        Its vocabulary.

    Yields
    ------
    str
        Of Th2: itself, CD4_memory, from which it is told, CD4_T, its parent, T_cells ...
    """
    above: str | None = name
    while above is not None:
        yield above
        above = container(above, vocabulary, vocabulary)


def depths(vocabulary: Vocabulary) -> dict[str, int]:
    """Count, by population, itself and all that hold it whole; see `within`.

    Parameters
    ----------
    vocabulary
        Known populations.

    Returns
    -------
    dict of str to int
        1 for the outermost.
    """
    return {name: sum(1 for _ in within(name, vocabulary)) for name in vocabulary}


def population_problems(sheet: str, row: SheetRow, vocabulary: Vocabulary) -> list[Problem]:
    """Find a row of ``cluster_labels.tsv`` whose population is not known.

    Parameters
    ----------
    sheet
        The file, as it is called.
    row
        One of its rows.
    vocabulary
        Known populations.

    Returns
    -------
    list of Problem
        Empty where the population is known, `UNASSIGNED`, or left out.
    """
    population, known = row.cells.get("population"), [*vocabulary, UNASSIGNED]
    if population is None or population in known:
        return []
    hint = did_you_mean(population, known)
    message = f'"{population}" is no population of the vocabulary{hint}'
    return [Problem(sheet, row.number, message, column="population")]


def lies_within(name: str | None, other: str | None, vocabulary: Vocabulary) -> bool:
    """Return whether a population is another one, or descends from it by biological parents."""
    while name is not None and name != other:
        name = vocabulary[name].parent
    return name == other


def _population(name: str, entry: Mapping[str, object]) -> Population:
    fields = {key: value for key, value in entry.items() if key in Population._fields}
    fields.setdefault("gated_under", fields["parent"])
    fields["not_measured_in"] = tuple(entry.get("not_measured_in", ()))  # type: ignore[arg-type]
    fields["phenotype"] = parse_words(str(entry.get("phenotype", "")))
    return Population(name=name, **fields)  # type: ignore[arg-type]


def _parent_problems(vocabulary: Vocabulary) -> list[str]:
    problems = []
    for population in vocabulary.values():
        for role in ("parent", "gated_under"):
            other = getattr(population, role)
            if role == "gated_under" and other == population.parent:
                continue
            if other is not None and other not in vocabulary:
                hint = did_you_mean(other, vocabulary)
                problems.append(f'{role} of {population.name} is "{other}", no population{hint}')
    if problems:
        return problems
    for role in ("parent", "gated_under"):
        for name in vocabulary:
            seen = [name]
            while (up := getattr(vocabulary[seen[-1]], role)) is not None:
                if up in seen:
                    return [f"{role} goes in a circle: {' -> '.join([*seen, up])}"]
                seen.append(up)
    return []
