"""The sheets of a simulated study: patients, samples, clinical values and the panel."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from biocross.errors import ConfigError
from biocross.simulate.model import Study, Treatment
from biocross.simulate.people import clinical_row, patient_row
from biocross.simulate.rna.library_sheets import library_rows
from biocross.simulate.study import read_study
from biocross.tables import write_rows

SAMPLE_COLUMNS = ("sample_id", "patient_id", "visit", "modality", "path", "batch", "tissue")
PATIENT_COLUMNS = ("patient_id", "treatment", "age", "sex", "phenotype")
PANEL_COLUMNS = ("channel", "marker", "kind")


def write_sheets(
    study: Path | Mapping[str, Any],
    out_dir: Path,
    seed: int,
    overrides: Mapping[str, Any] | None = None,
    modalities: Collection[str] = ("flow",),
) -> None:
    """Write ``samples.tsv``, ``patients.tsv``, ``clinical.tsv`` and ``panel.tsv`` of a study.

    Parameters
    ----------
    study
        The study's description: a YAML file or its content.
    out_dir
        Folder of the sheets.
    seed
        The study's seed; `simulate_cohort` must get the same one, or its patients are others.
    overrides
        Entries that replace those of the description; see `read_study`.
    modalities
        What was measured: ``flow``, ``rna`` or both. With ``rna``, ``samples.tsv`` has the column
        ``hashtag``.

    Raises
    ------
    ConfigError
        The study or the seed is wrong, or the study says nothing about RNA and shall have it.
    """
    plan = read_study(study, overrides)
    require_seed(seed)
    patients = _patients(plan, seed)
    flow = _samples(plan, patients)
    treatment_of = {str(row["patient_id"]): str(row["treatment"]) for row in patients}
    clinical = [
        clinical_row(plan, seed, row["patient_id"], treatment_of[row["patient_id"]], row["visit"])
        for row in flow
    ]
    samples = flow if "flow" in modalities else []
    columns: tuple[str, ...] = SAMPLE_COLUMNS
    if "rna" in modalities:
        visits = {
            patient: [row["visit"] for row in flow if row["patient_id"] == patient]
            for patient in treatment_of
        }
        samples = samples + library_rows(plan, treatment_of, visits)
        columns = (*SAMPLE_COLUMNS, "hashtag")
    panel = [{"channel": c.channel, "marker": c.marker, "kind": c.kind} for c in plan.panel]
    write_rows(out_dir / "samples.tsv", columns, samples)
    write_rows(out_dir / "patients.tsv", PATIENT_COLUMNS, patients)
    write_rows(out_dir / "clinical.tsv", clinical_columns(plan), clinical)
    write_rows(out_dir / "panel.tsv", PANEL_COLUMNS, panel)


def clinical_columns(study: Study) -> tuple[str, ...]:
    """Name the columns of ``clinical.tsv``."""
    return ("patient_id", "visit", "day", *study.blood_counts, *study.clinical)


def require_seed(seed: int) -> None:
    """Refuse a seed that no random stream takes."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"the seed of the simulation must be a whole number from 0, not {seed!r}")


def _patients(study: Study, seed: int) -> list[dict[str, str | float]]:
    arms = [name for name, arm in study.treatments.items() for _ in range(arm.patients)]
    width = max(2, len(str(len(arms))))
    return [
        patient_row(study, seed, f"P{number:0{width}d}", treatment)
        for number, treatment in enumerate(arms, 1)
    ]


def _samples(study: Study, patients: list[dict[str, str | float]]) -> list[dict[str, str]]:
    """Lay out the samples: batches alternate within an arm, and hold all visits of a patient."""
    samples = []
    position = dict.fromkeys(study.treatments, 0)
    for row in patients:
        patient, treatment = str(row["patient_id"]), str(row["treatment"])
        arm = study.treatments[treatment]
        for visit in study.visits:
            if not _lacks(arm, visit, position[treatment]):
                batch = study.batches[position[treatment] % len(study.batches)]
                samples.append(_sample(study, patient, visit, batch))
        position[treatment] += 1
    return samples


def _lacks(arm: Treatment, visit: str, position: int) -> bool:
    """Tell whether a patient misses a visit: the last ones of the arm do."""
    return position >= arm.patients - arm.lacking.get(visit, 0)


def _sample(study: Study, patient: str, visit: str, batch: str) -> dict[str, str]:
    sample = f"{patient}_{visit}"
    return {
        "sample_id": sample,
        "patient_id": patient,
        "visit": visit,
        "modality": "flow",
        "path": f"{sample}.fcs",
        "batch": batch,
        "tissue": study.tissue,
    }
