"""What is true of a patient: blood at every visit, clinical values, and words in the sheets."""

import datetime

import numpy as np

from biocross.simulate.arrays import leaf_columns, leaf_folds, members_of, tree_of
from biocross.simulate.composition import Floats, cells_per_ul, usual_sizes
from biocross.simulate.model import ClinicalVariable, Study
from biocross.simulate.streams import stream


def blood_of(study: Study, seed: int, patient: str, treatment: str, visit: str) -> Floats:
    """Count the cells in a µl of a patient's blood at a visit.

    Every population of every patient has a stream of its own, so that a study may grow by
    patients and visits without a change of those it had.

    Parameters
    ----------
    study, seed
        The study.
    patient, treatment, visit
        Whose blood, and when.

    Returns
    -------
    numpy.ndarray
        True cells per µl, shape (leaves,).
    """
    names = list(study.populations)
    patient_z = [[stream(seed, "usual", patient, name).standard_normal() for name in names]]
    visit_z = [[stream(seed, "blood", patient, visit, name).standard_normal() for name in names]]
    cells = cells_per_ul(tree_of(study), np.array(patient_z), np.array(visit_z))
    leaves: Floats = cells[0, leaf_columns(study)] * leaf_folds(study, treatment, visit)
    return leaves


def clinical_row(
    study: Study, seed: int, patient: str, treatment: str, visit: str
) -> dict[str, str | float]:
    """Measure a patient at a visit: blood counts with the analyser's error, and clinical values.

    Parameters
    ----------
    study, seed
        The study.
    patient, treatment, visit
        Whom, and when.

    Returns
    -------
    dict
        A row of ``clinical.tsv``.
    """
    row: dict[str, str | float] = {"patient_id": patient, "visit": visit}
    row["day"] = visit_day(study, seed, patient, visit)
    leaves = blood_of(study, seed, patient, treatment, visit)
    for column, population in study.blood_counts.items():
        error = stream(seed, "analyser", patient, visit, column).standard_normal()
        true = float(leaves @ members_of(study, (population,))[0])
        row[column] = round(true * float(np.exp(study.analyser_cv * error)))
    for name, variable in study.clinical.items():
        row[name] = _clinical_value(name, variable, seed, patient, treatment, visit)
    return row


def patient_row(study: Study, seed: int, patient: str, treatment: str) -> dict[str, str | float]:
    """Describe a patient as ``patients.tsv`` does.

    Parameters
    ----------
    study, seed
        The study.
    patient, treatment
        Whom, and what he or she was given.

    Returns
    -------
    dict
        A row of ``patients.tsv``.
    """
    rng = stream(seed, "patient", patient)
    youngest, oldest = study.patients.age
    return {
        "patient_id": patient,
        "treatment": treatment,
        "age": round(rng.triangular(youngest, (youngest + oldest) / 2, oldest)),
        "sex": "female" if rng.random() < study.patients.female_share else "male",
        "phenotype": _phenotype(study, seed, patient),
    }


def visit_day(study: Study, seed: int, patient: str, visit: str) -> int:
    """Compute the day of a visit, counted from the patient's first."""
    planned = study.visits[visit]
    late = stream(seed, "day", patient, visit).integers(-planned.spread, planned.spread + 1)
    return planned.day + int(late)


def visit_date(study: Study, seed: int, patient: str, visit: str) -> datetime.date:
    """Compute the date of a visit from the patient's enrolment."""
    enrolled = int(stream(seed, "enrolment", patient).integers(0, study.enrolment_days + 1))
    days = enrolled + visit_day(study, seed, patient, visit)
    return study.first_day + datetime.timedelta(days=days)


def _phenotype(study: Study, seed: int, patient: str) -> str:
    """Call a patient eosinophilic by what is usual for him or her, not by one blood count."""
    names = list(study.populations)
    if "eosinophils" not in names:
        return "unknown"
    z = [[stream(seed, "usual", patient, name).standard_normal() for name in names]]
    usual = usual_sizes(tree_of(study), np.array(z))[0, names.index("eosinophils")]
    return "eosinophilic" if usual >= study.patients.eosinophilic_from else "allergic"


def _clinical_value(
    name: str, variable: ClinicalVariable, seed: int, patient: str, treatment: str, visit: str
) -> float:
    usual = stream(seed, "clinical", name, patient)
    if usual.random() >= variable.share:
        return 0.0
    spread = variable.between * usual.standard_normal()
    spread += variable.within * stream(seed, "clinical", name, patient, visit).standard_normal()
    log = variable.scale == "log"
    course = variable.course.get(treatment, {}).get(visit, 1.0 if log else 0.0)
    value = variable.median * np.exp(spread) * course if log else variable.median + spread + course
    stepped = round(float(np.clip(value, *variable.limits)) / variable.step) * variable.step
    return round(stepped, 6)
