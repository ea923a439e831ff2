"""What is known of every sample of a cohort, side by side: its composition, and its markers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.errors import TableError
from biocross.flow.clusters.sample_distances import log_ratios

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = Sequence[Mapping[str, str]]

MIN_CELLS = 30
# Differences of a tenth of a population, or of 2 % of a marker's range between populations, are
# no concern however rare they are.
COMPOSITION_FLOOR = 0.1
EXPRESSION_FLOOR = 0.02


class Profile(NamedTuple):
    """What is known of the samples that are compared, in one aspect.

    Attributes
    ----------
    aspect
        ``composition`` or ``expression``.
    values
        Log-ratios, or medians on the marker's scale, shape (samples, features).
    noise
        Variance of each value by measurement, same shape.
    names
        Of the features: a population, or a marker and a population.
    block
        Number of each feature's block, shape (features,): what is named as one reason.
    floor
        As of `scaled_deviations`, shape (features,).
    weight
        Of each block, shape (blocks,). A population has the fourth root of its share: half of
        the neutrophils gone should tell more than half of the plasmablasts (simulated, it finds
        .5 of samples that lost 95 % of one of the three largest of 36 populations, even weights
        .3, at the same rate of false alarms), but a stain that fails in rare ones be found too.
    """

    aspect: str
    values: Floats
    noise: Floats
    names: Sequence[tuple[str, ...]]
    block: Ints
    floor: Floats
    weight: Floats


def composition(counts: Rows, samples: Sequence[str]) -> Profile:
    """Take log-ratios over disjoint parts: leaves of the tree, and what each parent has besides.

    Parameters
    ----------
    counts
        Rows as of `find_outlying_samples`.
    samples
        The samples to compare.

    Returns
    -------
    Profile
        Of the parts that are known in half of the samples and hold an event in any.
    """
    from biocross.statistics.kernels.composition import leaves_and_remainders, part_counts

    parents = {row["population"]: row["parent"] for row in counts}
    populations = list(parents)
    number = {name: position for position, name in enumerate(populations)}
    place = {sample: position for position, sample in enumerate(samples)}
    table = np.full((len(samples), len(populations)), np.nan)
    for row in counts:
        if row["sample_id"] in place and row["count"]:
            table[place[row["sample_id"]], number[row["population"]]] = _number(row, "count")
    parts = leaves_and_remainders([number.get(parents[name], -1) for name in populations])
    x = part_counts(table, parts)
    kept = (~np.isnan(x)).sum(axis=0) * 2 >= len(samples)
    kept &= np.nansum(x, axis=0) > 0
    values, noise = log_ratios(x[:, kept])
    chosen = np.flatnonzero(kept)
    names = [
        (f"{'other ' if parts.is_remainder[part] else ''}{populations[parts.population[part]]}",)
        for part in chosen
    ]
    blocks = np.arange(chosen.size)
    floor = np.full(chosen.size, COMPOSITION_FLOOR)
    totals = np.nansum(x, axis=1, keepdims=True)
    share = np.nanmedian(x[:, kept] / np.maximum(totals, 1.0), axis=0)
    return Profile("composition", values, noise, names, blocks, floor, np.sqrt(np.sqrt(share)))


def marker_profile(expression: Rows, counts: Rows, samples: Sequence[str]) -> Profile:
    """Take the marker medians of all populations that have no others within them.

    Medians over all events of a sample would mostly tell its composition: with 45 or 55 % of T
    cells the median of CD3 is that of other cells, or that of T cells.

    Parameters
    ----------
    expression, counts
        Rows as of `find_outlying_samples`.
    samples
        The samples to compare.

    Returns
    -------
    Profile
        Of medians over 30 cells or more that are known in half of the samples; a block is a
        marker.
    """
    parents = {row["parent"] for row in counts}
    place = {sample: position for position, sample in enumerate(samples)}
    usable = [
        row
        for row in expression
        if row["sample_id"] in place
        and row["population"] not in parents
        and row["value"]
        and _number(row, "n_cells") >= MIN_CELLS
    ]
    features = list(dict.fromkeys((row["marker"], row["population"]) for row in usable))
    number = {feature: position for position, feature in enumerate(features)}
    values = np.full((len(samples), len(features)), np.nan)
    noise = np.zeros_like(values)
    for row in usable:
        at = place[row["sample_id"]], number[row["marker"], row["population"]]
        values[at] = _number(row, "value")
        if row.get("sd"):
            # The variance of a median of normal values.
            noise[at] = np.pi / 2 * _number(row, "sd") ** 2 / _number(row, "n_cells")
    kept = (~np.isnan(values)).sum(axis=0) * 2 >= len(samples)
    features = [feature for feature, keep in zip(features, kept, strict=True) if keep]
    values, noise = values[:, kept], noise[:, kept]
    markers = list(dict.fromkeys(marker for marker, _ in features))
    block = np.array([markers.index(marker) for marker, _ in features], dtype=np.int64)
    centres = [np.nanmedian(column) for column in values.T]
    ranges = [np.ptp([c for c, b in zip(centres, block, strict=True) if b == k]) for k in block]
    floor = np.maximum(EXPRESSION_FLOOR * np.array(ranges, dtype=np.float64), 1e-9)
    return Profile("expression", values, noise, features, block, floor, np.ones(len(markers)))


def _number(row: Mapping[str, str], key: str) -> float:
    try:
        return float(row[key])
    except ValueError:
        raise TableError(
            f'sample "{row["sample_id"]}", population "{row["population"]}": {key} is '
            f'"{row[key]}", which is no number'
        ) from None
