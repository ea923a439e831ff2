"""What the report says first where patients changed their dose of oral steroids."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from biocross.cohort.cautions import names
from biocross.cohort.sheets import counted
from biocross.report.sources import records
from biocross.report.words import plain
from biocross.statistics.adjustments import COVARIATE
from biocross.statistics.pairs import read_pair_sheet, read_table
from biocross.tables import read_rows

# Nagase 2000, J Allergy Clin Immunol 106:1132.
LEVEL = "and the level of CXCR4 on any cell"
# A clause of `biocross.cohort.drug_markers.drug_notes` on what happens under any treatment.
_CLAUSE = re.compile(r"(\S+)(?: \(gate [^)]*\))? may \w+ \(([^)]*)")


def steroid_warnings(
    samples: Path | str,
    pairs: Path | str,
    drug_notes: Path | str | None,
    specifications: Path | str | None,
) -> list[str]:
    """Say where a change of oral steroids may pass for one of the treatment.

    Parameters
    ----------
    samples, pairs
        ``samples.tsv`` and ``pairs.tsv`` of ``results/cohort``.
    drug_notes
        ``results/cohort/drug_notes.tsv``, or None.
    specifications
        ``specifications.tsv``, or None.

    Returns
    -------
    list of str
        One sentence where any patient's dose changed, else none: in how many patients of which
        treatments and contrasts, which gating markers that moves, and which primary findings are
        lost at an unchanged dose.
    """
    dose = {
        (row["unit"], row["level"]): float(row[COVARIATE])
        for row in read_rows(samples)
        if row["unit"] and row.get(COVARIATE)
    }
    notes = read_rows(drug_notes) if drug_notes else []
    varied = read_table(specifications) if specifications else None
    changed: dict[tuple[str, str], str] = {}
    asked = read_pair_sheet(pairs).drop_duplicates(["treatment", "contrast", "unit"])
    for (treatment, contrast), own in asked.groupby(["treatment", "contrast"], sort=False):
        units = own[["unit", "baseline", "followup"]].itertuples(index=False, name=None)
        both = [
            (dose[unit, before], dose[unit, after])
            for unit, before, after in units
            if (unit, before) in dose and (unit, after) in dose
        ]
        fell, rose = (sum(sign * (b - a) > 0 for b, a in both) for sign in (1, -1))
        if fell or rose:
            where = f"{treatment}, {plain(contrast)}"
            changed[str(treatment), str(contrast)] = (
                f"fell in {fell} and rose in {rose} of {counted(len(both), 'pair')} ({where})"
            )
    if not changed:
        return []
    dosed = f"the dose of oral steroids ({COVARIATE}) {', '.join(changed.values())}"
    moved = _moved(notes, {treatment for treatment, _ in changed})
    return ["; ".join([dosed, moved, _lost(varied, changed)])]


def _moved(notes: Sequence[Mapping[str, str]], treatments: Collection[str]) -> str:
    """Name the markers that steroids move, and the gates that rest on them."""
    gates: dict[str, dict[str, None]] = {}
    for note in notes:
        for marker, why in _CLAUSE.findall(note["general_note"]):
            if note["treatment"] in treatments and "steroid" in why:
                gates.setdefault(marker, {})[plain(note["population"])] = None
    listed = [f"{marker} of the gates {names([*own], 5)}" for marker, own in gates.items()]
    return f"that alone moves {', '.join([*listed, LEVEL])}"


def _lost(varied: pd.DataFrame | None, changed: Collection[tuple[str, str]]) -> str:
    """Say which primary findings are lost at an unchanged dose."""
    rows = [] if varied is None else records(varied[varied["aspect"] == "covariate"])
    claimed = [
        row
        for row in rows
        if (row["treatment"], row["contrast"]) in changed and row["holds"] in ("yes", "no")
    ]
    lost = [
        f"{plain(row['population'])} ({row['treatment']}, {plain(row['contrast'])})"
        for row in claimed
        if row["holds"] == "no"
    ]
    if not claimed:
        return "compare the changes at an unchanged dose"
    if not lost:
        return "every primary finding holds at an unchanged dose"
    return f"at an unchanged dose not shown: {', '.join(lost)}"
