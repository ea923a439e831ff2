"""A primary finding, the analysis it came from, and the same analysis with its gate shifted."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary
from biocross.errors import TableError
from biocross.statistics.kernels.battery import ALPHA, Battery
from biocross.statistics.kernels.moderation import PairedTest, moderated_paired_t
from biocross.statistics.paired_changes import judge
from biocross.statistics.pairs import PairTable, value_arrays
from biocross.statistics.readouts import Readout, readouts

FloatArray = NDArray[np.float64]
NAN = float("nan")

SPECIFICATION_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "population", "parent", "aspect"),
    *("specification", "n_pairs", "effect", "effect_low", "effect_high", "effect_scale"),
    *("p_value", "holds", "status", "note"),
)
# Shifts of all thresholds of a gate together, in the table of shifted counts.
ALL_THRESHOLDS = "all"
SHIFTED_SOURCE, SHIFTED_READOUT = "gate", "percent_of_parent"


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
    shifts
        Counts with shifted thresholds, of `read_long_table`; None where there are none.
    """

    vocabulary: Vocabulary
    long_table: pd.DataFrame
    pair_sheet: pd.DataFrame
    covariate: Mapping[tuple[str, str], float]
    readout: str
    seed: int
    fdr: float
    shifts: pd.DataFrame | None = None


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
        return is_claimed(self.reported, self.study.fdr)

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


class ShiftedGate(NamedTuple):
    """Counts of one population of a table of pairs, with thresholds of its own gate shifted.

    Parameters
    ----------
    pairs, column
        The table, and the column of the population in it.
    vocabulary
        Says which population lies within which.
    thresholds
        Names of thresholds that can be shifted, and ``all`` where there are several.
    shifts
        In decades, rising, shape (shifts,).
    baseline, followup
        ``count`` and ``parent_count``, shape (pairs, thresholds, shifts); NaN where not known.
    impossible
        Why nothing can be shifted; empty where something can.
    """

    pairs: PairTable
    column: int
    vocabulary: Vocabulary
    thresholds: tuple[str, ...] = ()
    shifts: FloatArray = np.empty(0)
    baseline: Mapping[str, FloatArray] = {}
    followup: Mapping[str, FloatArray] = {}
    impossible: str = ""

    def analyse(self, threshold: str, before: float, after: float) -> Analysis:
        """Run the whole chain on shifted counts of this population and the others as they are.

        Parameters
        ----------
        threshold
            One of `thresholds`.
        before, after
            Its shift at baseline and at follow-up: two of `shifts`.

        Returns
        -------
        Analysis
            A pair without counts at these shifts has no change of this population.
        """
        name = self.thresholds.index(threshold)
        pairs = self.pairs._replace(
            baseline=self._replaced(self.pairs.baseline, self.baseline, name, before),
            followup=self._replaced(self.pairs.followup, self.followup, name, after),
        )
        reading = next(
            found for found in readouts(pairs, self.vocabulary) if found.name == SHIFTED_READOUT
        )
        return analyse(pairs, reading)

    def _replaced(
        self,
        values: Mapping[str, FloatArray],
        shifted: Mapping[str, FloatArray],
        threshold: int,
        shift: float,
    ) -> dict[str, FloatArray]:
        at = int(np.flatnonzero(self.shifts == shift)[0])
        own = {name: counts[:, threshold, at] for name, counts in shifted.items()}
        total = np.where(own["parent_count"] > 0, own["parent_count"], np.nan)
        own["percent"] = 100 * own["count"] / total
        replaced = {name: array.copy() for name, array in values.items()}
        for name, column in own.items():
            replaced[name][:, self.column] = column
        return replaced


def shifted_gate(
    table: pd.DataFrame | None,
    pairs: PairTable,
    column: int,
    vocabulary: Vocabulary,
    readout: str,
) -> ShiftedGate:
    """Find the counts of one population with shifted thresholds.

    Parameters
    ----------
    table
        Counts with shifted thresholds, of `read_long_table`; None where there are none.
    pairs, column
        A table of pairs, and the column of the population in it.
    vocabulary
        Says which population lies within which.
    readout
        The readout that is asked for.

    Returns
    -------
    ShiftedGate
        Of the pairs of the table, in their order.

    Raises
    ------
    TableError
        The counts without a shift are not those of the table of pairs.
    """
    blank = ShiftedGate(pairs, column, vocabulary)
    if pairs.question.source != SHIFTED_SOURCE:
        return blank._replace(impossible="nothing but a gate has thresholds to shift")
    if readout != SHIFTED_READOUT:
        why = f"{readout} cannot be read from shifted counts, only {SHIFTED_READOUT}"
        return blank._replace(impossible=why)
    if table is None:
        return blank._replace(impossible="nothing was counted with shifted thresholds")
    population = str(pairs.keys["population"].iloc[column])
    own = table[(table["population"] == population) & table["unit"].isin(pairs.units)]
    if not own["count"].notna().any():
        why = f"{population} was not counted with shifted thresholds: its own gate has none that "
        return blank._replace(impossible=f"{why}can be shifted, or it was not gated here")
    found = _arranged(blank, own)
    _check_unshifted(found, population)
    return found


def _arranged(gate: ShiftedGate, rows: pd.DataFrame) -> ShiftedGate:
    """Turn the rows of one population into arrays."""
    thresholds = tuple(rows["threshold"].unique().tolist())
    shifts = np.sort(rows["shift"].unique())
    names = pd.MultiIndex.from_product([thresholds, shifts], names=["threshold", "shift"])
    shape = (len(gate.pairs.units), len(thresholds), len(shifts))
    question = gate.pairs.question
    before, after = (
        {
            name: array.reshape(shape)
            for name, array in value_arrays(
                rows[rows["level"] == level],
                gate.pairs.units,
                names.to_frame(index=False),
                ("count", "parent_count"),
            ).items()
        }
        for level in (question.baseline, question.followup)
    )
    return gate._replace(thresholds=thresholds, shifts=shifts, baseline=before, followup=after)


def _check_unshifted(gate: ShiftedGate, population: str) -> None:
    unshifted = gate.shifts == 0
    if not unshifted.any():
        raise TableError(f"shifts.tsv: {population} has no counts at a shift of 0; gate again")
    for shifted, reported in (
        (gate.baseline, gate.pairs.baseline),
        (gate.followup, gate.pairs.followup),
    ):
        for name, counts in shifted.items():
            own = counts[:, :, unshifted]
            differs = np.abs(own - reported[name][:, gate.column, np.newaxis, np.newaxis]) > 0
            if differs.any():
                unit = gate.pairs.units[int(np.argwhere(differs)[0, 0])]
                raise TableError(
                    f"shifts.tsv: the {name} of {population} in {unit} at a shift of 0 is not that "
                    "of counts.tsv; were both made by the same run?"
                )


def is_claimed(reported: Mapping[str, str], fdr: float) -> bool:
    """Whether a row of ``paired_changes.tsv`` claims a change."""
    return reported["status"] == "tested" and number(reported["q_value"]) < fdr


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
