"""Checks of how samples were prepared and counted: fixation, enrichment, time, counting beads."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from biocross.cohort.cautions import names
from biocross.cohort.sheets import Problem, SheetRow, caution, counted

# Eosinophils and chemokine receptors change within hours of the draw.
MOST_HOURS_APART = 6.0


def preparation_problems(
    file: str, design: Mapping[str, Any], samples: Sequence[SheetRow], cytometry: str
) -> list[Problem]:
    """Find samples that cannot be compared as they were prepared, or not be counted.

    Parameters
    ----------
    file
        The sheet of samples.
    design
        The configuration's section ``design``.
    samples
        Rows that are patients' samples.
    cytometry
        ``conventional``, ``spectral`` or ``mass``.

    Returns
    -------
    list of Problem
        Errors: a preparation that differs between samples that are compared; beads without a
        volume. Warnings: stained hours apart, enriched, counted by beads in part, a volume
        without beads, beads where they are not counted or do not count the blood.
    """
    compared = _compared(samples, design["contrast"])
    return [
        *(problem for rows in compared for problem in _unlike_preparation(file, rows)),
        *(problem for rows in compared for problem in _hours_apart(file, rows)),
        *_enriched(file, samples),
        *_lone_beads(file, samples),
        *_lone_volumes(file, samples),
        *_uncounted_beads(file, samples, cytometry),
        *_mixed_beads(file, compared),
    ]


def _compared(samples: Sequence[SheetRow], contrast: str) -> list[list[SheetRow]]:
    """Group the rows that are compared with one another, in order of the sheet."""
    keys = ("modality", "patient_id") + (("visit",) if contrast == "stimulation" else ())
    groups: dict[tuple[Any, ...], list[SheetRow]] = defaultdict(list)
    for row in samples:
        groups[tuple(row.cells.get(key) for key in keys)].append(row)
    return list(groups.values())


def _unlike_preparation(file: str, rows: Sequence[SheetRow]) -> list[Problem]:
    told = [row for row in rows if "preparation" in row.cells]
    problems = []
    for row in told[1:]:
        first, own = told[0].cells["preparation"], row.cells["preparation"]
        if own != first:
            message = (
                f'sample "{row.cells.get("sample_id")}" is {own}, but "'
                f'{told[0].cells.get("sample_id")}" of the same patient (row {told[0].number}) is '
                f"{first}; samples prepared in different ways cannot be compared, leave one out"
            )
            problems.append(Problem(file, row.number, message, column="preparation"))
    return problems


def _hours_apart(file: str, rows: Sequence[SheetRow]) -> list[Problem]:
    hours = [row.cells["hours_to_stain"] for row in rows if _is_number(row, "hours_to_stain")]
    if not hours or max(hours) - min(hours) <= MOST_HOURS_APART:
        return []
    message = (
        f'patient "{rows[0].cells.get("patient_id")}": samples of {rows[0].cells["modality"]} '
        f"were stained {min(hours):g} to {max(hours):g} hours after the draw; markers and cells "
        "change in that time, so a change may be the delay's"
    )
    return [caution(file, message, "hours_to_stain")]


def _enriched(file: str, samples: Sequence[SheetRow]) -> list[Problem]:
    who = [str(row.cells.get("sample_id")) for row in samples if "enrichment" in row.cells]
    if not who:
        return []
    message = (
        f"{counted(len(who), 'sample')} enriched ({names(who)}): their frequencies are not those "
        "of the tissue and are not tested (status enriched); markers and genes are"
    )
    return [caution(file, message, "enrichment")]


def _lone_beads(file: str, samples: Sequence[SheetRow]) -> list[Problem]:
    message = (
        "beads_added needs blood_volume_ul: beads tell cells per tube, and cells per microlitre "
        "with the volume of blood in it; fill it in, or leave beads_added empty"
    )
    return [
        Problem(file, row.number, message, column="blood_volume_ul")
        for row in samples
        if "beads_added" in row.cells and "blood_volume_ul" not in row.cells
    ]


def _lone_volumes(file: str, samples: Sequence[SheetRow]) -> list[Problem]:
    who = [row for row in samples if "blood_volume_ul" in row.cells]
    who = [row for row in who if "beads_added" not in row.cells]
    if not who:
        return []
    message = (
        f"{counted(len(who), 'sample')} with blood_volume_ul but no beads_added "
        f"({names(str(row.cells.get('sample_id')) for row in who)}): the volume alone gives no "
        "cells per microlitre, because no file tells reliably how much of the tube was acquired "
        "($VOL is not trusted); these samples take the blood counts of the clinical sheet"
    )
    return [caution(file, message, "blood_volume_ul")]


def _uncounted_beads(file: str, samples: Sequence[SheetRow], cytometry: str) -> list[Problem]:
    with_beads = [row for row in samples if "beads_added" in row.cells]
    reasons: dict[str, list[str]] = defaultdict(list)
    for row in with_beads:
        if row.cells.get("modality") == "rna":
            reasons["beads are counted in FCS files only; beads_added is not used here"].append(
                str(row.cells.get("sample_id"))
            )
        elif row.cells.get("tissue") == "pbmc":
            reasons[
                "beads count the cells that are left of the blood; what the preparation of PBMC "
                "loses lowers the cells per microlitre, and may differ between visits"
            ].append(str(row.cells.get("sample_id")))
    if cytometry == "mass" and any(row.cells.get("modality") == "flow" for row in with_beads):
        reasons[
            "counting beads are not told from calibration beads in mass cytometry; draw a gate "
            "counting_beads, or leave beads_added empty"
        ] = [str(row.cells.get("sample_id")) for row in with_beads]
    return [caution(file, f"{names(who)}: {why}", "beads_added") for why, who in reasons.items()]


def _mixed_beads(file: str, compared: Sequence[Sequence[SheetRow]]) -> list[Problem]:
    """Find patients whose samples are counted by beads at one visit and not at another."""
    mixed = [
        str(rows[0].cells.get("patient_id"))
        for rows in compared
        if len({"beads_added" in row.cells for row in rows if "stimulation" not in row.cells}) > 1
    ]
    if not mixed:
        return []
    message = (
        f"counting beads at some visits only ({names(mixed)}): at the others cells per microlitre "
        "rest on blood counts, and the two ways to count may differ by more than the visits do"
    )
    return [caution(file, message, "beads_added")]


def _is_number(row: SheetRow, name: str) -> bool:
    return isinstance(row.cells.get(name), int | float)
