"""Learn the functions of all batches from anchors, or from the range of their samples."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from biocross.errors import DesignError
from biocross.flow.normalisation.clusters import AnchorClusters, cluster_anchors
from biocross.flow.normalisation.design import MEAN
from biocross.flow.normalisation.functions import (
    Functions,
    groups_of_columns,
    moves_of_batch,
    normalise_columns,
)
from biocross.flow.normalisation.quantiles import (
    ALL_EVENTS,
    MIN_EVENTS,
    Floats,
    common_quantiles,
    group_quantiles,
)
from biocross.flow.normalisation.shares import Share, Values, columns_of, matrix_of, spread

# Outermost percentiles of a batch, which the method `range` aligns.
RANGE: Floats = np.array([0.01, 0.99])

Pools = Mapping[str, Values]


def pool_anchors(shares: Sequence[Share]) -> dict[str, Values]:
    """Put the anchors of every batch together, every donor with equally many events in all.

    Parameters
    ----------
    shares
        Of anchors whose donors are in every batch.

    Returns
    -------
    dict
        By batch in order of names, shape (events, markers); events with a missing value left out.
    """
    by_donor: dict[str, dict[str, list[Values]]] = {}
    for share in shares:
        of_batch = by_donor.setdefault(share.sample.patient, {})
        whole = np.isfinite(share.values).all(axis=1)
        of_batch.setdefault(share.sample.batch, []).append(share.values[whole])
    pooled: dict[str, list[Values]] = {}
    for _, of_batch in sorted(by_donor.items()):
        joined = {batch: np.concatenate(parts) for batch, parts in of_batch.items()}
        # Else the mixture of donors, and with it the quantiles, would differ between batches.
        fewest = min(map(len, joined.values()))
        for batch, values in joined.items():
            size = fewest if len(by_donor) > 1 else len(values)
            pooled.setdefault(batch, []).append(values[spread(np.arange(len(values)), size)])
    return {batch: np.concatenate(pooled[batch]) for batch in sorted(pooled)}


def learn_clusters(
    pools: Pools,
    markers: Sequence[str],
    map_markers: Sequence[str],
    goal: str,
    n_clusters: int,
    seed: int,
) -> AnchorClusters | None:
    """Cluster the anchors' cells, once the functions of all events have made the batches alike.

    Cells clustered as they were measured part by batch where the batches differ much: simulated
    shifts of one unit left eight times the distance between batches that they leave so.

    Parameters
    ----------
    pools
        Of `pool_anchors`.
    markers
        Names of their columns.
    map_markers
        Those to cluster by.
    goal
        ``mean`` or a batch.
    n_clusters
        1 asks for no clusters.
    seed
        Of the map.

    Returns
    -------
    AnchorClusters or None
        None where no clusters are asked for.
    """
    if n_clusters < 2:
        return None
    plain = learn_from_anchors(pools, markers, None, goal)
    aligned = []
    for batch, values in pools.items():
        columns, _ = normalise_columns(plain, batch, columns_of(values, markers))
        aligned.append(matrix_of(columns, map_markers))
    return cluster_anchors(np.concatenate(aligned), map_markers, n_clusters, seed)


def learn_from_anchors(
    pools: Pools, markers: Sequence[str], clusters: AnchorClusters | None, goal: str
) -> Functions:
    """Learn functions per batch, marker and cluster from the quantiles of anchors.

    Parameters
    ----------
    pools
        Of `pool_anchors`.
    markers
        Names of their columns.
    clusters
        Of `learn_clusters`; None learns functions of all events only.
    goal
        ``mean`` or a batch.

    Returns
    -------
    Functions
        Of every batch of `pools`.

    Raises
    ------
    DesignError
        A batch has fewer than 50 events.
    """
    batches = tuple(pools)
    place = None if goal == MEAN else batches.index(goal)
    for batch, values in pools.items():
        if len(values) < MIN_EVENTS:
            raise DesignError(
                f'normalisation: the anchors of batch "{batch}" have {len(values)} usable events, '
                f"{MIN_EVENTS} are the least; measure them again, or choose the method range"
            )
    everything = [
        group_quantiles(values, np.full(len(values), ALL_EVENTS), 1) for values in pools.values()
    ]
    source, target = common_quantiles(np.stack(everything), place)
    plain = Functions("anchors", goal, batches, tuple(markers), clusters, source, target)
    if clusters is None:
        return plain
    described = []
    for batch, values in pools.items():
        moves = moves_of_batch(plain, batch)
        groups = groups_of_columns(plain, moves, columns_of(values, markers))
        described.append(group_quantiles(values, groups, clusters.n_clusters + 1))
    source, target = common_quantiles(np.stack(described), place)
    return plain._replace(source=source, target=target)


def learn_from_range(shares: Sequence[Share], markers: Sequence[str], goal: str) -> Functions:
    """Learn to align the 1st and 99th percentile of every marker between batches.

    The samples of a batch are pooled by visit, and the percentiles averaged over the visits that
    all batches have in common: a batch with more of one visit would else lose that visit's effect.
    What differs between the *patients* of two batches is removed with the batches' difference.

    Parameters
    ----------
    shares
        Of patients' samples.
    markers
        Names of their columns.
    goal
        ``mean`` or a batch.

    Returns
    -------
    Functions
        Without clusters.

    Raises
    ------
    DesignError
        A batch has fewer than 50 events of a marker at each of the visits.
    """
    pools = pool_visits(shares)
    place = None if goal == MEAN else list(pools).index(goal)
    source = np.stack([_mean_range(list(visits.values()))[None] for visits in pools.values()])
    for batch, ranges in zip(pools, source, strict=True):
        if few := [m for m, found in zip(markers, ranges[0], strict=True) if np.isnan(found).any()]:
            raise DesignError(
                f'normalisation: the samples of batch "{batch}" have fewer than {MIN_EVENTS} '
                f"usable events of {', '.join(few)}; give them another batch in samples.tsv, or "
                "leave normalisation out"
            )
    functions = common_quantiles(source, place)
    return Functions("range", goal, tuple(pools), tuple(markers), None, *functions)


def pool_visits(shares: Sequence[Share]) -> dict[str, dict[str, Values]]:
    """Put the samples of every batch and visit together.

    Parameters
    ----------
    shares
        Of patients' samples.

    Returns
    -------
    dict
        By batch and visit, of visits that all batches have in common, or of all visits where none
        is; shape (events, markers).
    """
    parts: dict[str, dict[str, list[Values]]] = {}
    for share in shares:
        of_visit = parts.setdefault(share.sample.batch, {})
        of_visit.setdefault(share.sample.visit, []).append(share.values)
    common = set.intersection(*(set(of_visit) for of_visit in parts.values()))
    return {
        batch: {
            visit: np.concatenate(values)
            for visit, values in sorted(of_visit.items())
            if visit in common or not common
        }
        for batch, of_visit in sorted(parts.items())
    }


def _mean_range(pools: Sequence[Values]) -> Floats:
    """Average the outer percentiles over visits, shape (markers, 2); NaN where none has events."""
    total = np.zeros((pools[0].shape[1], RANGE.size))
    used = np.zeros((len(total), 1))
    for values in pools:
        for marker in range(len(total)):
            known: NDArray[np.float32] = values[np.isfinite(values[:, marker]), marker]
            if known.size >= MIN_EVENTS:
                total[marker] += np.quantile(known.astype(np.float64), RANGE)
                used[marker] += 1
    return np.where(used > 0, total / np.maximum(used, 1), np.nan)
