"""Reading what a study says of patients on paper, and of what the clinic measures."""

from collections.abc import Iterable, Mapping

from biocross.simulate.model import ROOT, BloodCount, ClinicalVariable, Patients
from biocross.simulate.sections import Section


def read_patients(entry: Section) -> Patients:
    """Read how patients look on paper."""
    patients = Patients(
        age=entry.span("age", high=120),
        female_share=entry.number("female_share", high=1),
        eosinophilic_from=entry.number("eosinophilic_from"),
    )
    entry.finish()
    return patients


def read_blood_counts(entry: Section, populations: Iterable[str]) -> dict[str, BloodCount]:
    """Read what the analyser counts: a population, or ``{population, step}``."""
    known = (ROOT, *populations)
    return {column: _blood_count(entry, column, known) for column in entry.names()}


def read_clinical(entry: Section) -> ClinicalVariable:
    """Read a clinical variable."""
    variable = ClinicalVariable(
        scale=entry.choice("scale", ("log", "linear")),
        median=entry.number("median"),
        between=entry.number("between"),
        within=entry.number("within"),
        share=entry.number("share", 1.0, high=1),
        step=entry.number("step", low=1e-6),
        limits=entry.span("limits"),
    )
    entry.finish()
    return variable


def _blood_count(entry: Section, column: str, known: Iterable[str]) -> BloodCount:
    value = entry.take(column)
    given = value if isinstance(value, Mapping) else {"population": value}
    own = Section(given, entry.place(column))
    count = BloodCount(own.choice("population", known), own.number("step", 1.0, low=1e-6))
    own.finish()
    return count
