"""What the notes of tested rows say beside the tests: drugs on markers, and who was enrolled."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from biocross.statistics.kernels.battery import ALPHA

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


def mark_disagreement(rows: Sequence[dict[str, Any]]) -> None:
    """Say in the note where another readout does not show the same change.

    Parameters
    ----------
    rows
        Rows of one table of pairs. A row whose p value is below 0.05 is marked where another
        readout of the population changes significantly in the other direction, or neither
        significantly nor by half as much.
    """
    by_population: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["status"] == "tested":
            by_population.setdefault(row["population"], []).append(row)
    for readings in by_population.values():
        for row in readings:
            if row["p_value"] >= ALPHA:
                continue
            own = np.log(row["effect"])
            for other in readings:
                theirs = np.log(other["effect"]) * np.sign(own)
                sure = other["p_value"] < ALPHA
                if (sure and theirs < 0) or (not sure and theirs < abs(own) / 2):
                    what = f"{other['readout']} does not show it (× {other['effect']:.2f})"
                    _add(row, what)


def _add(row: dict[str, Any], words: str) -> None:
    row["note"] = "; ".join(filter(None, [row["note"], words]))
