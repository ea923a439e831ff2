"""Start a study from a folder of FCS files: propose its sheets, panel, gates and configuration."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from biocross.cohort.checks import inspect_cohort
from biocross.cohort.propose import NameGuess, order_levels
from biocross.cohort.propose_panel import guess_cytometry, propose_gating, propose_panel
from biocross.cohort.propose_samples import (
    UNKNOWN,
    guess_samples,
    read_headers,
    rna_rows,
    sample_rows,
)
from biocross.cohort.sheets import Problem
from biocross.errors import ConfigError
from biocross.flow.headers import FcsHeader
from biocross.tables import write_rows

_SHIPPED = Path(__file__).parents[4] / "config"
# What every study starts with as it is.
COPIED = (_SHIPPED / "populations.yaml", _SHIPPED / "drug_markers.tsv")
SAMPLE_COLUMNS = ("sample_id", "patient_id", "visit", "modality", "path", "batch", "tissue")
_TREATMENT = re.compile(
    r"mepolizumab|reslizumab|benralizumab|omalizumab|dupilumab|tezepelumab|placebo", re.I
)


class Proposal(NamedTuple):
    """What would be written, and what is open.

    Parameters
    ----------
    sheets
        By file name, the columns and rows of each sheet.
    documents
        By file name, the content of each YAML file.
    found
        What was found and guessed, in sentences.
    questions
        What the user should look at, by file and row.
    """

    sheets: dict[str, tuple[Sequence[str], list[dict[str, str]]]]
    documents: dict[str, dict[str, Any]]
    found: list[str]
    questions: list[Problem]


def start_study(
    fcs: Path, out: Path, rna: Path | None = None, contrast: str | None = None, force: bool = False
) -> Proposal:
    """Propose a configuration for a folder of FCS files, and write it.

    Parameters
    ----------
    fcs
        Folder with the FCS files, at any depth.
    out
        Folder that receives the configuration; made if it is missing.
    rna
        Folder with single-cell RNA counts (``.h5``, ``.h5ad``, folders with ``matrix.mtx``).
    contrast
        ``visit`` or ``stimulation``; guessed where None.
    force
        Whether existing files may be overwritten.

    Returns
    -------
    Proposal
        What was written, with the problems that the checks still find among its questions.

    Raises
    ------
    ConfigError
        There are no FCS files, or a file to be written exists.
    """
    proposal = propose_study(fcs, out, rna, contrast)
    _write(proposal, out, force)
    config = proposal.documents["config.yaml"]
    proposal.questions.extend(inspect_cohort(config)[1])
    return proposal


def propose_study(
    fcs: Path, out: Path, rna: Path | None = None, contrast: str | None = None
) -> Proposal:
    """Propose a configuration without writing it; parameters as of `start_study`.

    Returns
    -------
    Proposal
        Sheets, documents and questions.
    """
    questions: list[Problem] = []
    headers = read_headers(fcs, out, questions)
    samples_file, panel_file = str(out / "samples.tsv"), str(out / "panel.tsv")
    panel = propose_panel(headers)
    questions += [Problem(panel_file, row, message) for row, message in panel.questions]
    cytometry = guess_cytometry(list(headers.values()))
    guess = guess_samples(headers)
    rows = sample_rows(headers, guess)
    if rna:
        rows += rna_rows(fcs, rna, questions, samples_file)
    column = contrast or _contrast(rows)
    rows = _comparable(rows, column, questions, samples_file)
    levels = _levels(rows, column, questions, samples_file)
    patients = _patient_rows(rows, questions, str(out / "patients.tsv"))
    questions += _sample_questions(rows, guess, samples_file)
    gating = propose_gating(panel, cytometry)
    if len(gating["gates"]) <= 2:
        message = "no marker of a known lineage was recognised; add gates of your populations"
        questions.append(Problem(str(out / "gating.yaml"), None, message))
    if border := gating["thresholds"].get("CD45"):
        message = (
            f"the border of CD45 is fixed at {border['value']}, as pure leukocytes show no valley; "
            "compare it with the data"
        )
        questions.append(Problem(str(out / "gating.yaml"), None, message))
    panel_columns = ["channel", "marker", "kind"]
    panel_columns += ["aliases"] if any(row["aliases"] for row in panel.rows) else []
    sample_columns = [*SAMPLE_COLUMNS]
    sample_columns += ["stimulation"] if any(row["stimulation"] for row in rows) else []
    patient_columns = ["patient_id", "treatment"]
    patient_columns += ["group"] if any(row["group"] for row in patients) else []
    return Proposal(
        sheets={
            "samples.tsv": (sample_columns, [_only(row, sample_columns) for row in rows]),
            "patients.tsv": (patient_columns, [_only(row, patient_columns) for row in patients]),
            "panel.tsv": (panel_columns, [_only(row, panel_columns) for row in panel.rows]),
        },
        documents={
            "config.yaml": _config(fcs, out, column, levels, cytometry),
            "gating.yaml": gating,
        },
        found=_found(fcs, headers, cytometry, guess, rows, column, levels),
        questions=questions,
    )


def _contrast(rows: Sequence[Mapping[str, str]]) -> str:
    visits, stimulations = ({row[k] for row in rows if row[k]} for k in ("visit", "stimulation"))
    return "stimulation" if len(stimulations) > 1 and len(visits) <= 1 else "visit"


def _comparable(
    rows: list[dict[str, str]], column: str, questions: list[Problem], file: str
) -> list[dict[str, str]]:
    """Keep one stimulation where visits are compared, and one visit where stimulations are."""
    other = "stimulation" if column == "visit" else "visit"
    values = order_levels([row[other] for row in rows if row[other]])
    if len(values) < 2:
        return rows
    kept = [row for row in rows if row[other] in ("", values[0])]
    message = (
        f"{len(rows) - len(kept)} files of the {other} {', '.join(values[1:])} are left out, as "
        f'{column}s are compared at one {other}, here "{values[0]}"; '
        f"biocross init --contrast {other} compares the others"
    )
    questions.append(Problem(file, None, message))
    return kept


def _levels(
    rows: Sequence[Mapping[str, str]], column: str, questions: list[Problem], file: str
) -> list[str]:
    levels = order_levels([row[column] for row in rows if row[column] not in ("", UNKNOWN)])
    if len(levels) > 1:
        return levels
    message = (
        f"there are no pairs: every sample has the same {column}, as far as the names tell; write "
        f"patient_id and {column} of each row, and the {column}s in order in design.levels"
    )
    questions.append(Problem(file, 2, message))
    return [*levels, *[x for x in ("baseline", "followup") if x not in levels]][:2]


def _patient_rows(
    rows: Sequence[Mapping[str, str]], questions: list[Problem], file: str
) -> list[dict[str, str]]:
    patients: dict[str, dict[str, str]] = {}
    for row in rows:
        treatment = _TREATMENT.search(row["words"])
        patient = patients.setdefault(
            row["patient_id"],
            {"patient_id": row["patient_id"], "treatment": UNKNOWN, "group": row["group"]},
        )
        if treatment:
            patient["treatment"] = treatment[0].casefold()
    groups = {patient["group"] for patient in patients.values()}
    if all(_TREATMENT.fullmatch(group) for group in groups if group):
        for patient in patients.values():
            patient["group"] = ""
    unknown = [n for n, p in enumerate(patients.values(), 2) if p["treatment"] == UNKNOWN]
    if unknown:
        message = f'treatment is "{UNKNOWN}" for {len(unknown)} patients, to row {unknown[-1]}'
        questions.append(Problem(file, unknown[0], f"{message}; write what each was given"))
    return list(patients.values())


def _sample_questions(
    rows: Sequence[Mapping[str, str]], guess: NameGuess, file: str
) -> list[Problem]:
    questions = []
    if guess.confidence != "high":
        message = f"patient_id and visit are guessed with confidence {guess.confidence}"
        questions.append(Problem(file, 2, f"{message} ({guess.reason}); look at every row"))
    for column, unknown, advice in (
        ("tissue", UNKNOWN, "write whole_blood, pbmc, bal, sputum or lung"),
        ("batch", "batch_1", "write which samples were stained and measured together"),
    ):
        numbers = [number for number, row in enumerate(rows, 2) if row[column] == unknown]
        if numbers:
            message = f'{column} is "{unknown}" in {len(numbers)} rows, as no file tells it'
            questions.append(Problem(file, numbers[0], f"{message}; {advice}"))
    return questions


def _only(row: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    return {column: row[column] for column in columns}


def _config(
    fcs: Path, out: Path, column: str, levels: Sequence[str], cytometry: str
) -> dict[str, Any]:
    return {
        "results": "results",
        "inputs": {
            "folder": str(fcs),
            **{name: str(out / f"{name}.tsv") for name in ("samples", "patients", "panel")},
            **{name: str(out / f"{name}.yaml") for name in ("populations", "gating")},
            "drug_markers": str(out / "drug_markers.tsv"),
        },
        "design": {"contrast": column, "levels": list(levels)},
        "flow": {"cytometry": cytometry},
    }


def _found(
    fcs: Path,
    headers: Mapping[str, FcsHeader],
    cytometry: str,
    guess: NameGuess,
    rows: Sequence[Mapping[str, str]],
    column: str,
    levels: Sequence[str],
) -> list[str]:
    cytometers = sorted({header.cytometer for header in headers.values() if header.cytometer})
    patients = {row["patient_id"] for row in rows}
    shown = [
        f"  {row['path']}: patient {row['patient_id']}, {column} {row[column] or '?'}"
        for row in rows[:4]
    ]
    return [
        f"{len(headers)} FCS files in {fcs}, {cytometry} cytometry"
        + (f" ({', '.join(cytometers[:3])})" if cytometers else ""),
        f"{len(patients)} patients, {column}s in order: {', '.join(levels)}",
        f"guessed with confidence {guess.confidence}: {guess.reason}",
        *shown,
        *([f"  ... and {len(rows) - 4} more in samples.tsv"] if len(rows) > 4 else []),
    ]


_COMMENTS = {
    "config.yaml": "# Proposed by `biocross init`; every key is explained in config/README.md.\n",
    "gating.yaml": "# Proposed by `biocross init` from the panel's markers: look at the gates.\n",
}


def _write(proposal: Proposal, out: Path, force: bool) -> None:
    """Write all files, or none: they are made in a folder beside, and moved when all are there."""
    names = [*proposal.sheets, *proposal.documents, *(path.name for path in COPIED)]
    existing = [str(out / name) for name in names if (out / name).exists()]
    if existing and not force:
        raise ConfigError(
            f"{', '.join(existing)}: would be overwritten; give another folder by --out, "
            "or allow it by --force"
        )
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        for name, (columns, rows) in proposal.sheets.items():
            write_rows(part / name, columns, rows)
        for name, content in proposal.documents.items():
            text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
            (part / name).write_text(_COMMENTS[name] + text, encoding="utf-8")
        for path in COPIED:
            shutil.copyfile(path, part / path.name)
        out.mkdir(parents=True, exist_ok=True)
        for name in names:
            (part / name).replace(out / name)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
