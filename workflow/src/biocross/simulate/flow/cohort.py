"""A simulated cohort: FCS files, blood counts, and the truth about them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.sheets import did_you_mean
from biocross.errors import ConfigError
from biocross.processes import map_in_processes
from biocross.simulate.arrays import dead_cells_of, kinds_of, optics_of
from biocross.simulate.flow.cells import Events, clog, draw_events, pass_times
from biocross.simulate.flow.fcs_writer import spillover_keyword, write_fcs
from biocross.simulate.flow.labels import labels_path, write_labels
from biocross.simulate.flow.tube import fill_tube
from biocross.simulate.model import SCATTER, TIME, Study
from biocross.simulate.people import blood_of, clinical_row, state_of, visit_date
from biocross.simulate.sheets import clinical_columns, require_seed
from biocross.simulate.streams import stream
from biocross.simulate.study import read_study
from biocross.simulate.truth import (
    COUNT_COLUMNS,
    EFFECT_COLUMNS,
    MARKER_COLUMNS,
    STATE_COLUMNS,
    true_counts,
    true_effects,
    true_marker_shifts,
    true_states,
)
from biocross.tables import read_rows, write_rows

# FCS wants English months, whatever the locale.
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class Sample(NamedTuple):
    """A flow sample to be simulated."""

    sample_id: str
    patient_id: str
    treatment: str
    visit: str
    batch: str
    file: str


def simulate_cohort(
    study: Path | Mapping[str, Any],
    samples: Path,
    patients: Path,
    out_dir: Path,
    seed: int,
    overrides: Mapping[str, Any] | None = None,
    jobs: int = 1,
) -> None:
    """Simulate every flow sample of a sample sheet, and write down what is true of it.

    A sample depends on the study, the seed and its own rows only: no other sample, no number of
    processes and no order of work changes it.

    Parameters
    ----------
    study
        The study's description: a YAML file or its content.
    samples, patients
        The sheets.
    out_dir
        Receives one FCS file per sample, ``clinical.tsv``, and the truth in ``truth/``:
        ``patients.tsv`` (response and taper of steroids), and in ``truth/flow/`` ``effects.tsv``
        (see `true_effects`), ``markers.tsv``, ``counts.tsv`` and ``events/``, which says of every
        event of a file what it is (see `write_labels`).
    seed
        The study's seed, as given to `write_sheets`.
    overrides
        Entries that replace those of the description; see `read_study`.
    jobs
        Number of processes.

    Raises
    ------
    ConfigError
        The study or a sheet is wrong; names every wrong row of the sheets.
    """
    plan = read_study(study, overrides)
    require_seed(seed)
    cohort = read_cohort(plan, samples, patients)
    tasks = [(plan, sample, out_dir, seed) for sample in cohort]
    live = map_in_processes(simulate_sample, tasks, jobs)
    drawn = {sample.sample_id: counts for sample, counts in zip(cohort, live, strict=True)}
    visits = {(one.patient_id, one.visit): one for one in cohort}.values()
    clinical = [clinical_row(plan, seed, visit) for visit in visits]
    truth = out_dir / "truth"
    write_rows(out_dir / "clinical.tsv", clinical_columns(plan), clinical)
    write_rows(truth / "patients.tsv", STATE_COLUMNS, true_states(plan, seed, visits))
    write_rows(truth / "flow" / "effects.tsv", EFFECT_COLUMNS, true_effects(plan))
    write_rows(truth / "flow" / "markers.tsv", MARKER_COLUMNS, true_marker_shifts(plan))
    write_rows(truth / "flow" / "counts.tsv", COUNT_COLUMNS, true_counts(plan, drawn))


def read_cohort(study: Study, samples: Path, patients: Path) -> list[Sample]:
    """Read the flow samples of a cohort, with their patients' treatments.

    Parameters
    ----------
    study
        The study, which knows the treatments and visits.
    samples, patients
        The sheets.

    Returns
    -------
    list of Sample
        In the sheet's order.

    Raises
    ------
    ConfigError
        All that is wrong with the sheets, one sentence per line.
    """
    problems: list[str] = []
    treatments = _treatments(study, patients, problems)
    cohort: list[Sample] = []
    for place, row in _rows(samples, ("sample_id", "patient_id", "visit", "path", "batch")):
        if row.get("modality", "flow") != "flow":
            continue
        wrong = _wrong(study, row, treatments, patients.name)
        problems += [f"{place}: {sentence}" for sentence in wrong]
        if not wrong:
            patient, file = row["patient_id"], Path(row["path"]).name
            treatment = treatments[patient]
            cohort.append(
                Sample(row["sample_id"], patient, treatment, row["visit"], row["batch"], file)
            )
    for field in ("sample_id", "file"):
        values = [getattr(sample, field) for sample in cohort]
        twice = sorted({value for value in values if values.count(value) > 1})
        problems += [f'{samples.name}: {field} "{v}" stands there twice; rename one' for v in twice]
    if problems:
        raise ConfigError("\n".join(problems))
    return cohort


def simulate_sample(study: Study, sample: Sample, out_dir: Path, seed: int) -> NDArray[np.int64]:
    """Simulate one sample; write its FCS file, and what its events are.

    Parameters
    ----------
    study
        The study.
    sample
        Which sample.
    out_dir
        Folder of the file.
    seed
        The study's seed.

    Returns
    -------
    numpy.ndarray
        Live single cells that were drawn, shape (leaves,).
    """
    rng = stream(seed, "events", sample.sample_id)
    tube = fill_tube(study, rng, blood_of(study, seed, sample))
    events = draw_events(
        rng,
        tube,
        kinds_of(study, sample.treatment, sample.visit, state_of(study, seed, sample)),
        dead_cells_of(study),
        optics_of(study, sample.batch),
        _staining_shift(study, seed, sample),
    )
    stretch = _clogged(study, seed, sample, events.code.size)
    clog(events, *stretch, study.clogs.dimming)
    write_fcs(
        out_dir / sample.file,
        _in_panel_order(study, rng, events, stretch),
        [channel.channel for channel in study.panel],
        ["" if c.marker == c.channel else c.marker for c in study.panel],
        _keywords(study, seed, sample),
        round(study.cytometer.range),
    )
    write_labels(labels_path(out_dir, sample.sample_id), study, events)
    live: NDArray[np.int64] = tube.counts[0, : tube.n_cells]
    return live


def _treatments(study: Study, patients: Path, problems: list[str]) -> dict[str, str]:
    treatments: dict[str, str] = {}
    for place, row in _rows(patients, ("patient_id", "treatment")):
        patient, treatment = row["patient_id"], row["treatment"]
        if patient in treatments:
            problems.append(f'{place}: patient "{patient}" stands there twice; keep one row')
        if treatment not in study.treatments:
            hint = did_you_mean(treatment, study.treatments)
            problems.append(f'{place}: treatment "{treatment}" is not in the study{hint}')
        treatments[patient] = treatment
    return treatments


def _rows(sheet: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Read the rows of a sheet that are not blank, each with its place."""
    rows = [(i, row) for i, row in enumerate(read_rows(sheet), 2) if any(row.values())]
    if not rows:
        raise ConfigError(f"{sheet.name}: has no rows below its column names")
    for column in columns:
        if column not in rows[0][1]:
            hint = did_you_mean(column, rows[0][1])
            raise ConfigError(f'{sheet.name}: has no column "{column}"{hint}')
    return [(f"{sheet.name} row {i}", row) for i, row in rows]


def _wrong(
    study: Study, row: Mapping[str, str], treatments: Mapping[str, str], patients: str
) -> list[str]:
    wrong = [f'"{key}" is empty' for key in ("sample_id", "path", "batch") if not row[key]]
    if row["patient_id"] not in treatments:
        hint = did_you_mean(row["patient_id"], treatments)
        wrong.append(f'patient "{row["patient_id"]}" is not in {patients}{hint}')
    if row["visit"] not in study.visits:
        hint = did_you_mean(row["visit"], study.visits)
        wrong.append(f'visit "{row["visit"]}" is not in the study{hint}')
    if row.get("tissue", study.tissue) != study.tissue:
        wrong.append(f'tissue is "{row["tissue"]}", but the study simulates {study.tissue}')
    return wrong


def _staining_shift(study: Study, seed: int, sample: Sample) -> NDArray[np.float64]:
    """Add up the shifts of a sample's batch, its patient, and its own, by channel name."""
    sources = (
        (study.staining.batch, "batch", sample.batch),
        (study.staining.patient, "patient", sample.patient_id),
        (study.staining.sample, "sample", sample.sample_id),
    )
    return np.array(
        [
            sum(
                sd * stream(seed, "staining", what, name, signal.channel).standard_normal()
                for sd, what, name in sources
            )
            for signal in study.signals
        ]
    )


def _clogged(study: Study, seed: int, sample: Sample, n: int) -> tuple[int, int]:
    """Draw which stretch of a file's events the flow clogs in; mostly an empty one."""
    rng = stream(seed, "clog", sample.sample_id)
    if rng.random() >= study.clogs.share_of_files:
        return 0, 0
    length = round(n * rng.uniform(*study.clogs.events))
    first = int(rng.integers(0, n - length + 1))
    return first, first + length


def _in_panel_order(
    study: Study, rng: np.random.Generator, events: Events, slow: tuple[int, int]
) -> NDArray[np.float32]:
    """Put the channels into the panel's order, with the time that cells passed, in ticks."""
    cytometer = study.cytometer
    seconds = pass_times(
        rng, events.code.size, cytometer.events_per_second, slow, study.clogs.slowing
    )
    columns = dict(zip(SCATTER, events.scatter, strict=True))
    columns |= {c.channel: row for c, row in zip(study.signals, events.signals, strict=True)}
    columns[TIME] = (seconds / cytometer.time_step).astype(np.float32)
    return np.stack([columns[channel.channel] for channel in study.panel], axis=1)


def _keywords(study: Study, seed: int, sample: Sample) -> dict[str, str]:
    date = visit_date(study, seed, sample.patient_id, sample.visit)
    names = [channel.channel for channel in study.signals]
    return {
        "CYT": study.cytometer.name,
        "DATE": f"{date.day:02d}-{_MONTHS[date.month - 1]}-{date.year}",
        "FIL": sample.file,
        "SMNO": sample.sample_id,
        "SRC": sample.patient_id,
        "COM": "simulated by biocross; no patient, no cell",
        "TIMESTEP": f"{study.cytometer.time_step:g}",
        "SPILLOVER": spillover_keyword(optics_of(study).spillover, names),
    }
