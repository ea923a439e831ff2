"""From a run's tables to the figures of the clinic."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biocross.cohort.vocabulary import load_vocabulary
from biocross.report.figures.clinical import (
    Changes,
    Panel,
    plot_associations,
    plot_response,
    strongest,
)
from biocross.report.figures.eosinophils import eosinophil_table, plot_eosinophils
from biocross.report.figures.panels import Row, is_primary, subject_of
from biocross.report.sources import leading_rows, records
from biocross.statistics.clinical import ALL_TREATMENTS, clinical_change, read_clinical
from biocross.statistics.paired_changes import load_changes, population_pairs
from biocross.statistics.pairs import PairTable, read_long_table, read_pair_sheet, read_table
from biocross.statistics.readouts import Readout, readouts
from biocross.statistics.response import read_responses, responds_to

# Pairs of one modality, source, treatment and contrast, and their readouts by name.
Read = tuple[PairTable, dict[str, Readout]]


def plot_clinic(
    *,
    changes: Path | str,
    associations: Path | str,
    response: Path | str,
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    patients: Path | str,
    populations: Path | str,
    levels: Sequence[str],
    declared: Sequence[str],
    figures_out: Mapping[str, Sequence[Path | str]],
) -> None:
    """Draw how cells and clinic change together, and eosinophils by two methods.

    Parameters
    ----------
    changes, associations, response
        ``paired_changes.tsv``, ``clinical_associations.tsv`` and ``response.tsv``.
    counts, samples, pairs, patients
        ``counts.tsv`` and the tables in ``results/cohort/``.
    populations
        ``populations.yaml``.
    levels
        Levels of the contrast in order.
    declared
        Modality, source and readout of the confirmatory family.
    figures_out
        Files of ``associations``, ``response`` and ``eosinophils``, one per format.
    """
    vocabulary = load_vocabulary(Path(populations))
    read: dict[tuple[str, ...], Read] = {}
    for table in population_pairs(counts, samples, pairs):
        key = tuple(table.question.columns().values())
        read[key] = table, {readout.name: readout for readout in readouts(table, vocabulary)}
    clinical = read_clinical(samples)
    rows = strongest(records(leading_rows(read_table(associations), declared)))
    panels = [Panel(row, association_changes(row, read, clinical)) for row in rows]
    plot_associations(panels, *figures_out["associations"])
    panels = response_panels(changes, response, patients, pairs, read)
    plot_response(panels, *figures_out["response"])
    sheet = pd.read_csv(samples, sep="\t", dtype=str, keep_default_na=False)
    found = eosinophil_table(read_long_table(counts, samples), sheet)
    plot_eosinophils(found, levels, *figures_out["eosinophils"])


def association_changes(
    row: Row, read: Mapping[tuple[str, ...], Read], clinical: pd.DataFrame
) -> Changes:
    """Look up the changes behind an association, of one treatment or of all.

    Parameters
    ----------
    row
        A row of ``clinical_associations.tsv``.
    read
        Pairs and readouts by modality, source, treatment and contrast.
    clinical
        Of `read_clinical`.

    Returns
    -------
    Changes
        Against the change of the clinical measurement.
    """
    modality, source, treatment, contrast = (
        str(row[key]) for key in ("modality", "source", "treatment", "contrast")
    )
    parts = []
    for key, one in read.items():
        same = (key[0], key[1], key[3]) == (modality, source, contrast)
        if same and treatment in (key[2], ALL_TREATMENTS):
            measured = clinical_change(clinical[str(row["variable"])], one[0])
            parts.append(_changes(row, one, measured))
    return Changes(
        [name for part in parts for name in part.patients],
        [arm for part in parts for arm in part.arms],
        np.concatenate([part.change for part in parts]),
        np.concatenate([part.other for part in parts]),
    )


def _changes(row: Row, one: Read, other: np.ndarray[Any, Any]) -> Changes:
    table, readings = one
    keys = table.keys
    parent: str = "" if pd.isna(row["parent"]) else str(row["parent"])
    same = (keys["population"] == row["population"]) & (keys["parent"] == parent)
    column = int(np.flatnonzero(same.to_numpy())[0])
    change = np.exp(readings[str(row["readout"])].change[:, column])
    arms = [table.question.treatment] * len(table.units)
    return Changes(table.units, arms, change, other)


def response_panels(
    changes: Path | str,
    response: Path | str,
    patients: Path | str,
    pairs: Path | str,
    read: Mapping[tuple[str, ...], Read],
) -> list[Panel]:
    """Look up how the primary populations changed in responders and in others.

    Parameters
    ----------
    changes, response
        ``paired_changes.tsv``, which says what is primary, and ``response.tsv``.
    patients, pairs
        The tables in ``results/cohort/``.
    read
        Pairs and readouts by modality, source, treatment and contrast.

    Returns
    -------
    list of Panel
        In the order of ``response.tsv``; empty without a column ``responder``.
    """
    responses = read_responses(patients)
    if responses is None:
        return []
    primary = {
        (*subject_of(row), row["readout"])
        for row in records(load_changes(changes))
        if is_primary(row)
    }
    sheet = read_pair_sheet(pairs)
    patient_of = dict(zip(sheet["unit"], sheet["patient_id"], strict=True))
    panels = []
    for row in records(read_table(response)):
        if (*subject_of(row), row["readout"]) in primary:
            key = tuple(str(row[part]) for part in ("modality", "source", "treatment", "contrast"))
            table = read[key][0]
            said = [
                responds_to(responses, patient_of[unit], table.question) for unit in table.units
            ]
            other = np.array([np.nan if answer is None else float(answer) for answer in said])
            panels.append(Panel(row, _changes(row, read[key], other)))
    return panels
