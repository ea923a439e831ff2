"""The description of a simulated study, read from YAML and checked."""

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from biocross.cohort.sheets import load_yaml
from biocross.errors import ConfigError
from biocross.simulate.model import (
    ROOT,
    SCATTER,
    SIGNAL_KINDS,
    TIME,
    CellType,
    Channel,
    ClinicalVariable,
    Cytometer,
    Dead,
    Debris,
    MarkerShift,
    Patients,
    Population,
    Stain,
    Staining,
    Study,
    Treatment,
    Visit,
)
from biocross.simulate.rna.model import Transcriptomes
from biocross.simulate.rna.sections import read_transcriptomes
from biocross.simulate.sections import Section, as_number, require_known


def read_study(
    study: Path | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> Study:
    """Read and check the description of a study.

    Parameters
    ----------
    study
        A YAML file, or its content.
    overrides
        Entries that replace those of the description, merged mapping by mapping; for example
        ``{"events_per_sample": 2000, "treatments": {"mepolizumab": {"patients": 2}}}``.

    Returns
    -------
    Study
        The study.

    Raises
    ------
    ConfigError
        An entry is missing, unknown, out of range or names something that does not exist.
    """
    content = study if isinstance(study, Mapping) else load_yaml(study)
    file = "study" if isinstance(study, Mapping) else study.name
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file} must be a mapping of names to values")
    top = Section(merge(content, overrides or {}), f"{file}:")
    cell_types = {key: _cell_type(entry) for key, entry in top.sections("cell_types").items()}
    panel = _panel(top)
    markers = [channel.marker for channel in panel if channel.kind in SIGNAL_KINDS]
    detectors = [channel.channel for channel in panel if channel.kind in SIGNAL_KINDS]
    populations = _populations(top.sections("populations"), cell_types, markers)
    visits = {name: _visit(entry) for name, entry in top.sections("visits").items()}
    treatments = {
        name: _treatment(entry, visits, populations, markers)
        for name, entry in top.sections("treatments").items()
    }
    for key, named in (
        ("visits", visits),
        ("treatments", treatments),
        ("populations", populations),
    ):
        if not named:
            raise ConfigError(f"{top.place(key)} is empty; describe at least one")
    result = Study(
        tissue=top.text("tissue"),
        events=top.span("events_per_sample", low=100, high=1e8),
        first_day=_date(top, "first_day"),
        enrolment_days=top.whole("enrolment_days"),
        visits=visits,
        batches=top.texts("batches"),
        treatments=treatments,
        patients=_patients(top.section("patients")),
        panel=panel,
        cell_types=cell_types,
        populations=populations,
        staining=_staining(top.section("staining")),
        doublets=top.span("doublets", high=0.5),
        dead=_dead(top.section("dead_cells")),
        debris=_debris(top.section("debris"), cell_types, markers),
        cytometer=_cytometer(top.section("cytometer"), detectors),
        blood_counts=_blood_counts(top.section("blood_counts"), populations),
        analyser_cv=top.number("analyser_cv", high=1),
        clinical={
            name: _clinical(entry, treatments, visits)
            for name, entry in top.sections("clinical").items()
        },
        rna=_rna(top, treatments, visits, populations, markers),
    )
    top.finish()
    return result


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Replace entries of a mapping, mapping by mapping.

    Parameters
    ----------
    base
        The mapping; it is left as it is.
    changes
        New entries.

    Returns
    -------
    dict
        The merged mapping.
    """
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _panel(top: Section) -> tuple[Channel, ...]:
    panel = tuple(_channel(row) for row in top.sections_in_list("panel"))
    names = [channel.channel for channel in panel]
    for name in (*SCATTER, TIME):
        require_known(name, names, f"{top.place('panel')} lacks a channel")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f'{top.place("panel")}: channel "{name}" stands there twice')
    if sum(channel.kind == "viability" for channel in panel) != 1:
        raise ConfigError(f"{top.place('panel')} must have one channel of kind viability")
    return panel


def _channel(row: Section) -> Channel:
    name = row.text("channel")
    kind = row.choice("kind", (*SIGNAL_KINDS, "scatter", "time"))
    if (kind in SIGNAL_KINDS) == (name in (*SCATTER, TIME)):
        raise ConfigError(f'{row.place("kind")}: "{name}" cannot be of kind {kind}')
    marker = row.text("marker", name)
    brightness = row.number("autofluorescence", 0.0, high=1)
    row.finish()
    return Channel(name, marker, kind, brightness)


def _visit(entry: Section) -> Visit:
    visit = Visit(entry.whole("day"), entry.whole("spread_days", 0))
    entry.finish()
    return visit


def _treatment(
    entry: Section,
    visits: Iterable[str],
    populations: Mapping[str, Population],
    markers: Iterable[str],
) -> Treatment:
    lacking = entry.section("without_visit", {})
    folds = entry.sections("fold_changes", {})
    shifts = entry.section("marker_shifts", {})
    for visit in (*lacking.names(), *folds, *shifts.names()):
        require_known(visit, visits, entry.place("visit"))
    for population in (name for fold in folds.values() for name in fold.names()):
        require_known(population, populations, entry.place("fold_changes"))
    treatment = Treatment(
        patients=entry.whole("patients"),
        lacking={visit: lacking.whole(visit) for visit in lacking.names()},
        fold_changes={
            visit: {name: fold.number(name, low=1e-6) for name in fold.names()}
            for visit, fold in folds.items()
        },
        marker_shifts={
            visit: tuple(
                _marker_shift(row, populations, markers) for row in shifts.sections_in_list(visit)
            )
            for visit in shifts.names()
        },
    )
    entry.finish()
    return treatment


def _marker_shift(row: Section, populations: Iterable[str], markers: Iterable[str]) -> MarkerShift:
    marker = row.choice("marker", markers)
    names = row.texts("populations", populations)
    shift = MarkerShift(marker, row.number("log2", low=-10, high=10), names)
    row.finish()
    return shift


def _patients(entry: Section) -> Patients:
    patients = Patients(
        age=entry.span("age", high=120),
        female_share=entry.number("female_share", high=1),
        eosinophilic_from=entry.number("eosinophilic_from"),
    )
    entry.finish()
    return patients


def _cell_type(entry: Section) -> CellType:
    cell_type = CellType(
        fsc=(entry.number("fsc", low=1), entry.number("fsc_cv", high=2)),
        ssc=(entry.number("ssc", low=1), entry.number("ssc_cv", high=2)),
        autofluorescence=entry.number("autofluorescence"),
    )
    entry.finish()
    return cell_type


def _populations(
    entries: Mapping[str, Section], cell_types: Iterable[str], markers: Iterable[str]
) -> dict[str, Population]:
    populations: dict[str, Population] = {}
    for name, entry in entries.items():
        part_of = entry.choice("part_of", [ROOT, *populations])
        whole = populations.get(part_of)
        populations[name] = Population(
            part_of=part_of,
            parent=entry.choice("parent", [ROOT, *populations], part_of),
            size=entry.number("share" if whole else "cells_per_ul", low=1e-9),
            limits=entry.span("limits", [0.0, float("inf")]),
            between=entry.number("between", high=3),
            within=entry.number("within", high=3),
            remainder=bool(entry.take("remainder", False)),
            cell_type=entry.choice("cell_type", cell_types, whole.cell_type if whole else ...),
            stains={**(whole.stains if whole else {}), **_stains(entry, markers)},
        )
        entry.finish()
        _require_ancestor(populations[name], populations, entry.place("parent"))
    for name, population in populations.items():
        if sum(other.part_of == population.part_of for other in populations.values()) == 1:
            raise ConfigError(
                f'{entries[name].place("part_of")}: {name} is all of "{population.part_of}", so '
                "that its percentage cannot change; describe the remainder too"
            )
    return populations


def _stains(entry: Section, markers: Iterable[str]) -> dict[str, Stain]:
    stains = entry.section("markers", {})
    result = {}
    for marker in stains.names():
        require_known(marker, markers, entry.place("markers"))
        result[marker] = _stain(stains.take(marker), stains.place(marker))
    return result


def _stain(value: Any, where: str) -> Stain:
    """Read ``[decades, spread]`` or ``[decades, spread, share of cells]``."""
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise ConfigError(f"{where} must be [decades, spread] or [decades, spread, share]")
    return Stain(*(as_number(v, where, 0, top) for v, top in zip(value, (6, 2, 1), strict=False)))


def _require_ancestor(
    population: Population, populations: Mapping[str, Population], where: str
) -> None:
    chain = [population.part_of]
    while chain[-1] != ROOT:
        chain.append(populations[chain[-1]].part_of)
    if population.parent not in chain:
        raise ConfigError(f'{where}: "{population.parent}" must be one of {", ".join(chain)}')


def _staining(entry: Section) -> Staining:
    staining = Staining(
        negative=_stain(entry.take("negative"), entry.place("negative")),
        batch=entry.number("batch_shift", high=1),
        patient=entry.number("patient_shift", high=1),
        sample=entry.number("sample_shift", high=1),
    )
    entry.finish()
    return staining


def _dead(entry: Section) -> Dead:
    dead = Dead(
        share=entry.span("share", high=0.5),
        dye=_stain(entry.take("dye"), entry.place("dye")),
        fsc_factor=entry.number("fsc_factor"),
        autofluorescence_factor=entry.number("autofluorescence_factor"),
        sticking=entry.number("sticking", high=3),
    )
    entry.finish()
    return dead


def _debris(entry: Section, cell_types: Iterable[str], markers: Iterable[str]) -> Debris:
    debris = Debris(
        share=entry.span("share", high=0.5),
        cell_type=entry.choice("cell_type", cell_types),
        stains=_stains(entry, markers),
    )
    entry.finish()
    return debris


def _cytometer(entry: Section, detectors: Iterable[str]) -> Cytometer:
    rows = entry.sections("spillover", {})
    for channel in (*rows, *(name for row in rows.values() for name in row.names())):
        require_known(channel, detectors, entry.place("spillover"))
    cytometer = Cytometer(
        name=entry.text("name"),
        range=entry.number("range", low=1024),
        units_per_photoelectron=entry.number("units_per_photoelectron"),
        read_noise=entry.number("read_noise"),
        events_per_second=entry.number("events_per_second", low=1),
        time_step=entry.number("time_step", low=1e-6),
        spillover={
            fluor: {name: row.number(name, high=1) for name in row.names()}
            for fluor, row in rows.items()
        },
    )
    entry.finish()
    return cytometer


def _blood_counts(entry: Section, populations: Iterable[str]) -> dict[str, str]:
    known = (ROOT, *populations)
    return {column: entry.choice(column, known) for column in entry.names()}


def _clinical(entry: Section, treatments: Iterable[str], visits: Iterable[str]) -> ClinicalVariable:
    scale = entry.choice("scale", ("log", "linear"))
    courses = entry.sections("course", {})
    low = 1e-6 if scale == "log" else -float("inf")
    for treatment, course in courses.items():
        require_known(treatment, treatments, entry.place("course"))
        for visit in course.names():
            require_known(visit, visits, entry.place("course"))
    variable = ClinicalVariable(
        scale=scale,
        median=entry.number("median"),
        between=entry.number("between"),
        within=entry.number("within"),
        share=entry.number("share", 1.0, high=1),
        step=entry.number("step", low=1e-6),
        limits=entry.span("limits"),
        course={
            treatment: {visit: course.number(visit, low=low) for visit in course.names()}
            for treatment, course in courses.items()
        },
    )
    entry.finish()
    return variable


def _rna(top: Section, *known: Iterable[str]) -> Transcriptomes | None:
    """Read the section on RNA, which a study of flow cytometry alone does not have."""
    entry = top.take("rna", None)
    return None if entry is None else read_transcriptomes(Section(entry, top.place("rna")), *known)


def _date(top: Section, key: str) -> datetime.date:
    value = top.take(key)
    if not isinstance(value, datetime.date):
        raise ConfigError(f"{top.place(key)} must be a date such as 2024-01-15, not {value!r}")
    return value
