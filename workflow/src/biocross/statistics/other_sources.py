"""The same finding where its cells were found in another way: clusters instead of gates."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from biocross.statistics.finding import Finding, Numbers, join, number

# What says which question a row answers, whatever found the cells.
QUESTION = ("modality", "treatment", "contrast", "population", "readout")

OtherSources = Mapping[tuple[str, ...], list[Mapping[str, str]]]


def rows_by_question(changes: Iterable[Mapping[str, str]]) -> OtherSources:
    """Arrange the rows of ``paired_changes.tsv`` by what they ask.

    Parameters
    ----------
    changes
        All rows.

    Returns
    -------
    dict
        Rows by modality, treatment, contrast, population and readout: one per source.
    """
    found: dict[tuple[str, ...], list[Mapping[str, str]]] = {}
    for row in changes:
        found.setdefault(tuple(row[name] for name in QUESTION), []).append(row)
    return found


def by_other_sources(finding: Finding, rows: OtherSources) -> Iterator[dict[str, Any]]:
    """Set a finding beside the changes of the same population in cells found otherwise.

    Parameters
    ----------
    finding
        The finding.
    rows
        Of `rows_by_question`.

    Yields
    ------
    dict
        Rows of ``specifications.tsv``: one per other source, or one that says there is none.
    """
    reported = finding.reported
    asked = tuple(reported[name] for name in QUESTION)
    others = [row for row in rows.get(asked, ()) if row["source"] != reported["source"]]
    if not others:
        alone = f"{reported['population']} was found in one way only"
        yield finding.row("source", "other source", "not_applicable", alone)
    for row in others:
        note = row["note"]
        if row["parent"] != reported["parent"]:
            note = join(f"in percent of {row['parent']}", note)
        yield finding.row(
            "source", row["source"], row["status"], note, _numbers(row), row["effect_scale"]
        )


def _numbers(row: Mapping[str, str]) -> Numbers | None:
    if not row["effect"]:
        return None
    effect, low, high = (
        float(np.log(number(row[name]))) for name in ("effect", "effect_low", "effect_high")
    )
    return Numbers(int(row["n_pairs"]), effect, low, high, number(row["p_value"]))
