"""The description of a simulated study, read from YAML and checked."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biocross.errors import ConfigError
from biocross.simulate.blood_sections import read_cell_type, read_populations
from biocross.simulate.clinic_sections import read_blood_counts, read_clinical, read_patients
from biocross.simulate.description import load_description, merge
from biocross.simulate.flow.sections import (
    read_beads,
    read_clogs,
    read_cytometer,
    read_dead,
    read_debris,
    read_panel,
    read_staining,
    read_stuck_pairs,
    read_tandem_decay,
)
from biocross.simulate.model import SIGNAL_KINDS, Study
from biocross.simulate.rna.model import Transcriptomes
from biocross.simulate.rna.sections import read_transcriptomes
from biocross.simulate.sections import Section
from biocross.simulate.treatment_sections import (
    known_things,
    read_missing,
    read_response,
    read_selection,
    read_treatments,
    read_visit,
)


def read_study(
    study: Path | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> Study:
    """Read and check the description of a study.

    Parameters
    ----------
    study
        A YAML file, or what `load_description` made of one.
    overrides
        Entries that replace those of the description, merged mapping by mapping; for example
        ``{"events_per_sample": 2000, "treatments": {"mepolizumab": {"patients": 2}}}``. None
        removes an entry.

    Returns
    -------
    Study
        The study.

    Raises
    ------
    ConfigError
        An entry is missing, unknown, out of range or names something that does not exist.
    """
    content = study if isinstance(study, Mapping) else load_description(study)
    file = "study" if isinstance(study, Mapping) else study.name
    top = Section(merge(content, overrides or {}), f"{file}:")
    cell_types = {key: read_cell_type(entry) for key, entry in top.sections("cell_types").items()}
    panel = read_panel(top)
    markers = [channel.marker for channel in panel if channel.kind in SIGNAL_KINDS]
    detectors = [channel.channel for channel in panel if channel.kind in SIGNAL_KINDS]
    populations = read_populations(top.sections("populations"), cell_types, markers)
    visits = {name: read_visit(entry) for name, entry in top.sections("visits").items()}
    clinical = {name: read_clinical(entry) for name, entry in top.sections("clinical").items()}
    rna = _rna(top, visits, populations, markers)
    genes = rna.named_genes if rna else ()
    known = known_things(populations, markers, genes, clinical)
    treatments = read_treatments(top, visits, known)
    batches = top.texts("batches")
    named = {"visits": visits, "treatments": treatments, "populations": populations}
    for key, entries in named.items():
        if not entries:
            raise ConfigError(f"{top.place(key)} is empty; describe at least one")
    result = Study(
        tissue=top.text("tissue"),
        events=top.span("events_per_sample", low=100, high=1e8),
        first_day=_date(top, "first_day"),
        enrolment_days=top.whole("enrolment_days"),
        visits=visits,
        missing=read_missing(top),
        selection=read_selection(top, populations),
        heavy_tails=top.choice("tails", ("normal", "heavy"), "normal") == "heavy",
        batches=batches,
        batches_follow=top.choice("batches_follow", ("patient", "visit"), "patient"),
        treatments=treatments,
        response=read_response(top.section("response")),
        patients=read_patients(top.section("patients")),
        panel=panel,
        cell_types=cell_types,
        populations=populations,
        staining=read_staining(top.section("staining")),
        doublets=top.span("doublets", high=0.5),
        dead=read_dead(top.section("dead_cells")),
        debris=read_debris(top.section("debris"), cell_types, markers),
        margins=top.span("margins", high=0.2),
        clogs=read_clogs(top.section("clogs")),
        beads=read_beads(top, cell_types),
        stuck_pairs=read_stuck_pairs(top, populations),
        tandem_decay=read_tandem_decay(top, detectors, batches),
        cytometer=read_cytometer(top.section("cytometer"), detectors),
        blood_counts=read_blood_counts(top.section("blood_counts"), populations),
        analyser_cv=top.number("analyser_cv", high=1),
        clinical=clinical,
        rna=rna,
    )
    top.finish()
    return result


def _rna(top: Section, *known: Any) -> Transcriptomes | None:
    """Read the section on RNA, which a study of flow cytometry alone does not have."""
    entry = top.take("rna", None)
    return None if entry is None else read_transcriptomes(Section(entry, top.place("rna")), *known)


def _date(top: Section, key: str) -> datetime.date:
    value = top.take(key)
    if not isinstance(value, datetime.date):
        raise ConfigError(f"{top.place(key)} must be a date such as 2024-01-15, not {value!r}")
    return value
