"""A page per patient: who, which visits, what the samples are worth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from biocross.report.page.explorer import rounded
from biocross.report.sources import records
from biocross.report.words import plain
from biocross.statistics.pairs import read_table

# Columns of `samples.tsv` that say where a sample stands, and not what was measured.
KEYS = ("sample_id", "patient_id", "visit", "unit", "level", "treatment")


def patients_data(
    samples: Path | str,
    patients: Path | str | None,
    losses: Path | str | None,
    outliers: Path | str | None,
    with_gates: bool,
) -> list[dict[str, Any]]:
    """Gather what the page of every patient shows beside the populations.

    Parameters
    ----------
    samples, patients
        ``samples.tsv`` and ``patients.tsv`` of ``results/cohort``.
    losses
        ``sample_losses.tsv`` of ``results/flow/quality``; None without files.
    outliers
        ``results/flow/outliers.tsv``; None where it was not made.
    with_gates
        Whether every patient has a picture of the gates.

    Returns
    -------
    list of dict
        ``id``, ``facts`` (name and value), ``samples`` (``id``, ``visit`` and ``facts``, by name),
        ``doubts`` (sentences), ``gates`` (address of the picture; empty for none).
    """
    sheet = read_table(samples)
    known = _by_patient(read_table(patients)) if patients else {}
    lost = {row["sample_id"]: row for row in records(read_table(losses))} if losses else {}
    doubts = _doubts(outliers, lost)
    measured = {
        row["patient_id"]
        for row in records(sheet)
        if row["modality"] == "flow" and row["sample_id"] in lost
    }
    return [
        {
            "id": patient,
            "facts": _facts(known.get(str(patient), {}), ("patient_id",)),
            "samples": [_sample(row, lost.get(row["sample_id"])) for row in records(part)],
            "doubts": [said for row in records(part) for said in doubts.get(row["sample_id"], ())],
            "gates": f"figures/gating/{patient}.pdf" if with_gates and patient in measured else "",
        }
        for patient, part in sheet.groupby("patient_id", sort=True)
    ]


def _by_patient(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {str(row["patient_id"]): row for row in records(table)}


def _facts(row: Mapping[str, Any], without: Sequence[str]) -> list[tuple[str, Any]]:
    return [
        (plain(name), _plain_value(value))
        for name, value in row.items()
        if name not in without and pd.notna(value)
    ]


def _plain_value(value: Any) -> Any:
    return value if isinstance(value, str) else rounded(float(value))


def _sample(row: Mapping[str, Any], lost: Mapping[str, Any] | None) -> dict[str, Any]:
    facts = _facts(row, KEYS)
    if lost and pd.notna(lost["lost_percent"]):
        facts += [
            ("events read", int(lost["events"])),
            ("set aside, %", rounded(float(lost["lost_percent"]))),
        ]
    return {"id": row["sample_id"], "visit": plain(row["visit"]), "facts": facts}


def _doubts(
    outliers: Path | str | None, lost: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Return what is odd about samples, by sample."""
    found: dict[str, list[str]] = {}
    for row in lost.values():
        if row["outlying"] == "yes":
            found.setdefault(row["sample_id"], []).append(
                f"{row['sample_id']} lost {row['lost_percent']:.0f} % of its events: {row['note']}"
            )
    for row in records(read_table(outliers)) if outliers else []:
        if row["outlier"] == "yes" and row["subject"] == "sample":
            found.setdefault(row["sample_id"], []).append(
                f"{row['sample_id']} is unlike other samples in {plain(row['aspect'])}: "
                f"{row['why']}"
            )
    return found
