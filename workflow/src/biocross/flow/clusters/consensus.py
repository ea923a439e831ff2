"""Join the nodes of a map to clusters that hold when some of the nodes are left out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

N_RESAMPLES = 100
SHARE = 0.9
# Resamples joined side by side: their distances take some megabytes.
_SIDE_BY_SIDE = 20
# A pair of nodes is ambiguous if it is together in some but not in nearly all resamples.
_AMBIGUOUS = (0.1, 0.9)
# Consensus from which a cluster holds. The largest number of clusters that all hold found most in
# simulations of 6 to 30 populations, three of them rare (0.1 to 0.4 %), and in two real samples:
# mean F1 .94 in the simulations, against .67 for the number with the fewest ambiguous pairs,
# which joins too many.
HOLDS = 0.75


class Candidate(NamedTuple):
    """How well a number of clusters holds.

    Parameters
    ----------
    n_clusters
        The number.
    weakest
        Consensus of the weakest cluster: the mean over its pairs of nodes; of a single node 1.
    ambiguous
        Share of all pairs of nodes that are together in 10 to 90 % of the resamples (PAC).
    area
        Area under the distribution function of the consensus of all pairs.
    area_gain
        What the area grew by since the candidate before, relative to it; of the first its area.
    chosen
        Whether this number was taken.
    """

    n_clusters: int
    weakest: float
    ambiguous: float
    area: float
    area_gain: float
    chosen: bool


class Consensus(NamedTuple):
    """Clusters of nodes.

    Parameters
    ----------
    clusters
        Cluster of each node from 1, the largest first, shape (nodes,).
    matrix
        In what share of the resamples that hold both nodes they are together, shape
        (nodes, nodes); NaN of nodes without events, which took no part.
    curve
        Every number of clusters that was tried, in rising order.
    """

    clusters: NDArray[np.uint16]
    matrix: NDArray[np.float64]
    curve: tuple[Candidate, ...]


def join_nodes(
    nodes: NDArray[np.floating],
    n_clusters: int | Sequence[int],
    sizes: NDArray[np.integer] | None = None,
    n_resamples: int = N_RESAMPLES,
    share: float = SHARE,
    seed: int = 0,
) -> Consensus:
    """Join the nodes of a map to clusters by consensus.

    Resamples of the nodes are joined by average linkage to k clusters each; in what share of the
    resamples two nodes are together is their consensus; average linkage on 1 - consensus gives
    the k clusters. With `sizes` the nodes' events are what is averaged in the resamples: a node of
    few events between two populations does not draw them together.

    Nodes without events take no part, and go with the nearest node that has some: events of other
    samples may come to lie there.

    Parameters
    ----------
    nodes
        Values, shape (nodes, markers).
    n_clusters
        Their number, or several of which the largest is taken whose clusters all hold (consensus
        of 0.75 and more), else that whose weakest cluster holds best. No more than nodes.
    sizes
        Events of each node, shape (nodes,); None counts all nodes alike, as published.
    n_resamples, share, seed
        Of `draw_resamples`.

    Returns
    -------
    Consensus
        Clusters, the consensus of the chosen number, and all candidates.

    Raises
    ------
    ValueError
        A number of clusters below 1, or no node has events.

    References
    ----------
    Monti 2003, Mach Learn 52:91 (consensus, of clusters too); Senbabaoglu 2014, Sci Rep 4:6207
    (PAC); Van Gassen 2015, Cytometry A 87A:636 (of the nodes of a map).
    """
    weights = np.ones(len(nodes)) if sizes is None else np.asarray(sizes, dtype=np.float64)
    present = np.flatnonzero(weights > 0)
    asked = [n_clusters] if isinstance(n_clusters, int | np.integer) else list(n_clusters)
    if not asked or min(asked) < 1:
        raise ValueError(f"at least one cluster is needed, not {n_clusters}")
    if not present.size:
        raise ValueError("no node has events")
    numbers = sorted({min(int(number), present.size) for number in asked})
    resamples = draw_resamples(present.size, n_resamples, share, seed)
    matrices = consensus_matrices(nodes[present], numbers, resamples, weights[present])
    cuts = {number: cut_consensus(matrix, number) for number, matrix in matrices.items()}
    weakest = {number: _weakest(matrices[number], cuts[number]) for number in numbers}
    holding = [number for number in numbers if weakest[number] >= HOLDS]
    chosen = holding[-1] if holding else max(numbers, key=lambda number: weakest[number])
    matrix = np.full((len(nodes), len(nodes)), np.nan)
    matrix[np.ix_(present, present)] = matrices[chosen]
    return Consensus(
        _numbered(cuts[chosen][_nearest_present(nodes, present)], weights),
        matrix,
        _curve(matrices, weakest, chosen),
    )


def draw_resamples(
    n_nodes: int, n_resamples: int = N_RESAMPLES, share: float = SHARE, seed: int = 0
) -> NDArray[np.intp]:
    """Draw nodes without replacement.

    Parameters
    ----------
    n_nodes
        How many there are.
    n_resamples, share
        How many draws, and which share of the nodes is in each.
    seed
        Of the draws.

    Returns
    -------
    ndarray
        Positions of the drawn nodes in rising order, shape (resamples, drawn).
    """
    drawn = max(min(n_nodes, 2), int(share * n_nodes))
    order = np.random.default_rng(seed).random((n_resamples, n_nodes)).argsort(axis=1)
    return np.sort(order[:, :drawn], axis=1)


def average_linkage(
    distances: NDArray[np.float64], weights: NDArray[np.float64], numbers: Sequence[int]
) -> dict[int, NDArray[np.intp]]:
    """Join items by average linkage, for many tables of distances side by side.

    The distance of two clusters is the mean over all pairs of their items, each item counted by
    its weight: with the events of the nodes as weights it is the average linkage of the events.

    Parameters
    ----------
    distances
        Shape (tables, items, items), symmetric.
    weights
        Above zero, shape (tables, items).
    numbers
        Numbers of clusters to return; those above the number of items are left out.

    Returns
    -------
    dict
        By number of clusters, the label of every item, shape (tables, items): the position of
        one of the cluster's items.

    References
    ----------
    Sokal & Michener 1958, Univ Kansas Sci Bull 38:1409; Lance & Williams 1967, Comput J 9:373.
    """
    tables, items = distances.shape[:2]
    distances = distances.copy()
    weights = weights.copy()
    rows = np.arange(tables)
    distances[:, np.arange(items), np.arange(items)] = np.inf
    nearest = distances.argmin(axis=2)
    closest = distances.min(axis=2)
    labels = np.tile(np.arange(items), (tables, 1))
    found = {items: labels.copy()} if items in numbers else {}
    for left in range(items - 1, min(numbers, default=items) - 1, -1):
        one = closest.argmin(axis=1)
        kept, gone = one, nearest[rows, one]
        first, second = weights[rows, kept][:, None], weights[rows, gone][:, None]
        joined = (first * distances[rows, kept] + second * distances[rows, gone]) / (first + second)
        joined[rows, kept] = joined[rows, gone] = np.inf
        distances[rows, kept] = distances[rows, :, kept] = joined
        distances[rows, gone] = distances[rows, :, gone] = np.inf
        weights[rows, kept] += weights[rows, gone]
        closest[rows, gone] = np.inf
        labels = np.where(labels == gone[:, None], kept[:, None], labels)
        # The mean of two distances is no less than the smaller one, so that only the items
        # nearest to the two have to look for another neighbour.
        stale = ((nearest == kept[:, None]) | (nearest == gone[:, None])) & np.isfinite(closest)
        stale[rows, kept] = True
        where = np.nonzero(stale)
        nearest[where] = distances[where].argmin(axis=1)
        closest[where] = distances[(*where, nearest[where])]
        if left in numbers:
            found[left] = labels.copy()
    return found


def consensus_matrices(
    nodes: NDArray[np.floating],
    numbers: Sequence[int],
    resamples: NDArray[np.intp],
    weights: NDArray[np.float64] | None = None,
) -> dict[int, NDArray[np.float64]]:
    """Measure how often two nodes fall into one cluster.

    Parameters
    ----------
    nodes
        Values, shape (nodes, markers).
    numbers
        Numbers of clusters.
    resamples
        Drawn nodes, of `draw_resamples`.
    weights
        Of the nodes; None counts them alike, as published.

    Returns
    -------
    dict
        By number of clusters, shape (nodes, nodes): the share of the resamples with both nodes in
        which both are in one cluster; 0 where no resample has both, 1 of a node with itself.

    References
    ----------
    Monti 2003, Mach Learn 52:91; Wilkerson & Hayes 2010, Bioinformatics 26:1572.
    """
    n_nodes = len(nodes)
    weights = np.ones(n_nodes) if weights is None else weights
    exact = nodes.astype(np.float64)
    distances = np.sqrt(np.square(exact[:, None] - exact[None]).sum(axis=2))
    together = {number: np.zeros((n_nodes, n_nodes)) for number in numbers}
    both = np.zeros((n_nodes, n_nodes))
    for start in range(0, len(resamples), _SIDE_BY_SIDE):
        drawn = resamples[start : start + _SIDE_BY_SIDE]
        pairs = distances[drawn[:, :, None], drawn[:, None, :]]
        cuts = average_linkage(pairs, weights[drawn], numbers)
        for position, items in enumerate(drawn):
            grid = np.ix_(items, items)
            both[grid] += 1
            for number, matrix in together.items():
                # More clusters than drawn nodes: each node is one.
                labels = cuts[number][position] if number in cuts else np.arange(len(items))
                matrix[grid] += labels[:, None] == labels[None]
    for matrix in together.values():
        matrix /= np.maximum(both, 1)
        np.fill_diagonal(matrix, 1)
    return together


def cut_consensus(matrix: NDArray[np.float64], n_clusters: int) -> NDArray[np.intp]:
    """Join nodes by average linkage on 1 - consensus.

    Parameters
    ----------
    matrix
        Consensus, shape (nodes, nodes).
    n_clusters
        At most the number of nodes.

    Returns
    -------
    ndarray
        A label of every node, shape (nodes,).
    """
    alike = np.ones((1, len(matrix)))
    labels: NDArray[np.intp] = average_linkage(1 - matrix[None], alike, [n_clusters])[n_clusters][0]
    return labels


def _weakest(matrix: NDArray[np.float64], labels: NDArray[np.intp]) -> float:
    """Return the lowest mean consensus of the pairs within a cluster."""
    means = [1.0]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        n_pairs = own.size * (own.size - 1)
        if n_pairs:
            means.append(float((matrix[np.ix_(own, own)].sum() - own.size) / n_pairs))
    return min(means)


def _curve(
    matrices: dict[int, NDArray[np.float64]], weakest: dict[int, float], chosen: int
) -> tuple[Candidate, ...]:
    curve: list[Candidate] = []
    for number, matrix in matrices.items():
        pairs = matrix[np.triu_indices(len(matrix), 1)]
        if not pairs.size:
            pairs = np.ones(1)
        low, high = _AMBIGUOUS
        ambiguous = float(np.mean((pairs > low) & (pairs < high)))
        area = 1 - float(pairs.mean())
        gain = area
        if curve:
            gain = (area - curve[-1].area) / curve[-1].area if curve[-1].area > 0 else np.inf
        curve.append(Candidate(number, weakest[number], ambiguous, area, gain, number == chosen))
    return tuple(curve)


def _nearest_present(nodes: NDArray[np.floating], present: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return of each node the position in `present` of itself, or of the nearest that has one."""
    exact = nodes.astype(np.float64)
    apart = np.square(exact[:, None] - exact[None, present]).sum(axis=2)
    nearest: NDArray[np.intp] = apart.argmin(axis=1)
    # Twins of a node lie where it does.
    nearest[present] = np.arange(present.size)
    return nearest


def _numbered(labels: NDArray[np.intp], weights: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Number clusters from 1 by falling weight; of equal ones by their first node."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.lexsort((first, -np.bincount(inverse, weights)))
    rank = np.empty(order.size, dtype=np.uint16)
    rank[order] = np.arange(1, order.size + 1)
    numbered: NDArray[np.uint16] = rank[inverse]
    return numbered
