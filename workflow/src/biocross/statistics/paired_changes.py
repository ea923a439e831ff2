"""Did population frequencies change within patients? Tests every population of the long table."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.vocabulary import load_vocabulary
from biocross.statistics.battery import ALPHA, Battery, run_battery
from biocross.statistics.moderation import MIN_PAIRS
from biocross.statistics.multiplicity import benjamini_hochberg
from biocross.statistics.pairs import PairTable, pair_tables, read_long_table
from biocross.statistics.power import detectable_fold
from biocross.statistics.scale import equal_depth_logit
from biocross.tables import write_rows

FloatArray = NDArray[np.float64]

CHANGE_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "population", "parent", "readout"),
    *("n_pairs", "n_incomplete", "events_median", "baseline_median", "followup_median"),
    *("zeros_baseline", "zeros_followup", "effect", "effect_low", "effect_high", "effect_scale"),
    *("effect_is_bound", "statistic", "df", "p_value", "q_value", "family", "wilcoxon_p"),
    *("signflip_p", "signflip_fwer_p", "hodges_lehmann", "rank_biserial", "detectable_fold"),
    *("detectable_fold_family", "equivalent", "agreement", "status", "note"),
)
MIN_EVENTS = 20
NEAR_ZERO = 3
MIN_CONFIRMATORY_PAIRS = 6
CONFIRMATORY = "confirmatory"


class Readout(NamedTuple):
    """One way to read the frequencies of a table of pairs.

    Parameters
    ----------
    name
        ``percent_of_parent`` or ``cells_per_ul``.
    effect_scale
        What exp(change) is: ``odds_ratio`` or ``fold_change``.
    baseline, followup
        What people read: percent or cells per microlitre, shape (pairs, populations).
    change
        Within-patient change, logit or log units, shape (pairs, populations).
    """

    name: str
    effect_scale: str
    baseline: FloatArray
    followup: FloatArray
    change: FloatArray


class Events(NamedTuple):
    """Events of both visits at the depth of the shallower one, shape (pairs, populations)."""

    baseline: FloatArray
    followup: FloatArray


def find_paired_changes(
    counts: Path | str,
    samples: Path | str,
    populations: Path | str,
    levels: Sequence[str],
    confirmatory: Sequence[str],
    seed: int,
    changes_out: Path | str,
) -> None:
    """Test every population of a long table for change within patients.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples
        ``results/cohort/samples.tsv``.
    populations
        ``populations.yaml``, which names the primary populations.
    levels
        Levels of the contrast, the baseline first.
    confirmatory
        Modality, source and readout on which the primary populations are judged.
    seed
        Of the sign flips.
    changes_out
        One row per modality, source, treatment, contrast, population and readout.
    """
    vocabulary = load_vocabulary(Path(populations))
    primary = {name for name, population in vocabulary.items() if population.primary}
    table = read_long_table(counts, samples)
    rows = [
        row
        for pairs in pair_tables(
            table, levels, ("population", "parent"), ("count", "parent_count", "cells_per_ul")
        )
        for row in change_rows(pairs, seed)
    ]
    assign_families(rows, primary, tuple(confirmatory))
    write_rows(
        changes_out,
        CHANGE_COLUMNS,
        ({name: row.get(name) for name in CHANGE_COLUMNS} for row in rows),
    )


def change_rows(pairs: PairTable, seed: int) -> Iterator[dict[str, Any]]:
    """Test one table of pairs in every readout.

    Parameters
    ----------
    pairs
        Counts of two visits.
    seed
        Of the sign flips.

    Yields
    ------
    dict
        A row of ``paired_changes.tsv``, its family still open.
    """
    has_parent = (pairs.keys["parent"] != "").to_numpy()
    pairs = _select(pairs, has_parent)
    events = _events_at_equal_depth(pairs)
    abundance = _abundance(events)
    for readout in (_percent_of_parent(pairs), _cells_per_ul(pairs)):
        battery = run_battery(readout.change, abundance, seed)
        for column in range(len(pairs.keys)):
            yield _row(pairs, readout, events, battery, column)


def assign_families(
    rows: Sequence[dict[str, Any]], primary: Collection[str], confirmatory: tuple[str, ...]
) -> None:
    """Correct for multiple testing, within families that are named in the rows.

    The confirmatory family holds the primary populations over all treatments and visits, in one
    readout. Every other row belongs to the exploratory family of its modality, source, treatment,
    contrast and readout.

    Parameters
    ----------
    rows
        Rows of `change_rows`; ``family``, ``q_value`` and ``detectable_fold_family`` are filled in.
    primary
        Names of the primary populations.
    confirmatory
        Modality, source and readout of the confirmatory family.
    """
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        declared = (row["modality"], row["source"], row["readout"]) == confirmatory
        enough = row["n_pairs"] >= MIN_CONFIRMATORY_PAIRS
        parts = ("modality", "source", "treatment", "contrast", "readout")
        row["family"] = f"exploratory: {', '.join(str(row[part]) for part in parts)}"
        if declared and enough and row["population"] in primary:
            row["family"] = CONFIRMATORY
        if row["status"] == "tested":
            families.setdefault(row["family"], []).append(row)
    for members in families.values():
        q_values = benjamini_hochberg(np.array([row["p_value"] for row in members]))
        for row, q_value in zip(members, q_values, strict=True):
            row["q_value"] = float(q_value)
            row["detectable_fold_family"] = float(
                detectable_fold(
                    row["change_sd"], row["n_pairs"], row["df"], alpha=ALPHA / len(members)
                )
            )


def _select(pairs: PairTable, wanted: NDArray[np.bool_]) -> PairTable:
    return pairs._replace(
        keys=pairs.keys[wanted].reset_index(drop=True),
        baseline={name: values[:, wanted] for name, values in pairs.baseline.items()},
        followup={name: values[:, wanted] for name, values in pairs.followup.items()},
    )


def _events_at_equal_depth(pairs: PairTable) -> Events:
    depth_0, depth_1 = pairs.baseline["parent_count"], pairs.followup["parent_count"]
    depth = np.fmin(depth_0, depth_1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Events(
            pairs.baseline["count"] * (depth / depth_0), pairs.followup["count"] * (depth / depth_1)
        )


def _abundance(events: Events) -> FloatArray:
    """Return the mean log number of events per population, on which variances depend."""
    logs = np.log((events.baseline + events.followup) / 2 + 0.5)
    present = ~np.isnan(logs)
    n = present.sum(axis=0)
    return np.asarray(np.where(present, logs, 0.0).sum(axis=0) / np.where(n > 0, n, np.nan))


def _percent_of_parent(pairs: PairTable) -> Readout:
    before, after = pairs.baseline, pairs.followup
    logit_0, logit_1 = equal_depth_logit(
        before["count"], before["parent_count"], after["count"], after["parent_count"]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return Readout(
            "percent_of_parent",
            "odds_ratio",
            100 * before["count"] / before["parent_count"],
            100 * after["count"] / after["parent_count"],
            logit_1 - logit_0,
        )


def _cells_per_ul(pairs: PairTable) -> Readout:
    before, after = pairs.baseline["cells_per_ul"], pairs.followup["cells_per_ul"]
    return Readout(
        "cells_per_ul",
        "fold_change",
        before,
        after,
        np.log(_above_zero(pairs.followup)) - np.log(_above_zero(pairs.baseline)),
    )


def _above_zero(values: dict[str, FloatArray]) -> FloatArray:
    """Return cells per microlitre, with half the resolution of the sample at zero events."""
    count, per_ul = values["count"], values["cells_per_ul"]
    with np.errstate(divide="ignore", invalid="ignore"):
        one_event = np.where(count > 0, per_ul / count, np.nan)
    known = ~np.isnan(one_event)
    resolution = np.full(len(one_event), np.nan)
    for sample in np.flatnonzero(known.any(axis=1)):
        resolution[sample] = np.median(one_event[sample, known[sample]])
    return np.where(per_ul == 0, resolution[:, np.newaxis] / 2, per_ul)


def _row(
    pairs: PairTable, readout: Readout, events: Events, battery: Battery, column: int
) -> dict[str, Any]:
    question, test = pairs.question, battery.primary
    complete = ~np.isnan(readout.change[:, column])
    before, after = events.baseline[complete, column], events.followup[complete, column]
    status, note = judge(pairs, readout, before, after, bool(np.isfinite(test.p[column])))
    is_bound = complete.any() and min(np.median(before), np.median(after)) < NEAR_ZERO
    row: dict[str, Any] = {
        "modality": question.modality,
        "source": question.source,
        "treatment": question.treatment,
        "contrast": question.contrast,
        **{name: str(pairs.keys[name].iloc[column]) for name in pairs.keys.columns},
        "readout": readout.name,
        "n_pairs": int(complete.sum()),
        "n_incomplete": pairs.n_incomplete + int((~complete).sum()),
        "effect_scale": readout.effect_scale,
        "status": status,
        "note": note,
    }
    if complete.any():
        row |= {
            "events_median": float(np.median(np.maximum(before, after))),
            "baseline_median": float(np.median(readout.baseline[complete, column])),
            "followup_median": float(np.median(readout.followup[complete, column])),
            "zeros_baseline": int((before == 0).sum()),
            "zeros_followup": int((after == 0).sum()),
            "effect": float(np.exp(test.estimate[column])),
            "effect_is_bound": bool(is_bound),
        }
    if np.isfinite(test.p[column]):
        row |= _tested(battery, column)
    return row


def _tested(battery: Battery, column: int) -> dict[str, Any]:
    test = battery.primary
    numbers = {
        "effect_low": np.exp(test.low),
        "effect_high": np.exp(test.high),
        "statistic": test.t,
        "df": test.df,
        "p_value": test.p,
        "wilcoxon_p": battery.wilcoxon_p,
        "signflip_p": battery.signflip_p,
        "signflip_fwer_p": battery.signflip_fwer_p,
        "hodges_lehmann": np.exp(battery.hodges_lehmann),
        "rank_biserial": battery.rank_biserial,
        "detectable_fold": battery.detectable_fold,
        "change_sd": np.sqrt(test.s2_post),
    }
    return {
        **{name: float(values[column]) for name, values in numbers.items()},
        "equivalent": bool(battery.equivalent[column]),
        "agreement": int(battery.agreement[column]),
    }


def judge(
    pairs: PairTable,
    readout: Readout,
    before: FloatArray,
    after: FloatArray,
    testable: bool,
) -> tuple[str, str]:
    """Say whether a population could be tested and, in words, why not.

    Parameters
    ----------
    pairs, readout
        The table and its reading.
    before, after
        Events of the complete pairs at equal depth, shape (complete pairs,).
    testable
        Whether the primary test gave a p value.

    Returns
    -------
    status, note : str
        ``tested`` with an empty note, or what stood in the way.
    """
    if not pairs.units:
        return "no_pairs", f"no patient was measured at both of {pairs.question.contrast}"
    if not before.size:
        if readout.name == "cells_per_ul":
            return "not_measured", "no blood count of its anchor population at both visits"
        return "not_measured", "not measured in these samples"
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
    """Read ``paired_changes.tsv`` or ``marker_changes.tsv`` with yes and no as booleans."""
    table = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""])
    for name in ("effect_is_bound", "equivalent"):
        if name in table:
            table[name] = table[name].map({"yes": True, "no": False})
    return table
