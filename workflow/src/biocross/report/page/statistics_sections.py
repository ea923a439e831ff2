"""How the report shows the tables of ``results/statistics``."""

import pandas as pd

from biocross.report.page.sections import (
    EFFECT,
    FAMILY,
    FOUND_BY,
    MEDIANS,
    PAIRS,
    READOUT,
    STATUS,
    WHAT,
    WHO,
    Column,
    Description,
    P,
    Q,
    Row,
    number,
    p_value,
    words,
)
from biocross.report.sources import is_single
from biocross.report.words import format_number, plain, source_words

# Where a table holds so many tests that only these are shown.
SMALL_P = 0.05


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


STATISTICS_SECTIONS: dict[str, Description] = {
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
            *(EFFECT._replace(heading="A / B (95 % CI)"), P, Q, *STATUS),
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
}
