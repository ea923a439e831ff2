"""Clusters of the anchors' cells: each has functions of its own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.normalisation.quantiles import ALL_EVENTS
from biocross.flow.som import SelfOrganisingMap, marker_ranges, nearest_nodes_of_columns

# A small map: clusters here need not be populations, only alike in how a batch moves them.
SIDE = 10
SMALL_SIDE = 5
EVENTS_FOR_SIDE = 10_000


class AnchorClusters(NamedTuple):
    """Clusters of cells, each with the nodes whose nearest cells it holds.

    Parameters
    ----------
    markers
        What the map is made of.
    ranges
        By what each marker is divided, shape (markers,).
    nodes
        In these units, shape (nodes, markers).
    node_cluster
        Cluster of every node, from 1; shape (nodes,).
    """

    markers: tuple[str, ...]
    ranges: NDArray[np.float32]
    nodes: NDArray[np.float32]
    node_cluster: NDArray[np.uint16]

    @property
    def n_clusters(self) -> int:
        """How many clusters there are."""
        return int(self.node_cluster.max(initial=0))


def cluster_anchors(
    values: NDArray[np.float32], markers: Sequence[str], n_clusters: int, seed: int
) -> AnchorClusters:
    """Cluster cells by a self-organising map and consensus of its nodes.

    Parameters
    ----------
    values
        Transformed values, shape (events, markers), all finite.
    markers
        Names of the columns.
    n_clusters
        How many clusters; there are fewer where there are fewer nodes than that.
    seed
        Of the map and the consensus.
    """
    from biocross.flow.clusters.consensus import join_nodes

    side = SIDE if len(values) >= EVENTS_FOR_SIDE else SMALL_SIDE
    ranges = marker_ranges(values)
    trained = SelfOrganisingMap(side, side, seed=seed).fit(values / ranges)
    sizes = np.bincount(trained.labels_, minlength=len(trained.nodes_))
    joined = join_nodes(trained.nodes_, min(n_clusters, len(trained.nodes_)), sizes, seed=seed)
    return AnchorClusters(tuple(markers), ranges, trained.nodes_, joined.clusters)


def nearest_clusters(
    clusters: AnchorClusters, columns: Sequence[NDArray[np.float32]]
) -> NDArray[np.uint16]:
    """Put every event into the cluster of its nearest node.

    Parameters
    ----------
    clusters
        Of `cluster_anchors`.
    columns
        One per marker of the map, shape (events,) each.

    Returns
    -------
    ndarray
        Shape (events,); 0, all events, where a value is missing or infinite.
    """
    known = np.logical_and.reduce([np.isfinite(column) for column in columns])
    scaled = [
        (column if known.all() else np.where(known, column, 0)) / size
        for column, size in zip(columns, clusters.ranges, strict=True)
    ]
    nearest, _ = nearest_nodes_of_columns(scaled, clusters.nodes)
    return np.where(known, clusters.node_cluster[nearest], np.uint16(ALL_EVENTS))
