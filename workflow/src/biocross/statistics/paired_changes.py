"""Did population frequencies change within patients? Tests every population of the long table."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.statistics.families import MIN_CONFIRMATORY_PAIRS, assign_families
from biocross.statistics.kernels.battery import (
    Battery,
    Tests,
    columns_of_tests,
    run_battery,
)
from biocross.statistics.kernels.moderation import MIN_PAIRS
from biocross.statistics.kernels.quartiles import column_quartiles
from biocross.statistics.pairs import (
    PairTable,
    pair_tables,
    read_long_table,
    read_pair_sheet,
    read_table,
)
from biocross.statistics.readouts import VALUE_COLUMNS, Readout, readouts
from biocross.statistics.row_notes import (
    add_drug_notes,
    add_selection_notes,
    mark_disagreement,
)
from biocross.tables import read_rows, write_rows

FloatArray = NDArray[np.float64]

CHANGE_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "population", "parent", "readout"),
    *("n_pairs", "n_incomplete", "events_median", "baseline_median", "followup_median"),
    *("zeros_baseline", "zeros_followup", "effect", "effect_low", "effect_high", "effect_scale"),
    *("effect_is_bound", "statistic", "df", "p_value", "q_value", "family", "wilcoxon_p"),
    *("signflip_p", "signflip_fwer_p", "hodges_lehmann", "rank_biserial", "detectable_fold"),
    *("detectable_fold_family", "equivalent", "agreement", "status", "note"),
    *("detectable_fold_low", "detectable_fold_high"),
    *("baseline_q1", "baseline_q3", "followup_q1", "followup_q3"),
)
NOT_MEASURED = {
    "percent_of_parent": "not measured in these samples",
    "cells_per_ul": "neither counting beads nor a blood count of its anchor at both visits",
    "composition": "not measured in these samples",
}
MIN_EVENTS = 20
NEAR_ZERO = 3


def find_paired_changes(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    populations: Path | str,
    confirmatory: Sequence[str],
    seed: int,
    changes_out: Path | str,
    drug_notes: Path | str | None = None,
    selected_on: Collection[str] = (),
) -> None:
    """Test every population of a long table for change within patients.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    populations
        ``populations.yaml``, which names the primary populations.
    confirmatory
        Modality, source and readout on which the primary populations are judged.
    seed
        Of the sign flips.
    changes_out
        One row per modality, source, treatment, contrast, population and readout.
    drug_notes
        ``results/cohort/drug_notes.tsv``, or None.
    selected_on
        Populations, or blood counts, that patients were enrolled for.
    """
    rows = all_change_rows(
        population_pairs(counts, samples, pairs),
        load_vocabulary(Path(populations)),
        confirmatory,
        seed,
        read_rows(drug_notes) if drug_notes else (),
        selected_on,
    )
    write_rows(changes_out, CHANGE_COLUMNS, rows)


def all_change_rows(
    tables: Iterable[PairTable],
    vocabulary: Vocabulary,
    confirmatory: Sequence[str],
    seed: int,
    drug_notes: Sequence[Mapping[str, str]] = (),
    selected_on: Collection[str] = (),
    tests: Tests = run_battery,
) -> list[dict[str, Any]]:
    """Test all tables of a study, correct within families, and add what must be known.

    Parameters
    ----------
    tables
        Of `population_pairs`.
    vocabulary
        Names the primary populations, and says which population lies within which.
    confirmatory, seed, selected_on
        As for `find_paired_changes`.
    drug_notes
        Rows of ``drug_notes.tsv``.
    tests
        The tests of one table; the first of them gives ``p_value`` and the interval.

    Returns
    -------
    list of dict
        Rows with `CHANGE_COLUMNS`.
    """
    primary = {name for name, population in vocabulary.items() if population.primary}
    rows = [row for table in tables for row in change_rows(table, vocabulary, seed, tests)]
    assign_families(rows, primary, tuple(confirmatory))
    add_drug_notes(rows, drug_notes)
    add_selection_notes(rows, selected_on)
    return [{name: row.get(name) for name in CHANGE_COLUMNS} for row in rows]


def population_pairs(
    counts: Path | str, samples: Path | str, pairs: Path | str
) -> Iterator[PairTable]:
    """Arrange ``counts.tsv`` as one table of pairs per question.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.

    Yields
    ------
    PairTable
        Of the populations that have a parent, with the values that `readouts` needs.
    """
    yield from arrange_pairs(read_long_table(counts, samples), read_pair_sheet(pairs))


def arrange_pairs(table: pd.DataFrame, pair_sheet: pd.DataFrame) -> Iterator[PairTable]:
    """Arrange counts as `population_pairs` does, of `read_long_table` and `read_pair_sheet`."""
    for found in pair_tables(table, pair_sheet, ("population", "parent"), VALUE_COLUMNS):
        yield found.select((found.keys["parent"] != "").to_numpy())


def change_rows(
    pairs: PairTable, vocabulary: Vocabulary, seed: int, tests: Tests = run_battery
) -> list[dict[str, Any]]:
    """Test one table of pairs in every readout.

    Parameters
    ----------
    pairs
        Of `population_pairs`.
    vocabulary
        Says which population lies within which.
    seed
        Of the sign flips.
    tests
        As for `all_change_rows`.

    Returns
    -------
    list of dict
        Rows of ``paired_changes.tsv``, their families still open.
    """
    rows = []
    for readout in readouts(pairs, vocabulary):
        battery = tests(readout.change, readout.abundance, seed)
        rows += _rows(pairs, readout, battery)
    mark_disagreement(rows)
    return rows


def batch_caveat(batches: Sequence[tuple[str, str]]) -> str:
    """Say whether batch and visit can be told apart in a table of pairs.

    Parameters
    ----------
    batches
        Batch at baseline and at follow-up of every pair; empty where it is not known.

    Returns
    -------
    str
        ``confounded_with_batch: ...`` where no batch holds both visits of anyone, so that any
        offset between batches looks like a change; a milder sentence where some pairs change
        batch; else empty.
    """
    moved = [before != after for before, after in batches if before and after]
    if not any(moved):
        return ""
    before, after = ({pair[when] for pair in batches} for when in (0, 1))
    if all(moved) and not before & after:
        return "confounded_with_batch: every pair changes batch with the visit"
    return f"{sum(moved)} of {len(moved)} pairs change batch with the visit"


class _Columns(NamedTuple):
    """What `_row` reads, computed for all columns at once: by the row it would take a second."""

    names: list[dict[str, str]]
    caveat: str
    baseline: FloatArray
    followup: FloatArray
    events_median: FloatArray
    least_median: FloatArray
    numbers: dict[str, FloatArray]


def _rows(pairs: PairTable, readout: Readout, battery: Battery) -> list[dict[str, Any]]:
    complete = ~np.isnan(readout.change)
    before, after, baseline, followup = (
        np.where(complete, values, np.nan)
        for values in (
            *(readout.events_baseline, readout.events_followup),
            *(readout.baseline, readout.followup),
        )
    )
    columns = _Columns(
        [
            dict(zip(pairs.keys.columns, values, strict=True))
            for values in pairs.keys.astype(str).itertuples(index=False, name=None)
        ],
        batch_caveat(pairs.batches),
        column_quartiles(baseline),
        column_quartiles(followup),
        column_quartiles(np.maximum(before, after))[1],
        np.minimum(column_quartiles(before)[1], column_quartiles(after)[1]),
        _numbers(battery),
    )
    return [_row(pairs, readout, battery, columns, column) for column in range(len(columns.names))]


def _row(
    pairs: PairTable, readout: Readout, battery: Battery, columns: _Columns, column: int
) -> dict[str, Any]:
    test = battery.primary
    complete = ~np.isnan(readout.change[:, column])
    before = readout.events_baseline[complete, column]
    after = readout.events_followup[complete, column]
    testable = bool(np.isfinite(test.p[column]))
    events = readout.events_baseline[:, column] + readout.events_followup[:, column]
    status, note = judge(pairs, readout, before, after, testable, bool(np.isfinite(events).any()))
    seen = readout.baseline[complete, column], readout.followup[complete, column]
    if status == "constant" and not np.any(seen):
        status, note = "all_zero", "zero at both visits in every pair"
    caveats = [readout.caveat, columns.caveat] if complete.any() else []
    if status != "enriched":
        caveats.append(pairs.enriched_words)
    if testable and complete.sum() < MIN_CONFIRMATORY_PAIRS:
        caveats.append("fewer than 6 pairs: no exact test can reach 0.05")
    row: dict[str, Any] = {
        **pairs.question.columns(),
        **columns.names[column],
        "readout": readout.name,
        "n_pairs": int(complete.sum()),
        "n_incomplete": pairs.n_incomplete + int((~complete).sum()),
        "effect_scale": readout.effect_scale,
        "status": status,
        "note": "; ".join(filter(None, [note, *caveats])),
    }
    if complete.any():
        row |= {
            **_quartiles("baseline", columns.baseline[:, column]),
            **_quartiles("followup", columns.followup[:, column]),
            "effect": float(np.exp(test.estimate[column])),
        }
        if not np.isnan(before + after).any():
            row |= {
                "events_median": float(columns.events_median[column]),
                "zeros_baseline": int((before == 0).sum()),
                "zeros_followup": int((after == 0).sum()),
                "effect_is_bound": bool(columns.least_median[column] < NEAR_ZERO),
            }
    if testable:
        row |= {name: float(values[column]) for name, values in columns.numbers.items()}
        row["equivalent"] = bool(battery.equivalent[column])
        row["agreement"] = int(battery.agreement[column])
    return row


def _quartiles(when: str, values: FloatArray) -> dict[str, float]:
    return {f"{when}_{of}": float(v) for of, v in zip(("q1", "median", "q3"), values, strict=True)}


def _numbers(battery: Battery) -> dict[str, FloatArray]:
    test = battery.primary
    return {
        "effect_low": np.exp(test.low),
        "effect_high": np.exp(test.high),
        **columns_of_tests(battery),
        "hodges_lehmann": np.exp(battery.hodges_lehmann),
        "detectable_fold": battery.detectable_fold,
        "detectable_fold_low": battery.detectable_range.low,
        "detectable_fold_high": battery.detectable_range.high,
        "change_sd": np.sqrt(test.s2_post),
    }


def judge(
    pairs: PairTable,
    readout: Readout,
    before: FloatArray,
    after: FloatArray,
    testable: bool,
    counted: bool = True,
) -> tuple[str, str]:
    """Say whether a population could be tested and, in words, why not.

    Parameters
    ----------
    pairs, readout
        The table and its reading.
    before, after
        Events of the complete pairs at equal depth, shape (complete pairs,); NaN where only
        percentages are known.
    testable
        Whether the primary test gave a p value.
    counted
        Whether any pair has its events counted at both visits.

    Returns
    -------
    status, note : str
        ``tested`` with an empty note, or what stood in the way.
    """
    if not pairs.units:
        return "no_pairs", f"no patient was measured at both of {pairs.question.contrast}"
    if not before.size and pairs.n_enriched == len(pairs.units):
        return "enriched", pairs.enriched_words
    if readout.impossible:
        return "not_possible", readout.impossible
    if not before.size and counted and readout.name == "composition":
        return "not_applicable", "not a leaf of the tree of populations; its parts are compared"
    if not before.size:
        return "not_measured", NOT_MEASURED[readout.name]
    if before.size < MIN_PAIRS:
        return "too_few_pairs", f"{before.size} of the {MIN_PAIRS} pairs that a test needs"
    if not before.any() and not after.any():
        return "all_zero", "no event at either visit in any pair"
    if not testable:
        return "constant", "the change is the same in every pair"
    if (events := float(np.median(np.maximum(before, after)))) < MIN_EVENTS:
        return "too_few_events", (
            f"{events:.0f} events in the median pair, fewer than {MIN_EVENTS}: "
            "shown, but nothing is claimed"
        )
    return "tested", ""


def load_changes(path: Path | str) -> pd.DataFrame:
    """Read ``paired_changes.tsv`` with yes and no as booleans."""
    table = read_table(path)
    for name in ("effect_is_bound", "equivalent"):
        table[name] = table[name].map({"yes": True, "no": False})
    return table
