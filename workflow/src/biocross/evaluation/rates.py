"""Rates of right and wrong answers, with their intervals."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from biocross.evaluation.findings import FALSE, FOUND, MISSED, RIGHT, UNTESTED, WRONG

RATE_COLUMNS = (
    "question",
    "kind",
    "modality",
    "source",
    "readout",
    "n",
    "hits",
    "rate",
    "low",
    "high",
)
_GROUP = ["kind", "modality", "source", "readout"]


def rates_of(findings: pd.DataFrame) -> pd.DataFrame:
    """Summarise the verdicts of a run.

    Parameters
    ----------
    findings
        Of `judge_frequencies` and its like.

    Returns
    -------
    DataFrame
        Columns `RATE_COLUMNS`: how many of the unchanged populations had p < .05, of the changed
        ones were found, of the claims were false, of the intervals hold the truth, and of the
        changed ones could not be tested. The intervals (Wilson) take rows for independent, which
        those of one study are not quite.
    """
    rows = [
        (question, *key, n, hits, hits / n, *_wilson(hits, n))
        for key, own in findings.groupby(_GROUP, sort=False)
        for question, hits, n in _questions(own)
        if n
    ]
    return pd.DataFrame(rows, columns=[*RATE_COLUMNS])


def _questions(own: pd.DataFrame) -> Iterator[tuple[str, int, int]]:
    verdict = own["verdict"]
    null, changed = verdict.isin([RIGHT, FALSE]), verdict.isin([FOUND, MISSED, WRONG])
    claimed = verdict.isin([FOUND, FALSE, WRONG])
    yield "unchanged, p < 0.05", int((own["p_value"] < 0.05)[null].sum()), int(null.sum())
    yield "changed, found", int((verdict == FOUND).sum()), int(changed.sum())
    yield "claims that are false", int((claimed & (verdict != FOUND)).sum()), int(claimed.sum())
    for name, asked in (("unchanged", null), ("changed", changed)):
        known = asked & own["covered"].isin(["yes", "no"])
        yield (
            f"interval holds the truth, {name}",
            int((own["covered"] == "yes")[known].sum()),
            int(known.sum()),
        )
    yield "not tested", int((verdict == UNTESTED).sum()), len(own)


def _wilson(hits: int, n: int) -> tuple[float, float]:
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return float(np.round(interval.low, 6)), float(np.round(interval.high, 6))
