"""Three ways to read a table of frequencies: percent of parent, cells per µl, composition."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, container
from biocross.errors import DesignError
from biocross.statistics.kernels.composition import (
    centred_log_ratio_change,
    leaves_and_remainders,
    part_counts,
)
from biocross.statistics.kernels.scale import equal_depth_logit, logit_of_percent
from biocross.statistics.pairs import PairTable

FloatArray = NDArray[np.float64]
VALUE_COLUMNS = ("count", "parent_count", "percent", "cells_per_ul")
READOUTS = ("percent_of_parent", "cells_per_ul", "composition")


class Readout(NamedTuple):
    """One reading of a table of pairs; arrays of shape (pairs, populations).

    Parameters
    ----------
    name
        ``percent_of_parent``, ``cells_per_ul`` or ``composition``.
    effect_scale
        What exp(change) is: ``odds_ratio`` or ``fold_change``.
    baseline, followup
        What people read: percent of parent, cells per µl, or percent of all parts.
    change
        Within-patient change, logit or log units; NaN where a pair cannot be read.
    events_baseline, events_followup
        Events at the depth of the shallower visit; NaN where only percentages are known.
    abundance
        Mean log events (mean logit of percentages), on which variances depend, shape
        (populations,).
    caveat
        What to say of every row of this readout; empty where there is nothing.
    impossible
        Why the readout could not be computed; empty where it could.
    """

    name: str
    effect_scale: str
    baseline: FloatArray
    followup: FloatArray
    change: FloatArray
    events_baseline: FloatArray
    events_followup: FloatArray
    abundance: FloatArray
    caveat: str = ""
    impossible: str = ""


def readouts(pairs: PairTable, vocabulary: Vocabulary) -> Iterator[Readout]:
    """Read a table of pairs in every way.

    Parameters
    ----------
    pairs
        With the values ``count, parent_count, percent, cells_per_ul`` and the keys ``population``
        and ``parent``.
    vocabulary
        Says which population lies within which; where it does not know one, its parent does.

    Yields
    ------
    Readout
        Always three, in the order of `READOUTS`.
    """
    events = _events_at_equal_depth(pairs)
    yield _percent_of_parent(pairs, events)
    yield _cells_per_ul(pairs, events)
    yield _composition(pairs, events, vocabulary)


def _events_at_equal_depth(pairs: PairTable) -> tuple[FloatArray, FloatArray]:
    depth_0, depth_1 = pairs.baseline["parent_count"], pairs.followup["parent_count"]
    depth = np.fmin(depth_0, depth_1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (
            pairs.baseline["count"] * (depth / depth_0),
            pairs.followup["count"] * (depth / depth_1),
        )


def mean_log_events(events_0: FloatArray, events_1: FloatArray) -> FloatArray:
    """Return the mean log number of events per column, on which variances depend."""
    return _column_means(np.log((events_0 + events_1) / 2 + 0.5))


def _column_means(values: FloatArray) -> FloatArray:
    present = ~np.isnan(values)
    n = present.sum(axis=0)
    return np.asarray(np.where(present, values, 0.0).sum(axis=0) / np.where(n > 0, n, np.nan))


def _percent_of_parent(pairs: PairTable, events: tuple[FloatArray, FloatArray]) -> Readout:
    before, after = pairs.baseline, pairs.followup
    logit_0, logit_1 = equal_depth_logit(
        before["count"], before["parent_count"], after["count"], after["parent_count"]
    )
    abundance, caveat = mean_log_events(*events), ""
    only_percent = np.isnan(logit_0 + logit_1) & ~np.isnan(before["percent"] + after["percent"])
    only_percent &= np.isnan(before["count"]) | np.isnan(after["count"])
    if only_percent.any():
        # Percentages of counts have all decimals, and would hide how the others were rounded.
        rounded = [before["percent"][only_percent], after["percent"][only_percent]]
        unit = rounding_unit(np.concatenate(rounded))
        percent_0 = logit_of_percent(before["percent"], unit)
        percent_1 = logit_of_percent(after["percent"], unit)
        logit_0 = np.where(only_percent, percent_0, logit_0)
        logit_1 = np.where(only_percent, percent_1, logit_1)
        mean_logit = _column_means((logit_0 + logit_1) / 2)
        # One covariate for the whole table: where any row lacks counts, all use the logit.
        abundance = mean_logit
        caveat = (
            f"percentages without counts (zero read as {unit / 2:g} %): rare populations cannot "
            "be told by their events"
        )
    return Readout(
        "percent_of_parent",
        "odds_ratio",
        before["percent"],
        after["percent"],
        logit_1 - logit_0,
        *events,
        abundance,
        caveat,
    )


def rounding_unit(percent: FloatArray) -> float:
    """Return the unit to which percentages were rounded: the last decimal that any of them has.

    Parameters
    ----------
    percent
        Percentages; NaN where missing.

    Returns
    -------
    float
        A power of ten, from 1 to 0.000001.
    """
    known = percent[~np.isnan(percent)]
    for decimals in range(7):
        if np.allclose(known, np.round(known, decimals), rtol=0, atol=1e-9):
            return float(10.0**-decimals)
    return 1e-6


def _cells_per_ul(pairs: PairTable, events: tuple[FloatArray, FloatArray]) -> Readout:
    before, after = above_zero(pairs.baseline), above_zero(pairs.followup)
    change = np.log(after) - np.log(before)
    abundance = mean_log_events(*events)
    if np.isnan(abundance[~np.isnan(change).all(axis=0)]).any():
        abundance = _column_means((np.log(after) + np.log(before)) / 2)
    return Readout(
        "cells_per_ul",
        "fold_change",
        pairs.baseline["cells_per_ul"],
        pairs.followup["cells_per_ul"],
        change,
        *events,
        abundance,
    )


def above_zero(values: dict[str, FloatArray]) -> FloatArray:
    """Return cells per microlitre, with half the resolution of the sample at zero events."""
    count, per_ul = values["count"], values["cells_per_ul"]
    with np.errstate(divide="ignore", invalid="ignore"):
        one_event = np.where(count > 0, per_ul / count, np.nan)
    known = ~np.isnan(one_event)
    resolution = np.full(len(one_event), np.nan)
    for sample in np.flatnonzero(known.any(axis=1)):
        resolution[sample] = np.median(one_event[sample, known[sample]])
    return np.where(per_ul == 0, resolution[:, np.newaxis] / 2, per_ul)


def _composition(
    pairs: PairTable, events: tuple[FloatArray, FloatArray], vocabulary: Vocabulary
) -> Readout:
    """Read the disjoint leaves against their own median; remainders serve as reference only."""
    shape = pairs.baseline["count"].shape
    empty = np.full(shape, np.nan)
    names = pairs.keys["population"].tolist()
    counted = ~np.isnan(pairs.baseline["count"]).all(axis=0) if len(pairs.units) else np.ones(0)
    blank = Readout(
        "composition", "fold_change", empty, empty, empty, *events, np.full(shape[1], np.nan)
    )
    if not len(pairs.units) or not counted.any():
        return blank._replace(impossible="composition needs counts")
    kept = np.flatnonzero(counted)
    position = {names[column]: number for number, column in enumerate(kept)}
    holders = [
        container(names[column], vocabulary, position) or str(pairs.keys["parent"].iloc[column])
        for column in kept
    ]
    try:
        parts = leaves_and_remainders([position.get(holder, -1) for holder in holders])
        counts = [
            part_counts(values["count"][:, kept], parts)
            for values in (pairs.baseline, pairs.followup)
        ]
        measured = centred_log_ratio_change(counts[0], counts[1])
    except DesignError as error:
        return blank._replace(impossible=str(error))
    leaf = np.flatnonzero(~parts.is_remainder)
    columns = kept[parts.population[leaf]]
    totals = [np.nansum(part, axis=1, keepdims=True) for part in counts]
    shares = [
        100 * part[:, leaf] / np.where(total > 0, total, np.nan)
        for part, total in zip(counts, totals, strict=True)
    ]
    baseline, followup, change = empty.copy(), empty.copy(), empty.copy()
    baseline[:, columns], followup[:, columns] = shares
    change[:, columns] = measured.change[:, leaf]
    # A leaf without a single event did not change: 0 where counted, else NaN, as its events are.
    events_of_leaf = (counts[0] + counts[1])[:, leaf]
    never = ~(events_of_leaf > 0).any(axis=0)
    change[:, columns[never]] = events_of_leaf[:, never]
    abundance = mean_log_events(*events)
    # A parent that is empty at one visit of everyone leaves no depth, but the counts remain.
    own = mean_log_events(pairs.baseline["count"], pairs.followup["count"])
    caveat = (
        "reference_uncertain: many parts moved together" if measured.reference_uncertain else ""
    )
    return blank._replace(
        baseline=baseline,
        followup=followup,
        change=change,
        abundance=np.where(np.isnan(abundance), own, abundance),
        caveat=caveat,
    )
