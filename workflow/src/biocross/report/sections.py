"""The report's tables: one description per table of results."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from biocross.flow.losses import step_words
from biocross.report.figures import records
from biocross.report.sources import is_below, is_shown, is_single, single_clusters_aside
from biocross.report.words import (
    format_effect,
    format_number,
    format_p,
    found_by,
    plain,
    source_words,
)
from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.pairs import read_table

READOUT_WORDS = {
    "percent_of_parent": "% of parent",
    "cells_per_ul": "cells/µl",
    "composition": "composition",
    "median": "median",
    "percent_positive": "% positive",
    "score": "gene-set score",
}
# Where a table holds so many tests that only these are shown.
SMALL_P = 0.05
Row = Mapping[str, Any]


class Column(NamedTuple):
    """One column: its heading, how a cell is written, and whether it is a number."""

    heading: str
    cell: Callable[[Row], str]
    numeric: bool = False


class Section(NamedTuple):
    """One table of the report, ready for the template.

    Parameters
    ----------
    name, title, intro
        Anchor, heading, and what to know before reading.
    columns
        Heading and whether it is numeric.
    rows
        Cells as text, and whether the row is below the false discovery rate.
    empty
        What to say where there are no rows.
    file
        The table with all columns.
    aside
        What is left out here; empty for nothing.
    """

    name: str
    title: str
    intro: str
    columns: list[tuple[str, bool]]
    rows: list[tuple[list[str], bool]]
    empty: str
    file: str
    aside: str = ""


class Description(NamedTuple):
    """How a table of results becomes a section."""

    title: str
    intro: str
    columns: tuple[Column, ...]
    empty: str
    shown: Callable[[Row], bool] = lambda row: True  # noqa: ARG005
    aside: Callable[[pd.DataFrame], str] = lambda table: ""  # noqa: ARG005


def words(heading: str, name: str) -> Column:
    """Describe a column of words."""
    return Column(heading, lambda row: plain(row[name]) if pd.notna(row[name]) else "")


def verbatim(heading: str, name: str) -> Column:
    """Describe a column of names that stay as they are."""
    return Column(heading, lambda row: str(row[name]) if pd.notna(row[name]) else "")


def number(heading: str, name: str) -> Column:
    """Describe a column of numbers."""
    return Column(heading, lambda row: format_number(row[name]), True)


def p_value(heading: str, name: str) -> Column:
    """Describe a column of p or q values."""
    return Column(heading, lambda row: format_p(row[name]), True)


def _effect(row: Row) -> str:
    return format_effect(row) if pd.notna(row["effect_low"]) else format_number(row["effect"])


def _rho(row: Row) -> str:
    low, high = format_number(row["rho_low"]), format_number(row["rho_high"])
    return f"{format_number(row['rho'])} ({low} to {high})" if pd.notna(row["rho"]) else "–"


def _rate(row: Row) -> str:
    low, high = format_number(row["rate_low"]), format_number(row["rate_high"])
    return f"{format_number(row['rate'])} ({low} to {high})" if pd.notna(row["rate"]) else "–"


def _expected_by_chance(table: pd.DataFrame) -> str:
    tested = table[(table["status"] == "tested") & ~table["source"].map(is_single).astype(bool)]
    n_small = int((tested["p_value"] < SMALL_P).sum())
    return (
        f"{n_small:,} of {len(tested):,} tests have p below {SMALL_P:g}; by chance alone "
        f"{SMALL_P * len(tested):,.0f} would. What was refused, and why, is in the file."
        if len(tested)
        else ""
    )


def _specification(row: Row) -> str:
    name = row["specification"]
    return source_words(name) if row["aspect"] == "source" else plain(name)


WHO = (words("Treatment", "treatment"), words("Contrast", "contrast"))
WHAT = (words("Population", "population"), words("Parent", "parent"))
FOUND_BY = Column("Found by", found_by)
READOUT = Column("Readout", lambda row: READOUT_WORDS[str(row["readout"])])
EFFECT = Column("Effect (95 % CI)", _effect)
MEDIANS = (number("Before", "baseline_median"), number("After", "followup_median"))
P, Q = p_value("p", "p_value"), p_value("q", "q_value")
STATUS = (words("Status", "status"), words("Note", "note"))
PAIRS = number("Pairs", "n_pairs")
FAMILY = Column("Family", lambda row: str(row["family"]).split(":")[0])

DESCRIPTIONS: dict[str, Description] = {
    "paired_changes": Description(
        "Changes of populations",
        "Before and after are medians over complete pairs, in the unit of the readout. Odds: ratio "
        "of the odds of belonging to the population within its parent; × alone: ratio of cells/µl, "
        "or of the share among all parts (composition).",
        (
            *(*WHO, *WHAT, FOUND_BY, READOUT, PAIRS, *MEDIANS, EFFECT, P, Q),
            *(p_value("Wilcoxon p", "wilcoxon_p"), FAMILY, *STATUS),
        ),
        "No population was measured.",
    ),
    "marker_changes": Description(
        "Changes of state markers",
        "Medians on the transformed scale, or percent of cells above the marker's border.",
        (
            *(*WHO, WHAT[0], FOUND_BY, words("Marker", "marker"), READOUT, PAIRS, *MEDIANS),
            *(EFFECT, P, Q, *STATUS),
        ),
        "The panel has no state markers.",
    ),
    "treatment_differences": Description(
        "Differences between treatments",
        "Ratio of the two arms' changes. A change in one arm and none in the other is not a "
        "difference between arms; this table is.",
        (
            *(words("A", "treatment_a"), words("B", "treatment_b"), WHO[1], *WHAT, FOUND_BY),
            READOUT,
            *(number("Pairs A", "n_pairs_a"), number("Pairs B", "n_pairs_b")),
            *(number("Change A", "effect_a"), number("Change B", "effect_b")),
            *(Column("A / B (95 % CI)", _effect), P, Q, *STATUS),
        ),
        "The study has one treatment.",
    ),
    "longitudinal": Description(
        "All visits together",
        "Each visit against the first, with patients as fixed effects; any visit: the joint test.",
        (
            *(WHO[0], *WHAT, FOUND_BY, READOUT, words("Term", "term")),
            *(number("Patients", "n_patients"), EFFECT, P, Q, *STATUS),
        ),
        "No patient has two visits.",
    ),
    "response": Description(
        "Responders and non-responders",
        "Ratio of the responders' change to that of the others.",
        (
            *(*WHO, *WHAT, FOUND_BY, READOUT, number("Responders", "n_responders")),
            *(number("Others", "n_nonresponders"), EFFECT, P, Q, *STATUS),
        ),
        "patients.tsv has no column `responder`.",
    ),
    "clinical_associations": Description(
        "Cells and clinic",
        "Change against change within a treatment (Spearman). Exploratory. With so many tests the "
        "table shows those with p below 0.05.",
        (
            *(*WHO, *WHAT, FOUND_BY, READOUT, words("Variable", "variable"), PAIRS),
            *(Column("rho (95 % CI)", _rho), P, Q, *STATUS),
        ),
        "There are no clinical measurements at both visits.",
        lambda row: row["status"] == "tested" and bool(row["p_value"] < SMALL_P),
        _expected_by_chance,
    ),
    "specifications": Description(
        "How far the primary findings hold",
        "The analysis varied: another readout or test, each patient left out, batch, oral "
        "steroids, and dropouts. Holds: same direction and p below 0.05.",
        (
            *(*WHO, WHAT[0], words("Aspect", "aspect"), Column("Specification", _specification)),
            *(PAIRS, EFFECT, P, words("Holds", "holds"), *STATUS),
        ),
        "There is no confirmatory family.",
    ),
    "gate_sensitivity": Description(
        "How far do the primary findings rest on their gates?",
        "Tipping shift: how far (decades) a border would have to stand elsewhere at follow-up "
        "alone for the finding to vanish. Seen: how far the marker's negative and positive cells "
        "moved. A ratio of 0.5 or more is a threat.",
        (
            *(*WHO, WHAT[0], words("Border", "threshold")),
            *(number("Seen, negative", "gating_marker_shift_negative"),),
            *(number("Seen, positive", "gating_marker_shift_positive"),),
            *(number("Tipping shift", "tipping_shift"), number("Ratio", "ratio"), *STATUS),
        ),
        "There is no confirmatory family of gates with thresholds.",
    ),
    "net_response_changes": Description(
        "Did the responses to stimulation change?",
        "Percent in the stimulated minus percent in the unstimulated sample of the same visit, in "
        "points; exploratory.",
        (
            *(*WHO, words("Stimulation", "stimulation"), *WHAT, PAIRS, *MEDIANS),
            *(number("Change (points)", "effect"), number("From", "effect_low")),
            *(number("To", "effect_high"), P, Q, *STATUS),
        ),
        "There are no stimulated samples beside unstimulated ones.",
    ),
    "calibration": Description(
        "Does this run keep its promise?",
        "Every patient's visits were swapped at random and the whole chain repeated: nothing can "
        "have changed, so about 5 % of populations should fall below 0.05.",
        (
            *(words("Scope", "scope"), *WHO, FOUND_BY, words("Readout", "readout")),
            *(words("What", "what"), number("Populations", "n_populations"), PAIRS),
            *(number("Relabellings", "n_relabellings"), Column("Rate (95 % interval)", _rate)),
            *(words("Verdict", "verdict"), *STATUS),
        ),
        "The check was switched off (statistics.relabellings: 0).",
        lambda row: row["scope"] != "population",
    ),
    "loss_changes": Description(
        "Did one visit lose more events than the other?",
        "Share of the events that reached a quality step and were set aside by it, in percent. A "
        "difference of a point or more threatens the comparison of the visits.",
        (
            *(*WHO, Column("Step", lambda row: step_words(str(row["step"]))), PAIRS),
            *(*MEDIANS, EFFECT, P, Q, words("Threat", "threat"), *STATUS),
        ),
        "No step set anything aside.",
    ),
    "marker_shift_summary": Description(
        "Did the markers of the gates move?",
        "Typical shift of the negative and of the positive cells between visits, in decades of "
        "the display (95 % interval). A shift of 0.2 decades changes a rare population by about "
        "a quarter. Shown are shifts of 0.05 decades or more whose interval excludes 0.",
        (
            *(*WHO, words("Marker", "marker"), words("On", "population"), words("Side", "side")),
            *(PAIRS, number("Median", "median_shift"), number("From", "low"), number("To", "high")),
        ),
        "No marker moved by 0.05 decades or more.",
        lambda row: row["flagged"] == "yes",
    ),
    "moved_gates": Description(
        "Gates that moved between visits",
        "Gates that are not the same in all visits of a patient, as they were drawn. A moved gate "
        "invents a change; `flow.moved_gates: patient` applies one set to all visits.",
        (
            *(verbatim("Patient", "patient_id"), verbatim("Gate", "gate")),
            *(verbatim("Samples", "samples"), verbatim("First drawn for", "first")),
            *(number("Decades", "decades"), number("Share of axis", "share")),
            verbatim("Note", "note"),
        ),
        "Every gate is the same in all visits of a patient.",
    ),
    "stored_counts": Description(
        "Our counts beside those of FlowJo",
        "Counts of all events, flagged ones included, where they differ from the counts that the "
        "workspace stores.",
        (
            *(verbatim("Sample", "sample_id"), verbatim("Gate", "gate")),
            *(number("Ours", "count"), number("FlowJo's", "stored_count")),
            *(number("Difference", "difference"), verbatim("Note", "note")),
        ),
        "Every stored count equals ours, or none is stored.",
        lambda row: bool(abs(row["difference"]) > 0),
    ),
    "sanity": Description(
        "Markers that contradict each other",
        "Rules of blood cells that a sample breaks, and columns whose exchange would mend most.",
        (
            *(verbatim("Sample", "sample_id"), verbatim("Rule", "rule")),
            *(number("Observed", "observed"), verbatim("Expected", "expected")),
            *(verbatim("Perhaps exchanged", "suspects"), verbatim("Note", "note")),
        ),
        "Every rule that could be judged was kept.",
        lambda row: row["status"] == "broken",
    ),
    "warnings": Description(
        "Doubtful values",
        "Compensation that looks odd, or was perhaps done before; channels of which more than 1 % "
        "of the events are at the top of the scale (kept, but their medians are too low).",
        (
            *(verbatim("Sample", "sample_id"), words("Check", "check")),
            *(verbatim("Marker", "marker"), verbatim("What", "message")),
        ),
        "Nothing odd was seen.",
    ),
    "repairs": Description(
        "Repairs to files",
        "What had to be repaired to read a file.",
        (
            *(verbatim("Sample", "sample_id"), verbatim("File", "file")),
            *(words("Repair", "repair"), verbatim("Note", "note")),
        ),
        "No file had to be repaired.",
    ),
    "channels": Description(
        "Channels of every batch",
        "From the headers of the files: in how many each channel was found, and under which names.",
        (
            *(words("Marker", "marker"), words("Kind", "kind"), words("Batch", "batch")),
            *(number("Files with", "files_with"), number("Files without", "files_without")),
            *(verbatim("Channel", "names"), verbatim("Label", "labels")),
            *(number("Range from", "range_min"), number("Range to", "range_max")),
        ),
        "There are no files.",
    ),
}


def _strongest_first(table: pd.DataFrame) -> pd.DataFrame:
    """Put confirmatory rows first, then small q values; leave tables without q values."""
    if "q_value" not in table:
        return table
    exploratory = table["family"] != CONFIRMATORY
    return table.assign(exploratory=exploratory).sort_values(
        ["exploratory", "q_value"], kind="stable"
    )


def table_section(
    name: str,
    path: Path | str,
    fdr: float,
    descriptions: Mapping[str, Description] = DESCRIPTIONS,
) -> Section:
    """Prepare one table of results for the template.

    Parameters
    ----------
    name
        Of the table, a key of `descriptions`.
    path
        The TSV.
    fdr
        False discovery rate below which a row is highlighted.
    descriptions
        How tables are shown.

    Returns
    -------
    Section
        The table as text.
    """
    described = descriptions[name]
    table = _strongest_first(read_table(path))
    rows = [
        (
            [column.cell(row) for column in described.columns],
            is_below(row, fdr),
        )
        for row in records(table)
        if described.shown(row) and is_shown(row, fdr)
    ]
    aside = " ".join(filter(None, [described.aside(table), single_clusters_aside(table, fdr)]))
    return Section(
        name,
        described.title,
        described.intro,
        [(column.heading, column.numeric) for column in described.columns],
        rows,
        described.empty if table.empty or not aside else "",
        "/".join(Path(path).parts[-2:]),
        aside,
    )
