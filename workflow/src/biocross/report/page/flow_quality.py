"""What the report says of flow cytometry: what was set aside, what is odd, where borders lie."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from biocross.flow.losses import READ, excluded_samples, step_words
from biocross.flow.marker_sanity import sanity_warnings
from biocross.flow.residual_spillover import residual_warnings
from biocross.report.page.flow_sections import FLOW_SECTIONS
from biocross.report.sources import records
from biocross.report.words import format_number, plain
from biocross.statistics.pairs import read_table
from biocross.tables import read_rows

MOST_NOTES = 3
FLOW_TABLES = ("ledger", "sample_losses", "thresholds", *FLOW_SECTIONS)


def flow_warnings(flow: Mapping[str, Path | str], fdr: float) -> list[str]:
    """Say what casts doubt on the comparison of the visits before any statistics.

    Parameters
    ----------
    flow
        Tables by name; empty without files.
    fdr
        Losses that differ between visits are named below this q value.

    Returns
    -------
    list of str
        Sentences: samples left out, losses that differ between visits, columns that may be
        exchanged, dyes that shine into other detectors in one batch.
    """
    if not flow:
        return []
    losses = read_table(flow["loss_changes"])
    losses = losses[losses["threat"].notna() & (losses["q_value"] < fdr)]
    return [
        *(
            f"sample {sample} is left out: its file {reason}"
            for sample, reason in excluded_samples([flow["ledger"]]).items()
        ),
        *(
            f"{row['treatment']}, {plain(row['contrast'])}: {row['threat']}"
            for row in records(losses)
        ),
        *sanity_warnings(read_rows(flow["sanity"])),
        *residual_warnings(read_rows(flow["residual_spillover"])),
    ]


def border_warnings(
    flow: Mapping[str, Path | str], sensitivity: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Name the borders of primary populations for which mostly no valley or mixture was found.

    Parameters
    ----------
    flow
        Tables by name; empty without files.
    sensitivity
        Rows of ``gate_sensitivity.tsv``, which say who rests on which border.

    Returns
    -------
    list of str
        One sentence per border that is the tail of its negatives in more than half of the samples.
    """
    if "thresholds" not in flow:
        return []
    users: dict[str, list[str]] = {}
    for row in sensitivity:
        users.setdefault(row["threshold"], []).append(plain(row["population"]))
    found = [row for row in read_rows(flow["thresholds"]) if row["threshold"] in users]
    sentences = []
    for name in dict.fromkeys(row["threshold"] for row in found):
        own = [row for row in found if row["threshold"] == name]
        lost = [row for row in own if row["source"] == "tail" != row.get("method", "tail")]
        if 2 * len(lost) > len(own):
            who = ", ".join(dict.fromkeys(users[name]))
            sentences.append(
                f"no {lost[0]['method']} of {name} was found in {len(lost)} of {len(own)} samples, "
                f"where its border is the tail of the negatives: {who} may have lost cells or "
                "gained noise, look at their gates first"
            )
    return sentences


def ledger_rows(ledger: pd.DataFrame) -> list[dict[str, Any]]:
    """Total the ledger per step, with the samples that lost most."""
    rows = []
    for step, part in ledger[ledger["step"] != READ].groupby("step", sort=False):
        worst = records(part.nlargest(1, "share"))[0]
        rows.append(
            {
                "step": step_words(str(step)),
                "flagged": f"{int(part['flagged'].sum()):,}",
                "median": f"{100 * part['share'].median():.2f} %",
                "worst": f"{worst['sample_id']}: {100 * worst['share']:.2f} %",
                "note": _common(part["note"].dropna()),
            }
        )
    return rows


def _common(notes: pd.Series) -> str:
    """List the notes that most samples share, with their number."""
    found = notes.value_counts()
    listed = [f"{note} ({n})" for note, n in found.head(MOST_NOTES).items()]
    return "; ".join(listed) + ("; ..." if len(found) > MOST_NOTES else "")


def threshold_rows(thresholds: pd.DataFrame) -> list[dict[str, Any]]:
    """Summarise every border over patients: how it was found and how much it differs."""
    rows = []
    for (name, marker, where), part in thresholds.groupby(
        ["threshold", "marker", "population"], sort=False
    ):
        sources = part["source"].value_counts()
        rows.append(
            {
                "threshold": name,
                "marker": marker,
                "population": plain(where),
                "median": format_number(part["value"].median()),
                "range": f"{format_number(part['value'].min())} to "
                f"{format_number(part['value'].max())}",
                "depth": format_number(part["depth"].dropna().median()),
                "sources": ", ".join(f"{source}: {count}" for source, count in sources.items()),
                "flags": ", ".join(
                    f"{plain(flag)}: {count}" for flag, count in part["flag"].value_counts().items()
                ),
            }
        )
    return rows
