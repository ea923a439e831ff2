"""Which sample is in which single-cell library, in the sheets of a simulated study."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from biocross.cohort.sheets import did_you_mean
from biocross.errors import ConfigError
from biocross.simulate.model import Study
from biocross.simulate.rna.arrays import rna_of
from biocross.tables import read_rows

FOLDER = "rna"
_COLUMNS = ("sample_id", "patient_id", "visit", "modality", "path", "batch")


class LibrarySample(NamedTuple):
    """The cells of a sample in one library; without a hashtag they have the library alone."""

    sample_id: str
    patient_id: str
    treatment: str
    visit: str
    batch: str
    file: str
    hashtag: str


def library_rows(
    study: Study, treatments: Mapping[str, str], visits: Mapping[str, Sequence[str]]
) -> list[dict[str, str]]:
    """Lay out the libraries of a study as rows of ``samples.tsv``.

    The first patients of every arm take part, before all those who miss no visit. Batches alternate
    within an arm and hold all visits of a patient. Within a batch, patients of the arms in turn are
    put into libraries: as many as the pools of the description say, or none, which gives every
    sample a library of its own.

    Parameters
    ----------
    study
        The study.
    treatments
        Treatment of every patient.
    visits
        Visits that every patient has.

    Returns
    -------
    list of dict
        One row per sample, those of a library together.

    Raises
    ------
    ConfigError
        A pool has more samples than the study has hashtags.
    """
    tags = rna_of(study).hashtags.names
    rows: list[dict[str, str]] = []
    library = 0
    for pool in _pools(study, treatments, visits):
        samples = [
            (patient, visit)
            for patient in pool.patients
            for visit in visits[patient]
            if visit in rna_of(study).visits
        ]
        if pool.hashed and len(samples) > len(tags):
            raise ConfigError(
                f"rna.pools: {' and '.join(pool.patients)} have {len(samples)} samples, more than "
                f"there are hashtags ({len(tags)}); make the pool smaller or name more"
            )
        for position, (patient, visit) in enumerate(samples):
            library += position == 0 or not pool.hashed
            tag = tags[position] if pool.hashed else ""
            rows.append(_row(study, patient, visit, pool.batch, library, tag))
    return rows


def read_libraries(study: Study, samples: Path, patients: Path) -> dict[str, list[LibrarySample]]:
    """Read which samples of single-cell RNA a cohort has, by library.

    Parameters
    ----------
    study
        The study, which knows the treatments, visits and hashtags.
    samples, patients
        The sheets. A sample that is spread over several libraries has their paths with ";"
        between them.

    Returns
    -------
    dict of str to list of LibrarySample
        The samples of every file, in the sheet's order; empty without such samples.

    Raises
    ------
    ConfigError
        All that is wrong with the rows, one sentence per line.
    """
    rows = [
        (f"{samples.name} row {i}", row)
        for i, row in enumerate(read_rows(samples), 2)
        if row.get("modality") == "rna"
    ]
    if not rows:
        return {}
    for column in _COLUMNS:
        if column not in rows[0][1]:
            hint = did_you_mean(column, rows[0][1])
            raise ConfigError(f'{samples.name}: has no column "{column}"{hint}')
    treatments = {row["patient_id"]: row["treatment"] for row in read_rows(patients)}
    problems = [
        f"{place}: {words}"
        for place, row in rows
        for words in _wrong(study, row, treatments, patients.name)
    ]
    names = [row["sample_id"] for _, row in rows]
    problems += [
        f'{samples.name}: sample_id "{name}" stands there twice; rename one'
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    libraries: dict[str, list[LibrarySample]] = {}
    for _, row in rows if not problems else []:
        for file in row["path"].split(";"):
            sample = LibrarySample(
                sample_id=row["sample_id"],
                patient_id=row["patient_id"],
                treatment=treatments[row["patient_id"]],
                visit=row["visit"],
                batch=row["batch"],
                file=file.strip(),
                hashtag=row.get("hashtag", ""),
            )
            libraries.setdefault(sample.file, []).append(sample)
    problems += [f"{samples.name}: {words}" for words in _wrong_libraries(libraries)]
    if problems:
        raise ConfigError("\n".join(problems))
    return libraries


class _Pool(NamedTuple):
    batch: str
    patients: tuple[str, ...]
    hashed: bool


def _pools(
    study: Study, treatments: Mapping[str, str], visits: Mapping[str, Sequence[str]]
) -> Iterator[_Pool]:
    rna = rna_of(study)
    first = sorted(treatments, key=lambda patient: not set(rna.visits) <= set(visits[patient]))
    arms = [[p for p in first if treatments[p] == arm] for arm in study.treatments]
    for number, batch in enumerate(rna.batches):
        # Another arm comes first in the next batch, so that none has all the plain libraries.
        start = number % len(arms)
        turns = arms[start:] + arms[:start]
        positions = range(number, rna.patients_per_treatment, len(rna.batches))
        waiting = [arm[i] for i in positions for arm in turns if i < len(arm)]
        for size in itertools.cycle(rna.pools):
            if not waiting:
                break
            together, waiting = waiting[: max(size, 1)], waiting[max(size, 1) :]
            yield _Pool(batch, tuple(together), size > 0)


def _row(
    study: Study, patient: str, visit: str, batch: str, library: int, hashtag: str
) -> dict[str, str]:
    return {
        "sample_id": f"{patient}_{visit}_rna",
        "patient_id": patient,
        "visit": visit,
        "modality": "rna",
        "path": f"{FOLDER}/lib_{library:02d}.h5",
        "batch": batch,
        "tissue": rna_of(study).tissue,
        "hashtag": hashtag,
    }


def _wrong(
    study: Study, row: Mapping[str, str], treatments: Mapping[str, str], patients: str
) -> Iterator[str]:
    rna = rna_of(study)
    yield from (f'"{key}" is empty' for key in ("sample_id", "path", "batch") if not row[key])
    treatment = treatments.get(row["patient_id"])
    if treatment is None:
        hint = did_you_mean(row["patient_id"], treatments)
        yield f'patient "{row["patient_id"]}" is not in {patients}{hint}'
    elif treatment not in study.treatments:
        hint = did_you_mean(treatment, study.treatments)
        yield f'treatment "{treatment}" of {row["patient_id"]} is not in the study{hint}'
    if row["visit"] not in study.visits:
        hint = did_you_mean(row["visit"], study.visits)
        yield f'visit "{row["visit"]}" is not in the study{hint}'
    if row.get("tissue", rna.tissue) != rna.tissue:
        yield f'tissue is "{row["tissue"]}", but the study simulates RNA of {rna.tissue}'
    tag = row.get("hashtag", "")
    if tag and tag not in rna.hashtags.names:
        yield f'hashtag "{tag}" is not in the study{did_you_mean(tag, rna.hashtags.names)}'
    for file in row["path"].split(";") if row["path"] else []:
        path = PurePosixPath(file.strip())
        if path.is_absolute() or ".." in path.parts or path.suffix != ".h5":
            yield f'path "{file.strip()}" must be relative and end with .h5, to be simulated'


def _wrong_libraries(libraries: Mapping[str, list[LibrarySample]]) -> Iterator[str]:
    for file, samples in libraries.items():
        tags = [sample.hashtag for sample in samples]
        if len(samples) > 1 and not all(tags):
            yield f'{len(samples)} samples share "{file}", so each needs its hashtag'
        for tag in sorted({tag for tag in tags if tag and tags.count(tag) > 1}):
            yield f'hashtag "{tag}" stands for several samples of "{file}"; give each its own'
        if len({sample.batch for sample in samples}) > 1:
            yield f'samples of several batches share "{file}"; a library has one batch'
