"""Did cells respond to a stimulation? Net responses of samples, and which of them are positive.

A stimulated sample is read against the unstimulated one of the same patient and visit: its net
response is the difference of their percentages. Whether a sample responds is a statement about its
two tubes; whether responses changed is tested between patients (`net_changes`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.statistics.families import correct_families, exploratory
from biocross.statistics.kernels.net_response import fisher_greater, net_response
from biocross.statistics.kernels.scale import logit_of_counts
from biocross.statistics.net_changes import CHANGE_COLUMNS, change_rows
from biocross.statistics.pairs import read_long_table, read_pair_sheet
from biocross.tables import write_rows

FloatArray = NDArray[np.float64]

RESPONSE_COLUMNS = (
    *("modality", "source", "sample_id", "patient_id", "visit", "treatment", "stimulation"),
    *("background_sample", "population", "parent", "count", "parent_count", "background_count"),
    *("background_parent_count", "percent", "background_percent", "net", "net_low", "net_high"),
    *("odds_ratio", "fisher_p", "q_value", "family", "call", "status", "note"),
)
MEASURED = ("count", "parent_count", "percent")
POPULATION = ["modality", "source", "population", "parent"]
BACKGROUND_COLUMNS = {
    "sample_id": "background_sample",
    "batch": "background_batch",
    "count": "background_count",
    "parent_count": "background_parent_count",
    "percent": "background_percent",
}
# Two tubes of one sample differ by more than counting noise. Where each varies by 20 %, Fisher's
# test alone calls 22 % of unchanged populations at 30,000 events; with twice the odds, 1.4 %.
MIN_ODDS_RATIO = 2.0
MIN_PARENT_EVENTS = 20


def find_stimulated_responses(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    fdr: float,
    responses_out: Path | str,
    changes_out: Path | str,
) -> None:
    """Call the response of every stimulated sample, and test the responses between visits.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    fdr
        False discovery rate of the calls within one sample.
    responses_out
        One row per stimulated sample, source and population.
    changes_out
        One row per modality, source, treatment, contrast, stimulation and population. Both tables
        are empty where stimulations are what the design compares, or nothing was stimulated.
    """
    rows = call_responses(read_responses(counts, samples), fdr)
    written = ({name: row[name] for name in RESPONSE_COLUMNS} for row in rows)
    write_rows(responses_out, RESPONSE_COLUMNS, written)
    table = pd.DataFrame(rows, columns=[*RESPONSE_COLUMNS, "batch", "background_batch"])
    write_rows(changes_out, CHANGE_COLUMNS, change_rows(table, read_pair_sheet(pairs)))


def read_responses(counts: Path | str, samples: Path | str) -> pd.DataFrame:
    """Put the unstimulated sample of the same patient and visit beside every stimulated one.

    Parameters
    ----------
    counts, samples
        As for `find_stimulated_responses`.

    Returns
    -------
    DataFrame
        One row per stimulated sample, source, population and parent, also where a population was
        not measured; counts and percent of both samples, NaN where unknown, and their batches.
    """
    table = read_long_table(counts, samples, with_stimulated=True)
    table = table[table["parent"] != ""]
    known = table["parent_count"].gt(0) & table["count"].notna()
    table["percent"] = table["percent"].mask(known, 100 * table["count"] / table["parent_count"])
    sheet = pd.read_csv(samples, sep="\t", dtype=str, keep_default_na=False)
    stimulated = sheet[sheet["unit"] == ""]
    asked = _populations_of(stimulated, table)
    own = table.loc[table["unit"] == "", ["sample_id", *POPULATION, *MEASURED]]
    background = table[table["unit"] != ""].rename(columns=BACKGROUND_COLUMNS)
    where = [*POPULATION, "patient_id", "visit"]
    return asked.merge(own, on=["sample_id", *POPULATION], how="left").merge(
        background[[*where, *BACKGROUND_COLUMNS.values()]], on=where, how="left"
    )


def _populations_of(stimulated: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Ask every population of its modality and source of every stimulated sample."""
    about = ["sample_id", "modality", "patient_id", "visit", "treatment", "stimulation", "batch"]
    names = table[POPULATION].drop_duplicates()
    asked = stimulated[about].merge(names, on="modality", how="inner")
    measured = table[["sample_id", "source"]].drop_duplicates()
    of_tables = set(measured.loc[measured["source"] == "table", "sample_id"])
    # A sample of a table is in the table only; one of a file may lack all rows of a source.
    from_table = asked["sample_id"].isin(of_tables)
    return asked[from_table == (asked["source"] == "table")].reset_index(drop=True)


def call_responses(responses: pd.DataFrame, fdr: float) -> list[dict[str, Any]]:
    """Compute the net response of every row, and call those that are positive.

    Parameters
    ----------
    responses
        Of `read_responses`.
    fdr
        False discovery rate within the populations of one sample and source.

    Returns
    -------
    list of dict
        Rows with `RESPONSE_COLUMNS` and the batches. ``call`` is ``positive`` where the population
        is more frequent in the stimulated sample by Fisher's exact test (one-sided, q below
        `fdr`) and by at least twice the odds; ``negative`` means that no response was shown, and
        ``net_high`` what may have been missed. What could not be called repeats its ``status``.
    """
    names = ("count", "parent_count", "background_count", "background_parent_count")
    x, n, x0, n0 = (responses[name].to_numpy(dtype=np.float64) for name in names)
    found = net_response(x, n, x0, n0)
    status, note = _judge(responses, n, n0)
    table = responses.assign(
        net=responses["percent"] - responses["background_percent"],
        net_low=100 * found.low,
        net_high=100 * found.high,
        odds_ratio=np.exp(logit_of_counts(x, n) - logit_of_counts(x0, n0)),
        fisher_p=fisher_greater(x, n, x0, n0),
        q_value=np.nan,
        status=status,
        note=note,
        background_sample=responses["background_sample"].fillna(""),
        background_batch=responses["background_batch"].fillna(""),
    )
    rows: list[dict[str, Any]] = [
        {str(key): value for key, value in row.items()} for row in table.to_dict("records")
    ]
    for row in rows:
        row["family"] = exploratory(row, "modality", "source", "sample_id") + ", response"
        row["p_value"] = row["fisher_p"]
    correct_families(rows)
    for row in rows:
        del row["p_value"]
        row["call"] = row["status"]
        if row["status"] == "tested":
            higher, enough = row["q_value"] < fdr, row["odds_ratio"] >= MIN_ODDS_RATIO
            row["call"] = "positive" if higher and enough else "negative"
            if higher and not enough:
                row["note"] = (
                    f"more frequent than unstimulated, but by less than {MIN_ODDS_RATIO:g} times "
                    "the odds, as two tubes of one sample may differ"
                )
    return rows


def _judge(
    responses: pd.DataFrame, total: FloatArray, background_total: FloatArray
) -> tuple[list[str], list[str]]:
    """Say of every row whether a call can be made and, in words, why not."""
    fewest = np.fmin(total, background_total)
    few = [
        f"{events:.0f} events of the parent in one of the two samples, fewer than "
        f"{MIN_PARENT_EVENTS}"
        for events in fewest
    ]
    alone = responses["background_sample"].isna().to_numpy()
    missing, missing_0 = (
        (responses[percent].isna() & ~(responses[parent] == 0)).to_numpy()
        for percent, parent in (
            ("percent", "parent_count"),
            ("background_percent", "background_parent_count"),
        )
    )
    counted = (responses["count"] + responses["background_count"]).notna().to_numpy()
    # The first that holds.
    cases: tuple[tuple[NDArray[np.bool_], str, str | list[str]], ...] = (
        (missing, "not_measured", "not measured in the stimulated sample"),
        (alone, "no_background", "no unstimulated sample of this patient and visit was counted"),
        (missing_0, "no_background", "not measured in the unstimulated sample"),
        (fewest < MIN_PARENT_EVENTS, "too_few_events", few),
        (~counted, "not_counted", "only percentages are known: no interval and no call"),
    )
    holds = [case for case, _, _ in cases]
    status = np.select(holds, [name for _, name, _ in cases], "tested")
    note = np.select(holds, [np.broadcast_to(words, len(few)) for _, _, words in cases], "")
    return status.tolist(), note.tolist()
