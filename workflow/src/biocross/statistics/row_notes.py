"""What the notes of tested rows say beside the tests: drugs on markers, and who was enrolled."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

SELECTED = (
    "patients were enrolled for their {population} at baseline, so that some of the change is "
    "regression to the mean; only a control arm tells how much"
)


def add_drug_notes(rows: Sequence[dict[str, Any]], notes: Sequence[Mapping[str, str]]) -> None:
    """Say in the note of gated populations what the treatment does to the markers of their gates.

    Parameters
    ----------
    rows
        Rows of ``paired_changes.tsv``.
    notes
        Rows of ``results/cohort/drug_notes.tsv``.
    """
    known = {(note["treatment"], note["population"]): note["note"] for note in notes}
    for row in rows:
        what = known.get((row["treatment"], row["population"]))
        if what and row["source"] == "gate":
            _add(row, what)


def add_selection_notes(rows: Sequence[dict[str, Any]], selected_on: Collection[str]) -> None:
    """Say in the note of what patients were selected on that it drifts back by itself.

    Parameters
    ----------
    rows
        Rows of ``paired_changes.tsv``; those that have a change get the note.
    selected_on
        Populations, or their blood counts such as ``eosinophils_per_ul``.
    """
    populations = {name.removesuffix("_per_ul") for name in selected_on}
    for row in rows:
        if row["population"] in populations and row["n_pairs"]:
            _add(row, SELECTED.format(population=row["population"]))


def _add(row: dict[str, Any], words: str) -> None:
    row["note"] = "; ".join(filter(None, [row["note"], words]))
