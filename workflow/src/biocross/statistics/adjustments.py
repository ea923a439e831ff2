"""A primary finding adjusted for batch, for a covariate, and for those who dropped out."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocross.statistics.finding import NAN, Finding, Numbers, join, numbers_of
from biocross.statistics.kernels.battery import ALPHA
from biocross.statistics.kernels.moderation import MIN_PAIRS
from biocross.statistics.kernels.sensitivity import (
    batch_differences,
    delta_adjusted,
    regress_changes,
    tipping_delta,
)

FloatArray = NDArray[np.float64]

COVARIATE = "ocs_mg_day"
DELTAS = (0.0, 0.25, 0.5, 1.0)
# Column that compares baselines; a share of all parts would need all parts of a dropout.
BASELINE_VALUE = {
    "percent_of_parent": ("percent", "% of parent"),
    "cells_per_ul": ("cells_per_ul", "cells per µl"),
    "composition": ("percent", "% of parent"),
}


def adjusted_for_batch(finding: Finding) -> dict[str, Any]:
    """Estimate the change of a pair that stays in one batch.

    Parameters
    ----------
    finding
        What to vary.

    Returns
    -------
    dict
        A row of ``specifications.tsv``.
    """
    specification, pairs = "batch difference as covariate", finding.analysis.pairs
    before, after = zip(*pairs.batches, strict=True)
    differences = batch_differences(before, after)
    known = (np.array(before) != "") & (np.array(after) != "")
    complete = ~np.isnan(finding.change)
    n_known = int((known & complete).sum())
    moved = int(np.any(differences[known & complete] != 0, axis=1).sum())
    if not moved:
        reason = "no pair changes batch between the visits" if n_known else "no batch is recorded"
        return finding.row("batch", specification, "not_applicable", reason)
    note = join(
        f"{moved} of {n_known} pairs change batch with the visit",
        _left_out(int(complete.sum()) - n_known, "a recorded batch"),
    )
    refusal = "batch-adjusted estimates are refused: batch and visit cannot be told apart"
    return _regressed(finding, "batch", specification, differences, refusal, note)


def adjusted_for_covariate(finding: Finding) -> dict[str, Any]:
    """Estimate the change of a patient whose covariate stays the same.

    Parameters
    ----------
    finding
        What to vary; its study knows the covariate.

    Returns
    -------
    dict
        A row of ``specifications.tsv``.
    """
    specification, value_of = f"change of {COVARIATE}", finding.study.covariate
    question = finding.analysis.pairs.question
    change = np.array(
        [
            value_of.get((unit, question.followup), NAN)
            - value_of.get((unit, question.baseline), NAN)
            for unit in finding.analysis.pairs.units
        ]
    )
    complete = ~np.isnan(finding.change)
    used = change[complete & ~np.isnan(change)]
    if not used.any():
        reason = (
            f"{COVARIATE} is the same at both visits of every pair"
            if used.size
            else f"{COVARIATE} is not known at both visits of any pair"
        )
        return finding.row("covariate", specification, "not_applicable", reason)
    note = join(
        f"change at an unchanged {COVARIATE}, which {int((used == 0).sum())} of {used.size} pairs "
        f"have (changes from {used.min():g} to {used.max():g})",
        _left_out(int(complete.sum()) - used.size, f"{COVARIATE} at both visits"),
    )
    refusal = (
        f"refused: {COVARIATE} changed by the same amount in every pair, so that its part and "
        "the visit's cannot be told apart"
    )
    return _regressed(finding, "covariate", specification, change[:, np.newaxis], refusal, note)


def _left_out(n_pairs: int, what: str) -> str:
    return f"{n_pairs} without {what} left out" if n_pairs else ""


def _regressed(
    finding: Finding, aspect: str, specification: str, columns: FloatArray, refusal: str, note: str
) -> dict[str, Any]:
    fit = regress_changes(finding.change[:, np.newaxis], columns)
    if fit.aliased[0]:
        return finding.row(aspect, specification, "refused", join(refusal, note))
    numbers = numbers_of(fit, int(fit.n_pairs[0]))
    status, caveat = finding.analysis.judged(finding.column)
    note = join(note, "plain t", caveat)
    if numbers.n_pairs < MIN_PAIRS or fit.df[0] < 1:
        few = f"{numbers.n_pairs} pairs are too few to estimate the change beside the covariate"
        return finding.row(aspect, specification, "too_few_pairs", join(few, note), numbers)
    if np.isnan(numbers.p):
        same = "beside the covariate the change is the same in every pair"
        return finding.row(aspect, specification, "constant", join(same, note), numbers)
    return finding.row(aspect, specification, status, note, numbers)


def adjusted_for_dropouts(finding: Finding) -> Iterator[dict[str, Any]]:
    """Let those without the later visit fall short of the others' change, more and more.

    Parameters
    ----------
    finding
        What to vary.

    Yields
    ------
    dict
        Rows of ``specifications.tsv``: the change of all patients at some deltas, then the delta
        at which the finding is lost.
    """
    pairs, column = finding.analysis.pairs, finding.column
    complete = ~np.isnan(finding.change)
    value, unit = BASELINE_VALUE[finding.study.readout]
    lost = _dropout_baselines(finding, value)
    if not lost.size:
        reason = f"every patient measured at {pairs.question.baseline} has a change"
        yield finding.row("dropout", "tipping delta", "not_applicable", reason)
        return
    kept = pairs.baseline[value][complete, column]
    status, caveat = finding.analysis.judged(column)
    note = join(
        f"{pairs.question.baseline} of the {lost.size} whose change is not known: "
        f"{_range(lost)} {unit}, of the {kept.size} others: {_range(kept)}",
        caveat,
    )
    test = finding.analysis.test
    at = [column]
    known = test.estimate[at], test.standard_error[at], test.df[at], kept.size, lost.size
    for delta in DELTAS:
        numbers = numbers_of(delta_adjusted(*known, delta), kept.size)
        yield finding.row("dropout", f"delta {delta:g}", status, note, numbers)
    yield _tipping_row(finding, float(tipping_delta(*known)[0]), kept.size, status, note)


def _tipping_row(
    finding: Finding, delta: float, n_pairs: int, status: str, note: str
) -> dict[str, Any]:
    test = finding.analysis.test
    change = float(test.estimate[finding.column])
    if delta == 0:
        reason = f"p is {test.p[finding.column]:.2g} before any delta: no finding to lose"
        return finding.row("dropout", "tipping delta", "not_applicable", join(reason, note))
    with np.errstate(over="ignore"):
        theirs, others = np.exp([change - np.sign(change) * delta, change])
    sentence = (
        f"p reaches {ALPHA:g} if those whose change is not known changed × {theirs:.3g} where the "
        f"others changed × {others:.3g}"
    )
    scale = f"ratio_of_{finding.analysis.readout.effect_scale}s"
    return finding.row(
        "dropout", "tipping delta", status, join(sentence, note), Numbers(n_pairs, delta), scale
    )


def _dropout_baselines(finding: Finding, value: str) -> FloatArray:
    """Return the baselines of those whose change is not known, by unit in alphabetical order."""
    table, sheet = finding.study.long_table, finding.study.pair_sheet
    pairs, reported = finding.analysis.pairs, finding.reported
    question = pairs.question
    asked = sheet.loc[
        (sheet["treatment"] == question.treatment)
        & (sheet["followup"] == question.followup)
        & (sheet["baseline"] == question.baseline),
        "unit",
    ]
    have = np.array(pairs.units, dtype=str)[~np.isnan(finding.change)].tolist()
    rows = table[
        (table["modality"] == question.modality)
        & (table["source"] == question.source)
        & (table["population"] == reported["population"])
        & (table["parent"] == reported["parent"])
        & (table["level"] == question.baseline)
        & table["unit"].isin(asked)
        & ~table["unit"].isin(have)
        & table[value].notna()
    ]
    return rows.sort_values("unit")[value].to_numpy(dtype=np.float64)


def _range(values: FloatArray) -> str:
    return f"median {np.median(values):.3g} ({values.min():.3g} to {values.max():.3g})"
