"""Cluster the graph of cells at several resolutions, and ask which clusters come again."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.flow.clusters.stability import STABLE, Overlaps, best_jaccard, shared_events

# Share of the cells that must lie in stable clusters at the chosen resolution.
STABLE_SHARE = 0.9
SUBSAMPLE = 0.8
ITERATIONS = 2


class Stability(NamedTuple):
    """How well a clustering comes again on a part of the cells.

    Parameters
    ----------
    rand
        Mean adjusted Rand index of the reruns.
    jaccard
        By cluster, the mean over reruns of its best Jaccard index, shape (clusters,).
    """

    rand: float
    jaccard: NDArray[np.float64]


def leiden(graph: sparse.csr_matrix, resolution: float, seed: int) -> NDArray[np.int64]:
    """Cluster a weighted graph by modularity.

    Parameters
    ----------
    graph
        Symmetric weights, shape (cells, cells).
    resolution
        Higher values give more clusters.
    seed
        Of the order in which cells are moved.

    Returns
    -------
    ndarray of int
        Cluster of each cell, 0 the largest, shape (cells,).

    References
    ----------
    Traag 2019, Sci Rep 9:5233.
    """
    return cluster_network(network(graph), resolution, seed)


def network(graph: sparse.csr_matrix) -> Any:
    """Turn symmetric weights into igraph's form of a graph."""
    import igraph

    upper = sparse.triu(graph, k=1).tocoo()
    edges = np.column_stack([upper.row, upper.col])
    return igraph.Graph(
        n=graph.shape[0], edges=edges, edge_attrs={"weight": upper.data.astype(float)}
    )


def cluster_network(cells: Any, resolution: float, seed: int) -> NDArray[np.int64]:
    """Cluster a `network`; see `leiden`."""
    import random

    import igraph

    # igraph draws from Python's generator; give it one of ours and leave the global one alone.
    igraph.set_random_number_generator(random.Random(seed))
    try:
        found = cells.community_leiden(
            objective_function="modularity",
            weights="weight",
            resolution=resolution,
            n_iterations=ITERATIONS,
        )
    finally:
        igraph.set_random_number_generator(random)
    return by_size(np.asarray(found.membership, dtype=np.int64))


def by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number clusters from the largest, 0, down; ties by their first cell."""
    _, first, codes, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    new = np.empty(len(sizes), dtype=np.int64)
    new[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return new[codes]


def adjusted_rand(both: Overlaps) -> float:
    """Agreement of two partitions, 1 where they are the same and 0 as by chance.

    Parameters
    ----------
    both
        Cells that clusters share, of `shared_events`.

    Returns
    -------
    float
        The adjusted Rand index; 1 where both have a single cluster.

    References
    ----------
    Hubert and Arabie 1985, J Classif 2:193.
    """
    pairs, rows, columns, every = (
        float((counts * (counts - 1.0) / 2).sum())
        for counts in (both, both.sum(axis=1), both.sum(axis=0), both.sum(keepdims=True))
    )
    expected = rows * columns / max(every, 1.0)
    most = (rows + columns) / 2
    return 1.0 if most == expected else (pairs - expected) / (most - expected)


def cluster_stability(
    graph: sparse.csr_matrix,
    labels: NDArray[np.int64],
    resolution: float,
    seed: int,
    reruns: int = 5,
) -> Stability:
    """Cluster four fifths of the cells again, with other seeds, and compare.

    Parameters
    ----------
    graph
        Symmetric weights, shape (cells, cells).
    labels
        What `leiden` found on all cells.
    resolution, seed
        As there.
    reruns
        How often.

    Returns
    -------
    Stability
        Of the clustering and of each cluster.

    References
    ----------
    Hennig 2007, Comput Stat Data Anal 52:258.
    """
    (stability,) = stabilities(network(graph), {resolution: labels}, seed, reruns)
    return stability


def stabilities(
    cells: Any,
    clusterings: Mapping[float, NDArray[np.int64]],
    seed: int,
    reruns: int = 5,
) -> list[Stability]:
    """Apply `cluster_stability` to several resolutions of a `network`, on the same parts of it."""
    n_cells = cells.vcount()
    rand: list[list[float]] = [[] for _ in clusterings]
    jaccard: list[list[NDArray[np.float64]]] = [[] for _ in clusterings]
    for rerun in range(reruns):
        random = np.random.default_rng([seed, rerun])
        part = np.sort(random.choice(n_cells, max(1, round(SUBSAMPLE * n_cells)), replace=False))
        rest = cells.induced_subgraph(part.tolist())
        for position, (resolution, labels) in enumerate(clusterings.items()):
            again = cluster_network(rest, resolution, seed + rerun + 1)
            both = shared_events(labels[part] + 1, again, int(labels.max()) + 1)
            rand[position].append(adjusted_rand(both))
            jaccard[position].append(best_jaccard(both))
    return [
        Stability(float(np.mean(values)), _mean_known(np.array(indices)))
        for values, indices in zip(rand, jaccard, strict=True)
    ]


def stable_share(labels: NDArray[np.int64], jaccard: NDArray[np.float64]) -> float:
    """Share of the cells that lie in clusters with a Jaccard index of `STABLE` or more."""
    stable = np.nan_to_num(jaccard) >= STABLE
    return float(stable[labels].mean())


def choose_resolution(resolutions: Sequence[float], shares: Sequence[float]) -> float:
    """Choose the finest resolution at which nearly all cells lie in stable clusters.

    Parameters
    ----------
    resolutions
        What was tried.
    shares
        `stable_share` of each.

    Returns
    -------
    float
        The highest resolution whose share is at least `STABLE_SHARE`; where none is, the one
        with the largest share (the coarser of two alike).
    """
    stable = [r for r, share in zip(resolutions, shares, strict=True) if share >= STABLE_SHARE]
    if stable:
        return max(stable)
    return min(zip(resolutions, shares, strict=True), key=lambda pair: (-pair[1], pair[0]))[0]


def _mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
