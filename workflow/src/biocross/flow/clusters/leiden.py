"""Clusters as communities of a graph of neighbours, on a subsample of the events."""

import random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.som import SelfOrganisingMap

MOST_EVENTS = 20_000
N_NEIGHBOURS = 30
N_PROTOTYPES = 20
# A prototype stands for at least so many events.
_EVENTS_OF_PROTOTYPE = 10


class Neighbours(NamedTuple):
    """A graph of events.

    Parameters
    ----------
    n_events
        Vertices.
    edges
        Pairs of events, shape (edges, 2), the lower position first.
    weights
        Share of neighbours that the two have in common (Jaccard index), shape (edges,).
    """

    n_events: int
    edges: NDArray[np.intp]
    weights: NDArray[np.float64]


class Communities(NamedTuple):
    """Clusters, and the nodes to which further events are mapped.

    Parameters
    ----------
    events
        Positions of the subsample, shape (drawn,).
    labels
        Cluster of each of them from 1, the largest first, shape (drawn,).
    nodes
        Prototypes of all clusters, shape (nodes, markers).
    node_clusters
        Cluster of each prototype, shape (nodes,).
    """

    events: NDArray[np.intp]
    labels: NDArray[np.uint16]
    nodes: NDArray[np.float32]
    node_clusters: NDArray[np.uint16]


def find_communities(
    values: NDArray[np.floating],
    resolution: float = 1.0,
    seed: int = 0,
    most_events: int = MOST_EVENTS,
    n_neighbours: int = N_NEIGHBOURS,
) -> Communities:
    """Cluster events by the Leiden method, and describe each cluster by prototypes.

    The graph links each event of a subsample with its nearest neighbours, weighted by the
    neighbours that they share. Every cluster gets up to 20 prototypes (k-means), fewer where it
    has fewer than 200 events, so that `nearest_nodes` maps all events of a cohort.

    Parameters
    ----------
    values
        Transformed values, shape (events, markers), at least one event.
    resolution
        Of the modularity: the higher, the more clusters.
    seed
        Of the subsample, the partition and the prototypes.
    most_events
        Size of the subsample.
    n_neighbours
        Neighbours of each event.

    Returns
    -------
    Communities
        The same at any number of threads.

    References
    ----------
    Traag 2019, Sci Rep 9:5233 (Leiden); Levine 2015, Cell 162:184 (graph of shared neighbours).
    """
    drawn = np.random.default_rng(seed).permutation(len(values))[:most_events]
    events = np.sort(drawn)
    own = np.ascontiguousarray(values[events], dtype=np.float32)
    labels = partition(link_neighbours(own, n_neighbours), resolution, seed)
    nodes, node_clusters = describe_clusters(own, labels, seed)
    return Communities(events, labels, nodes, node_clusters)


def link_neighbours(values: NDArray[np.floating], n_neighbours: int = N_NEIGHBOURS) -> Neighbours:
    """Link each event with its nearest neighbours.

    Parameters
    ----------
    values
        Shape (events, markers).
    n_neighbours
        Neighbours of each event; fewer where there are fewer events.

    Returns
    -------
    Neighbours
        Pairs that share no neighbour are left out.
    """
    from scipy.sparse import csr_array
    from scipy.spatial import KDTree

    n_events = len(values)
    # An event is its own neighbour.
    n_near = min(n_neighbours + 1, n_events)
    near = np.asarray(KDTree(values).query(values, k=n_near)[1]).reshape(n_events, n_near)
    rows = np.repeat(np.arange(n_events), n_near)
    ones = np.ones(near.size, dtype=np.int32)
    links = csr_array((ones, (rows, near.ravel())), shape=(n_events, n_events))
    shared = (links @ links.T).multiply((links + links.T) > 0).tocoo()
    upper = shared.row < shared.col
    edges = np.column_stack([shared.row[upper], shared.col[upper]]).astype(np.intp)
    common = shared.data[upper].astype(np.float64)
    # A product of sparse matrices may list its entries in any order.
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    return Neighbours(n_events, edges[order], (common / (2 * n_near - common))[order])


def partition(graph: Neighbours, resolution: float = 1.0, seed: int = 0) -> NDArray[np.uint16]:
    """Find the communities of a graph.

    Parameters
    ----------
    graph
        Of `link_neighbours`.
    resolution
        Of the modularity.
    seed
        Of the method's random steps.

    Returns
    -------
    ndarray
        Cluster of each event from 1, the largest first, shape (events,).
    """
    import igraph

    network = igraph.Graph(n=graph.n_events, edges=graph.edges)
    # igraph has one generator for all; it is given back as it was: Python's.
    igraph.set_random_number_generator(random.Random(seed))
    try:
        found = network.community_leiden(
            objective_function="modularity",
            weights=graph.weights.tolist(),
            resolution=resolution,
            n_iterations=10,
        )
    finally:
        igraph.set_random_number_generator(random)
    _, first, member = np.unique(found.membership, return_index=True, return_inverse=True)
    rank = np.empty(first.size, dtype=np.uint16)
    rank[np.lexsort((first, -np.bincount(member)))] = np.arange(1, first.size + 1)
    return rank[member]


def describe_clusters(
    values: NDArray[np.floating], labels: NDArray[np.integer], seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Describe each cluster by prototypes, the means of its parts (k-means).

    Parameters
    ----------
    values
        Shape (events, markers).
    labels
        Cluster of each event from 1, shape (events,).
    seed
        Of the means that k-means starts from.

    Returns
    -------
    nodes, node_clusters
        Shape (nodes, markers) and (nodes,).
    """
    nodes, clusters = [], []
    for cluster in np.unique(labels):
        own = values[labels == cluster]
        number = min(N_PROTOTYPES, max(1, len(own) // _EVENTS_OF_PROTOTYPE))
        # With a narrow radius from the first epoch on the map is k-means.
        means = SelfOrganisingMap(number, 1, start_radius=0.2, end_radius=0.2, seed=seed).fit(own)
        nodes.append(means.nodes_[means.sizes_ > 0])
        clusters.append(np.full(len(nodes[-1]), cluster, dtype=np.uint16))
    return np.concatenate(nodes), np.concatenate(clusters)
