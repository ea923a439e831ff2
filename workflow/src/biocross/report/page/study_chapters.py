"""The chapters on the study itself: who was compared, and what could not be evaluated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from biocross.report.page.chapters import Chapter
from biocross.report.page.pictures import pictures_of
from biocross.report.page.sections import (
    READOUT_WORDS,
    Description,
    rows_section,
    table_section,
    verbatim,
    words,
)
from biocross.report.sources import is_shown, records
from biocross.report.words import found_by, plain
from biocross.statistics.pairs import read_table

CAPTIONS = {
    "patient_flow": (
        "From the patients of the study to the pairs that were tested",
        "Everyone who is left out on the way is counted, with the reason.",
    ),
    "visit_grid": (
        "Which visit was measured, in which batch",
        "One row per patient. Where a column has one colour only and the next another, batch and "
        "visit cannot be told apart.",
    ),
}
TRUTH_CAPTIONS = {
    "evaluation": (
        "Was found what had been planted?",
        "Estimated beside true changes, cells found, and whether frequencies are off alike at all "
        "visits.",
    )
}
PROBLEMS = Description(
    "Warnings about sheets and files",
    "None of them stopped the run.",
    (
        *(words("Severity", "severity"), verbatim("File", "file"), verbatim("Row", "row")),
        *(verbatim("Column", "column"), verbatim("What", "message")),
    ),
    "Nothing odd was seen in sheets and file headers.",
)


def cohort_chapter(
    pairs: Path | str,
    problems: Path | str | None,
    figures: Sequence[Path | str],
) -> Chapter:
    """Write the chapter on patients, visits and batches.

    Parameters
    ----------
    pairs, problems
        ``pairs.tsv`` and ``problems.tsv`` of ``results/cohort``; None for no problems.
    figures
        Of ``results/figures/cohort``.

    Returns
    -------
    Chapter
        Pairs by treatment and contrast, who lacks what, and warnings.
    """
    rows = cohort_rows(read_table(pairs))
    columns = {
        "modality": "Method",
        "treatment": "Treatment",
        "contrast": "Contrast",
        "complete": "Complete pairs#",
        "incomplete": "Incomplete#",
        "who": "Who lacks what",
    }
    tables = [
        rows_section(
            "pairs",
            "Pairs",
            "A pair is a patient measured at both visits; only pairs are tested.",
            columns,
            rows,
            "There are no pairs.",
            "cohort/pairs.tsv",
        )
    ]
    if problems:
        tables.append(table_section("problems", problems, 0.0, {"problems": PROBLEMS}))
    return Chapter("cohort", "Patients and visits", [], pictures_of(figures, CAPTIONS), tables)


def cohort_rows(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """Count pairs by modality, treatment and contrast, and name who lacks a visit.

    Parameters
    ----------
    pairs
        ``pairs.tsv``.

    Returns
    -------
    list of dict
        ``modality, treatment, contrast, complete, incomplete, who``.
    """
    rows = []
    keys = ["modality", "treatment", "contrast"]
    for (modality, treatment, contrast), part in pairs.groupby(keys, sort=True):
        missing = part[part["complete"] == "no"]
        rows.append(
            {
                "modality": "RNA" if modality == "rna" else "flow cytometry",
                "treatment": treatment,
                "contrast": contrast,
                "complete": int((part["complete"] == "yes").sum()),
                "incomplete": len(missing),
                "who": "; ".join(
                    f"{row['unit']} lacks {row['missing']}" for row in records(missing)
                ),
            }
        )
    return rows


def untested_chapter(table: pd.DataFrame, fdr: float) -> Chapter:
    """Write the chapter on what could not be evaluated, and why.

    Parameters
    ----------
    table
        Of `load_changes`.
    fdr
        False discovery rate of a claim, by which rows are shown or not.

    Returns
    -------
    Chapter
        One table.
    """
    columns = {
        "treatment": "Treatment",
        "contrast": "Contrast",
        "found_by": "Found by",
        "readout": "Readout",
        "populations": "Populations",
        "why": "Why",
    }
    section = rows_section(
        "questions",
        "Questions without an answer",
        "Equal reasons stand together.",
        columns,
        untested(table, fdr),
        "Every population could be tested in every readout.",
        "statistics/paired_changes.tsv",
    )
    return Chapter("untested", "What could not be evaluated, and why", [], [], [section])


def truth_chapter(figures: Sequence[Path | str]) -> Chapter | None:
    """Write the chapter that only a simulated study has: what was found beside what is true.

    Parameters
    ----------
    figures
        ``evaluation`` of ``results/figures``; empty where the truth is not known.

    Returns
    -------
    Chapter or None
        None where the truth is not known.
    """
    if not figures:
        return None
    sentence = (
        "This cohort is simulated, so what is true of it is known. The analysis did not see the "
        "truth; it is compared here alone. All numbers: results/evaluation/."
    )
    return Chapter(
        "truth", "Beside the truth", [sentence], pictures_of(figures, TRUTH_CAPTIONS), []
    )


def untested(table: pd.DataFrame, fdr: float = 0.05) -> list[dict[str, Any]]:
    """List what could not be tested and why, equal reasons together.

    Parameters
    ----------
    table
        Of `load_changes`.
    fdr
        False discovery rate of a claim, by which rows are shown or not.

    Returns
    -------
    list of dict
        ``treatment, contrast, found_by, readout, populations, why``.
    """
    rows = []
    open_questions = table[table["status"] != "tested"]
    shown = [is_shown(row, fdr) for row in records(open_questions)]
    keys = ["treatment", "contrast", "modality", "source", "readout", "status", "note"]
    for key, part in open_questions[shown].groupby(keys, sort=True, dropna=False):
        treatment, contrast, modality, source, readout, _, note = key
        rows.append(
            {
                "treatment": treatment,
                "contrast": contrast,
                "found_by": found_by({"modality": modality, "source": source}),
                "readout": READOUT_WORDS[str(readout)],
                "populations": ", ".join(plain(name) for name in part["population"]),
                "why": note,
            }
        )
    return rows


def cautions_of_design(design: Mapping[str, Any]) -> list[str]:
    """Remind that what patients were selected on drifts back.

    Parameters
    ----------
    design
        Of the configuration.

    Returns
    -------
    list of str
        A sentence, or none.
    """
    if not design["selected_on"]:
        return []
    selected = " and ".join(plain(name) for name in design["selected_on"])
    return [
        f"patients were selected on {selected}: extreme values drift back without any treatment "
        "(regression to the mean), and only a control arm tells how much of a change that is"
    ]
