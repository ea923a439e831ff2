"""The sheets of a simulated study: patients, samples, clinical values and the panel."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from biocross.errors import ConfigError
from biocross.simulate.model import Study
from biocross.simulate.people import Attendance, clinical_row, patient_row, visit_takes_place
from biocross.simulate.rna.library_sheets import library_rows
from biocross.simulate.study import read_study
from biocross.tables import write_rows

SAMPLE_COLUMNS = ("sample_id", "patient_id", "visit", "modality", "path", "batch", "tissue")
PATIENT_COLUMNS = ("patient_id", "treatment", "age", "sex", "phenotype", "responder")
BEAD_COLUMNS = ("beads_added", "blood_volume_ul")
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
    treatment_of = {str(row["patient_id"]): str(row["treatment"]) for row in patients}
    visits = _visits(plan, treatment_of, seed)
    clinical = [clinical_row(plan, seed, visit) for visit in visits]
    columns: tuple[str, ...] = (*SAMPLE_COLUMNS, *(BEAD_COLUMNS if plan.beads else ()))
    samples = list(_samples(plan, treatment_of, visits)) if "flow" in modalities else []
    if "rna" in modalities:
        attended = {
            patient: [visit.visit for visit in visits if visit.patient_id == patient]
            for patient in treatment_of
        }
        samples += library_rows(plan, treatment_of, attended)
        columns = (*columns, "hashtag")
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


def _visits(study: Study, treatments: Mapping[str, str], seed: int) -> list[Attendance]:
    """List the visits that take place."""
    visits, position = [], _positions(treatments)
    for patient, treatment in treatments.items():
        arm = study.treatments[treatment]
        for visit in study.visits:
            attended = Attendance(patient, treatment, visit)
            lost = position[patient] >= arm.patients - arm.lacking.get(visit, 0)
            if not lost and visit_takes_place(study, seed, attended):
                visits.append(attended)
    return visits


def _positions(treatments: Mapping[str, str]) -> dict[str, int]:
    """Number the patients of every arm from 0."""
    seen: Counter[str] = Counter()
    positions = {}
    for patient, treatment in treatments.items():
        positions[patient] = seen[treatment]
        seen[treatment] += 1
    return positions


def _samples(
    study: Study, treatments: Mapping[str, str], visits: Iterable[Attendance]
) -> Iterator[dict[str, Any]]:
    """Lay out the samples: batches alternate within an arm, and hold all visits of a patient.

    Where batches follow the visits, all patients of a visit are in one.
    """
    position = _positions(treatments)
    for patient, _, visit in visits:
        by_patient = study.batches_follow == "patient"
        number = position[patient] if by_patient else [*study.visits].index(visit)
        sample = f"{patient}_{visit}"
        row: dict[str, Any] = {
            "sample_id": sample,
            "patient_id": patient,
            "visit": visit,
            "modality": "flow",
            "path": f"{sample}.fcs",
            "batch": study.batches[number % len(study.batches)],
            "tissue": study.tissue,
        }
        if study.beads:
            row |= {"beads_added": study.beads.added, "blood_volume_ul": study.beads.blood_ul}
        yield row
