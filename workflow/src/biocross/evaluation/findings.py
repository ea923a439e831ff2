"""Are the findings true, and was what is true found? Tables of changes against planted changes."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.simulate.truth import NULL

FOUND, MISSED, RIGHT, FALSE, WRONG, UNTESTED = (
    "found",
    "missed",
    "rightly not claimed",
    "false claim",
    "claimed in the wrong direction",
    "not tested",
)
FINDING_COLUMNS = (
    *("kind", "modality", "source", "treatment", "contrast", "population", "parent", "readout"),
    *(
        "name",
        "n_pairs",
        "events_median",
        "true_effect",
        "effect",
        "effect_low",
        "effect_high",
        "effect_scale",
    ),
    *("p_value", "q_value", "family", "status", "covered", "verdict"),
)
_EFFECTS = ("effect", "effect_low", "effect_high")
_ASKED = ["modality", "treatment", "visit", "population"]


def judge_frequencies(changes: pd.DataFrame, truth: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """Judge every row of ``paired_changes.tsv`` whose truth is known.

    Parameters
    ----------
    changes
        The rows.
    truth
        ``effects.tsv`` of the truth, with a column `modality`.
    fdr
        The q value below which a change is claimed.

    Returns
    -------
    DataFrame
        Columns `FINDING_COLUMNS`. The true effect of a percentage is an odds ratio, of cells per µl
        a fold change; compositions have none, since their reference is estimated.
    """
    both = _with_visit(changes).merge(truth, on=_ASKED, suffixes=("", "_true"))
    both = both[both["readout"].isin(["percent_of_parent", "cells_per_ul"])]
    is_percent = both["readout"] == "percent_of_parent"
    true = np.where(is_percent, both["log_odds_ratio"], np.log(both["fold_change"]))
    logs = both[[*_EFFECTS]].transform(np.log)
    both = both.assign(kind="frequency", name="", true_effect=np.exp(true))
    return _judged(both, true, logs, fdr)


def judge_genes(changes: pd.DataFrame, truth: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """Judge every row of ``gene_changes.tsv``; genes that the truth does not name do not change.

    Parameters
    ----------
    changes
        The rows of genes; effects are log2 fold changes.
    truth
        ``genes.tsv`` of the truth.
    fdr
        The q value below which a change is claimed.

    Returns
    -------
    DataFrame
        Columns `FINDING_COLUMNS`.
    """
    known = truth.rename(columns={"log2_fold_change": "true_effect"})
    keys = ["treatment", "visit", "population", "gene"]
    both = _with_visit(changes).merge(known[[*keys, "true_effect"]], on=keys, how="left")
    true = both["true_effect"].fillna(0.0).to_numpy()
    columns = dict(zip(("log2_fold", "log2_fold_low", "log2_fold_high"), _EFFECTS, strict=True))
    both = both.assign(kind="gene", name=both["gene"], true_effect=true, readout="log2_expression")
    both = both.rename(columns=columns)
    return _judged(both, true * np.log(2), both[[*_EFFECTS]] * np.log(2), fdr)


def judge_markers(changes: pd.DataFrame, truth: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """Judge the medians of ``marker_changes.tsv``, whose effects are on the display's scale.

    Parameters
    ----------
    changes
        The rows.
    truth
        ``markers.tsv`` of the truth, in log2.
    fdr
        The q value below which a change is claimed.

    Returns
    -------
    DataFrame
        Columns `FINDING_COLUMNS`; `covered` is empty, since the scales differ.
    """
    keys = ["treatment", "visit", "population", "marker"]
    both = _with_visit(changes[changes["readout"] == "median"]).merge(truth, on=keys)
    true = both["log2_shift"].to_numpy(dtype=float)
    both = both.assign(kind="marker", name=both["marker"], true_effect=true)
    judged = _judged(both, true, both[[*_EFFECTS]], fdr)
    return judged.assign(covered="")


def _with_visit(changes: pd.DataFrame) -> pd.DataFrame:
    return changes.assign(visit=changes["contrast"].str.split(" - ").str[0])


def _judged(
    both: pd.DataFrame, true: NDArray[np.float64], effects: pd.DataFrame, fdr: float
) -> pd.DataFrame:
    """Word the verdicts; `true` and `effects` (effect, low, high) are 0 where nothing changes."""
    effect, low, high = (effects[name].to_numpy(dtype=float) for name in effects)
    tested = (both["status"] == "tested").to_numpy()
    null = np.abs(true) < NULL
    claimed = tested & (both["q_value"].to_numpy(dtype=float) < fdr)
    verdict = np.select(
        [
            ~tested,
            null & claimed,
            null,
            claimed & (np.sign(effect) == np.sign(true)),
            claimed,
        ],
        [UNTESTED, FALSE, RIGHT, FOUND, WRONG],
        MISSED,
    )
    covered = np.where((low <= true) & (true <= high), "yes", "no")
    covered = np.where(tested & np.isfinite(low), covered, "")
    judged = both.assign(covered=covered, verdict=verdict)
    return judged.reindex(columns=[*FINDING_COLUMNS]).reset_index(drop=True)
