"""Propose the sheet of samples: find the files, and tell whose they are."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from biocross.cohort.propose import NameGuess, clean_id, guess_names
from biocross.cohort.sheets import Problem
from biocross.errors import ConfigError, FcsError
from biocross.flow.header_values import iso_date
from biocross.flow.headers import FcsHeader, read_header

_CONTROL = re.compile(
    r"(?<![a-z])(fmo|unstained|single[ _-]?stain(ed|s)?|comp(ensation)?[ _-]?(beads?|controls?)"
    r"|compensation|isotype)(?![a-z])",
    re.I,
)
_BATCH = re.compile(r"(?<![a-z])(batch|plate|lot)[ _-]?([a-z]?\d+|[a-z](?![a-z]))", re.I)
_TISSUES = {
    "whole_blood": r"whole[ _-]?blood|wb",
    "pbmc": r"pbmcs?",
    "bal": r"bal|balf|lavage",
    "sputum": r"sputum",
    "lung": r"lung",
}
UNKNOWN = "unknown"


def find_fcs(folder: Path) -> list[Path]:
    """Find FCS files at any depth: by their ending, or by their first bytes where it is odd.

    Parameters
    ----------
    folder
        Where to look; hidden files and folders are passed over.

    Returns
    -------
    list of Path
        Sorted.
    """
    return sorted(path for path in _files(folder) if _is_fcs(path))


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root, name) for name in names if not name.startswith("."))


def _is_fcs(path: Path) -> bool:
    ending = path.suffix.casefold()
    if ending in (".fcs", ".lmd"):
        return True
    if ending and not re.fullmatch(r"\.([a-h]?\d+)", ending):
        return False
    try:
        with path.open("rb") as handle:
            return handle.read(3) == b"FCS"
    except OSError:
        return False


def read_headers(fcs: Path, out: Path, questions: list[Problem]) -> dict[str, FcsHeader]:
    """Read the headers of all samples; controls and broken files become questions.

    Parameters
    ----------
    fcs
        Folder of the FCS files.
    out
        Folder of the configuration, for messages.
    questions
        Receives what was left out.

    Returns
    -------
    dict of str to FcsHeader
        By path relative to the folder.

    Raises
    ------
    ConfigError
        There is no such folder, or nothing in it can be read.
    """
    if not fcs.is_dir():
        raise ConfigError(f"{fcs}: there is no such folder; give the folder of the FCS files")
    headers: dict[str, FcsHeader] = {}
    controls: list[str] = []
    samples_file = str(out / "samples.tsv")
    for path in find_fcs(fcs):
        name = path.relative_to(fcs).as_posix()
        if _CONTROL.search(name):
            controls.append(name)
            continue
        try:
            headers[name] = read_header(path)
        except FcsError as error:
            questions.append(Problem(samples_file, None, f"left out: {error}"))
    if controls:
        message = f"{len(controls)} controls are left out: {', '.join(controls[:6])}"
        questions.append(Problem(samples_file, None, f"{message}; add a row for every true sample"))
    if not headers:
        raise ConfigError(f"{fcs}: holds no FCS file of a sample that can be read")
    return headers


def guess_samples(headers: Mapping[str, FcsHeader]) -> NameGuess:
    """Guess from names and dates; from $SRC and $SMNO too, where names alone make no pairs.

    Parameters
    ----------
    headers
        By path of the file.

    Returns
    -------
    NameGuess
        In the order of the headers.
    """
    names = [_stem(path) for path in headers]
    dates = [_day(header) for header in headers.values()]
    guess = guess_names(names, dates)
    if guess.paired < 0.5:
        told = [(header.source, header.sample_number) for header in headers.values()]
        for sources in ([f"{src}/{smno}" for src, smno in told], [src for src, _ in told]):
            if len(set(sources)) > 1 and all(source.strip("/ ") for source in sources):
                longer = [f"{name}/{source}" for name, source in zip(names, sources, strict=True)]
                for candidates in (sources, longer):
                    other = guess_names(candidates, dates)
                    if other.paired > guess.paired:
                        guess = other._replace(reason=f"{other.reason} (by $SRC and $SMNO)")
    return guess


def _stem(path: str) -> str:
    return re.sub(r"\.(fcs|lmd|h5|h5ad)$", "", path, flags=re.I)


def _day(header: FcsHeader) -> str:
    """Return the day of acquisition, or nothing where it cannot be told with certainty."""
    day = iso_date(header.date)
    return day if re.fullmatch(r"\d{4}-\d\d-\d\d", day) else ""


def sample_rows(headers: Mapping[str, FcsHeader], guess: NameGuess) -> list[dict[str, str]]:
    """Make the rows of the sample sheet.

    Parameters
    ----------
    headers
        By path of the file.
    guess
        Who was measured when, in the order of the headers.

    Returns
    -------
    list of dict
        Columns of ``samples.tsv``, and `group` and `words` for what else the names tell.
    """
    rows = []
    batches = _batches(headers, guess.patients)
    for i, (path, header) in enumerate(headers.items()):
        text = f"{path} {header.source}"
        rows.append(
            {
                **_who(guess, i),
                "modality": "flow",
                "path": path,
                "batch": batches[i],
                "tissue": _tissue(text),
                "group": guess.groups[i],
                "words": text,
            }
        )
    return _with_ids(rows)


def _batches(headers: Mapping[str, FcsHeader], patients: Sequence[str]) -> list[str]:
    """Take batches from names, else days on which samples were measured together.

    Where patients come one by one, as fresh blood does, a day is no batch: it would make every
    pair change batch with the visit.
    """
    days = [iso_date(header.date) for header in headers.values()]
    who: dict[str, set[str]] = {}
    for day, patient in zip(days, patients, strict=True):
        who.setdefault(day, set()).add(patient)
    together = sum(len(who[day]) > 1 for day in days) > len(days) / 2
    named = [_BATCH.search(path) for path in headers]
    return [
        clean_id(found[0]) if found else (together and day) or "batch_1"
        for found, day in zip(named, days, strict=True)
    ]


def _who(guess: NameGuess, i: int) -> dict[str, str]:
    return {
        "patient_id": guess.patients[i],
        "visit": guess.visits[i] or (UNKNOWN if any(guess.visits) else "baseline"),
        "stimulation": guess.stimulations[i],
    }


def _tissue(text: str) -> str:
    for tissue, words in _TISSUES.items():
        if re.search(rf"(?<![a-z])({words})(?![a-z])", text, re.I):
            return tissue
    return UNKNOWN


def _with_ids(rows: list[dict[str, str]], suffix: str = "") -> list[dict[str, str]]:
    """Name samples by patient, visit and stimulation, as far as those differ."""
    parts = [key for key in ("visit", "stimulation") if len({row[key] for row in rows}) > 1]
    seen: set[str] = set()
    for row in rows:
        name = "_".join(clean_id(row[key]) for key in ("patient_id", *parts) if row[key]) + suffix
        number = 1
        while (unique := name if number == 1 else f"{name}_{number}") in seen:
            number += 1
        seen.add(unique)
        row["sample_id"] = unique
    return rows


def rna_rows(
    fcs: Path, rna: Path, questions: list[Problem], samples_file: str
) -> list[dict[str, str]]:
    """List single-cell RNA counts; their guess stands apart from that of the FCS files.

    Parameters
    ----------
    fcs
        Folder of the FCS files, which paths are relative to.
    rna
        Folder of the counts.
    questions
        Receives what to look at.
    samples_file
        The sample sheet, for messages.

    Returns
    -------
    list of dict
        Rows as of `sample_rows`.

    Raises
    ------
    ConfigError
        There is no such folder, or no counts in it.
    """
    if not rna.is_dir():
        raise ConfigError(f"{rna}: there is no such folder; give the folder of the RNA counts")
    matrices = ("matrix.mtx", "matrix.mtx.gz")
    paths = sorted(p for p in _files(rna) if p.suffix in (".h5", ".h5ad") or p.name in matrices)
    if not paths:
        raise ConfigError(f"{rna}: holds no .h5, no .h5ad and no folder with matrix.mtx")
    named = [(path.parent if path.name in matrices else path).relative_to(rna) for path in paths]
    guess = guess_names([_stem(name.as_posix()) for name in named])
    message = f"{len(paths)} files of RNA counts are listed; their patients and visits are a guess"
    questions.append(Problem(samples_file, None, f"{message} ({guess.reason}); compare the rows"))
    rows = [
        {
            **_who(guess, i),
            "modality": "rna",
            "path": Path(os.path.relpath(path, fcs)).as_posix(),
            "batch": "rna_1",
            "tissue": _tissue(str(named[i])),
            "group": "",
            "words": str(named[i]),
        }
        for i, path in enumerate(paths)
    ]
    return _with_ids(rows, "_rna")
