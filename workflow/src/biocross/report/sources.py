"""Which rows stand where in the report, now that a population may be found in several ways.

A population is counted by gates, by clusters, in single-cell RNA, and in tables of others. Tables
hold all of it; the report shows what a reader can take in. The rule is here and nowhere else:

- Figures of every patient show where the study declared its confirmatory family.
- Tables show gates, populations made of clusters, RNA, and imported tables; of single clusters
  only what is below the false discovery rate, and a sentence says how many were tested.
- The first screen shows each question once. Clusters that reruns do not give again, single
  clusters, and clusters of normalised events never stand there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from biocross.flow.clusters.groups import MERGED, SINGLE

# What leads where several sources answer the same question.
SOURCES = ("gate", MERGED, "table")
QUESTION = ("modality", "treatment", "contrast", "population", "marker", "readout")


def is_single(source: object) -> bool:
    """Whether a source of the long tables is one cluster by itself."""
    return str(source).endswith(SINGLE)


def may_open(source: object) -> bool:
    """Whether a source may stand on the first screen."""
    return str(source) in SOURCES


def is_below(row: Mapping[str, Any], fdr: float) -> bool:
    """Whether a row claims a change."""
    return bool(row.get("status") == "tested" and row.get("q_value", 1.0) < fdr)


def is_shown(row: Mapping[str, Any], fdr: float) -> bool:
    """Whether a row stands in the report's tables.

    Parameters
    ----------
    row
        A row of any table of results; tables without sources are shown whole.
    fdr
        False discovery rate of a claim.

    Returns
    -------
    bool
        Single clusters: only below the false discovery rate. Populations that clusters do not
        resolve: not, because the section on clusters names them.
    """
    source = str(row.get("source", ""))
    if is_single(source):
        return is_below(row, fdr)
    if MERGED in source and row.get("modality") == "flow":
        return row.get("status") != "not_measured"
    return True


def single_clusters_aside(table: pd.DataFrame, fdr: float) -> str:
    """Say what a table of the report leaves out.

    Parameters
    ----------
    table
        A table of results.
    fdr
        False discovery rate of a claim.

    Returns
    -------
    str
        How many tests of single clusters there are; empty where there is none.
    """
    if "source" not in table or "q_value" not in table:
        return ""
    single = table[table["source"].map(is_single) & (table["status"] == "tested")]
    if single.empty:
        return ""
    n_below = int((single["q_value"] < fdr).sum())
    shown = f"the {n_below} below the false discovery rate are" if n_below > 1 else "one is"
    return (
        f"Clusters were also tested one by one ({len(single):,} tests), in families of their own: "
        + (f"{shown} shown here." if n_below else "none is below the false discovery rate.")
    )


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows as mappings from column name to value."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def leading_rows(table: pd.DataFrame, declared: Sequence[str]) -> pd.DataFrame:
    """Take the rows that the figures of every patient show.

    Parameters
    ----------
    table
        With ``modality`` and ``source``.
    declared
        Modality and source of the confirmatory family.

    Returns
    -------
    DataFrame
        The rows of the declared modality and source; where there are none, those of all sources
        that may open a report; where there are none either, all.
    """
    own = (table["modality"] == declared[0]) & (table["source"] == declared[1])
    for chosen in (own, table["source"].map(may_open).astype(bool)):
        if chosen.any():
            return table[chosen]
    return table


def first_screen(table: pd.DataFrame, first: str) -> pd.DataFrame:
    """Take one row per question, so that a change is not told twice.

    Parameters
    ----------
    table
        A table of changes.
    first
        The source that leads, as the configuration declares it; then gates, clusters, tables.

    Returns
    -------
    DataFrame
        The rows in their order, of sources that may open a report.
    """
    order = dict.fromkeys((first, *SOURCES))
    rank = {source: place for place, source in enumerate(order)}
    kept = table[table["source"].map(may_open).astype(bool)]
    keys = [key for key in QUESTION if key in table]
    leading = kept.assign(rank=kept["source"].map(rank)).sort_values("rank", kind="stable")
    return kept.loc[leading.drop_duplicates(keys).index.sort_values()]
