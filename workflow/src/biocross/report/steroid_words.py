"""What the report says first where patients changed their dose of oral steroids."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from biocross.cohort.cautions import names
from biocross.cohort.sheets import counted
from biocross.report.figures import records
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
        One sentence per treatment and contrast in which any patient's dose changed: in how many,
        which gating markers that moves, and which primary findings are lost at an unchanged dose.
    """
    dose = {
        (row["unit"], row["level"]): float(row[COVARIATE])
        for row in read_rows(samples)
        if row["unit"] and row.get(COVARIATE)
    }
    notes = read_rows(drug_notes) if drug_notes else []
    varied = read_table(specifications) if specifications else None
    sentences = []
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
            what = (
                f"{treatment}, {plain(contrast)}: the dose of oral steroids ({COVARIATE}) fell in "
                f"{fell} and rose in {rose} of {counted(len(both), 'pair')}"
            )
            lost = _lost(varied, str(treatment), str(contrast))
            sentences.append("; ".join([what, _moved(notes, str(treatment)), lost]))
    return sentences


def _moved(notes: Sequence[Mapping[str, str]], treatment: str) -> str:
    """Name the markers that steroids move, and the gates that rest on them."""
    gates: dict[str, list[str]] = {}
    for note in notes:
        for marker, why in _CLAUSE.findall(note["general_note"]):
            if note["treatment"] == treatment and "steroid" in why:
                gates.setdefault(marker, []).append(plain(note["population"]))
    listed = [f"{marker} of the gates {names(own, 5)}" for marker, own in gates.items()]
    return f"that alone moves {', '.join([*listed, LEVEL])}"


def _lost(varied: pd.DataFrame | None, treatment: str, contrast: str) -> str:
    """Say which primary findings are lost at an unchanged dose."""
    general = "compare the changes at an unchanged dose"
    if varied is None:
        return general
    own = varied[
        (varied["aspect"] == "covariate")
        & (varied["treatment"] == treatment)
        & (varied["contrast"] == contrast)
    ]
    claimed = [row for row in records(own) if row["holds"] in ("yes", "no")]
    lost = [plain(row["population"]) for row in claimed if row["holds"] == "no"]
    if not claimed:
        return general
    if not lost:
        return "every primary finding holds at an unchanged dose"
    return f"at an unchanged dose not shown: {', '.join(lost)}"
