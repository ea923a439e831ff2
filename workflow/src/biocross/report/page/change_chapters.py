"""The chapters on changes, on the clinic, and on how far the findings can be trusted."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from biocross.report.page.chapters import Chapter
from biocross.report.page.pictures import pictures_of
from biocross.report.page.sections import Section, rows_section, table_sections
from biocross.report.page.statistics_sections import STATISTICS_SECTIONS
from biocross.report.sources import may_open, records
from biocross.report.words import format_number, format_p, format_ratio, found_by, plain

Tables = Mapping[str, Path | str]
Figures = Sequence[Path | str]

CHANGES = (
    *("paired_changes", "marker_changes", "longitudinal", "treatment_differences"),
    "net_response_changes",
)
CLINIC = ("response", "clinical_associations")
SENSITIVITY = ("specifications", "gate_sensitivity", "calibration")
CAPTIONS = {
    "forest": (
        "All populations",
        "Change of the odds within patients with 95 % interval, primary populations first.",
    ),
    "volcano": (
        "How large and how sure",
        "To the right: rose; the higher, the surer. Named are those below the false discovery "
        "rate.",
    ),
    "heat_map": (
        "The same populations in three readouts",
        "A change in percent that cells/µl do not show may be another population's.",
    ),
    "rare_events": (
        "The events behind rare findings",
        "Every point is a sample. Below 20 events in the median pair nothing is claimed.",
    ),
    "associations": (
        "Changes of cells and of the clinic",
        "The strongest of many; exploratory.",
    ),
    "response": ("Responders beside the others", "Change of the primary populations."),
    "specifications": (
        "The primary findings under other analyses",
        "One line per way to analyse the same data; the reported one is marked.",
    ),
    "calibration": (
        "False claims where nothing can have changed",
        "Every patient's visits were swapped at random. The band is .03 to .07.",
    ),
}
MEDIAN_HEADINGS = {
    "treatment": "Treatment",
    "contrast": "Contrast",
    "population": "Population",
    "parent": "Parent",
    "found_by": "Found by",
    "pairs": "Pairs#",
    "percent_before": "% before",
    "percent_after": "% after",
    "odds": "Odds ratio (95 % CI)",
    "p": "p#",
    "q": "q#",
    "cells_before": "Cells/µl before",
    "cells_after": "Cells/µl after",
    "fold": "Fold change (95 % CI)",
}
TABLE_KEYS = ["modality", "source", "treatment", "contrast", "population", "parent"]


def changes_chapter(
    statistics: Tables,
    changes: pd.DataFrame,
    figures: Figures,
    fdr: float,
    declared: Sequence[str],
) -> Chapter:
    """Write the chapter on changes, opened by the plots that a reader chooses.

    Parameters
    ----------
    statistics
        Tables of ``results/statistics`` by name.
    changes
        Of `load_changes`.
    figures
        Of ``results/figures/changes``.
    fdr
        False discovery rate of a claim.
    declared
        Modality and source of the confirmatory family.

    Returns
    -------
    Chapter
        With the tool ``explorer``.
    """
    tables = [
        medians_section(changes, declared),
        *table_sections(CHANGES, statistics, fdr, STATISTICS_SECTIONS),
    ]
    names = ("forest", "volcano", "heat_map", "rare_events")
    return Chapter("changes", "Changes", [], _pictures(figures, names), tables, tool="explorer")


def clinic_chapter(statistics: Tables, figures: Figures, fdr: float) -> Chapter:
    """Write the chapter on response and clinic; parameters as of `changes_chapter`."""
    return Chapter(
        "clinic",
        "Clinic and response",
        [],
        _pictures(figures, ("associations", "response")),
        table_sections(CLINIC, statistics, fdr, STATISTICS_SECTIONS),
    )


def sensitivity_chapter(statistics: Tables, figures: Figures, fdr: float) -> Chapter:
    """Write the chapter on how far findings hold; parameters as of `changes_chapter`."""
    return Chapter(
        "sensitivity",
        "How far to trust it",
        [],
        _pictures(figures, ("specifications", "calibration")),
        table_sections(SENSITIVITY, statistics, fdr, STATISTICS_SECTIONS),
    )


def _pictures(figures: Figures, names: Sequence[str]) -> list[Any]:
    """Read the figures of a chapter, and no others."""
    own = [figure for figure in figures if Path(figure).stem in names]
    return pictures_of(own, {name: CAPTIONS[name] for name in names})


def medians_section(changes: pd.DataFrame, declared: Sequence[str]) -> Section:
    """Put percent and cells/µl of a population beside each other, as a paper's table does.

    Parameters
    ----------
    changes
        Of `load_changes`.
    declared
        Modality and source that lead.

    Returns
    -------
    Section
        One row per population, treatment and contrast, of sources that may open a report; medians
        and quartiles over the complete pairs.
    """
    return rows_section(
        "medians",
        "For a paper: medians (quartiles) beside ratios",
        "Over the complete pairs. “–”: not measured, or not tested.",
        MEDIAN_HEADINGS,
        list(_median_rows(changes, declared)),
        "No population was measured.",
        "statistics/paired_changes.tsv",
    )


def _median_rows(changes: pd.DataFrame, declared: Sequence[str]) -> Iterator[dict[str, str]]:
    leading = (changes["modality"] == declared[0]) & (changes["source"] == declared[1])
    ordered = pd.concat([changes[leading], changes[~leading]])
    shown = ordered[ordered["source"].map(may_open).astype(bool)]
    for _, part in shown.fillna({"parent": ""}).groupby(TABLE_KEYS, sort=False):
        of = {row["readout"]: row for row in records(part)}
        percent, cells = of.get("percent_of_parent"), of.get("cells_per_ul")
        if percent is None or not percent["n_pairs"]:
            continue
        yield {
            **{name: plain(percent[name]) for name in ("treatment", "contrast", "population")},
            "parent": plain(percent["parent"]),
            "found_by": found_by(percent),
            "pairs": str(percent["n_pairs"]),
            "percent_before": _median(percent, "baseline"),
            "percent_after": _median(percent, "followup"),
            "odds": _effect(percent),
            "p": format_p(percent["p_value"]),
            "q": format_p(percent["q_value"]),
            "cells_before": _median(cells, "baseline"),
            "cells_after": _median(cells, "followup"),
            "fold": _effect(cells),
        }


def _median(row: Mapping[str, Any] | None, when: str) -> str:
    if row is None or pd.isna(row[f"{when}_median"]):
        return "–"
    low, middle, high = (format_number(row[f"{when}_{of}"]) for of in ("q1", "median", "q3"))
    return f"{middle} ({low}–{high})"


def _effect(row: Mapping[str, Any] | None) -> str:
    if row is None or pd.isna(row["effect_low"]):
        return "–"
    return format_ratio(row)
