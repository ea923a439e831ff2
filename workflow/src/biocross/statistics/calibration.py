"""How often does this run call chance a change? The visits of every patient are relabelled.

Whoever was measured keeps their values, but which visit came first is drawn anew for each patient,
alike for all populations, and the tests are run again. Nothing that follows time is left, so that
whatever they still call is a false alarm of this very table.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.errors import TableError
from biocross.statistics.calibration_rows import (
    CALIBRATION_COLUMNS,
    KEY_COLUMNS,
    MIN_PATIENTS,
    Changes,
    ConfirmatoryFamily,
    Row,
    family_members,
    read_changes,
    tested_rows,
    untested_rows,
)
from biocross.statistics.kernels.moderation import moderated_p_values, summarise_flipped
from biocross.statistics.kernels.multiplicity import benjamini_hochberg
from biocross.statistics.kernels.permutation import sign_vectors
from biocross.statistics.kernels.relabelling import (
    null_changes,
    relabelled_levels,
    relabelled_summary,
    signs_of_pair,
)
from biocross.statistics.pairs import PairTable, pair_tables, read_long_table, read_pair_sheet
from biocross.statistics.readouts import VALUE_COLUMNS, Readout, readouts
from biocross.tables import write_rows

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

# A population with a q value up to this is taken as changed: its mean change is removed.
CHANGED_Q = 0.2


class _Visits(NamedTuple):
    """The units of one modality, source and treatment, and their relabellings.

    `patients` has shape (units,), `measured` (units, levels); `drawn` and `every` hold keys as
    for `relabelled_levels`, shape (relabellings, units, levels). `every` are all relabellings but
    the observed one; None where they are more than were asked for.
    """

    units: tuple[str, ...]
    patients: IntArray
    levels: tuple[str, ...]
    measured: BoolArray
    drawn: FloatArray
    every: FloatArray | None

    def rows_of(self, units: Sequence[str]) -> IntArray:
        """Return the positions of some of the units."""
        return np.searchsorted(self.units, units).astype(np.int64)


class _Piece(NamedTuple):
    """One reading of the changes between two levels.

    `null` are the changes as they are relabelled. `seen` are the rows of ``paired_changes.tsv``
    by column of the arrays, empty for levels that no contrast compares and that only meet when
    visits are permuted.
    """

    pairs: PairTable
    reading: Readout
    null: FloatArray
    seen: pd.DataFrame


def calibrate_run(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    populations: Path | str,
    changes: Path | str,
    confirmatory: Sequence[str],
    relabellings: int,
    fdr: float,
    seed: int,
    calibration_out: Path | str,
) -> None:
    """Estimate the error rates of the run's own tables by relabelling visits within patients.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    populations
        ``populations.yaml``.
    changes
        ``results/statistics/paired_changes.tsv`` of the same run: which populations changed,
        which could be claimed, and in which family.
    confirmatory
        Modality, source and readout of the confirmatory family.
    relabellings
        How many; 0 writes the header only.
    fdr
        q value below which the run claims a change.
    seed
        Of the relabellings.
    calibration_out
        Receives ``calibration.tsv``.

    Raises
    ------
    TableError
        The changes are not those of these counts.

    Notes
    -----
    One relabelling orders the visits of every patient anew, alike for all populations, readouts
    and contrasts. With two visits that is a flip of the sign; with more, visits are permuted and
    each contrast takes the change between the two visits that now bear its names, at their own
    equal depth. Populations that changed (q <= 0.2) first lose their mean change, see
    `null_changes`. The trend covariate stays the observed one, and composition keeps the
    reference of the observed changes.

    Where all relabellings of a two-visit design are no more than were asked for, all are used
    but the observed labelling, which is the run itself and no draw from its null. A relabelling
    and its mirror image give the same p values and count once. Otherwise relabellings are drawn,
    and the observed one is expected among them less than once. The confirmatory family relabels
    all treatments at once, each with its own patients' draws.
    """
    rows: list[Row] = []
    if relabellings:
        table, sheet = read_long_table(counts, samples), read_pair_sheet(pairs)
        vocabulary, seen = load_vocabulary(Path(populations)), read_changes(changes)
        family = ConfirmatoryFamily(tuple(confirmatory), seen)
        for tables, further in _groups(table, sheet):
            visits = _visits([*tables, *further], sheet, relabellings, seed)
            for pieces in _readings(tables, further, vocabulary, seen):
                for piece in pieces[: len(tables)]:
                    rows += _calibrate(piece, pieces, visits, family, fdr)
        rows.insert(0, family.row(fdr))
    write_rows(calibration_out, CALIBRATION_COLUMNS, rows)


def _groups(
    table: pd.DataFrame, sheet: pd.DataFrame
) -> Iterator[tuple[list[PairTable], list[PairTable]]]:
    """Yield the declared and the further pairs of each modality, source and treatment."""
    groups: dict[tuple[str, str, str], tuple[list[PairTable], list[PairTable]]] = {}
    for place, asked in enumerate((sheet, _further_pairs(sheet))):
        for found in pair_tables(table, asked, KEY_COLUMNS, VALUE_COLUMNS):
            question, wanted = found.question, (found.keys["parent"] != "").to_numpy()
            key = (question.modality, question.source, question.treatment)
            if wanted.any():
                groups.setdefault(key, ([], []))[place].append(found.select(wanted))
    yield from groups.values()


def _further_pairs(sheet: pd.DataFrame) -> pd.DataFrame:
    """Pair the levels of a unit that no contrast compares, and that meet when it is permuted."""
    rows = []
    for (treatment, unit), part in sheet.groupby(["treatment", "unit"], sort=True):
        declared = set(zip(part["followup"], part["baseline"], strict=True))
        levels = dict.fromkeys([*part["baseline"], *part["followup"]])
        rows += [
            {"treatment": treatment, "unit": unit, "baseline": first, "followup": second}
            for first, second in combinations(levels, 2)
            if not {(first, second), (second, first)} & declared
        ]
    return pd.DataFrame(rows, columns=["treatment", "unit", "baseline", "followup"])


def _visits(
    tables: Sequence[PairTable], sheet: pd.DataFrame, relabellings: int, seed: int
) -> _Visits:
    levels = tuple(dict.fromkeys([*sheet["baseline"], *sheet["followup"]]))
    everyone = sorted(set(sheet["patient_id"]))
    patient_of = dict(zip(sheet["unit"], sheet["patient_id"], strict=True))
    units = tuple(sorted({unit for table in tables for unit in table.units}))
    patients = np.searchsorted(everyone, [patient_of[unit] for unit in units]).astype(np.int64)
    measured = np.zeros((len(units), len(levels)), dtype=np.bool_)
    for table in tables:
        for level in (table.question.baseline, table.question.followup):
            measured[np.searchsorted(units, table.units), levels.index(level)] = True
    # Drawn for everyone, so that a patient's relabelling is the same wherever they appear.
    drawn = np.random.default_rng(seed).random((relabellings, len(everyone), len(levels)))
    distinct, place = np.unique(patients, return_inverse=True)
    every = None
    two_visits = units and (measured.sum(axis=1) == 2).all()
    if two_visits and 2 ** (distinct.size - 1) <= relabellings:
        signs, _ = sign_vectors(distinct.size, seed, relabellings)
        every = signs[1:, place, np.newaxis] * np.arange(float(len(levels)))
    return _Visits(units, patients, levels, measured, drawn[:, patients], every)


def _readings(
    tables: Sequence[PairTable],
    further: Sequence[PairTable],
    vocabulary: Vocabulary,
    changes: Changes,
) -> Iterator[list[_Piece]]:
    """Yield, for each readout, the pieces of the declared pairs and then of the further ones."""
    everything = [*tables, *further]
    for readings in zip(*(readouts(table, vocabulary) for table in everything), strict=True):
        seen = [_seen(table, readings[0].name, changes) for table in tables]
        seen += [pd.DataFrame()] * len(further)
        changed = [_changed(part) for part in seen[: len(tables)]]
        for table in further:
            # Between two later visits a population moves if it moved up to either of them.
            own = {table.question.baseline, table.question.followup}
            declared = zip(changed, tables, strict=False)
            touching = [
                moved
                for moved, other in declared
                if own & {other.question.baseline, other.question.followup}
            ]
            changed.append(np.logical_or.reduce(touching))
        yield [
            _Piece(table, reading, null_changes(reading.change, moved), part)
            for table, reading, moved, part in zip(everything, readings, changed, seen, strict=True)
        ]


def _seen(pairs: PairTable, readout: str, changes: Changes) -> pd.DataFrame:
    """Find what the run says of each population, by column of the arrays."""
    key = (*pairs.question.columns().values(), readout)
    columns = pd.MultiIndex.from_frame(pairs.keys[list(KEY_COLUMNS)])
    if key in changes and (seen := changes[key].reindex(columns))["status"].notna().all():
        return seen
    raise TableError(
        f"the table of changes lacks populations of {', '.join(key)}: it was made from other "
        "counts; make it again from these"
    )


def _changed(seen: pd.DataFrame) -> BoolArray:
    """Find what counts as changed; what is too rare to be claimed is judged by a q of its own."""
    p, q = seen["p_value"].to_numpy(float), seen["q_value"].to_numpy(float)
    return np.asarray(np.where(np.isnan(q), benjamini_hochberg(p), q) <= CHANGED_Q)


def _calibrate(
    piece: _Piece, pieces: Sequence[_Piece], visits: _Visits, family: ConfirmatoryFamily, fdr: float
) -> list[Row]:
    """Relabel one reading; where it holds confirmatory tests, keep these for their family."""
    testable = piece.seen["p_value"].notna().to_numpy()
    read = ~np.isnan(piece.null[:, testable]).all(axis=1)
    n_patients = np.unique(visits.patients[visits.rows_of(piece.pairs.units)][read]).size
    if not testable.any() or n_patients < MIN_PATIENTS:
        return untested_rows(piece.pairs, piece.reading.name, piece.seen, n_patients)
    every = visits.every is not None
    keys = visits.drawn if visits.every is None else visits.every
    p = _relabelled_p(piece, testable, pieces, visits, keys)
    rows = tested_rows(piece.pairs, piece.reading.name, piece.seen, p, every, fdr)
    members = family_members(piece.seen, confirmatory=True)
    if members.any():
        # Treatments have their own numbers of relabellings; drawn ones can be put side by side.
        if every and not family.one_treatment:
            p = _relabelled_p(piece, testable, pieces, visits, visits.drawn)
        family.add(piece.pairs.units, p[:, members], every)
    return rows


def _relabelled_p(
    piece: _Piece,
    testable: BoolArray,
    pieces: Sequence[_Piece],
    visits: _Visits,
    keys: FloatArray,
) -> FloatArray:
    """Run the tests of a reading on its relabelled changes: p, (relabellings, populations)."""
    units, own = visits.rows_of(piece.pairs.units), _levels(piece, visits)
    measured = visits.measured[units]
    others = [other for other in pieces if other is not piece and other.pairs.units]
    if any(other.reading.impossible for other in others):
        # Visits that cannot be compared cannot be exchanged: only the two of the contrast are.
        others, measured = [], measured & np.isin(np.arange(len(visits.levels)), own)
    source = relabelled_levels(keys[:, units], measured)
    parts, met = [], np.zeros(source.shape[:2], dtype=np.bool_)
    for other in (piece, *others):
        common = np.isin(other.pairs.units, piece.pairs.units)
        column = np.searchsorted(piece.pairs.units, np.array(other.pairs.units)[common])
        signs = np.where(met, 0.0, signs_of_pair(source, own, _levels(other, visits)))[:, column]
        met[:, column] |= signs != 0
        if signs.any():
            parts.append((other.null[common][:, testable], signs))
    flipped = len(parts) == 1 and np.abs(parts[0][1]).all()
    summary = summarise_flipped(*parts[0]) if flipped else relabelled_summary(parts)
    p = np.full((len(keys), testable.size), np.nan)
    p[:, testable] = moderated_p_values(summary, piece.reading.abundance[testable])
    return p


def _levels(piece: _Piece, visits: _Visits) -> tuple[int, int]:
    question = piece.pairs.question
    return visits.levels.index(question.baseline), visits.levels.index(question.followup)
