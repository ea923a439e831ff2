"""Leiden clusters, their agreement, and the choice of a resolution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from biocross.cells.resolutions import (
    adjusted_rand,
    by_size,
    choose_resolution,
    cluster_stability,
    leiden,
    stable_share,
)
from biocross.flow.clusters.stability import shared_events

labels = st.lists(st.integers(0, 4), min_size=2, max_size=40)


def blocks(sizes=(60, 40, 20), inside=0.5, across=0.01, seed=1):
    """Graph of communities that are denser inside."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    chance = np.where(truth[:, None] == truth[None, :], inside, across)
    upper = np.triu(random.random(chance.shape) < chance, 1).astype(float)
    return sparse.csr_matrix(upper + upper.T), truth


def agreement(first, second):
    return adjusted_rand(shared_events(first + 1, second, int(first.max()) + 1))


@settings(deadline=None)
@given(labels, st.randoms())
def test_agreement_is_that_of_scikit_learn(first, random):
    second = [random.randint(0, 3) for _ in first]
    ours = agreement(np.array(first), np.array(second))
    assert ours == pytest.approx(adjusted_rand_score(first, second))


def test_communities_are_found_and_numbered_by_size():
    graph, truth = blocks()
    assert agreement(leiden(graph, 1.0, 1), truth) == 1
    assert np.bincount(leiden(graph, 1.0, 1)).tolist() == [60, 40, 20]


def test_the_same_seed_gives_the_same_clusters_and_leaves_the_global_generator_alone():
    import random

    graph, _ = blocks(inside=0.08, across=0.05)
    random.seed(5)
    expected = random.random()
    random.seed(5)
    first = leiden(graph, 1.5, 3)
    assert random.random() == expected
    np.testing.assert_array_equal(first, leiden(graph, 1.5, 3))


def test_a_higher_resolution_gives_more_clusters():
    graph, _ = blocks(inside=0.2, across=0.05)
    assert leiden(graph, 3.0, 1).max() > leiden(graph, 0.5, 1).max()


def test_numbers_follow_size_then_the_first_cell():
    assert by_size(np.array([7, 3, 3, 9, 9, 1])).tolist() == [2, 0, 0, 1, 1, 3]


def test_real_communities_come_again_and_split_ones_do_not():
    graph, truth = blocks()
    real = cluster_stability(graph, truth, 1.0, seed=1)
    random = np.random.default_rng(2)
    halves = truth * 2 + random.integers(0, 2, len(truth))
    split = cluster_stability(graph, halves, 1.0, seed=1)
    assert real.rand == pytest.approx(1)
    assert np.all(real.jaccard > 0.95)
    assert np.all(split.jaccard < 0.75)
    assert stable_share(truth, real.jaccard) == 1
    assert stable_share(halves, split.jaccard) == 0


@pytest.mark.parametrize(
    ("shares", "chosen"),
    [((1, 0.95, 0.4), 0.6), ((0.5, 0.7, 0.6), 0.6), ((0.5, 0.5, 0.5), 0.3), ((1, 0.4, 0.93), 1.0)],
)
def test_the_finest_stable_resolution_is_chosen(shares, chosen):
    assert choose_resolution((0.3, 0.6, 1.0), shares) == chosen
