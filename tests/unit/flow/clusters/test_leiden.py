"""Communities of a graph of neighbours, and their prototypes."""

import numpy as np
import pytest

from biocross.flow.clusters.leiden import (
    describe_clusters,
    find_communities,
    link_neighbours,
    partition,
)
from biocross.flow.som import nearest_nodes


def groups(n_events=1500, seed=0):
    random = np.random.default_rng(seed)
    own = random.choice(4, n_events, p=[0.5, 0.3, 0.17, 0.03])
    centres = 5 * np.eye(4)
    return (centres[own] + random.normal(0, 0.4, (n_events, 4))).astype(np.float32), own


def test_groups_are_found_and_mapped():
    values, own = groups()
    found = find_communities(values, resolution=0.05, most_events=1000)
    assert found.events.size == 1000
    assert np.unique(found.events).size == 1000
    assert found.labels.max() == 4
    np.testing.assert_array_equal(found.labels, own[found.events] + 1)
    mapped = found.node_clusters[nearest_nodes(values, found.nodes)[0]]
    np.testing.assert_array_equal(mapped, own + 1)


def test_resolution_splits():
    graph = link_neighbours(groups()[0])
    assert partition(graph, 5.0).max() > partition(graph, 0.05).max()


def test_shared_neighbours():
    values = np.array([[0.0], [1.0], [2.1], [50.0], [51.0], [52.1]])
    graph = link_neighbours(values, 2)
    assert graph.edges.tolist() == [[0, 1], [0, 2], [1, 2], [3, 4], [3, 5], [4, 5]]
    np.testing.assert_array_equal(graph.weights, 1)
    line = link_neighbours(np.array([[0.0], [1.0], [2.1], [3.3]]), 1)
    assert line.edges.tolist() == [[0, 1], [1, 2], [2, 3]]
    np.testing.assert_allclose(line.weights, [1, 1 / 3, 1 / 3])


def test_prototypes_are_few_and_within():
    values, own = groups()
    nodes, clusters = describe_clusters(values, own + 1)
    assert (np.bincount(clusters)[1:] <= 20).all()
    assert np.bincount(clusters)[4] <= (own == 3).sum() // 10
    for cluster in range(1, 5):
        inside = values[own == cluster - 1]
        assert (nodes[clusters == cluster] >= inside.min(axis=0)).all()
        assert (nodes[clusters == cluster] <= inside.max(axis=0)).all()


def test_same_seed_same_result():
    values, _ = groups(800)
    one, again, other = (find_communities(values, 2.0, seed, 500) for seed in (1, 1, 2))
    for first, second in zip(one, again, strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(one.events, other.events)


@pytest.mark.parametrize("n_events", [1, 2, 5])
def test_few_events(n_events):
    values, _ = groups(n_events)
    found = find_communities(values)
    assert found.labels.size == n_events
    assert set(found.node_clusters) == set(found.labels)
