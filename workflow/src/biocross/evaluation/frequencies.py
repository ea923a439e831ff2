"""Are frequencies right, and wrong alike at all visits? Counts against the true counts."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from biocross.statistics.kernels.scale import logit_of_counts

# Fewer true cells in a file say little about the error of a frequency.
LEAST_EVENTS = 20
FREQUENCY_COLUMNS = (
    *("modality", "source", "population", "parent", "visit", "n_samples", "true_percent"),
    *("median_error", "bias", "bias_se", "n_pairs", "true_change", "change_bias", "change_bias_se"),
)
_QUESTION = ["modality", "source", "population", "parent", "visit"]


def frequency_errors(counts: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Set every measured frequency beside the true one.

    Parameters
    ----------
    counts
        The long table of one modality.
    truth
        ``counts.tsv`` of the truth.

    Returns
    -------
    DataFrame
        One row for each source, sample and population that was counted and has `LEAST_EVENTS` true
        cells: `share`, the true frequency; `logit`, the true one's; `error`, measured minus true
        logit (½ is added to all counts); `relative`, the relative error of the frequency.
    """
    keys = ["sample_id", "population", "parent"]
    both = counts.merge(truth, on=keys, suffixes=("", "_true"))
    counted = both["count"].notna() & (both["parent_count"] > 0)
    both = both[counted & (both["count_true"] >= LEAST_EVENTS)]
    measured, true = (
        logit_of_counts(both[f"count{end}"], both[f"parent_count{end}"]) for end in ("", "_true")
    )
    share = both["count_true"] / both["parent_count_true"]
    return both[["patient_id", "sample_id", *_QUESTION]].assign(
        share=share,
        logit=true,
        error=measured - true,
        relative=(both["count"] / both["parent_count"] / share - 1).abs(),
    )


def summarise_errors(errors: pd.DataFrame, levels: Sequence[str]) -> pd.DataFrame:
    """Summarise the errors of frequencies by population and visit.

    Parameters
    ----------
    errors
        Of `frequency_errors`.
    levels
        The visits, the baseline first.

    Returns
    -------
    DataFrame
        Columns `FREQUENCY_COLUMNS`. `median_error` is relative; `bias` is the mean error of the
        logit and `change_bias` that of its change since the baseline, each with its standard error
        over patients; a bias that is alike at both visits leaves no bias of the change.
    """
    rows = []
    for key, own in errors.groupby(_QUESTION, sort=False, dropna=False):
        row = dict(zip(_QUESTION, key, strict=True))
        row |= {
            "n_samples": len(own),
            "true_percent": 100 * own["share"].median(),
            "median_error": own["relative"].median(),
            "bias": own["error"].mean(),
            "bias_se": _se(own["error"]),
        }
        rows.append(row | _change(errors, row, own, levels[0]))
    return pd.DataFrame(rows, columns=[*FREQUENCY_COLUMNS])


def _change(
    errors: pd.DataFrame, row: dict[str, object], own: pd.DataFrame, baseline: str
) -> dict[str, object]:
    if row["visit"] == baseline:
        return {}
    same = np.logical_and.reduce(
        [errors[name] == row[name] for name in ("modality", "source", "population")]
    )
    first = errors[same & (errors["visit"] == baseline)]
    pairs = own.merge(first, on="patient_id", suffixes=("", "_first"))
    bias = pairs["error"] - pairs["error_first"]
    return {
        "n_pairs": len(pairs),
        "true_change": (pairs["logit"] - pairs["logit_first"]).mean(),
        "change_bias": bias.mean(),
        "change_bias_se": _se(bias),
    }


def _se(values: pd.Series) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
