"""What is true of a patient: blood at every visit, response, clinical values, and the sheets."""

import datetime
from typing import NamedTuple, Protocol

import numpy as np

from biocross.errors import ConfigError
from biocross.simulate.arrays import leaf_columns, leaf_folds, members_of, tree_of
from biocross.simulate.composition import Floats, cells_per_ul, usual_sizes
from biocross.simulate.effects import CLINICAL, STEROID_TAPER, Effect, State, acting, share_of
from biocross.simulate.model import ClinicalVariable, Study
from biocross.simulate.streams import stream

STEROID_DOSE = "ocs_mg_day"
# So many patients are screened for one who may be enrolled; a stricter selection is a mistake.
_MOST_SCREENED = 1000
VIRTUAL_STATES = 1_000
# Student's t with 3 degrees of freedom has this SD.
_T3_SD = 3**0.5


class Attended(Protocol):
    """Whatever names a patient, the treatment and a visit, such as a sample."""

    @property
    def patient_id(self) -> str:
        """The patient."""

    @property
    def treatment(self) -> str:
        """What he or she is given."""

    @property
    def visit(self) -> str:
        """Which visit."""


class Attendance(NamedTuple):
    """A patient's visit."""

    patient_id: str
    treatment: str
    visit: str


def blood_of(study: Study, seed: int, visit: Attended) -> Floats:
    """Count the cells in a µl of a patient's blood at a visit.

    Every population of every patient has a stream of its own, so that a study may grow by
    patients and visits without a change of those it had.

    Parameters
    ----------
    study, seed
        The study.
    visit
        Whose blood, and when.

    Returns
    -------
    numpy.ndarray
        True cells per µl, shape (leaves,).
    """
    who = enrolled(study, seed, visit)
    folds = leaf_folds(study, visit.treatment, visit.visit, state_of(study, seed, visit))
    untreated: Floats = _untreated_blood(study, seed, who, visit.visit) * folds
    return untreated


def enrolled(study: Study, seed: int, visit: Attended) -> str:
    """Name the random streams of a patient's blood: of the first one screened who is selected.

    Parameters
    ----------
    study, seed
        The study.
    visit
        The patient.

    Returns
    -------
    str
        The patient, with the number of those who were screened in vain.
    """
    patient, selection = visit.patient_id, study.selection
    if selection is None:
        return patient
    own = members_of(study, (selection.population,))[0]
    first = next(iter(study.visits))
    for screened in range(_MOST_SCREENED):
        who = f"{patient} screened {screened}" if screened else patient
        if _untreated_blood(study, seed, who, first) @ own >= selection.at_least:
            return who
    raise ConfigError(
        f"selection: none of {_MOST_SCREENED} patients had {selection.at_least:g} "
        f"{selection.population} per µl; lower at_least"
    )


def response_of(study: Study, seed: int, patient: str) -> tuple[bool, float]:
    """Draw whether a patient resists the treatment, and the response in units of the mean one."""
    rng = stream(seed, "response", patient)
    resists = bool(rng.random() < study.response.resistant_share)
    usual = study.response.resistant if resists else 1.0
    response = usual + study.response.spread * rng.standard_normal()
    return resists, response / study.response.mean


def state_of(study: Study, seed: int, visit: Attended) -> State:
    """Tell how much of what is planted happens in a patient at a visit.

    Parameters
    ----------
    study, seed
        The study.
    visit
        The patient and the visit.

    Returns
    -------
    State
        The response, and by what share the dose of oral steroids is below that of the first visit.
    """
    _, response = response_of(study, seed, visit.patient_id)
    return State(response, _taper(study, seed, visit))


def virtual_states(study: Study, treatment: str, visit: str) -> list[State]:
    """Draw the states of many patients, whose mean response is that of the study, 1."""
    states = [
        state_of(study, 0, Attendance(f"virtual {number}", treatment, visit))
        for number in range(VIRTUAL_STATES)
    ]
    mean = float(np.mean([state.response for state in states]))
    return [State(state.response / mean, state.taper) for state in states]


def usual_state(study: Study, treatment: str, visit: str) -> State:
    """Return the mean response, and the mean taper of steroids of a treatment at a visit."""
    if not _follow_taper(study):
        return State()
    tapers = [state.taper for state in virtual_states(study, treatment, visit)]
    return State(taper=float(np.mean(tapers)))


def clinical_row(study: Study, seed: int, visit: Attended) -> dict[str, str | float]:
    """Measure a patient at a visit: blood counts with the analyser's error, and clinical values.

    Parameters
    ----------
    study, seed
        The study.
    visit
        Whom, and when.

    Returns
    -------
    dict
        A row of ``clinical.tsv``.
    """
    patient, name = visit.patient_id, visit.visit
    row: dict[str, str | float] = {"patient_id": patient, "visit": name}
    row["day"] = visit_day(study, seed, patient, name)
    leaves = blood_of(study, seed, visit)
    for column, count in study.blood_counts.items():
        error = stream(seed, "analyser", patient, name, column).standard_normal()
        true = float(leaves @ members_of(study, (count.population,))[0])
        measured = round(true * float(np.exp(study.analyser_cv * error)) / count.step) * count.step
        row[column] = int(measured) if measured == int(measured) else round(measured, 6)
    for variable in study.clinical:
        row[variable] = _clinical_value(study, seed, visit, variable)
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
        "phenotype": _phenotype(study, seed, Attendance(patient, treatment, "")),
        "responder": "no" if response_of(study, seed, patient)[0] else "yes",
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


def visit_takes_place(study: Study, seed: int, visit: Attended) -> bool:
    """Tell whether a patient comes to a visit; all come to the first."""
    if visit.visit == next(iter(study.visits)):
        return True
    resists, _ = response_of(study, seed, visit.patient_id)
    chance = study.missing.resistant if resists else study.missing.responders
    return bool(stream(seed, "missing", visit.patient_id, visit.visit).random() >= chance)


def _untreated_blood(study: Study, seed: int, who: str, visit: str) -> Floats:
    names = list(study.populations)
    patient_z = [[stream(seed, "usual", who, name).standard_normal() for name in names]]
    draws = [stream(seed, "blood", who, visit, name) for name in names]
    if study.heavy_tails:
        visit_z = [[rng.standard_t(3) / _T3_SD for rng in draws]]
    else:
        visit_z = [[rng.standard_normal() for rng in draws]]
    cells = cells_per_ul(tree_of(study), np.array(patient_z), np.array(visit_z))
    leaves: Floats = cells[0, leaf_columns(study)]
    return leaves


def _phenotype(study: Study, seed: int, visit: Attended) -> str:
    """Call a patient eosinophilic by what is usual for him or her, not by one blood count."""
    names = list(study.populations)
    if "eosinophils" not in names:
        return "unknown"
    who = enrolled(study, seed, visit)
    z = [[stream(seed, "usual", who, name).standard_normal() for name in names]]
    usual = usual_sizes(tree_of(study), np.array(z))[0, names.index("eosinophils")]
    return "eosinophilic" if usual >= study.patients.eosinophilic_from else "allergic"


def _follow_taper(study: Study) -> bool:
    arms = study.treatments.values()
    return any(effect.follows == STEROID_TAPER for arm in arms for effect in arm.effects)


def _taper(study: Study, seed: int, visit: Attended) -> float:
    """Compute by what share the dose of oral steroids is below that of the first visit."""
    if STEROID_DOSE not in study.clinical or not _follow_taper(study):
        return 0.0
    first = Attendance(visit.patient_id, visit.treatment, next(iter(study.visits)))
    before, now = (_clinical_value(study, seed, at, STEROID_DOSE) for at in (first, visit))
    return max(0.0, 1 - now / before) if before > 0 else 0.0


def _clinical_value(study: Study, seed: int, visit: Attended, name: str) -> float:
    variable = study.clinical[name]
    usual = stream(seed, "clinical", name, visit.patient_id)
    if usual.random() >= variable.share:
        return 0.0
    spread = variable.between * usual.standard_normal()
    at_visit = stream(seed, "clinical", name, visit.patient_id, visit.visit)
    spread += variable.within * at_visit.standard_normal()
    changes = acting(
        study.treatments[visit.treatment].effects, CLINICAL, study.visits[visit.visit].day
    )
    _, response = response_of(study, seed, visit.patient_id)
    own = [change for change in changes if change.name == name]
    value = _changed(variable, spread, own, State(response))
    stepped = round(float(np.clip(value, *variable.limits)) / variable.step) * variable.step
    return round(stepped, 6)


def _changed(
    variable: ClinicalVariable, spread: float, changes: list[Effect], state: State
) -> float:
    if variable.scale == "linear":
        added = sum(change.change * share_of(change, state) for change in changes)
        return variable.median + spread + added
    logs = sum(np.log(change.change) * share_of(change, state) for change in changes)
    return float(variable.median * np.exp(spread + logs))
