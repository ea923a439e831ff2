"""What opens the report: the answer in sentences, and what casts doubt on it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from biocross.cohort.sheets import counted
from biocross.report.sources import first_screen, may_open, records
from biocross.report.words import finding, format_p, no_finding, plain, source_words
from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.kernels.moderation import MIN_PAIRS
from biocross.statistics.pairs import read_table

# Aspects of `specifications.tsv` in the words of the first screen.
VARIED = {
    "readout": "readouts",
    "test": "tests",
    "gate": "gates",
    "leave_one_out": "patients",
    "batch": "batch",
    "covariate": "covariates",
}
# Treatment, contrast, population.
Asked = tuple[str, str, str]
Beside = Mapping[Asked, list[str]]


def answer(
    table: pd.DataFrame,
    fdr: float,
    contrast_column: str,
    first: str = "gate",
    beside: Beside | None = None,
) -> dict[str, Any]:
    """Sort the tested changes into what opens the report.

    Parameters
    ----------
    table
        Of `load_changes`.
    fdr
        False discovery rate of a claim.
    contrast_column
        ``visit`` or ``stimulation``.
    first
        Source that leads where several find a population.
    beside
        Of `other_ways`.

    Returns
    -------
    dict
        Sentences: ``confirmed``; ``no_claim`` (the other primary populations);
        ``exploratory`` (in percent of parent, strongest first); ``untestable`` (contrasts with
        too few pairs for any test). And ``n_confirmatory``, ``n_tested``.
    """
    primary = table["family"] == CONFIRMATORY
    tested = table[table["status"] == "tested"]
    confirmatory = tested[tested["family"] == CONFIRMATORY].sort_values("p_value")
    claims = confirmatory[confirmatory["q_value"] < fdr]
    claimed = {asked(row) for row in records(claims)}
    # A change that is told as confirmed is not told again where other cells show it.
    told = pd.Series([asked(row) in claimed for row in records(tested)], index=tested.index)
    exploratory = tested[
        (tested["family"] != CONFIRMATORY)
        & (tested["readout"] == "percent_of_parent")
        & (tested["q_value"] < fdr)
        & ~told
    ]
    strongest = first_screen(exploratory, first).sort_values("p_value")
    rest = table[primary & ~(table["q_value"] < fdr)]
    beside = beside or {}
    return {
        "confirmed": [
            _with(finding(row, contrast_column), beside.get(asked(row))) for row in records(claims)
        ],
        "no_claim": [
            _with(no_finding(row, contrast_column), beside.get(asked(row))) for row in records(rest)
        ],
        "exploratory": [finding(row, contrast_column) for row in records(strongest)],
        "untestable": list(_untestable(table)),
        "n_confirmatory": len(confirmatory),
        "n_tested": len(tested),
    }


def _untestable(table: pd.DataFrame) -> Iterator[str]:
    """Say which contrasts have too few pairs for anything to be tested."""
    for (treatment, contrast), rows in table.groupby(["treatment", "contrast"], sort=False):
        few = rows[rows["status"] == "too_few_pairs"]
        if len(few) and not (rows["status"] == "tested").any():
            pairs = counted(int(few["n_pairs"].max()), "complete pair")
            yield (
                f"{treatment}, {plain(contrast)}: {pairs}, and a test needs {MIN_PAIRS}; "
                "differences are shown, and nothing is claimed"
            )


def asked(row: Mapping[str, Any]) -> Asked:
    """Return the question that a row answers, whatever found its cells."""
    return str(row["treatment"]), str(row["contrast"]), str(row["population"])


def _with(sentence: str, others: Iterable[str] | None) -> str:
    return "; ".join([sentence, *(others or ())])


def other_ways(
    specifications: Path | str | None, findings: Path | str | None, modality: str
) -> dict[Asked, list[str]]:
    """Say whether primary findings are seen in cells that were found in another way.

    Parameters
    ----------
    specifications
        ``specifications.tsv``, whose aspect ``source`` holds the other sources; or None.
    findings
        ``combined_findings.tsv``, what flow cytometry and RNA support; or None.
    modality
        Of the confirmatory family.

    Returns
    -------
    dict
        A few words each, such as ``clusters: holds``, by treatment, contrast and population.
    """
    said: dict[Asked, list[str]] = {}
    if specifications:
        table = read_table(specifications)
        for row in records(table[table["aspect"] == "source"]):
            if row["status"] != "not_applicable":
                how = source_words(row["specification"])
                said.setdefault(asked(row), []).append(f"{how}: {_seen(row)}")
    if findings:
        other, alone = ("RNA", "flow only") if modality == "flow" else ("flow", "rna only")
        verdicts = {
            "both": "holds",
            alone: "not shown",
            "contradicted": "the other way",
            "not comparable": "cannot tell",
        }
        for row in records(read_table(findings)):
            if row["verdict"] in verdicts:
                # The note says why a modality could not test it.
                tested = pd.isna(row["note"]) or f"{other.lower()}:" not in row["note"]
                said.setdefault(asked(row), []).append(
                    f"{other}: {verdicts[row['verdict']] if tested else 'cannot tell'}"
                )
    return said


def varied_ways(specifications: Path | str | None) -> dict[Asked, list[str]]:
    """Say whether the claims hold when the same cells are analysed otherwise.

    Parameters
    ----------
    specifications
        ``specifications.tsv``; or None.

    Returns
    -------
    dict
        By treatment, contrast and population: the aspects in which a claim holds everywhere, in one
        line, and each aspect in which it is lost.
    """
    if not specifications:
        return {}
    table = read_table(specifications)
    judged = table[table["aspect"].isin(VARIED) & table["holds"].notna()]
    said: dict[Asked, list[str]] = {}
    for key, rows in judged.groupby(["treatment", "contrast", "population"], sort=False):
        firm, lost = [], []
        for aspect, name in VARIED.items():
            own = rows[rows["aspect"] == aspect]
            n_lost = int((own["holds"] != "yes").sum())
            if aspect == "covariate":
                # One by one: each is another way to be misled.
                lost += [
                    f"{plain(row['specification']).replace('change of', 'unchanged')}: not shown"
                    for row in records(own[own["holds"] != "yes"])
                ]
            elif n_lost:
                lost.append(f"{name} varied: not shown in {n_lost} of {len(own)}")
            if len(own) and not n_lost:
                firm.append(name)
        said[str(key[0]), str(key[1]), str(key[2])] = [
            *([f"{', '.join(firm)} varied: holds"] if firm else []),
            *lost,
        ]
    return said


def _seen(row: Mapping[str, Any]) -> str:
    if row["status"] == "not_measured":
        return "not resolved"
    if row["status"] != "tested":
        return plain(row["status"])
    if pd.isna(row["holds"]):
        return f"p = {format_p(row['p_value'])}"
    return "holds" if row["holds"] == "yes" else "not shown"


def confounded_cautions(table: pd.DataFrame) -> list[str]:
    """Say what must be said before the answer: that batch goes with the visit.

    Parameters
    ----------
    table
        Of `load_changes`.

    Returns
    -------
    list of str
        A sentence per treatment and contrast; empty where batch and visit can be told apart.
    """
    confounded = table[table["note"].fillna("").str.contains("confounded_with_batch")]
    return [
        f"{treatment}, {plain(contrast)}: every pair changes batch with the visit, so a shift "
        "between batches would look like a change of the cells; no analysis can tell them apart"
        for treatment, contrast in confounded[["treatment", "contrast"]]
        .drop_duplicates()
        .itertuples(index=False)
    ]


def calibration_cautions(calibration: Path | str | None) -> list[str]:
    """Say where this run claims too much, by its own calibration.

    Parameters
    ----------
    calibration
        ``calibration.tsv``, or None.

    Returns
    -------
    list of str
        One sentence, or none.
    """
    return list(_inflated(read_table(calibration))) if calibration else []


def _inflated(rates: pd.DataFrame) -> Iterator[str]:
    """Say in one sentence where random relabellings call too much changed."""
    by_contrast: dict[tuple[str, str], list[str]] = {}
    for row in records(rates):
        if row["verdict"] == "inflated" and row["scope"] == "class" and may_open(row["source"]):
            how = "" if row["source"] == "gate" else f", {source_words(row['source'])}"
            by_contrast.setdefault((row["treatment"], row["contrast"]), []).append(
                f"{100 * row['rate']:.0f} % of those with {row['what']} ({plain(row['readout'])}"
                f"{how})"
            )
    if by_contrast:
        where = "; ".join(
            f"{treatment}, {plain(contrast)}: {', '.join(said)}"
            for (treatment, contrast), said in by_contrast.items()
        )
        yield (
            "with visits swapped at random 5 % of the populations should fall below 0.05, and more "
            f"do ({where}); trust their p values less"
        )


def marker_findings(
    table: pd.DataFrame, fdr: float, contrast_column: str, first: str = "gate"
) -> list[str]:
    """Word the marker changes below the false discovery rate, strongest first.

    Parameters
    ----------
    table
        ``marker_changes.tsv``.
    fdr
        False discovery rate of a claim.
    contrast_column
        ``visit`` or ``stimulation``.
    first
        Source that leads where several find a population.

    Returns
    -------
    list of str
        Sentences.
    """
    claims = table[(table["status"] == "tested") & (table["q_value"] < fdr)]
    leading = first_screen(claims, first).sort_values("p_value")
    return [finding(row, contrast_column) for row in records(leading)]
