"""The sheet that says which imported gate is which population."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from biocross.cohort.markers import channel_kind, find_marker
from biocross.cohort.sheets import Problem, caution, counted, did_you_mean, read_sheet
from biocross.cohort.vocabulary import COUNTING_BEADS, Vocabulary
from biocross.flow.imported.model import GateTree, ImportedGates
from biocross.flow.imported.workspace import clean_path

GATE_PATHS_COLUMNS = ("gate", "population", "parent")
# Words that name a population in another way than the vocabulary does.
_WORDS = {
    "cell": "",
    "viable": "live",
    "singlet": "single",
    "cd45": "leukocyte",
    "leucocyte": "leukocyte",
    "cd3": "t",
    "cd19": "b",
    "cd20": "b",
    "gammadelta": "gd",
    "tcrgd": "gd",
    "eo": "eosinophil",
    "baso": "basophil",
    "neutro": "neutrophil",
    "mono": "monocyte",
    "lymph": "lymphocyte",
    "regulatory": "treg",
}
# Words that another word implies, so that a name may leave them out or say them.
_IMPLIED = {
    "cd4": {"t"},
    "cd8": {"t"},
    "mait": {"t"},
    "tc2": {"cd8", "t"},
    **{word: {"cd4", "t"} for word in ("treg", "th1", "th2", "th17")},
}
# Markers whose absence goes without saying, by the word that names the population.
_WITHOUT = {
    "cd4": {"cd8"},
    "cd8": {"cd4"},
    "t": {"b", "cd14"},
    "b": {"t", "cd14"},
    "nk": {"t", "b", "cd14"},
    "monocyte": {"t", "b"},
}
_T_CELLS = {"t", *_IMPLIED}
_GREEK = str.maketrans({"γ": "g", "δ": "d", "α": "a", "β": "b"})


class GatePath(NamedTuple):
    """One row of ``gate_paths.tsv``: its number in the file, and its cells."""

    row: int
    gate: str
    population: str
    parent: str | None = None


class Proposal(NamedTuple):
    """A first sheet, made from the names of the gates.

    Parameters
    ----------
    rows
        Gates whose name says which population they hold.
    unmapped
        All other usable gates, each with the reason.
    """

    rows: tuple[GatePath, ...]
    unmapped: dict[str, str]


def read_gate_paths(
    path: Path, imported: ImportedGates, vocabulary: Vocabulary, keys: Mapping[str, str]
) -> tuple[list[GatePath], list[Problem]]:
    """Read ``gate_paths.tsv`` and check it against the gates and the vocabulary.

    Parameters
    ----------
    path
        The sheet.
    imported
        The gates.
    vocabulary
        Known populations.
    keys
        Key of the workspace's sample by sample of the cohort; not needed for GatingML.

    Returns
    -------
    rows : list of GatePath
        The rows that are right; gate paths with single blanks.
    problems : list of Problem
        Unknown gates and populations, a population or gate named twice, gates that cannot be
        read (errors); gates that only some samples have (warnings: those samples get no count).
    """
    sheet, problems = read_sheet(path, "gate_paths")
    rows = [
        GatePath(
            row.number,
            clean_path(str(row.cells["gate"])),
            str(row.cells["population"]),
            row.cells.get("parent"),
        )
        for row in sheet
        if {"gate", "population"} <= set(row.cells)
    ]
    trees = _trees(imported, keys)
    kept = []
    for row in rows:
        found = [
            Problem(str(path), row.row, message, column=column)
            for message, column in _row_errors(row, rows, imported, trees, vocabulary)
        ]
        problems += found
        if not found:
            kept.append(row)
            problems += _absences(str(path), row, trees)
    return kept, problems


def _trees(imported: ImportedGates, keys: Mapping[str, str]) -> dict[str, GateTree]:
    if imported.form == "gatingml":
        return {"": imported.tree()}
    return {sample: imported.tree(key) for sample, key in keys.items()}


def _row_errors(
    row: GatePath,
    rows: Sequence[GatePath],
    imported: ImportedGates,
    trees: Mapping[str, GateTree],
    vocabulary: Vocabulary,
) -> list[tuple[str, str]]:
    errors = []
    holders = [tree.gates[row.gate] for tree in trees.values() if row.gate in tree.gates]
    if row.gate not in imported.gates:
        hint = did_you_mean(row.gate, imported.gates)
        errors.append((f'"{row.gate}" is no gate of {imported.path.name}{hint}', "gate"))
    elif not holders:
        message = f'"{row.gate}" is a gate of no sample of this cohort'
        errors.append((message, "gate"))
    elif all(gate.reason for gate in holders):
        message = f'"{row.gate}" cannot be used: {holders[0].reason}'
        errors.append((message, "gate"))
    known = {"population": row.population, "parent": row.parent}
    for column, name in known.items():
        if column == "population" and name == COUNTING_BEADS:
            continue
        if name is not None and name not in vocabulary:
            hint = did_you_mean(name, vocabulary)
            errors.append((f'"{name}" is no population of populations.yaml{hint}', column))
    mapped = {other.population for other in rows}
    if row.parent is not None and row.parent in vocabulary and row.parent not in mapped:
        errors.append((f'the parent "{row.parent}" has no gate in this sheet', "parent"))
    for column in ("gate", "population"):
        value = getattr(row, column)
        earlier = [o.row for o in rows if getattr(o, column) == value and o.row < row.row]
        if earlier:
            message = f'{column} "{value}" is in row {earlier[0]} already; keep one of them'
            errors.append((message, column))
    return errors


def _absences(file: str, row: GatePath, trees: Mapping[str, GateTree]) -> list[Problem]:
    """Warn of samples that lack a gate, or in which it cannot be read."""
    lacking = [
        sample
        for sample, tree in trees.items()
        if row.gate not in tree.gates or tree.gates[row.gate].reason
    ]
    if not lacking:
        return []
    named = ", ".join(lacking[:5]) + (" ..." if len(lacking) > 5 else "")
    message = (
        f'"{row.gate}" is missing or unusable in {counted(len(lacking), "sample")} of '
        f"{len(trees)} ({named}), which get no count of {row.population}, not a count of zero"
    )
    return [caution(file, message, "gate", row.row)]


def propose_gate_paths(imported: ImportedGates, vocabulary: Vocabulary) -> Proposal:
    """Propose which gate is which population, from the names of the gates.

    A name is compared with the vocabulary by its words, whatever their order, plurals and signs;
    where it says too little ("naive"), the words of the gates above it are added. A gate drawn on
    scatter alone is not proposed: what is called "Lymphocytes" there holds debris and dead cells.

    Parameters
    ----------
    imported
        The gates.
    vocabulary
        Known populations.

    Returns
    -------
    Proposal
        To be checked by whoever drew the gates.
    """
    wanted: dict[frozenset[str], str] = {}
    for name in vocabulary:
        words, _ = _words(name)
        implied = {word for one in words for word in _IMPLIED.get(one, ())}
        wanted.setdefault(words - implied, name)
    usable = {path: t.gates[path] for t in imported.trees.values() for path in t.usable}
    taken: dict[str, str] = {}
    rows, unmapped = [], {}
    # The shallowest gate of a name is the population; deeper ones are parts of others.
    for path in sorted(usable, key=lambda path: path.count("/")):
        population = _population(path, wanted)
        axes = usable[path].axes
        if population is None:
            unmapped[path] = "its name is no population of populations.yaml"
        elif axes and all(channel_kind(axis.channel) == "scatter" for axis in axes):
            unmapped[path] = f"drawn on scatter alone, which is not yet {population}"
        elif population in taken:
            unmapped[path] = f'"{taken[population]}" is {population} already'
        else:
            taken[population] = path
    by_gate = {path: population for population, path in taken.items()}
    for number, path in enumerate((p for p in usable if p in by_gate), 2):
        rows.append(GatePath(number, path, by_gate[path]))
    return Proposal(tuple(rows), {path: unmapped[path] for path in usable if path in unmapped})


def _population(path: str, wanted: Mapping[frozenset[str], str]) -> str | None:
    """Return the population that a path names, by its last names that make one."""
    names = [_words(name) for name in path.split("/")]
    excluded = frozenset().union(*(without for _, without in names))
    words: frozenset[str] = frozenset()
    own_without = names[-1][1]
    for added, _ in reversed(names):
        words |= added
        if not words:
            return None
        implied = {word for one in words for word in _IMPLIED.get(one, ())}
        found = wanted.get(words - implied)
        if found is not None:
            unsaid = {word for one in words for word in _WITHOUT.get(one, ())}
            contradicted = "t" in excluded and bool(words & _T_CELLS)
            return None if contradicted or own_without - unsaid else found
    return None


def _words(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a name says in one spelling: its words, and those it excludes."""
    text = re.sub(r"[_/&,()]+", " ", name.translate(_GREEK).casefold())
    text = re.sub(r"\bnon[- ]", "non", re.sub(r"-(?=cells?\b)", " ", text))
    found = [(word, "-" in signs) for word, signs in re.findall(r"([a-z0-9.]+)([+-]*)", text)]
    said, without = (
        frozenset(filter(None, (_standard(word) for word, negative in found if negative == which)))
        for which in (False, True)
    )
    return said, without


def _standard(word: str) -> str:
    """Return a word in the singular, and a marker under its standard name."""
    if len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    marker, kind = find_marker(word) if len(word) > 2 else ("", None)
    word = marker.casefold() if kind == "lineage" else word
    return _WORDS.get(word, word)
