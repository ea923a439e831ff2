"""The chain of tests that a study goes through, put together from the library's own functions."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from biocross.statistics.families import assign_families
from biocross.statistics.kernels.exact import wilcoxon_signed_rank
from biocross.statistics.kernels.moderation import PairedTest, moderated_paired_t, plain_paired_t
from biocross.statistics.kernels.quartiles import column_quartiles
from biocross.statistics.paired_changes import judge
from biocross.statistics.pairs import PairTable
from biocross.statistics.readouts import Readout, readouts

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

DECLARED = ("flow", "gate", "percent_of_parent")
PEERS = {
    "biocross": "biocross: equal depth, capped moderated paired t",
    "plain_t": "plain paired t on the same logits",
    "percent_t": "paired t on percentages",
    "percent_wilcoxon": "Wilcoxon on percentages",
    "uncapped": "limma-like moderation without the cap",
    "pooled_cells": "cells as replicates (chi-square of the pooled counts)",
}


class Tested(NamedTuple):
    """What the chain says of one table of pairs; fields of shape (populations,).

    `events` is the median over pairs of the larger visit's events at equal depth, `least_events`
    the smaller of the two visits' medians.
    """

    pairs: PairTable
    readout: Readout
    test: PairedTest
    status: NDArray[np.str_]
    events: FloatArray
    least_events: FloatArray

    @property
    def claimable(self) -> BoolArray:
        """Where the workflow would claim something."""
        return np.asarray(self.status == "tested")


def run_chain(pairs: PairTable, readout: str = "percent_of_parent") -> Tested:
    """Read and test a table of pairs as `biocross.statistics.paired_changes.change_rows` does.

    Parameters
    ----------
    pairs
        Of `studies.pair_table`.
    readout
        Name of the readout.

    Returns
    -------
    Tested
        Without the exact and resampling tests, which cost a hundred times more.
    """
    readings = readouts(pairs, {})
    read = next(reading for reading in readings if reading.name == readout)
    test = moderated_paired_t(read.change, read.abundance)
    unknown = np.isnan(read.change)
    before = np.where(unknown, np.nan, read.events_baseline)
    after = np.where(unknown, np.nan, read.events_followup)
    status = [
        judge(pairs, read, before[known, column], after[known, column], bool(testable))[0]
        for column, (known, testable) in enumerate(
            zip(~unknown.T, np.isfinite(test.p), strict=True)
        )
    ]
    larger, *medians = (column_quartiles(a)[1] for a in (np.maximum(before, after), before, after))
    return Tested(pairs, read, test, np.array(status), larger, np.minimum(*medians))


def q_values(tables: Sequence[Tested], primary: Collection[str]) -> tuple[FloatArray, BoolArray]:
    """Correct the tables of a study for multiple testing, by the workflow's families.

    Parameters
    ----------
    tables
        All treatments and follow-ups of the study, with the same populations.
    primary
        Names of the primary populations.

    Returns
    -------
    q_value : ndarray
        Shape (tables, populations); NaN where nothing was tested.
    confirmatory : ndarray of bool
        Who is in the confirmatory family, same shape.
    """
    rows: list[dict[str, Any]] = []
    for tested in tables:
        names = tested.pairs.keys["population"]
        rows += [
            {
                **tested.pairs.question.columns(),
                "population": names.iloc[column],
                "readout": tested.readout.name,
                "n_pairs": int(tested.test.n_pairs[column]),
                "status": tested.status[column],
                "p_value": float(tested.test.p[column]),
                "df": float(tested.test.df[column]),
                "change_sd": float(np.sqrt(tested.test.s2_post[column])),
            }
            for column in range(len(names))
        ]
    assign_families(rows, primary, DECLARED)
    q = np.array([row.get("q_value", np.nan) for row in rows])
    confirmatory = np.array([row["family"] == "confirmatory" for row in rows])
    return q.reshape(len(tables), -1), (confirmatory & ~np.isnan(q)).reshape(len(tables), -1)


def peer_p_values(tested: Tested) -> dict[str, FloatArray]:
    """Test the same table as other people would.

    Parameters
    ----------
    tested
        Of `run_chain`.

    Returns
    -------
    dict of str to ndarray
        p values by the names of `PEERS`, shape (populations,); NaN where biocross claims nothing,
        so that all methods answer the same questions.
    """
    pairs, read = tested.pairs, tested.readout
    percent = pairs.followup["percent"] - pairs.baseline["percent"]
    found = {
        "biocross": tested.test.p,
        "plain_t": plain_paired_t(read.change).p,
        "percent_t": plain_paired_t(percent).p,
        "percent_wilcoxon": wilcoxon_signed_rank(percent),
        "uncapped": moderated_paired_t(read.change, read.abundance, cap=False).p,
        "pooled_cells": pooled_cells_p(pairs),
    }
    return {name: np.where(tested.claimable, p, np.nan) for name, p in found.items()}


def pooled_cells_p(pairs: PairTable) -> FloatArray:
    """Test the pooled cells of all patients, each cell a replicate: what nobody should do.

    Parameters
    ----------
    pairs
        Of `studies.pair_table`.

    Returns
    -------
    ndarray
        p values of Pearson's chi-square on the summed 2 × 2 tables, shape (populations,).
    """
    x = np.stack([side["count"].sum(axis=0) for side in (pairs.baseline, pairs.followup)])
    n = np.stack([side["parent_count"].sum(axis=0) for side in (pairs.baseline, pairs.followup)])
    with np.errstate(divide="ignore", invalid="ignore"):
        common = x.sum(axis=0) / n.sum(axis=0)
        difference = x[1] / n[1] - x[0] / n[0]
        z2 = difference**2 / (common * (1 - common) * (1 / n[0] + 1 / n[1]))
    return np.asarray(chi2.sf(z2, 1))
