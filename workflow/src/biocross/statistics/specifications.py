"""Would a primary finding stand had it been analysed otherwise? One row per other analysis.

A finding is a row of the confirmatory family that has numbers. Its analysis is varied in one
respect at a time: the aspects. Where an aspect does not apply to a study, its row says why.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.errors import TableError
from biocross.statistics.adjustments import (
    COVARIATE,
    adjusted_for_batch,
    adjusted_for_covariate,
    adjusted_for_dropouts,
)
from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.finding import (
    ALL_THRESHOLDS,
    SPECIFICATION_COLUMNS,
    Analysis,
    Finding,
    Numbers,
    Study,
    analyse,
    join,
    number,
    numbers_of,
    shifted_gate,
)
from biocross.statistics.kernels.battery import ALPHA, run_battery
from biocross.statistics.kernels.exact import hodges_lehmann
from biocross.statistics.kernels.moderation import moderated_paired_t, plain_paired_t
from biocross.statistics.other_sources import OtherSources, by_other_sources, rows_by_question
from biocross.statistics.paired_changes import population_pairs
from biocross.statistics.pairs import PairTable, read_long_table, read_pair_sheet
from biocross.statistics.readouts import readouts
from biocross.tables import read_rows, write_rows

ASPECTS = (
    *("as_reported", "readout", "test", "source", "gate"),
    *("leave_one_out", "batch", "covariate", "dropout"),
)
# How many deltas are tried says nothing, so dropouts are not counted.
COUNTED_ASPECTS = ASPECTS[1:-1]
QUESTION_COLUMNS = SPECIFICATION_COLUMNS[:4]
VARIED_STATUSES = ("tested", "too_few_events")
FEW_NAMES = 3
# In decades, of both visits alike: what a cytometrist might have drawn instead.
GATE_SHIFTS = (-0.1, -0.05, 0.05, 0.1)


def vary_specifications(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    populations: Path | str,
    changes: Path | str,
    confirmatory: Sequence[str],
    seed: int,
    specifications_out: Path | str,
    fdr: float = ALPHA,
    shifts: Path | str | None = None,
) -> None:
    """Analyse every confirmatory change in other ways, and say in which of them it holds.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    populations
        ``populations.yaml``.
    changes
        ``results/statistics/paired_changes.tsv``, found in the same counts.
    confirmatory
        Modality, source and readout of the confirmatory family.
    seed
        Of the sign flips, as for the changes.
    specifications_out
        For every row of the confirmatory family that has numbers, one row per other analysis.
    fdr
        False discovery rate below which a reported row claims a change.
    shifts
        ``results/flow/gating/shifts.tsv``, or None.

    Raises
    ------
    TableError
        A reported change cannot be found in the counts, or the shifted counts are not of the same
        gating.
    """
    rows: list[dict[str, Any]] = []
    if wanted := confirmatory_rows(changes, VARIED_STATUSES):
        study = Study(
            load_vocabulary(Path(populations)),
            read_long_table(counts, samples),
            read_pair_sheet(pairs),
            _covariate_values(read_rows(samples)),
            confirmatory[2],
            seed,
            fdr,
            read_long_table(shifts, samples) if shifts else None,
        )
        others = rows_by_question(read_rows(changes))
        for table, reported in tables_of(wanted, changes, counts, samples, pairs):
            rows += _vary_table(study, table, reported, others)
    write_rows(specifications_out, SPECIFICATION_COLUMNS, rows)


def confirmatory_rows(
    changes: Path | str, statuses: Collection[str] = ()
) -> dict[tuple[str, ...], list[dict[str, str]]]:
    """Read the confirmatory family.

    Parameters
    ----------
    changes
        ``results/statistics/paired_changes.tsv``.
    statuses
        Of the rows wanted; empty for all.

    Returns
    -------
    dict
        Rows by question: modality, source, treatment, contrast.
    """
    wanted: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in read_rows(changes):
        if row["family"] == CONFIRMATORY and (not statuses or row["status"] in statuses):
            wanted.setdefault(tuple(row[name] for name in QUESTION_COLUMNS), []).append(row)
    return wanted


def tables_of(
    wanted: Mapping[tuple[str, ...], list[dict[str, str]]],
    changes: Path | str,
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
) -> Iterator[tuple[PairTable, list[tuple[dict[str, str], int]]]]:
    """Find the tables of pairs that reported rows came from.

    Parameters
    ----------
    wanted
        Of `confirmatory_rows`.
    changes
        Their file, for messages.
    counts, samples, pairs
        As for `population_pairs`.

    Yields
    ------
    PairTable, list of (dict, int)
        A table; its rows, each with the column of its population.

    Raises
    ------
    TableError
        A row cannot be found in the counts.
    """
    missing = dict(wanted)
    for table in population_pairs(counts, samples, pairs) if wanted else ():
        reported = missing.pop(tuple(table.question.columns().values()), [])
        names = zip(table.keys["population"], table.keys["parent"], strict=True)
        columns = {name: column for column, name in enumerate(names)}
        for row in reported:
            if (row["population"], row["parent"]) not in columns:
                raise TableError(
                    f"paired_changes.tsv: {row['population']} in {row['parent']} is not in "
                    "counts.tsv; find the changes again"
                )
        if reported:
            yield table, [(row, columns[row["population"], row["parent"]]) for row in reported]
    if missing:
        question = ", ".join(next(iter(missing)))
        raise TableError(f"{changes}: {question} is not in {counts}; find the changes again")


def _covariate_values(sheet: Sequence[Mapping[str, str]]) -> dict[tuple[str, str], float]:
    known = ((row["unit"], row["level"], row.get(COVARIATE, "")) for row in sheet)
    return {(unit, level): float(value) for unit, level, value in known if value}


def _vary_table(
    study: Study,
    pairs: PairTable,
    reported: Sequence[tuple[Mapping[str, str], int]],
    others: OtherSources,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of all findings of one table of pairs."""
    readings = readouts(pairs, study.vocabulary)
    analyses = {reading.name: analyse(pairs, reading) for reading in readings}
    own = analyses[study.readout]
    battery = run_battery(own.readout.change, own.readout.abundance, study.seed)
    without = leave_one_out_changes(pairs, study.pair_sheet, study.vocabulary, study.readout)
    for row, column in reported:
        finding = Finding(study, row, own, battery, column)
        varied = [
            *_other_readouts(finding, analyses),
            *_other_tests(finding),
            *by_other_sources(finding, others),
            *_shifted_gates(finding),
            *_without_each(finding, without),
            adjusted_for_batch(finding),
            adjusted_for_covariate(finding),
            *adjusted_for_dropouts(finding),
        ]
        yield _as_reported(finding, varied)
        yield from varied


def leave_one_out_changes(
    pairs: PairTable, pair_sheet: pd.DataFrame, vocabulary: Vocabulary, readout: str
) -> dict[str, Analysis]:
    """Run the whole chain without each patient in turn.

    Parameters
    ----------
    pairs
        Of `population_pairs`.
    pair_sheet
        Says which patient a unit belongs to.
    vocabulary
        Says which population lies within which.
    readout
        Name of the readout to test.

    Returns
    -------
    dict of str to Analysis
        By patient, in alphabetical order: readout, trend and moderation of all populations
        without any unit of that patient.
    """
    patient_of = dict(zip(pair_sheet["unit"], pair_sheet["patient_id"], strict=True))
    patients = np.array([patient_of[unit] for unit in pairs.units], dtype=str)
    analyses = {}
    for patient in np.unique(patients).tolist():
        rest = _of_units(pairs, patients != patient)
        reading = next(found for found in readouts(rest, vocabulary) if found.name == readout)
        analyses[patient] = analyse(rest, reading)
    return analyses


def _of_units(pairs: PairTable, wanted: NDArray[np.bool_]) -> PairTable:
    kept = np.flatnonzero(wanted)
    return pairs._replace(
        units=tuple(pairs.units[i] for i in kept),
        batches=tuple(pairs.batches[i] for i in kept),
        baseline={name: values[kept] for name, values in pairs.baseline.items()},
        followup={name: values[kept] for name, values in pairs.followup.items()},
    )


def _as_reported(finding: Finding, varied: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Repeat the reported row, and count in which other analyses it holds."""
    reported, study = finding.reported, finding.study
    summary = []
    if not finding.claimed:
        summary.append(f"no change is claimed at q < {study.fdr:g}, so nothing is said to hold")
    for aspect in COUNTED_ASPECTS:
        judged = [row for row in varied if row["aspect"] == aspect and "holds" in row]
        lost = [str(row["specification"]) for row in judged if not row["holds"]]
        if judged:
            named = f" (lost: {', '.join(lost)})" if 0 < len(lost) <= FEW_NAMES else ""
            summary.append(f"{aspect}: holds in {len(judged) - len(lost)} of {len(judged)}{named}")
    effect, low, high = (
        float(np.log(number(reported[name]))) for name in ("effect", "effect_low", "effect_high")
    )
    return finding.row(
        "as_reported",
        f"{study.readout}, capped_moderated_t",
        reported["status"],
        join(reported["note"], *summary),
        Numbers(int(reported["n_pairs"]), effect, low, high, number(reported["p_value"])),
    )


def _other_readouts(finding: Finding, analyses: Mapping[str, Analysis]) -> Iterator[dict[str, Any]]:
    for name, analysis in analyses.items():
        if name == finding.study.readout:
            continue
        status, note = analysis.judged(finding.column)
        numbers = _primary_numbers(analysis, finding.column)
        scale = analysis.readout.effect_scale
        yield finding.row("readout", name, status, note, numbers, scale)


def _other_tests(finding: Finding) -> Iterator[dict[str, Any]]:
    readout, battery, column = finding.analysis.readout, finding.battery, finding.column
    status, note = finding.analysis.judged(column)
    n_pairs = int(battery.primary.n_pairs[column])
    own = readout.change[:, [column]]
    yield finding.row("test", "plain_t", status, note, numbers_of(plain_paired_t(own), n_pairs))
    if np.isfinite(battery.primary.p).sum() > 1:
        uncapped = moderated_paired_t(readout.change, readout.abundance, cap=False)
        numbers = numbers_of(uncapped, n_pairs, column)
        yield finding.row("test", "uncapped_moderated_t", status, note, numbers)
    else:
        alone = "there is no other population to learn a variance from"
        yield finding.row("test", "uncapped_moderated_t", "not_applicable", alone)
    typical, low, high = (float(values[0]) for values in hodges_lehmann(own))
    ranked = Numbers(n_pairs, typical, low, high, float(battery.wilcoxon_p[column]))
    yield finding.row("test", "wilcoxon", status, join("Hodges-Lehmann estimate", note), ranked)
    flipped = Numbers(
        n_pairs, float(battery.primary.estimate[column]), p=float(battery.signflip_p[column])
    )
    yield finding.row("test", "sign_flip", status, join("no interval", note), flipped)


def _shifted_gates(finding: Finding) -> Iterator[dict[str, Any]]:
    """Yield the change with all thresholds of the gate shifted, then with each of them alone."""
    study = finding.study
    gate = shifted_gate(
        study.shifts, finding.analysis.pairs, finding.column, study.vocabulary, study.readout
    )
    if gate.impossible:
        yield finding.row("gate", "shifted thresholds", "not_applicable", gate.impossible)
        return
    for threshold in sorted(gate.thresholds, key=lambda name: name != ALL_THRESHOLDS):
        what = "all thresholds" if threshold == ALL_THRESHOLDS else threshold
        for shift in GATE_SHIFTS:
            analysis = gate.analyse(threshold, shift, shift)
            status, note = analysis.judged(finding.column)
            numbers = _primary_numbers(analysis, finding.column)
            n_lost = len(finding.change) - int(np.isnan(finding.change).sum())
            n_lost -= numbers.n_pairs if numbers else 0
            if n_lost:
                note = join(f"{n_lost} pairs without counts at this shift left out", note)
            specification = f"{what} {shift:+g} decade"
            yield finding.row("gate", specification, status, note, numbers)


def _without_each(finding: Finding, without: Mapping[str, Analysis]) -> Iterator[dict[str, Any]]:
    n_all = int((~np.isnan(finding.change)).sum())
    for patient, analysis in without.items():
        status, note = analysis.judged(finding.column)
        numbers = _primary_numbers(analysis, finding.column)
        if numbers is not None and numbers.n_pairs == n_all:
            note = join("has no pair of this population: only the moderation differs", note)
        yield finding.row("leave_one_out", patient, status, note, numbers)


def _primary_numbers(analysis: Analysis, column: int) -> Numbers | None:
    """Return a population's numbers; None where it has no pair in this readout."""
    n_pairs = int(analysis.test.n_pairs[column])
    return numbers_of(analysis.test, n_pairs, column) if n_pairs else None
