"""How far a finding rests on where the borders of its gate stand.

A gate that stands elsewhere at follow-up than at baseline, seen from the cells, makes a change out
of nothing. For every primary finding and threshold of its gate this tells the shift of the
follow-up's border that would abolish the finding, beside the shift of the marker that was seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.panel import load_panel
from biocross.cohort.strategy import ROOT, Gate, Strategy, load_strategy
from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.statistics.finding import (
    ALL_THRESHOLDS,
    NAN,
    ShiftedGate,
    is_claimed,
    join,
    number,
    shifted_gate,
)
from biocross.statistics.kernels.battery import ALPHA
from biocross.statistics.pairs import PairTable, read_long_table
from biocross.statistics.specifications import confirmatory_rows, tables_of
from biocross.tables import read_rows, write_rows

FloatArray = NDArray[np.float64]

SENSITIVITY_COLUMNS = (
    *("treatment", "contrast", "population", "parent", "threshold", "effect", "p_value"),
    *("gating_marker_shift_negative", "gating_marker_shift_positive"),
    *("n_pairs_negative", "n_pairs_positive", "measured_on", "threshold_parent"),
    *("gating_marker_shift_negative_parent", "gating_marker_shift_positive_parent"),
    *("n_pairs_negative_parent", "n_pairs_positive_parent", "tipping_shift", "ratio"),
    *("status", "note"),
)
# Cells that moved half as far as would abolish a finding may be half of it.
WARNING_RATIO = 0.5


class MarkerShift(NamedTuple):
    """How far the cells beside a border moved between two visits, in the median pair.

    Parameters
    ----------
    threshold
        Name of the border; empty where nothing was measured.
    population
        On whose cells the modes were measured.
    negative, positive
        Median shift of the modes below and above the border, in decades; NaN where not known.
    n_negative, n_positive
        Pairs that it is the median of.
    """

    threshold: str = ""
    population: str = ""
    negative: float = NAN
    positive: float = NAN
    n_negative: int = 0
    n_positive: int = 0

    @property
    def larger(self) -> float:
        """The shift of the side that moved further."""
        known = [shift for shift in (self.negative, self.positive) if not np.isnan(shift)]
        return max(known, key=abs, default=NAN)

    def columns(self, suffix: str = "") -> dict[str, Any]:
        """Return what a row says of it."""
        return {
            f"gating_marker_shift_negative{suffix}": self.negative,
            f"gating_marker_shift_positive{suffix}": self.positive,
            f"n_pairs_negative{suffix}": self.n_negative,
            f"n_pairs_positive{suffix}": self.n_positive,
        }


class _Study(NamedTuple):
    """What the findings of all tables share."""

    vocabulary: Vocabulary
    strategy: Strategy | None
    shifts: pd.DataFrame
    marker_shifts: Sequence[Mapping[str, str]]
    readout: str
    fdr: float


def measure_gate_sensitivity(
    changes: Path | str,
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    populations: Path | str,
    shifts: Path | str,
    marker_shifts: Path | str,
    confirmatory: Sequence[str],
    sensitivity_out: Path | str,
    fdr: float = ALPHA,
    strategy: Path | str | None = None,
    panel: Path | str | None = None,
) -> None:
    """Find the shift of each border that would abolish each primary finding.

    Parameters
    ----------
    changes
        ``results/statistics/paired_changes.tsv``, found in the same counts.
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    populations
        ``populations.yaml``.
    shifts, marker_shifts
        ``shifts.tsv`` and ``marker_shifts.tsv`` of ``results/flow/gating``.
    confirmatory
        Modality, source and readout of the confirmatory family.
    sensitivity_out
        One row for every row of the confirmatory family and threshold of its own gate.
    fdr
        False discovery rate below which a reported row claims a change.
    strategy, panel
        ``gating.yaml`` and ``panel.tsv``, which tell the thresholds of the gate above; None where
        the gates come from elsewhere.

    Raises
    ------
    TableError
        A reported change cannot be found in the counts, or the shifted counts are not of the same
        gating.
    """
    rows: list[dict[str, Any]] = []
    if wanted := confirmatory_rows(changes):
        vocabulary = load_vocabulary(Path(populations))
        study = _Study(
            vocabulary,
            _strategy(strategy, panel, vocabulary),
            read_long_table(shifts, samples),
            read_rows(marker_shifts),
            confirmatory[2],
            fdr,
        )
        for table, reported in tables_of(wanted, changes, counts, samples, pairs):
            for row, column in reported:
                rows += _finding_rows(study, table, row, column)
    write_rows(sensitivity_out, SENSITIVITY_COLUMNS, rows)


def tipping_shift(shifts: FloatArray, limit: FloatArray) -> float:
    """Find the smallest shift at which a claim is lost.

    Parameters
    ----------
    shifts
        Rising, with 0 among them, shape (shifts,).
    limit
        The confidence limit of the effect that is nearer to no effect, positive while the claim
        stands, shape (shifts,); NaN where the effect could not be tested, which counts as lost.

    Returns
    -------
    float
        Where a straight line between neighbouring shifts crosses zero; of a crossing below and
        one above 0 the nearer. NaN where the claim stands at all shifts, 0 where it is lost
        without any.

    References
    ----------
    Yan, Lee, Li 2009, J Biopharm Stat 19:1085 (tipping points, there of missing values).
    """
    crossings = []
    for side in (1, -1):
        outward = np.argsort(side * shifts)
        outward = outward[side * shifts[outward] >= 0]
        where, height = shifts[outward], limit[outward]
        lost = np.flatnonzero(~(height > 0))
        if not lost.size:
            continue
        first = int(lost[0])
        if first == 0:
            return 0.0
        last = first - 1
        share = 1.0
        if not np.isnan(height[first]):
            share = height[last] / (height[last] - height[first])
        crossings.append(float(where[last] + share * (where[first] - where[last])))
    return min(crossings, key=abs, default=NAN)


def claim_curve(gate: ShiftedGate, threshold: str, direction: float) -> FloatArray:
    """Test a population with one threshold shifted at follow-up alone.

    Parameters
    ----------
    gate
        Its counts with shifted thresholds.
    threshold
        Which one.
    direction
        Sign of the claimed change.

    Returns
    -------
    FloatArray
        The limit of the 95 % interval that is nearer to no change, positive where p < 0.05 in
        the claimed direction, logit units, shape (shifts,).
    """
    limits = np.empty(len(gate.shifts))
    for position, shift in enumerate(gate.shifts):
        test = gate.analyse(threshold, 0.0, shift).test
        limits[position] = (test.low if direction > 0 else -test.high)[gate.column]
    return limits


def _typical_shift(
    rows: Sequence[Mapping[str, str]], threshold: str, populations: Sequence[str]
) -> MarkerShift:
    """Take the median shift of the modes beside a border.

    Of the populations on whose cells it was measured, the first one given counts; where it was on
    none of these, and on one other only, that one.
    """
    own = [row for row in rows if row["threshold"] == threshold]
    measured = {row["population"] for row in own}
    found = [name for name in populations if name in measured]
    if not found and len(measured) == 1:
        found = list(measured)
    if not found:
        return MarkerShift(threshold)
    own = [row for row in own if row["population"] == found[0]]
    negative, positive = (
        np.array([float(row[name]) for row in own if row[name]])
        for name in ("negative_shift", "positive_shift")
    )
    return MarkerShift(
        *(threshold, found[0], _median(negative), _median(positive)),
        *(negative.size, positive.size),
    )


def gate_warnings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the findings whose gating marker moved half as far as would abolish them, or further.

    Parameters
    ----------
    rows
        Of ``gate_sensitivity.tsv``, as written or as read.

    Returns
    -------
    list of str
        One sentence per row concerned.
    """
    return [
        f"{row['treatment']}, {row['contrast']}: the change of {row['population']} in percent of "
        f"{row['parent']} rests on its gate: {row['note']}"
        for row in rows
        if row.get("ratio") not in (None, "") and float(row["ratio"]) >= WARNING_RATIO
    ]


def _strategy(
    strategy: Path | str | None, panel: Path | str | None, vocabulary: Vocabulary
) -> Strategy | None:
    if strategy is None or panel is None:
        return None
    markers = {channel.marker for channel in load_panel(Path(panel))}
    return load_strategy(Path(strategy), vocabulary, markers)


def _finding_rows(
    study: _Study, pairs: PairTable, reported: Mapping[str, str], column: int
) -> Iterator[dict[str, Any]]:
    """Yield one row per threshold of a finding's gate, or one that says why there is none."""
    row: dict[str, Any] = {
        **{name: reported[name] for name in ("treatment", "contrast", "population", "parent")},
        **{name: number(reported[name]) for name in ("effect", "p_value")},
    }
    gate = shifted_gate(study.shifts, pairs, column, study.vocabulary, study.readout)
    if gate.impossible:
        yield row | {"status": "not_applicable", "note": gate.impossible}
        return
    moves = [
        one
        for one in study.marker_shifts
        if (one["treatment"], one["contrast"]) == (row["treatment"], row["contrast"])
    ]
    above = _moved_above(study, moves, row["population"])
    for threshold in gate.thresholds:
        if threshold == ALL_THRESHOLDS:
            continue
        moved = _moved(study, moves, row["population"], threshold)
        yield {
            **row,
            "threshold": threshold,
            **moved.columns(),
            "measured_on": moved.population,
            "threshold_parent": above.threshold,
            **above.columns("_parent"),
            **_tipping(study, gate, reported, moved),
        }


def _tipping(
    study: _Study, gate: ShiftedGate, reported: Mapping[str, str], moved: MarkerShift
) -> dict[str, Any]:
    """Return the columns from ``tipping_shift`` on."""
    seen = _words(moved)
    if not is_claimed(reported, study.fdr):
        why = f"no change is claimed at q < {study.fdr:g}"
        return {"status": "not_claimed", "note": join(why, seen)}
    followup, name = gate.pairs.question.followup, moved.threshold
    direction = float(np.log(number(reported["effect"])))
    tipping = tipping_shift(gate.shifts, claim_curve(gate, name, direction))
    left_out = int(reported["n_pairs"]) - _n_pairs(gate, name)
    caveat = f"{left_out} pairs without shifted counts left out" if left_out else ""
    if np.isnan(tipping):
        reach = f"{gate.shifts[0]:+g} to {gate.shifts[-1]:+g}"
        why = f"no shift of {name} by {reach} decade at {followup} alone would abolish it"
        return {"status": "beyond", "note": join(why, seen, caveat)}
    if tipping == 0:
        why = f"p is not below {ALPHA:g} before any shift"
        return {"status": "not_applicable", "note": join(why, seen, caveat)}
    why = f"a shift of {name} by {tipping:+.2g} decade at {followup} alone would abolish it"
    share = moved.larger / tipping
    other_way = "they moved the other way" if share <= -WARNING_RATIO else ""
    return {
        "tipping_shift": tipping,
        "ratio": abs(share),
        "status": "measured",
        "note": join(why, seen, other_way, caveat),
    }


def _n_pairs(gate: ShiftedGate, threshold: str) -> int:
    return int(gate.analyse(threshold, 0.0, 0.0).test.n_pairs[gate.column])


def _moved(
    study: _Study, moves: Sequence[Mapping[str, str]], population: str, threshold: str
) -> MarkerShift:
    """Find the shift of a marker of a population's own gate, where its border was estimated."""
    if study.strategy and population in study.strategy.gates:
        rule = study.strategy.thresholds.get(threshold)
        populations = [(rule and rule.estimate_on) or study.strategy.gates[population].under]
    else:
        populations = _path_to_root(population, study.vocabulary)
    return _typical_shift(moves, threshold, populations)


def _moved_above(study: _Study, moves: Sequence[Mapping[str, str]], population: str) -> MarkerShift:
    """Find which marker of the gate above moved furthest."""
    gates: Mapping[str, Gate] = study.strategy.gates if study.strategy else {}
    if population not in gates or gates[population].under == ROOT:
        return MarkerShift()
    above = gates[population].under
    shifts = [
        _moved(study, moves, above, threshold)
        for threshold in dict.fromkeys(name for name, _ in gates[above].signs)
    ]
    known = [shift for shift in shifts if not np.isnan(shift.larger)]
    return max(known, key=lambda shift: abs(shift.larger), default=MarkerShift())


def _path_to_root(population: str, vocabulary: Vocabulary) -> list[str]:
    """Return what a population is gated under, and everything above that."""
    path: list[str] = []
    above = vocabulary[population].gated_under
    while above is not None:
        path.append(above)
        above = vocabulary[above].gated_under
    return [*path, ROOT]


def _words(moved: MarkerShift) -> str:
    """Say how far the cells moved."""
    sides = {"negative": moved.negative, "positive": moved.positive}
    known = [
        f"the {side} cells moved by {shift:+.2g}"
        for side, shift in sides.items()
        if not np.isnan(shift)
    ]
    return " and ".join(known) or "how far the cells moved is not known"


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if values.size else NAN
