"""Did the responses to a stimulation change within patients? Tests net responses between visits."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.statistics.families import (
    MIN_CONFIRMATORY_PAIRS,
    correct_families,
    exploratory,
)
from biocross.statistics.kernels.exact import wilcoxon_signed_rank
from biocross.statistics.kernels.moderation import MIN_PAIRS, moderated_paired_t
from biocross.statistics.paired_changes import MIN_EVENTS, batch_caveat
from biocross.statistics.pairs import Question, value_arrays

FloatArray = NDArray[np.float64]

CHANGE_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "stimulation", "population", "parent"),
    *("n_pairs", "n_incomplete", "events_median", "baseline_median", "followup_median"),
    *("effect", "effect_low", "effect_high", "effect_scale", "statistic", "df", "p_value"),
    *("q_value", "family", "wilcoxon_p", "responders_baseline", "responders_followup"),
    *("status", "note"),
)
PERCENTS = ("percent", "background_percent")
EVENTS = ("count", "background_count")
VALUES = ("net", *PERCENTS, *EVENTS, "positive", "no_background")


class NetPairs(NamedTuple):
    """Responses to one stimulation at two visits.

    Parameters
    ----------
    question
        What is compared.
    stimulation
        What the cells were stimulated with.
    names
        Population and parent, one row per column of the arrays.
    baseline, followup
        By value column, shape (patients, populations); NaN where not measured. The patients are
        those who were stimulated at one of the two visits at least.
    both
        Whether a patient was stimulated at both visits, shape (patients,).
    batches
        Batch at baseline and at follow-up of the patients with both.
    n_moved
        Patients with both of whom a stimulated and its unstimulated sample differ in batch.
    """

    question: Question
    stimulation: str
    names: pd.DataFrame
    baseline: dict[str, FloatArray]
    followup: dict[str, FloatArray]
    both: NDArray[np.bool_]
    batches: tuple[tuple[str, str], ...]
    n_moved: int


def change_rows(responses: pd.DataFrame, pair_sheet: pd.DataFrame) -> list[dict[str, Any]]:
    """Test the net response of every population for change within patients.

    Parameters
    ----------
    responses
        Rows of `call_responses` with their batches.
    pair_sheet
        Of `read_pair_sheet`.

    Returns
    -------
    list of dict
        Rows with `CHANGE_COLUMNS`; the effect is the mean change of the net response in points.

    Notes
    -----
    The change is tested by the moderated paired t of all tables, on points, with the log of the
    mean percentage as trend of the variances. Simulated under the null (6 to 20 pairs, 20
    populations of .005 to 60 %, visits of equal depth or 10 : 1, variances that follow the
    percentage or not), type I is .03-.055 in every class; at 6 pairs a response that doubles is
    found in .77, by the plain t in .66. Logits would turn the subtraction of the background into
    something else, and a negative net response has none.
    """
    values = responses.assign(
        positive=responses["call"].map({"positive": 1.0, "negative": 0.0}).astype(np.float64),
        no_background=(responses["status"] == "no_background").astype(np.float64),
    )
    rows = [row for pairs in net_pairs(values, pair_sheet) for row in _rows(pairs)]
    keys = ("modality", "source", "treatment", "contrast", "stimulation")
    for row in rows:
        row["family"] = exploratory(row, *keys) + ", net response"
    correct_families(rows)
    return rows


def net_pairs(responses: pd.DataFrame, pair_sheet: pd.DataFrame) -> Iterator[NetPairs]:
    """Arrange responses as one array per visit for every question they can be asked.

    Parameters
    ----------
    responses
        Rows of `call_responses` with the columns `VALUES`.
    pair_sheet
        Of `read_pair_sheet`.

    Yields
    ------
    NetPairs
        For every modality, source, treatment, contrast and stimulation, pairs or not.
    """
    for (modality, source), part in responses.groupby(["modality", "source"], sort=True):
        names = part[["population", "parent"]].drop_duplicates().reset_index(drop=True)
        asked = pair_sheet[pair_sheet["modality"] == modality]
        contrasts = asked[["followup", "baseline"]].drop_duplicates()
        given = {
            contrast: _treatments(part, asked, *contrast)
            for contrast in contrasts.itertuples(index=False, name=None)
        }
        for treatment in sorted({name for known in given.values() for name in known.values()}):
            for contrast, known in given.items():
                patients = {patient for patient in known if known[patient] == treatment}
                if not patients:
                    continue
                question = Question(str(modality), str(source), treatment, *contrast)
                of_arm = part[part["patient_id"].isin(patients)]
                for stimulation in sorted(part["stimulation"].unique()):
                    rows = of_arm[of_arm["stimulation"] == stimulation]
                    yield _net_pairs(question, str(stimulation), rows, names)


def _treatments(
    responses: pd.DataFrame, asked: pd.DataFrame, followup: str, baseline: str
) -> dict[str, str]:
    """Treatment of every patient; the sheet of pairs lacks those without unstimulated samples."""
    known: dict[str, str] = {}
    for visit in (baseline, followup):
        rows = responses[responses["visit"] == visit]
        known |= dict(zip(rows["patient_id"], rows["treatment"], strict=True))
    rows = asked[(asked["followup"] == followup) & (asked["baseline"] == baseline)]
    return known | dict(zip(rows["patient_id"], rows["treatment"], strict=True))


def _net_pairs(
    question: Question, stimulation: str, rows: pd.DataFrame, names: pd.DataFrame
) -> NetPairs:
    rows = rows.assign(unit=rows["patient_id"])
    at = [rows[rows["visit"] == visit] for visit in (question.baseline, question.followup)]
    seen = [set(part["unit"]) for part in at]
    units = sorted(seen[0] | seen[1])
    both = [unit for unit in units if unit in seen[0] and unit in seen[1]]
    first = [part.drop_duplicates("unit").set_index("unit") for part in at]
    moved = [any(_differ(part, unit) for part in first) for unit in both]
    return NetPairs(
        question,
        stimulation,
        names,
        value_arrays(at[0], units, names, VALUES),
        value_arrays(at[1], units, names, VALUES),
        np.isin(units, both) if units else np.zeros(0, dtype=np.bool_),
        tuple((first[0]["batch"][unit], first[1]["batch"][unit]) for unit in both),
        sum(moved),
    )


def _differ(rows: pd.DataFrame, unit: str) -> bool:
    batches = {rows["batch"][unit], rows["background_batch"][unit]} - {""}
    return len(batches) > 1


def _rows(pairs: NetPairs) -> Iterator[dict[str, Any]]:
    before, after = pairs.baseline, pairs.followup
    change = after["net"] - before["net"]
    complete = ~np.isnan(change)
    test = moderated_paired_t(change, _log_percent(pairs, complete))
    wilcoxon = wilcoxon_signed_rank(change)
    for column, (population, parent) in enumerate(pairs.names.itertuples(index=False, name=None)):
        at = (complete[:, column], column)
        row: dict[str, Any] = {
            **pairs.question.columns(),
            **{"stimulation": pairs.stimulation, "population": population, "parent": parent},
            "n_pairs": int(at[0].sum()),
            "n_incomplete": int((~at[0]).sum()),
            "effect_scale": "points",
        }
        if at[0].any():
            row |= {
                "events_median": _median_events(pairs, at),
                "baseline_median": float(np.median(before["net"][at])),
                "followup_median": float(np.median(after["net"][at])),
                "effect": float(test.estimate[column]),
                "responders_baseline": _responders(before["positive"][at]),
                "responders_followup": _responders(after["positive"][at]),
            }
        testable = bool(np.isfinite(test.p[column]))
        row["status"], row["note"] = _judge(pairs, row, at, testable)
        if testable:
            row |= {
                "effect_low": float(test.low[column]),
                "effect_high": float(test.high[column]),
                "statistic": float(test.t[column]),
                "df": float(test.df[column]),
                "p_value": float(test.p[column]),
                "wilcoxon_p": float(wilcoxon[column]),
            }
        yield row


def _log_percent(pairs: NetPairs, complete: NDArray[np.bool_]) -> FloatArray:
    """Log of the mean percentage over both samples and visits of the complete pairs."""
    total = sum(visit[name] for visit in (pairs.baseline, pairs.followup) for name in PERCENTS)
    known = np.where(complete, total, 0.0).sum(axis=0) / 4
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = known / complete.sum(axis=0)
        return np.log(np.where(mean > 0, mean, np.nan))


def _median_events(pairs: NetPairs, at: tuple[NDArray[np.bool_], int]) -> float | None:
    """Median over pairs of the most events in any of the four samples; None without counts."""
    events = [visit[name][at] for visit in (pairs.baseline, pairs.followup) for name in EVENTS]
    most = np.max(events, axis=0)
    return None if np.isnan(most).any() else float(np.median(most))


def _responders(positive: FloatArray) -> int | None:
    """Count positive calls; None where no sample could be called."""
    return None if np.isnan(positive).all() else int(np.nansum(positive))


def _judge(
    pairs: NetPairs, row: dict[str, Any], at: tuple[NDArray[np.bool_], int], testable: bool
) -> tuple[str, str]:
    """Say whether a response could be tested, why not, and what casts doubt on the test."""
    complete, column = at
    n, contrast = int(complete.sum()), pairs.question.contrast
    if not pairs.both.any():
        return (
            "no_pairs",
            f"no patient was stimulated with {pairs.stimulation} at both of {contrast}",
        )
    alone = pairs.baseline["no_background"][:, column] + pairs.followup["no_background"][:, column]
    n_alone = int((alone[pairs.both] > 0).sum())
    lacking = (
        f"{n_alone} of {pairs.both.sum()} pairs lack an unstimulated sample" if n_alone else ""
    )
    caveats = [lacking, *_caveats(pairs, n, testable)] if n else [lacking]
    if n < MIN_PAIRS:
        status = "no_background" if n + n_alone >= MIN_PAIRS else "too_few_pairs"
        if not n and not n_alone:
            return "not_measured", "not measured in these samples"
        why = f"{n} of the {MIN_PAIRS} pairs that a test needs"
    elif not any(v[name][at].any() for v in (pairs.baseline, pairs.followup) for name in PERCENTS):
        status, why = "all_zero", "no event in any sample of any pair"
    elif not testable:
        status, why = "constant", "the change is the same in every pair"
    elif row["events_median"] is not None and row["events_median"] < MIN_EVENTS:
        status = "too_few_events"
        why = (
            f"{row['events_median']:.0f} events in the median pair, fewer than {MIN_EVENTS}: "
            "shown, but nothing is claimed"
        )
    else:
        status, why = "tested", ""
    return status, "; ".join(filter(None, [why, *caveats]))


def _caveats(pairs: NetPairs, n: int, testable: bool) -> list[str]:
    caveats = [batch_caveat(pairs.batches)]
    if pairs.n_moved:
        caveats.append(
            f"{pairs.n_moved} of {len(pairs.batches)} pairs have a stimulated sample of another "
            "batch than its unstimulated one"
        )
    if testable and n < MIN_CONFIRMATORY_PAIRS:
        caveats.append("fewer than 6 pairs: no exact test can reach 0.05")
    return caveats
