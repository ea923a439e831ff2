"""The primary populations on the first screen: what changed, how sure, what contradicts it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from biocross.cohort.sheets import counted
from biocross.report.page.first_screen import Beside, asked
from biocross.report.sources import is_below, records
from biocross.report.words import (
    contrast_words,
    format_number,
    format_p,
    format_ratio,
    listed,
    medians_disagree,
    plain,
    unit_words,
)
from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.paired_changes import load_changes

# An interval that reaches beyond this factor is cut off, with an arrow: a population that a
# treatment abolishes would make all others points.
WIDEST = 4.0
NO_CLAIM = "No primary population was shown to change."
NOT_SHOWN, EQUIVALENT = "not shown to change", "no change (within × 0.8 to 1.25)"


class Bar(NamedTuple):
    """An interval on a logarithmic axis, in percent of the axis' width.

    Parameters
    ----------
    low, middle, high
        Ends and effect, 0 to 100; 50 is no change.
    cut_low, cut_high
        Whether an end lies outside the axis.
    """

    low: float
    middle: float
    high: float
    cut_low: bool
    cut_high: bool


class Witness(NamedTuple):
    """What another way of finding the cells says, and whether it is for or against the finding."""

    words: str
    stands: str


class PrimaryRow(NamedTuple):
    """One primary population under one treatment at one visit.

    Parameters
    ----------
    treatment, contrast, population, source
        The question; `source` leads to its plot.
    verdict
        ``rose``, ``fell``, not shown to change, or not tested.
    claimed
        Whether it is below the false discovery rate.
    medians, unit, effect, pairs, q_value
        In words; empty where not tested.
    bar
        The effect with its interval; None where not tested.
    detectable
        What change would have been found; empty for claims.
    beside
        What other ways of finding the cells say.
    note
        What casts doubt on the row, or why it could not be tested.
    """

    treatment: str
    contrast: str
    population: str
    source: str
    verdict: str
    claimed: bool
    medians: str
    unit: str
    effect: str
    pairs: str
    q_value: str
    bar: Bar | None
    detectable: str
    beside: list[Witness]
    note: str


def primary_rows(table: pd.DataFrame, fdr: float, beside: Beside) -> list[PrimaryRow]:
    """Arrange the confirmatory family for the first screen.

    Parameters
    ----------
    table
        Of `load_changes`.
    fdr
        False discovery rate of a claim.
    beside
        Of `other_ways` and `varied_ways`, together.

    Returns
    -------
    list of PrimaryRow
        By treatment; claims first, the surest first.
    """
    family = table[table["family"] == CONFIRMATORY].sort_values("p_value", kind="stable")
    reach = _reach(family)
    rows = [_row(row, fdr, reach, beside.get(asked(row), ())) for row in records(family)]
    return sorted(rows, key=lambda row: (row.treatment, not row.claimed))


def _reach(family: pd.DataFrame) -> float:
    """Return the factor up to which the axis reaches."""
    ends = np.abs(np.log(family[["effect_low", "effect_high"]].to_numpy(dtype=float)))
    longest = float(np.nanmax(ends, initial=np.log(2.0)))
    return min(float(np.exp(longest)) * 1.05, WIDEST)


def _row(row: Mapping[str, Any], fdr: float, reach: float, beside: Iterable[str]) -> PrimaryRow:
    tested = row["status"] == "tested"
    claimed = is_below(row, fdr)
    before, after = (format_number(row[f"{when}_median"]) for when in ("baseline", "followup"))
    notes = [row["note"]] if isinstance(row["note"], str) and row["note"] else []
    if claimed and medians_disagree(row):
        notes.append("medians went the other way; patients were compared with themselves")
    return PrimaryRow(
        str(row["treatment"]),
        contrast_words(row["contrast"]),
        str(row["population"]),
        str(row["source"]),
        _verdict(row, claimed),
        claimed,
        f"{before} → {after}" if before != "–" else "",
        unit_words(row) if before != "–" else "",
        format_ratio(row) if tested else "",
        f"{row['n_pairs']}",
        format_p(row["q_value"]),
        _bar(row, reach) if tested else None,
        f"× {format_number(row['detectable_fold'])}" if tested and not claimed else "",
        [Witness(words, _stands(words)) for words in beside],
        plain("; ".join(notes)),
    )


def _stands(words: str) -> str:
    verdict = words.rsplit(": ", 1)[1]
    if verdict == "holds":
        return "for"
    return "against" if verdict.startswith(("not shown", "the other way")) else "open"


def _verdict(row: Mapping[str, Any], claimed: bool) -> str:
    if row["status"] != "tested":
        return "not tested"
    if claimed:
        return "rose" if row["effect"] > 1 else "fell"
    return EQUIVALENT if row["equivalent"] else NOT_SHOWN


def _bar(row: Mapping[str, Any], reach: float) -> Bar:
    def place(value: float) -> float:
        return round(50 * (1 + float(np.log(value) / np.log(reach))), 1)

    low, middle, high = (place(row[name]) for name in ("effect_low", "effect", "effect_high"))
    low_end, at, high_end = (min(max(value, 0.0), 100.0) for value in (low, middle, high))
    return Bar(low_end, at, high_end, low < 0, high > 100)


def headlines(rows: Sequence[PrimaryRow]) -> dict[str, str]:
    """Say in one sentence per treatment which primary populations changed.

    Parameters
    ----------
    rows
        Of `primary_rows`.

    Returns
    -------
    dict
        Sentences by treatment, such as ``ILC2 and Th2 rose; eosinophils fell. Not shown to
        change: Treg.``; a visit is named where a population did not change at all visits.
    """
    said = {}
    for treatment in dict.fromkeys(row.treatment for row in rows):
        own = [row for row in rows if row.treatment == treatment]
        clauses = [
            f"{listed(names)} {verb}"
            for verb in ("rose", "fell")
            if (names := _names(own, (verb,)))
        ]
        claimed = {row.population for row in own if row.claimed}
        rest = [row for row in own if row.population not in claimed]
        sentence = f"{'; '.join(clauses)}." if clauses else NO_CLAIM
        for words, verdicts in (
            ("Equivalent to no change", (EQUIVALENT,)),
            ("Not shown to change", (NOT_SHOWN,)),
            ("Not tested", ("not tested",)),
        ):
            if names := _names(rest, verdicts):
                sentence += f" {words}: {', '.join(names)}."
        said[treatment] = sentence
    return said


def _names(rows: Iterable[PrimaryRow], verdicts: Sequence[str]) -> list[str]:
    """Name the populations with a verdict, and the visits where others have another."""
    contrasts: dict[str, list[str]] = {}
    everywhere: dict[str, int] = {}
    for row in rows:
        everywhere[row.population] = everywhere.get(row.population, 0) + 1
        if row.verdict in verdicts:
            contrasts.setdefault(row.population, []).append(row.contrast.split(" against ")[0])
    return [
        plain(name) + ("" if len(at) == everywhere[name] else f" ({', '.join(at)})")
        for name, at in contrasts.items()
    ]


def closing_words(changes: Path | str, report: Path | str, fdr: float) -> str:
    """Say at the end of a run what was found and where to read it.

    Parameters
    ----------
    changes
        ``paired_changes.tsv``.
    report
        The HTML file.
    fdr
        False discovery rate of a claim.

    Returns
    -------
    str
        A line per treatment, and where the report is.
    """
    table = load_changes(changes)
    found = headlines(primary_rows(table, fdr, {}))
    lines = [f"During {treatment}: {sentence}" for treatment, sentence in found.items()]
    if not found:
        n = int(((table["status"] == "tested") & (table["q_value"] < fdr)).sum())
        lines = [
            f"No primary population could be judged; {counted(n, 'exploratory change')} below the "
            "false discovery rate."
        ]
    where = f"What speaks for and against it: {report} (open it in a browser)."
    return "\n".join([*lines, where])
