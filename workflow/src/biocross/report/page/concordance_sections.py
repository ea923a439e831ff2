"""What the report says of flow cytometry and single-cell RNA of the same patients."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from biocross.cohort.sheets import counted
from biocross.report.page.chapters import Chapter
from biocross.report.page.pictures import pictures_of
from biocross.report.page.rna_sections import interval
from biocross.report.page.sections import (
    WHO,
    Column,
    Description,
    P,
    Row,
    number,
    p_value,
    table_sections,
    words,
)
from biocross.report.sources import records
from biocross.report.words import plain
from biocross.statistics.pairs import read_table

CAPTIONS = {
    "findings": ("Which findings both support", "Effects by both methods, with their intervals."),
    "frequencies": (
        "Frequencies by both methods",
        "A point per sample. The same percentage may mean different things where the tissues "
        "differ: ranks can be compared, levels only within a tissue.",
    ),
    "changes": ("Changes by both methods", "A point per patient."),
}
VERDICTS = {
    "both": "both",
    "flow only": "flow alone",
    "rna only": "RNA alone",
    "contradicted": "they contradict each other",
    "neither": "neither",
    "not comparable": "cannot be compared",
}


def _same_sign(row: Row) -> str:
    known = pd.notna(row["same_sign"])
    return f"{int(row['n_same_sign'])} of {int(row['n'])}" if known else "–"


CONCORDANCE_TABLES: dict[str, Description] = {
    "combined_findings": Description(
        "Which changes do both support?",
        "Percent of parent; effects are ratios of odds. Both: one method claims the change, and "
        "the other's has the same direction with p below 0.05.",
        (
            *(*WHO, words("Population", "population")),
            Column(
                "Shown by", lambda row: VERDICTS.get(str(row["verdict"]), plain(row["verdict"]))
            ),
            *(number("Pairs, flow", "n_pairs_flow"), interval("Flow", "effect_flow")),
            *(p_value("q, flow", "q_flow"), number("Pairs, RNA", "n_pairs_rna")),
            *(interval("RNA", "effect_rna"), p_value("q, RNA", "q_rna"), words("Note", "note")),
        ),
        "No population was measured by both methods.",
        lambda row: row["verdict"] != "neither",
    ),
    "concordance": Description(
        "Flow cytometry beside RNA",
        "Frequencies at each visit, and changes, of the same patients. Ratio: median odds in RNA "
        "over those in flow. Same direction: patients in whom both change the same way.",
        (
            *(words("Of", "aspect"), words("Treatment", "treatment")),
            *(words("Contrast", "contrast"), words("Visit", "visit")),
            *(words("Population", "population"), number("Patients", "n"), interval("rho", "rho")),
            *(P, number("Ratio", "ratio"), Column("Same direction", _same_sign)),
            *(words("Status", "status"), words("Note", "note")),
        ),
        "No population was measured by both methods.",
    ),
}


def concordance_chapter(
    tables: Mapping[str, Path | str], figures: Sequence[Path | str], fdr: float
) -> Chapter | None:
    """Write the chapter on what both methods say.

    Parameters
    ----------
    tables
        ``concordance`` and ``combined_findings`` by name, as far as there are any.
    figures
        Files of the figure.
    fdr
        False discovery rate of a claim.

    Returns
    -------
    Chapter or None
        None for a study with one modality, whose tables are empty or missing.
    """
    present = [name for name in CONCORDANCE_TABLES if name in tables]
    if all(read_table(tables[name]).empty for name in present):
        return None
    sentences: list[str] = []
    if "combined_findings" in tables:
        sentences += _supported(read_table(tables["combined_findings"]))
    sections = table_sections(present, tables, fdr, CONCORDANCE_TABLES)
    return Chapter(
        "concordance",
        "Flow cytometry and RNA together",
        sentences,
        pictures_of(figures, CAPTIONS),
        sections,
    )


def _supported(findings: pd.DataFrame) -> Iterator[str]:
    counts = findings["verdict"].value_counts()
    for verdict, words_of in (
        ("both", "shown by flow cytometry and RNA alike"),
        ("flow only", "shown by flow cytometry alone"),
        ("rna only", "shown by RNA alone"),
        ("contradicted", "on which the methods contradict each other"),
    ):
        part = findings[findings["verdict"] == verdict]
        if len(part):
            names = ", ".join(
                f"{plain(row['population'])} ({row['treatment']}, {plain(row['contrast'])})"
                for row in records(part)
            )
            yield f"{counted(len(part), 'change')} {words_of}: {names}."
    if n := int(counts.get("neither", 0)):
        yield f"In {counted(n, 'comparison')} neither method shows a change."
    if n := int(counts.get("not comparable", 0)):
        yield f"Not comparable: {n}, where a method has too few cells or pairs."
