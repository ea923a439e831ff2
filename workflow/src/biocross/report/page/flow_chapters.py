"""The chapters on flow cytometry: what was set aside, and where the gates stand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from biocross.report.page.chapters import Chapter
from biocross.report.page.flow_quality import ledger_rows, threshold_rows
from biocross.report.page.flow_sections import FLOW_SECTIONS, GATE_SECTIONS
from biocross.report.page.pictures import pictures_of
from biocross.report.page.sections import rows_section, table_sections
from biocross.statistics.pairs import read_table

QUALITY_CAPTIONS = {
    "losses_by_visit": (
        "What every patient lost at every visit",
        "Percent of the events that all quality steps together set aside.",
    ),
    "overview": (
        "What every sample lost to every step",
        "The visits of a patient stand beside each other.",
    ),
}
GATE_CAPTIONS = {
    "examples": (
        "Gates of the best, the median and the worst patient",
        "Patients ranked by how clearly their positive cells are set apart from the negative ones "
        "at the borders of the primary populations. All patients are in figures/gating/.",
    ),
    "eosinophils": (
        "Eosinophils by flow cytometry and by the blood analyser",
        "An independent check of staining and gates: the same blood, counted twice.",
    ),
}
LEDGER_HEADINGS = {
    "step": "Step",
    "flagged": "Events, all samples#",
    "median": "Median share#",
    "worst": "Highest share",
    "note": "Note",
}
THRESHOLD_HEADINGS = {
    "threshold": "Border",
    "marker": "Marker",
    "population": "Estimated on",
    "median": "Median#",
    "range": "Range over patients",
    "depth": "Valley depth#",
    "sources": "Found by",
    "flags": "Moved to the cohort's",
}


def quality_chapter(
    flow: Mapping[str, Path | str], figures: Sequence[Path | str], fdr: float
) -> Chapter | None:
    """Write the chapter on events that were set aside.

    Parameters
    ----------
    flow
        Tables of `FLOW_TABLES` by name; empty without files.
    figures
        Of ``results/figures/flow_quality``.
    fdr
        False discovery rate of a claim.

    Returns
    -------
    Chapter or None
        None for a study without files.
    """
    if not flow:
        return None
    ledger = rows_section(
        "ledger",
        "Events set aside, step by step",
        "Each step judges only what passed the steps before it; nothing is deleted.",
        LEDGER_HEADINGS,
        ledger_rows(read_table(flow["ledger"])),
        "No step set anything aside.",
        "flow/quality/ledger.tsv",
    )
    names = [name for name in FLOW_SECTIONS if name not in GATE_SECTIONS]
    tables = table_sections(names, flow, fdr, FLOW_SECTIONS)
    return Chapter(
        "quality",
        "Quality of the samples",
        [],
        pictures_of(figures, QUALITY_CAPTIONS, ("overview",)),
        [ledger, *tables],
    )


def gates_chapter(
    flow: Mapping[str, Path | str], figures: Sequence[Path | str], fdr: float
) -> Chapter | None:
    """Write the chapter on gates.

    Parameters
    ----------
    flow
        Tables of `FLOW_TABLES` by name; empty without files.
    figures
        ``examples`` of ``results/figures/gating``, ``eosinophils`` of ``results/figures/clinic``.
    fdr
        False discovery rate of a claim.

    Returns
    -------
    Chapter or None
        None for a study without files.
    """
    if not flow:
        return None
    tables = table_sections(GATE_SECTIONS, flow, fdr, FLOW_SECTIONS)
    if "thresholds" in flow:
        borders = rows_section(
            "thresholds",
            "Borders",
            "Samples by how their border was found. Visits of a patient share a border unless "
            "their negative cells differ. Moved: a border that could not be believed, alike for "
            "all visits of the patient; look at those first.",
            THRESHOLD_HEADINGS,
            threshold_rows(read_table(flow["thresholds"])),
            "There are no borders.",
            "flow/gating/thresholds.tsv",
        )
        tables = [borders, *tables]
    pictures = pictures_of(figures, GATE_CAPTIONS, ("examples",))
    return Chapter("gates", "Gates", [], pictures, tables)
