"""Numbers and findings in the words of the report."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def format_p(value: float) -> str:
    """Write a p or q value: two significant digits, exact down to 0.0001."""
    if value is None or not np.isfinite(value):
        return "–"
    if value < 0.0001:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def format_number(value: float) -> str:
    """Write a measurement with three significant digits."""
    if value is None or not np.isfinite(value):
        return "–"
    # From 999.5 on, three digits would be written 1e+03.
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def format_effect(row: Mapping[str, Any]) -> str:
    """Write an effect with its interval, such as ``odds × 1.62 (1.21 to 2.17)``.

    Parameters
    ----------
    row
        A row of ``paired_changes.tsv`` or ``marker_changes.tsv``.

    Returns
    -------
    str
        The effect on its scale; an effect that rests on a count near zero is called a bound.
    """
    low, high = format_number(row["effect_low"]), format_number(row["effect_high"])
    value = format_number(row["effect"])
    if row["effect_scale"] in ("odds_ratio", "fold_change"):
        kind = "odds " if row["effect_scale"] == "odds_ratio" else ""
        bound = ", a bound" if row.get("effect_is_bound") is True else ""
        return f"{kind}× {value} ({low} to {high}{bound})"
    return f"{value:>} ({low} to {high}) {row['effect_scale']}"


def format_ratio(row: Mapping[str, Any]) -> str:
    """Write an effect that is a ratio with its interval: ``× 1.62 (1.21 to 2.17)``."""
    ends = (format_number(row[f"effect{end}"]) for end in ("", "_low", "_high"))
    return "× {} ({} to {})".format(*ends)


def plain(name: object) -> str:
    """Write an identifier as words: ``month_4`` is month 4."""
    return str(name).replace("_", " ")


def source_words(source: object) -> str:
    """Write a source of the long tables: ``unstable_cluster`` is clusters, unstable."""
    rest, doubts = str(source), []
    for prefix in ("normalised", "unstable"):
        if rest.startswith(f"{prefix}_"):
            rest = rest.removeprefix(f"{prefix}_")
            doubts.append(prefix)
    name = {"cluster": "clusters", "single_cluster": "one cluster"}.get(rest, plain(rest))
    return ", ".join([name, *doubts])


def found_by(row: Mapping[str, Any]) -> str:
    """Say what found the cells of a row of results: gate, clusters, RNA, a table of others.

    Parameters
    ----------
    row
        With ``modality`` and ``source``; a row without them has none to name.

    Returns
    -------
    str
        Such as ``gate`` or ``clusters, unstable``; in single-cell RNA, where all populations are
        clusters, ``RNA``.
    """
    source = row.get("source")
    if not isinstance(source, str):
        return ""
    if row.get("modality") != "rna":
        return source_words(source)
    return "RNA" if source == "cluster" else f"RNA, {source_words(source)}"


def subject(row: Mapping[str, Any]) -> str:
    """Name a population, and what found it where that was neither a gate nor a table."""
    how = found_by(row)
    return plain(row["population"]) + (f" ({how})" if how not in ("", "gate", "table") else "")


def contrast_words(contrast: object) -> str:
    """Write a contrast: ``month_4 - baseline`` is month 4 against baseline."""
    followup, baseline = (plain(level) for level in str(contrast).split(" - ", 1))
    return f"{followup} against {baseline}"


def listed(names: Iterable[object]) -> str:
    """Join identifiers as words: a, b and c."""
    *rest, last = [plain(name) for name in names]
    return f"{', '.join(rest)} and {last}" if rest else last


def unit_words(row: Mapping[str, Any]) -> str:
    """Name the unit of a row's medians: percent of its parent, cells/µl."""
    return {
        "percent_of_parent": f"% of {plain(row['parent'])}",
        "cells_per_ul": "cells/µl",
    }.get(row["readout"], plain(row["readout"]))


def during(row: Mapping[str, Any], contrast_column: str) -> str:
    """Say when a change was seen: during a treatment, never due to it.

    Parameters
    ----------
    row
        A row of a table of changes.
    contrast_column
        ``visit`` or ``stimulation``.

    Returns
    -------
    str
        Such as ``during mepolizumab (month 4 against baseline)``.
    """
    contrast = contrast_words(row["contrast"])
    if contrast_column == "visit":
        return f"during {row['treatment']} ({contrast})"
    return f"with {contrast} ({row['treatment']})"


def _centre(row: Mapping[str, Any]) -> float:
    """Return the effect that is no change."""
    return 1.0 if row["effect_scale"] in ("odds_ratio", "fold_change") else 0.0


def medians_disagree(row: Mapping[str, Any]) -> bool:
    """Say whether the medians of the visits move against the change within patients.

    They may, because the median of the changes is not the change of the medians.

    Parameters
    ----------
    row
        A row of ``paired_changes.tsv`` or ``marker_changes.tsv``.

    Returns
    -------
    bool
        False also where a median is not known, or both are alike.
    """
    moved = float(row["followup_median"]) - float(row["baseline_median"])
    return bool(moved * (float(row["effect"]) - _centre(row)) < 0)


def finding(row: Mapping[str, Any], contrast_column: str) -> str:
    """Write one tested change as a sentence.

    Parameters
    ----------
    row
        A row of ``paired_changes.tsv`` or ``marker_changes.tsv`` with status ``tested``.
    contrast_column
        ``visit`` or ``stimulation``.

    Returns
    -------
    str
        Subject, direction, medians, circumstances, effect with interval, pairs, q, and what
        contradicts it.
    """
    verb = "rose" if row["effect"] > _centre(row) else "fell"
    if medians_disagree(row) and row["readout"] != "composition":
        # "Rose from 2.7 to 2.5" would puzzle: patients were compared with themselves.
        verb += " within patients, though medians went"
    before, after = (format_number(row[f"{when}_median"]) for when in ("baseline", "followup"))
    if "marker" in row:
        level = "% positive cells" if row["readout"] == "percent_positive" else ""
        # Sets of genes have names; those of antibodies are left as they are.
        marker = plain(row["marker"]) if row.get("modality") == "rna" else row["marker"]
        what = f"{marker} in {subject(row)} {verb} from {before} to {after}"
        what = f"{what} {level}".strip()
    else:
        what = f"{subject(row)} {verb} from {before} to {after} {unit_words(row)}"
        if row["readout"] == "composition":
            what = f"{subject(row)} {verb} beside the other populations"
    caveat = f"; {plain(row['note'])}" if isinstance(row["note"], str) and row["note"] else ""
    return (
        f"{what} {during(row, contrast_column)}: {format_effect(row)}, "
        f"{row['n_pairs']} pairs, q = {format_p(row['q_value'])}{caveat}"
    )


def no_finding(row: Mapping[str, Any], contrast_column: str) -> str:
    """Write, for a primary population without a claim, what is known and what is not.

    Parameters
    ----------
    row
        A row of ``paired_changes.tsv``, tested or not.
    contrast_column
        ``visit`` or ``stimulation``.

    Returns
    -------
    str
        Not shown to change, equivalent, or why it could not be tested.
    """
    who = f"{subject(row)} {during(row, contrast_column)}"
    if row["status"] != "tested":
        return f"{who}: not tested; {row['note']}"
    verdict = "equivalent within × 0.8 to 1.25" if row["equivalent"] else "not shown to change"
    return (
        f"{who}: {verdict}; {format_effect(row)}, {row['n_pairs']} pairs, "
        f"q = {format_p(row['q_value'])}; a change of × {format_number(row['detectable_fold'])} "
        f"({format_number(row['detectable_fold_low'])} to "
        f"{format_number(row['detectable_fold_high'])}) would have been found with 80 % power"
    )
