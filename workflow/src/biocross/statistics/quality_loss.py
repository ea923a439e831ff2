"""Losses of events to quality steps: between visits, and in single samples.

A step that takes different shares of two visits can pass for a change of the cells it takes most.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.errors import TableError
from biocross.flow.losses import (
    SAMPLE_LOSS_COLUMNS,
    TOTAL,
    SampleLoss,
    StepLoss,
    read_losses,
    sample_rows,
    step_words,
)
from biocross.statistics.families import correct_families, exploratory
from biocross.statistics.kernels.exact import wilcoxon_signed_rank
from biocross.statistics.kernels.moderation import MIN_PAIRS, plain_paired_t
from biocross.statistics.kernels.scale import equal_depth_logit
from biocross.statistics.paired_changes import batch_caveat
from biocross.tables import read_rows, write_rows

FloatArray = NDArray[np.float64]

LOSS_COLUMNS = (
    *("treatment", "contrast", "step", "n_pairs", "n_incomplete", "baseline_median"),
    *("followup_median", "difference_median", "effect", "effect_low", "effect_high"),
    *("effect_scale", "statistic", "df", "p_value", "q_value", "family", "wilcoxon_p"),
    *("threat", "status", "note"),
)
EVERYONE = "all treatments"
# A population ten times as likely to be set aside as other cells moves by a tenth when the loss
# moves by one point: half of what still counts as "no change" (0.8 to 1.25).
THREAT_POINTS = 1.0
FEWEST_FOR_EXACT = 6


class _Pairs(NamedTuple):
    """What one treatment and contrast compares: ledgers before and after, and their batches."""

    treatment: str
    contrast: str
    n_alone: int
    ledgers: list[tuple[SampleLoss, SampleLoss]]
    batches: list[tuple[str, str]]


def find_quality_losses(
    ledger: Path | str,
    samples: Path | str,
    pairs: Path | str,
    losses_out: Path | str,
    sample_losses_out: Path | str,
) -> None:
    """Test whether quality steps set aside more at one visit, and name samples that lost much.

    Parameters
    ----------
    ledger, samples, pairs
        ``results/flow/quality/ledger.tsv`` or ``results/cells/ledger.tsv``, and ``samples.tsv``
        and ``pairs.tsv`` of ``results/cohort``.
    losses_out
        One row per treatment (then ``all treatments``, where there are several), contrast and
        step; ``total`` is all steps together.
    sample_losses_out
        One row per sample of the ledger.

    Raises
    ------
    TableError
        A sample of the ledger is not in the sheet, or a count is no number.
    """
    losses, sheet = read_losses(ledger), read_rows(samples)
    known = {row["sample_id"] for row in sheet}
    if unknown := [sample for sample in losses if sample not in known]:
        raise TableError(
            f'{ledger}: sample "{unknown[0]}" is not in {samples}; were both made by the same run?'
        )
    write_rows(losses_out, LOSS_COLUMNS, loss_rows(losses, sheet, read_rows(pairs)))
    write_rows(sample_losses_out, SAMPLE_LOSS_COLUMNS, sample_rows(losses, sheet))


def loss_rows(
    losses: Mapping[str, SampleLoss],
    sheet: Sequence[Mapping[str, str]],
    pair_sheet: Sequence[Mapping[str, str]],
) -> list[dict[str, Any]]:
    """Test every step between the visits of every contrast.

    The share that a step takes of the events that reach it is compared, on the logit scale and at
    equal depth, by the plain paired t test: steps are unlike each other and few, so that their
    variances cannot inform one another as those of populations do. The total is of events read.

    Parameters
    ----------
    losses, sheet, pair_sheet
        Of `read_losses`, and rows of ``samples.tsv`` and ``pairs.tsv``.

    Returns
    -------
    list of dict
        Rows of ``losses.tsv``.
    """
    steps = dict.fromkeys(step for loss in losses.values() for step in loss.steps)
    rows = [
        row
        for pairs in _pairs_of_questions(losses, sheet, pair_sheet)
        for row in _tested_rows(pairs, (*steps, TOTAL))
    ]
    correct_families(rows)
    for row in rows:
        row["threat"] = threat_of(row)
    return rows


def threat_of(row: Mapping[str, Any]) -> str:
    """Say in words where a loss differs enough between visits to pass for a change.

    Parameters
    ----------
    row
        A row of `loss_rows`.

    Returns
    -------
    str
        Step, direction and points; empty where the 95 % interval holds an odds ratio of 1, or
        the median difference is below one percentage point.
    """
    if row["status"] != "tested" or row["effect_low"] <= 1 <= row["effect_high"]:
        return ""
    points = row["difference_median"]
    if abs(points) < THREAT_POINTS or (points > 0) != (row["effect"] > 1):
        return ""
    followup, baseline = row["contrast"].split(" - ", 1)
    return (
        f"{step_words(row['step'])}: {abs(points):.1f} points {'more' if points > 0 else 'fewer'} "
        f"set aside at {followup} than at {baseline} in the median pair "
        f"(medians {row['baseline_median']:.1f} % at {baseline}, "
        f"{row['followup_median']:.1f} % at {followup}), q = {row['q_value']:.2g}"
    )


def _pairs_of_questions(
    losses: Mapping[str, SampleLoss],
    sheet: Sequence[Mapping[str, str]],
    pair_sheet: Sequence[Mapping[str, str]],
) -> Iterator[_Pairs]:
    """Yield each treatment's contrasts, then those of all patients where treatments differ."""
    measured: dict[tuple[str, str], Mapping[str, str]] = {}
    for row in sheet:
        if row["sample_id"] in losses and losses[row["sample_id"]].events:
            measured.setdefault((row["unit"], row["level"]), row)
    # A ledger is of flow cytometry or of RNA.
    modalities = {row["modality"] for row in sheet if row["sample_id"] in losses}
    own = [row for row in pair_sheet if row["modality"] in modalities]
    treatments = sorted({row["treatment"] for row in own})
    contrasts = dict.fromkeys((row["contrast"], row["followup"], row["baseline"]) for row in own)
    for treatment in (*treatments, *([EVERYONE] if len(treatments) > 1 else [])):
        for contrast, followup, baseline in contrasts:
            asked = [row for row in own if row["contrast"] == contrast]
            if treatment != EVERYONE:
                asked = [row for row in asked if row["treatment"] == treatment]
            both = [
                [measured.get((row["unit"], level)) for level in (baseline, followup)]
                for row in asked
            ]
            found = [(a, b) for a, b in both if a and b]
            if asked:
                yield _Pairs(
                    treatment,
                    contrast,
                    sum((a is None) != (b is None) for a, b in both),
                    [(losses[a["sample_id"]], losses[b["sample_id"]]) for a, b in found],
                    [(a["batch"], b["batch"]) for a, b in found],
                )


def _tested_rows(pairs: _Pairs, steps: Sequence[str]) -> list[dict[str, Any]]:
    counts = np.full((4, len(pairs.ledgers), len(steps)), np.nan)
    for number, (before, after) in enumerate(pairs.ledgers):
        for column, step in enumerate(steps):
            counts[:, number, column] = (*_counts(before, step), *_counts(after, step))
    logit_0, logit_1 = equal_depth_logit(*counts)
    change = logit_1 - logit_0
    test, wilcoxon = plain_paired_t(change), wilcoxon_signed_rank(change)
    rows = []
    for column, step in enumerate(steps):
        complete = ~np.isnan(change[:, column])
        row: dict[str, Any] = {
            **{"treatment": pairs.treatment, "contrast": pairs.contrast, "step": step},
            "n_pairs": int(complete.sum()),
            "n_incomplete": pairs.n_alone + int((~complete).sum()),
            "effect_scale": "odds_ratio",
        }
        row["family"] = exploratory(row, "treatment", "contrast") + ", quality losses"
        x0, n0, x1, n1 = counts[:, complete, column]
        if complete.any():
            row |= {
                "baseline_median": float(np.median(100 * x0 / n0)),
                "followup_median": float(np.median(100 * x1 / n1)),
                "difference_median": float(np.median(100 * x1 / n1 - 100 * x0 / n0)),
                "effect": float(np.exp(test.estimate[column])),
            }
        testable = bool(np.isfinite(test.p[column]))
        row["status"], row["note"] = _judge(pairs, step, row, bool((x0 + x1).any()), testable)
        if testable:
            row |= {
                "effect_low": float(np.exp(test.low[column])),
                "effect_high": float(np.exp(test.high[column])),
                "statistic": float(test.t[column]),
                "df": float(test.df[column]),
                "p_value": float(test.p[column]),
                "wilcoxon_p": float(wilcoxon[column]),
            }
        rows.append(row)
    return rows


def _counts(loss: SampleLoss, step: str) -> tuple[float, float]:
    """Events set aside, and events that reached the step; NaN where it was not done."""
    found = StepLoss(loss.events, loss.lost, "") if step == TOTAL else loss.steps.get(step)
    if found is None or not found.possible or not found.before:
        return np.nan, np.nan
    return found.flagged, found.before


def _judge(
    pairs: _Pairs, step: str, row: Mapping[str, Any], any_loss: bool, testable: bool
) -> tuple[str, str]:
    """Say whether a step could be tested, why not, and what casts doubt on the test."""
    n, n_known = len(pairs.ledgers), int(row["n_pairs"])
    if not n:
        return "no_pairs", f"no patient was measured at both of {pairs.contrast}"
    done = [[_done(loss, step) for loss in pair] for pair in pairs.ledgers]
    once = sum(before != after for before, after in done)
    caveats = [f"done at one of the two visits only in {once} of {n} pairs"] if once else []
    status = "tested"
    if not n_known:
        status, ledgers = "not_possible", [loss for pair in pairs.ledgers for loss in pair]
        found = dict.fromkeys(loss.steps[step].note for loss in ledgers if step in loss.steps)
        caveats += list(filter(None, found)) or ["no pair has events at both visits"]
    elif n_known < MIN_PAIRS:
        status = "too_few_pairs"
        caveats += [f"{n_known} of the {MIN_PAIRS} pairs that a test needs"]
    elif not testable:
        status = "constant" if any_loss else "all_zero"
        none = "no event set aside at either visit in any pair"
        caveats += ["the change is the same in every pair" if any_loss else none]
    else:
        few = n_known < FEWEST_FOR_EXACT
        caveats += [batch_caveat(pairs.batches)]
        caveats += ["fewer than 6 pairs: no exact test can reach 0.05"] if few else []
    return status, "; ".join(filter(None, caveats))


def _done(loss: SampleLoss, step: str) -> frozenset[str]:
    """Name the step if it was done, and for the total all that were."""
    done = (name for name, found in loss.steps.items() if found.possible)
    return frozenset(name for name in done if step in (name, TOTAL))
