"""Markers that a drug hides or moves, and the gates that rest on them."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from biocross.cohort.markers import standard_marker
from biocross.cohort.panel import Channel
from biocross.cohort.sheets import Problem, SheetRow, caution, did_you_mean, read_sheet
from biocross.cohort.strategy import ROOT, Strategy, own_markers
from biocross.cohort.vocabulary import Vocabulary

ANY = "any"
_VERBS = {"up": "raises", "down": "lowers", "unknown": "may change"}
_GO = {"up": "rise", "down": "fall", "unknown": "change"}


class DrugMarker(NamedTuple):
    """One row of ``drug_markers.tsv``.

    Parameters
    ----------
    drugs
        Names of the drugs and their brands; ``any`` for what happens under every treatment.
    marker
        Standard name; empty where populations are depleted.
    effect
        ``masked``, ``modulated`` or ``depleted``.
    populations
        Whom it concerns; empty for all.
    direction
        ``up``, ``down`` or ``unknown``.
    note, reference
        What follows, and where it is published.
    row
        Its row in the sheet.
    """

    drugs: tuple[str, ...]
    marker: str
    effect: str
    populations: tuple[str, ...]
    direction: str
    note: str
    reference: str
    row: int

    @property
    def is_general(self) -> bool:
        """Whether it concerns every treatment."""
        return ANY in self.drugs

    def drug_in(self, treatment: str) -> str | None:
        """Return the first of its drugs that a treatment names as a word of its own."""
        for drug in self.drugs:
            if re.search(rf"(?<![^\W\d_]){re.escape(drug)}(?![^\W\d_])", treatment, re.IGNORECASE):
                return drug
        return None

    def concerns(self, population: str, vocabulary: Vocabulary) -> bool:
        """Whether a population is one of its populations, or a part of one.

        ILC2 are a part of the ILC that they are gated under, though counted in lymphocytes.
        """
        if not self.populations or population in self.populations:
            return True
        wholes = {vocabulary[population].parent, vocabulary[population].gated_under} - {None}
        return any(self.concerns(str(whole), vocabulary) for whole in wholes)


def read_drug_markers(
    path: Path, vocabulary: Vocabulary | None = None
) -> tuple[list[DrugMarker], list[Problem]]:
    """Read ``drug_markers.tsv``, collecting its problems.

    Parameters
    ----------
    path
        The sheet.
    vocabulary
        Known populations; None leaves their names unchecked.

    Returns
    -------
    drug_markers : list of DrugMarker
        In file order.
    problems : list of Problem
        Violations of the schema, and populations that the vocabulary lacks.
    """
    rows, problems = read_sheet(path, "drug_markers")
    if problems:
        return [], problems
    found = [_drug_marker(row) for row in rows]
    if vocabulary is not None:
        problems = [
            Problem(
                str(path),
                entry.row,
                f'"{name}" is no population of the vocabulary{did_you_mean(name, vocabulary)}',
                column="populations",
            )
            for entry in found
            for name in entry.populations
            if name not in vocabulary
        ]
    return found, problems


def named_drugs(drug_markers: Iterable[DrugMarker], treatment: str) -> list[str]:
    """List the drugs of the sheet that a treatment names, be it a combination or free text.

    Parameters
    ----------
    drug_markers
        The sheet.
    treatment
        Such as ``mepolizumab + dupilumab`` or ``Xolair 300 mg``.

    Returns
    -------
    list of str
        As the sheet spells them; empty for drugs that it does not know.
    """
    found = (entry.drug_in(treatment) for entry in drug_markers if not entry.is_general)
    return list(dict.fromkeys(drug for drug in found if drug))


def gate_markers(population: str, strategy: Strategy) -> dict[str, str]:
    """Find the markers that a population's gate, and those above it, rest on.

    Parameters
    ----------
    population
        A population of the strategy.
    strategy
        The strategy.

    Returns
    -------
    dict of str to str
        By marker, as the panel names it, the gate nearest to the population that uses it.
    """
    found: dict[str, str] = {}
    waiting, seen = [population], {ROOT}
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        gate = strategy.gates[name]
        for marker in own_markers(gate, strategy):
            found.setdefault(marker, name)
        waiting += [*gate.parts, gate.under]
    return found


def drug_marker_problems(
    drug_markers: Sequence[DrugMarker],
    treatments: Collection[str],
    panel: Sequence[Channel],
    strategy: Strategy,
    vocabulary: Vocabulary,
    file: str = "gating.yaml",
) -> list[Problem]:
    """Find gates that rest on a marker which a drug of the cohort hides or moves.

    Parameters
    ----------
    drug_markers
        The sheet.
    treatments
        What the patients are given.
    panel
        Only its markers are looked at.
    strategy, vocabulary
        The gates, and which populations are primary.
    file
        The file of the gates, for messages.

    Returns
    -------
    list of Problem
        An error for each masked marker in the gate of a primary population or above it, a warning
        for other gates that use a masked or a modulated marker; one sentence for all treatments
        and populations that share it. What happens under any treatment is left to `drug_notes`.
    """
    measured = {channel.marker for channel in panel}
    users: dict[tuple[str, str, str], dict[str, bool]] = {}
    entries: dict[tuple[str, str, str], DrugMarker] = {}
    for entry in drug_markers:
        drugs = {entry.drug_in(treatment) for treatment in treatments} - {None}
        if entry.is_general or entry.effect == "depleted" or not drugs:
            continue
        for population in strategy.gates:
            if not entry.concerns(population, vocabulary):
                continue
            for marker, gate in gate_markers(population, strategy).items():
                if standard_marker(marker) == entry.marker and marker in measured:
                    key = (" and ".join(sorted(map(str, drugs))), marker, entry.effect)
                    entries.setdefault(key, entry)
                    primary = vocabulary[population].primary
                    users.setdefault(key, {})[f"{population} (gate {gate})"] = primary
    return [_problem(file, key, entries[key], by) for key, by in users.items()]


def drug_notes(
    drug_markers: Sequence[DrugMarker],
    treatment: str,
    population: str,
    markers: Mapping[str, str],
    vocabulary: Vocabulary,
) -> str:
    """Say what a treatment does to the markers that a population is gated by.

    Parameters
    ----------
    drug_markers
        The sheet.
    treatment
        What the patient or the group is given.
    population
        Whose row the note stands on.
    markers
        Of `gate_markers`: by marker, the gate that uses it.
    vocabulary
        Known populations.

    Returns
    -------
    str
        Clauses joined by ``; ``; empty where the treatment leaves the gates alone.
    """
    gates = {standard_marker(marker): gate for marker, gate in markers.items()}
    clauses = []
    for entry in drug_markers:
        drug = ANY if entry.is_general else entry.drug_in(treatment)
        if drug is None or not entry.concerns(population, vocabulary):
            continue
        if entry.effect == "depleted":
            clauses.append(f"{drug} depletes {population}")
        elif entry.marker in gates:
            clauses.append(_clause(entry, drug, gates[entry.marker], population))
    return "; ".join(dict.fromkeys(clauses))


def _clause(entry: DrugMarker, drug: str, gate: str, population: str) -> str:
    where = "" if gate == population else f" (gate {gate})"
    note = entry.note.rstrip(".")
    if drug == ANY:
        return f"{entry.marker}{where} may {_GO[entry.direction]} ({note[:1].lower()}{note[1:]})"
    verb = "masks" if entry.effect == "masked" else _VERBS[entry.direction]
    return f"{drug} {verb} {entry.marker}{where}"


def _problem(
    file: str, key: tuple[str, str, str], entry: DrugMarker, users: Mapping[str, bool]
) -> Problem:
    drugs, marker, effect = key
    primary = [user for user, is_primary in users.items() if is_primary]
    if effect == "masked" and primary:
        return Problem(
            file,
            None,
            f"{drugs} masks {marker}, and primary populations are gated by it: "
            f"{', '.join(primary)}. A change of theirs would be the drug on the antibody; gate "
            f"them without {marker} ({entry.reference})",
        )
    verb = "masks" if effect == "masked" else _VERBS[entry.direction]
    return caution(
        file,
        f"{drugs} {verb} {marker}, by which these are gated: {', '.join(users)}. "
        f"Their change between visits may be the marker's ({entry.reference})",
    )


def _drug_marker(row: SheetRow) -> DrugMarker:
    cells = row.cells
    return DrugMarker(
        drugs=_words(cells["treatment"]),
        marker=standard_marker(cells.get("marker", "")),
        effect=cells["effect"],
        populations=_words(cells.get("populations", "")),
        direction=cells["direction"],
        note=cells.get("note", ""),
        reference=cells["reference"],
        row=row.number,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
