"""Which gates of a study rest on markers that its treatments hide or move."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from biocross.cohort.design import Cohort
from biocross.cohort.drug_markers import (
    DrugMarker,
    drug_marker_problems,
    drug_notes,
    gate_markers,
    read_drug_markers,
)
from biocross.cohort.panel import Channel, read_panel
from biocross.cohort.sheets import Problem
from biocross.cohort.strategy import Strategy, load_strategy
from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.errors import ConfigError, GatingError
from biocross.tables import write_rows

NOTE_COLUMNS = ("treatment", "population", "note", "general_note")


class _Gated(NamedTuple):
    """What the drugs are held against."""

    drug_markers: list[DrugMarker]
    panel: list[Channel]
    strategy: Strategy
    vocabulary: Vocabulary


def drug_problems(
    inputs: Mapping[str, Any],
    cohort: Cohort,
    vocabulary: Vocabulary,
    panel: Sequence[Channel],
    strategy: Strategy | None,
) -> list[Problem]:
    """Find gates that rest on a marker which a treatment of the cohort hides or moves.

    Parameters
    ----------
    inputs
        Section ``inputs`` of a complete configuration.
    cohort
        The study.
    vocabulary, panel, strategy
        What its files hold; without a strategy only the sheet of drug markers is checked.

    Returns
    -------
    list of Problem
        Those of the sheet of drug markers, and of the gates.
    """
    samples = cohort.of_modality("flow")
    if not inputs["drug_markers"] or not samples:
        return []
    drug_markers, problems = read_drug_markers(Path(inputs["drug_markers"]))
    if problems or strategy is None:
        return problems
    treatments = {cohort.treatment_of(sample) for sample in samples}
    return drug_marker_problems(
        drug_markers, treatments, panel, strategy, vocabulary, inputs["gating"]
    )


def write_drug_notes(config: Mapping[str, Any], cohort: Cohort, notes_out: Path | str) -> None:
    """Write what each treatment does to the markers that each population is gated by.

    What may happen under any treatment, such as a steroid taper, stands in a column of its own, so
    that not every row of the results says it.

    Parameters
    ----------
    config
        A complete configuration.
    cohort
        The study.
    notes_out
        Table with the columns `NOTE_COLUMNS`; empty without gates of our own.
    """
    gated = _gated(config["inputs"])
    write_rows(notes_out, NOTE_COLUMNS, _note_rows(gated, cohort) if gated else [])


def _note_rows(gated: _Gated, cohort: Cohort) -> Iterable[dict[str, str]]:
    patients = {sample.patient_id for sample in cohort.samples}
    treatments = {cohort.treatment(patient) for patient in patients}
    treatments |= {cohort.contrast_treatment(p, c) for p in patients for c in cohort.contrasts}
    specific = [entry for entry in gated.drug_markers if not entry.is_general]
    general = [entry for entry in gated.drug_markers if entry.is_general]
    for treatment in sorted(treatments):
        for population in gated.strategy.gates:
            markers = gate_markers(population, gated.strategy)
            note, general_note = (
                drug_notes(entries, treatment, population, markers, gated.vocabulary)
                for entries in (specific, general)
            )
            if note or general_note:
                cells = (treatment, population, note, general_note)
                yield dict(zip(NOTE_COLUMNS, cells, strict=True))


def _gated(inputs: Mapping[str, Any]) -> _Gated | None:
    """Read what is needed; None where anything is missing or faulty."""
    if not (inputs["drug_markers"] and inputs["panel"] and inputs["gating"]):
        return None
    panel, faults = read_panel(Path(inputs["panel"]))
    try:
        vocabulary = load_vocabulary(Path(inputs["populations"]))
        markers = {channel.marker for channel in panel}
        strategy = load_strategy(Path(inputs["gating"]), vocabulary, markers)
    except (ConfigError, GatingError):
        return None
    drug_markers, more = read_drug_markers(Path(inputs["drug_markers"]), vocabulary)
    return None if faults or more else _Gated(drug_markers, panel, strategy, vocabulary)
