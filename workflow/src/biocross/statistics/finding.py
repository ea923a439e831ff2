"""A primary finding and the analysis it came from, as `vary_specifications` varies them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary
from biocross.statistics.kernels.battery import ALPHA, Battery
from biocross.statistics.kernels.moderation import PairedTest, moderated_paired_t
from biocross.statistics.paired_changes import judge
from biocross.statistics.pairs import PairTable
from biocross.statistics.readouts import Readout

FloatArray = NDArray[np.float64]
NAN = float("nan")

SPECIFICATION_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "population", "parent", "aspect"),
    *("specification", "n_pairs", "effect", "effect_low", "effect_high", "effect_scale"),
    *("p_value", "holds", "status", "note"),
)


class Estimates(Protocol):
    """What every test of changes says, shape (populations,)."""

    @property
    def estimate(self) -> FloatArray:
        """Change in logit or log units."""

    @property
    def low(self) -> FloatArray:
        """Lower limit of its interval."""

    @property
    def high(self) -> FloatArray:
        """Upper limit of its interval."""

    @property
    def p(self) -> FloatArray:
        """Its p value."""


class Numbers(NamedTuple):
    """A change of one population (logit or log units); NaN where something is not known."""

    n_pairs: int
    estimate: float
    low: float = NAN
    high: float = NAN
    p: float = NAN


class Study(NamedTuple):
    """What the findings of all tables share.

    Parameters
    ----------
    vocabulary
        Says which population lies within which.
    long_table, pair_sheet
        Of `read_long_table` and `read_pair_sheet`.
    covariate
        A clinical value that varies in time, by unit and level; absent where it is not known.
    readout
        The readout of the confirmatory family.
    seed
        Of the sign flips.
    fdr
        False discovery rate below which a row claims a change.
    """

    vocabulary: Vocabulary
    long_table: pd.DataFrame
    pair_sheet: pd.DataFrame
    covariate: Mapping[tuple[str, str], float]
    readout: str
    seed: int
    fdr: float


class Analysis(NamedTuple):
    """One table of pairs in one readout, with the primary test of all its populations."""

    pairs: PairTable
    readout: Readout
    test: PairedTest

    def judged(self, column: int) -> tuple[str, str]:
        """Return the status of one population, and what to know of its numbers."""
        complete = ~np.isnan(self.readout.change[:, column])
        before = self.readout.events_baseline[complete, column]
        after = self.readout.events_followup[complete, column]
        testable = bool(np.isfinite(self.test.p[column]))
        status, note = judge(self.pairs, self.readout, before, after, testable)
        return status, join(note, self.readout.caveat if complete.any() else "")


class Finding(NamedTuple):
    """One confirmatory row of ``paired_changes.tsv``, and the analysis that it came from."""

    study: Study
    reported: Mapping[str, str]
    analysis: Analysis
    battery: Battery
    column: int

    @property
    def change(self) -> FloatArray:
        """Within-patient changes of the population, shape (pairs,)."""
        return self.analysis.readout.change[:, self.column]

    @property
    def claimed(self) -> bool:
        """Whether the reported row claims a change."""
        tested = self.reported["status"] == "tested"
        return tested and number(self.reported["q_value"]) < self.study.fdr

    def row(
        self,
        aspect: str,
        specification: str,
        status: str,
        note: str,
        numbers: Numbers | None = None,
        scale: str | None = None,
    ) -> dict[str, Any]:
        """Return a row of ``specifications.tsv``.

        Parameters
        ----------
        aspect, specification, status, note
            Of the row.
        numbers
            None where nothing could be computed.
        scale
            What exp(estimate) is; None for the scale of the finding.

        Returns
        -------
        dict
            It `holds` where p is below 0.05 and the direction the reported one; the key is
            missing where nothing is claimed or there is no p value.
        """
        row: dict[str, Any] = {
            **{name: self.reported[name] for name in SPECIFICATION_COLUMNS[:6]},
            **{"aspect": aspect, "specification": specification, "status": status, "note": note},
        }
        if numbers is None:
            return row
        with np.errstate(over="ignore"):  # a few pairs beside a covariate may bound nothing
            effects = np.exp([numbers.estimate, numbers.low, numbers.high]).tolist()
        row |= dict(zip(("effect", "effect_low", "effect_high"), effects, strict=True))
        row |= {"n_pairs": numbers.n_pairs, "p_value": numbers.p}
        row["effect_scale"] = scale or self.analysis.readout.effect_scale
        if self.claimed and not np.isnan(numbers.p):
            direction = np.sign(np.log(number(self.reported["effect"])))
            row["holds"] = bool(np.sign(numbers.estimate) == direction and numbers.p < ALPHA)
        return row


def analyse(pairs: PairTable, readout: Readout) -> Analysis:
    """Run the primary test on one readout of a table of pairs."""
    return Analysis(pairs, readout, moderated_paired_t(readout.change, readout.abundance))


def numbers_of(result: Estimates, n_pairs: int, column: int = 0) -> Numbers:
    """Take one population's numbers from the result of a test."""
    low, high, p = (float(values[column]) for values in (result.low, result.high, result.p))
    return Numbers(n_pairs, float(result.estimate[column]), low, high, p)


def number(text: str) -> float:
    """Read a number of a table; NaN from an empty cell."""
    return float(text) if text else NAN


def join(*sentences: str) -> str:
    """Join what there is to say."""
    return "; ".join(filter(None, sentences))
