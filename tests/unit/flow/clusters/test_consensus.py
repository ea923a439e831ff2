"""Consensus of resampled nodes, against ConsensusClusterPlus and against SciPy."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from biocross.flow.clusters.consensus import (
    HOLDS,
    average_linkage,
    consensus_matrices,
    cut_consensus,
    draw_resamples,
    join_nodes,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "consensus"


def read(name):
    with (GOLDEN / f"{name}.tsv").open(newline="") as lines:
        return np.array(list(csv.reader(lines, delimiter="\t"))[1:], dtype=float)


def same_partition(one, other):
    pairs = set(zip(list(one), list(other), strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


def groups(per_group=8, seed=0, apart=4.0):
    random = np.random.default_rng(seed)
    centres = np.arange(5)[:, None] * apart * np.eye(5)
    nodes = np.repeat(centres, per_group, axis=0) + random.normal(0, 0.3, (5 * per_group, 5))
    return nodes, np.repeat(np.arange(5), per_group)


@pytest.mark.parametrize("case", ["grouped_8", "smear_5", "smear_15"])
def test_as_consensus_cluster_plus(case):
    k = int(case.split("_")[1])
    table = read(f"nodes_{case}")
    nodes, expected = table[:, :-1], table[:, -1].astype(int)
    resamples = read("resamples").astype(int) - 1
    matrix = consensus_matrices(nodes, [k - 1, k, k + 1], resamples)[k]
    upper = matrix[np.triu_indices(len(nodes), 1)]
    np.testing.assert_allclose(upper, read(f"consensus_{case}")[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert same_partition(cut_consensus(matrix, k), expected)


def test_linkage_as_scipy():
    random = np.random.default_rng(1)
    points = random.random((4, 30, 3))
    distances = np.array([squareform(pdist(table)) for table in points])
    found = average_linkage(distances, np.ones((4, 30)), [1, 2, 7, 29, 30, 31])
    assert sorted(found) == [1, 2, 7, 29, 30]
    for k, labels in found.items():
        for table, own in zip(points, labels, strict=True):
            expected = fcluster(linkage(table, "average"), k, "maxclust")
            assert same_partition(own, expected)


def test_weights_are_events():
    """A node of weight 3 is three nodes at its place."""
    random = np.random.default_rng(2)
    nodes = random.random((25, 3))
    weights = random.integers(1, 6, 25)
    weighted = average_linkage(squareform(pdist(nodes))[None], weights[None].astype(float), [4, 9])
    repeated = np.repeat(np.arange(25), weights)
    tree = linkage(nodes[repeated], "average")
    for k in (4, 9):
        expected = fcluster(tree, k, "maxclust")
        assert same_partition(weighted[k][0][repeated], expected)


def test_resamples():
    drawn = draw_resamples(50, 30, 0.9, seed=4)
    assert drawn.shape == (30, 45)
    assert (np.diff(drawn, axis=1) > 0).all()
    assert len({tuple(row) for row in drawn}) == 30
    np.testing.assert_array_equal(drawn, draw_resamples(50, 30, 0.9, seed=4))
    assert not np.array_equal(drawn, draw_resamples(50, 30, 0.9, seed=5))


def test_takes_the_largest_number_that_holds():
    nodes, own = groups(per_group=20)
    assert same_partition(join_nodes(nodes, 5).clusters, own)
    found = join_nodes(nodes, range(2, 21))
    assert [each.n_clusters for each in found.curve] == list(range(2, 21))
    holding = [each for each in found.curve if each.weakest >= HOLDS]
    assert [each for each in found.curve if each.chosen] == [holding[-1]]
    assert found.clusters.max() == holding[-1].n_clusters >= 5
    five = found.curve[3]
    assert (five.n_clusters, five.weakest, five.ambiguous) == (5, 1, 0)
    # Groups may be split, but no cluster holds nodes of two.
    assert len(set(zip(found.clusters, own, strict=True))) == found.clusters.max()
    areas = [each.area for each in found.curve]
    assert found.curve[0].area_gain == areas[0]
    assert found.curve[2].area_gain == pytest.approx((areas[2] - areas[1]) / areas[1])


def test_without_a_number_that_holds_the_best_is_taken():
    nodes = np.random.default_rng(0).random((60, 8))
    found = join_nodes(nodes, range(8, 14))
    weakest = [each.weakest for each in found.curve]
    assert max(weakest) < HOLDS
    assert found.curve[int(np.argmax(weakest))].chosen
    assert found.clusters.max() == found.curve[int(np.argmax(weakest))].n_clusters


def test_largest_cluster_comes_first():
    nodes, own = groups()
    sizes = np.array([5, 10, 80, 40, 20])[own]
    found = join_nodes(nodes, 5, sizes)
    assert [int(found.clusters[own == group][0]) for group in range(5)] == [5, 4, 1, 2, 3]
    assert found.clusters.dtype == np.uint16


def test_nodes_without_events_take_no_part():
    nodes, own = groups()
    between = nodes[own == 1][0] * 0.6 + nodes[own == 2][0] * 0.4
    more = np.vstack([nodes, between, nodes[own == 3][0] + 0.01])
    sizes = np.append(np.full(len(nodes), 10), [0, 0])
    found = join_nodes(more, 5, sizes)
    np.testing.assert_array_equal(found.clusters[:-2], join_nodes(nodes, 5, sizes[:-2]).clusters)
    assert found.clusters[-2] == found.clusters[:-2][own == 1][0]
    assert found.clusters[-1] == found.clusters[:-2][own == 3][0]
    assert np.isnan(found.matrix[-1]).all()
    assert not np.isnan(found.matrix[:-2, :-2]).any()


@pytest.mark.parametrize("n_nodes", [1, 2, 3])
def test_fewer_nodes_than_clusters(n_nodes):
    nodes = np.arange(n_nodes)[:, None] * np.ones((1, 2))
    found = join_nodes(nodes, 10)
    assert sorted(found.clusters) == list(range(1, n_nodes + 1))
    assert join_nodes(nodes, 1).clusters.tolist() == [1] * n_nodes


def test_refusals():
    nodes, _ = groups()
    with pytest.raises(ValueError, match="at least one cluster"):
        join_nodes(nodes, 0)
    with pytest.raises(ValueError, match="at least one cluster"):
        join_nodes(nodes, [])
    with pytest.raises(ValueError, match="no node has events"):
        join_nodes(nodes, 3, np.zeros(len(nodes), int))
