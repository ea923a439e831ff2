"""Gate the samples of a patient with gates that were drawn elsewhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import load_panel
from biocross.cohort.strategy import ROOT, Gate, Strategy
from biocross.cohort.vocabulary import COUNTING_BEADS, Vocabulary, load_vocabulary
from biocross.errors import FcsError
from biocross.flow.beads import bead_row, find_beads, has_beads
from biocross.flow.events import Events, read_events
from biocross.flow.gate_counts import (
    COUNT_COLUMNS,
    EXPRESSION_COLUMNS,
    UNKNOWN_COLUMNS,
    count_rows,
    empty_rows,
    expression_rows,
    unknown_rows,
)
from biocross.flow.gate_membership import find_membership, write_membership
from biocross.flow.headers import read_header
from biocross.flow.imported.counts import STORED_COUNTS_COLUMNS, compare_counts
from biocross.flow.imported.evaluation import Memberships, evaluate
from biocross.flow.imported.gate_paths import GatePath, read_gate_paths
from biocross.flow.imported.load import load_gates
from biocross.flow.imported.matching import CohortFile, Matching, match_samples
from biocross.flow.imported.model import ImportedGates
from biocross.flow.imported.moved import Application, choose_gates, find_moved_gates
from biocross.tables import write_rows

MATCH_COLUMNS = ("sample_id", "workspace_sample", "matched_by", "note")
MOVED_COLUMNS = ("patient_id", "gate", "samples", "first", "decades", "share", "note")


class DrawnGating:
    """Populations of samples that were gated elsewhere, as `count_rows` reads them.

    Parameters
    ----------
    samples
        Prepared events; flagged ones are in no population.
    applied
        The gates of each sample as applied; None where there were none for it.
    paths
        Which gate is which population.

    Attributes
    ----------
    strategy
        Every population under all events, because its gate decides alone.
    """

    def __init__(
        self,
        samples: Sequence[Events],
        applied: Sequence[Memberships | None],
        paths: Sequence[GatePath],
    ) -> None:
        self.samples = samples
        self.strategy = Strategy(
            "patient", {}, {p.population: Gate(p.population, ROOT) for p in paths}
        )
        self._applied = applied
        self._gate_of = {path.population: path.gate for path in paths}

    def members(self, population: str) -> list[NDArray[np.intp]]:
        """Return the passing events of a population, as indices into each sample."""
        found = []
        for sample, applied in zip(self.samples, self._applied, strict=True):
            passing = sample.quality == 0
            if population != ROOT:
                inside = applied.inside.get(self._gate_of[population]) if applied else None
                passing = passing & (np.False_ if inside is None else inside)
            found.append(np.flatnonzero(passing))
        return found

    def reasons(self, population: str) -> list[str]:
        """Say for each sample why a population is not known; empty where it is."""
        if population == ROOT:
            return ["" for _ in self.samples]
        gate = self._gate_of[population]
        return [
            "the file of gates has none for this sample"
            if applied is None
            else ""
            if gate in applied.inside
            else applied.pruned.get(gate, f'this sample has no gate "{gate}"')
            for applied in self._applied
        ]

    def own_borders(self, marker: str) -> None:
        """Return no border: gates that were drawn elsewhere have none of a marker's own."""


class Drawn(NamedTuple):
    """A file of gates, held against the cohort.

    Parameters
    ----------
    gates
        The file's content.
    matching
        Which of its samples is which of ours; none for GatingML.
    applications
        By sample of the cohort, whose gates are applied to it.
    paths
        Which gate is which population.
    """

    gates: ImportedGates
    matching: Matching
    applications: dict[str, Application]
    paths: list[GatePath]


def match_cohort(
    gates: ImportedGates, samples: Sequence[str], files: Sequence[Path | str]
) -> Matching:
    """Match the samples of a workspace with the files of a cohort.

    Parameters
    ----------
    gates
        The file of gates.
    samples, files
        Names of the cohort's samples, and their FCS files; those that cannot be read match none.

    Returns
    -------
    Matching
        See `match_samples`.
    """
    cohort = [_cohort_file(name, path) for name, path in zip(samples, files, strict=True)]
    return match_samples(gates.samples, cohort)


def load_drawn(
    gates: Path | str,
    gate_paths: Path | str,
    vocabulary: Vocabulary,
    samples: Sequence[str],
    files: Sequence[Path | str],
    patients: Sequence[str],
    moved_gates: str,
) -> Drawn:
    """Load a file of gates and hold it against the cohort.

    Parameters
    ----------
    gates, gate_paths
        The GatingML document or FlowJo workspace, and the sheet of its gates.
    vocabulary
        Known populations.
    samples, files, patients
        Of the cohort, in order of the visits of each patient.
    moved_gates
        ``as_drawn`` or ``patient``; see `choose_gates`.

    Returns
    -------
    Drawn
        With the rows of the sheet that are right; `check_cohort` names the others.

    Raises
    ------
    GatingError
        The file cannot be read.
    """
    imported = load_gates(Path(gates))
    matching = match_cohort(imported, samples, files)
    of_patient: dict[str, list[str]] = {}
    for sample, patient in zip(samples, patients, strict=True):
        of_patient.setdefault(patient, []).append(sample)
    chosen = choose_gates(imported, matching.keys, of_patient, moved_gates)
    paths, _ = read_gate_paths(Path(gate_paths), imported, vocabulary, matching.keys)
    return Drawn(imported, matching, {one.sample_id: one for one in chosen}, paths)


def match_gates(
    gates: Path | str,
    samples: Sequence[str],
    files: Sequence[Path | str],
    patients: Sequence[str],
    matching_out: Path | str,
    moved_out: Path | str,
) -> None:
    """Write which sample of a workspace is which, and which gates differ between visits.

    Parameters
    ----------
    gates
        The file of gates.
    samples, files, patients
        Of the cohort, in order of the visits of each patient.
    matching_out
        A row per sample of the cohort, then one per sample of the workspace that is not in it.
    moved_out
        Gates that are not the same in all visits of a patient.
    """
    imported = load_gates(Path(gates))
    matching = match_cohort(imported, samples, files)
    names = {sample.key: sample.name for sample in imported.samples}
    rows: list[dict[str, Any]] = [
        {
            "sample_id": match.sample_id,
            "workspace_sample": names.get(match.key, ""),
            "matched_by": match.by,
            "note": match.note,
        }
        for match in matching.matches
        if imported.form == "flowjo"
    ]
    rows += [
        {"workspace_sample": sample.name, "note": "not in the cohort"}
        for sample in matching.not_in_cohort
    ]
    of_patient: dict[str, list[str]] = {}
    for sample, patient in zip(samples, patients, strict=True):
        of_patient.setdefault(patient, []).append(sample)
    moved = find_moved_gates(imported, matching.keys, of_patient)
    write_rows(matching_out, MATCH_COLUMNS, rows)
    cells = (
        (m.patient_id, m.gate, ", ".join(m.sample_ids), m.first, m.decades, m.share, m.note)
        for m in moved
    )
    write_rows(
        moved_out, MOVED_COLUMNS, (dict(zip(MOVED_COLUMNS, row, strict=True)) for row in cells)
    )


def apply_gates(
    drawn: Drawn,
    events: Mapping[str, Path | str],
    files: Mapping[str, Path | str],
    vocabulary: Vocabulary,
    panel: Path | str,
    counts_out: Path | str,
    expression_out: Path | str,
    unknown_out: Path | str,
    stored_counts_out: Path | str,
    membership_out: Path | str,
) -> None:
    """Gate the samples of one patient with gates that were drawn elsewhere.

    Parameters
    ----------
    drawn
        Of `load_drawn`.
    events, files
        By sample of the patient, its prepared events and its FCS file.
    vocabulary
        Known populations.
    panel
        ``panel.tsv``.
    counts_out, expression_out, unknown_out
        As of `gate_patient`; events that a quality step set aside are not counted.
    stored_counts_out
        Counts of every gate on all events, beside those that FlowJo stored.
    membership_out
        As of `gate_patient`.
    """
    order = [name for name in vocabulary if name in {path.population for path in drawn.paths}]
    vocabulary = _with_parents(vocabulary, drawn.paths)
    every = {sample: read_events(path) for sample, path in events.items()}
    read = {name: sample for name, sample in every.items() if "excluded" not in sample.meta}
    applied = {name: _apply(drawn, name, files[name]) for name in read}
    cells = [path for path in drawn.paths if path.population != COUNTING_BEADS]
    gating: Any = DrawnGating(list(read.values()), list(applied.values()), cells)
    markers = [c.marker for c in load_panel(Path(panel)) if c.kind in ("lineage", "state")]
    left_out = [name for name in every if name not in read]
    positions = range(len(read))
    counts = [row for name in left_out for row in empty_rows(name, order, vocabulary)]
    counts += [row for i in positions for row in count_rows(gating, i, order, vocabulary)]
    counts += [
        bead_row(sample, find_beads(sample, _inside_bead_gate(drawn, sample, applied[name])))
        for name, sample in read.items()
        if has_beads(sample.meta)
    ]
    measured = (
        row for i in positions for row in expression_rows(gating, i, order, vocabulary, markers)
    )
    unknown = (row for i in positions for row in unknown_rows(gating, i, order, vocabulary))
    stored = (row for one in applied.values() if one for row in _stored_counts(drawn, one))
    write_rows(counts_out, COUNT_COLUMNS, counts)
    write_rows(expression_out, EXPRESSION_COLUMNS, measured)
    write_rows(unknown_out, UNKNOWN_COLUMNS, unknown)
    write_rows(stored_counts_out, STORED_COUNTS_COLUMNS, stored)
    membership = find_membership([*every.values()], gating, order, vocabulary)
    write_membership(membership_out, membership)


def gate_patient_as_drawn(
    gates: Path | str,
    gate_paths: Path | str,
    populations: Path | str,
    panel: Path | str,
    samples: Sequence[str],
    files: Sequence[Path | str],
    patients: Sequence[str],
    moved_gates: str,
    patient: str,
    events: Sequence[Path | str],
    counts_out: Path | str,
    expression_out: Path | str,
    unknown_out: Path | str,
    stored_counts_out: Path | str,
    membership_out: Path | str,
) -> None:
    """Gate one patient of a cohort with a file of gates; see `load_drawn` and `apply_gates`.

    Parameters
    ----------
    gates, gate_paths, populations, panel
        The inputs that the configuration names.
    samples, files, patients
        Of the whole cohort, in order of the visits of each patient.
    moved_gates
        ``as_drawn`` or ``patient``.
    patient
        The patient.
    events
        Prepared events of the patient's samples, in the same order.
    counts_out, expression_out, unknown_out, stored_counts_out, membership_out
        As of `apply_gates`.
    """
    vocabulary = load_vocabulary(Path(populations))
    drawn = load_drawn(gates, gate_paths, vocabulary, samples, files, patients, moved_gates)
    own = [name for name, of in zip(samples, patients, strict=True) if of == patient]
    apply_gates(
        drawn,
        dict(zip(own, events, strict=True)),
        dict(zip(samples, files, strict=True)),
        vocabulary,
        panel,
        counts_out,
        expression_out,
        unknown_out,
        stored_counts_out,
        membership_out,
    )


def _cohort_file(name: str, path: Path | str) -> CohortFile:
    try:
        header = read_header(path)
    except FcsError:  # its sample is left out when it is prepared
        return CohortFile(name, str(path))
    return CohortFile(name, str(path), header.file_name, header.n_events)


def _apply(drawn: Drawn, sample: str, path: Path | str) -> Memberships | None:
    chosen = drawn.applications.get(sample)
    if chosen is None:
        return None
    return evaluate(drawn.gates, sample, path, chosen.own, chosen.gates_of)


def _inside_bead_gate(
    drawn: Drawn, sample: Events, applied: Memberships | None
) -> NDArray[np.bool_] | None:
    """Return the events of the gate that was drawn for beads; None where none was."""
    gate = next((path.gate for path in drawn.paths if path.population == COUNTING_BEADS), None)
    if gate is None or applied is None:
        return None
    return applied.inside.get(gate, np.zeros(sample.quality.size, dtype=np.bool_))


def _stored_counts(drawn: Drawn, applied: Memberships) -> list[dict[str, Any]]:
    chosen = drawn.applications[applied.sample_id]
    others = "" if chosen.own == chosen.gates_of else chosen.drawn_for
    populations = {path.gate: path.population for path in drawn.paths}
    return compare_counts(applied, drawn.gates.tree(chosen.own), populations, others)


def _with_parents(vocabulary: Vocabulary, paths: Sequence[GatePath]) -> Vocabulary:
    """Give populations the parents that the sheet of gates asks for."""
    asked = {path.population: path.parent for path in paths if path.parent}
    return {
        name: population._replace(parent=asked.get(name, population.parent))
        for name, population in vocabulary.items()
    }
