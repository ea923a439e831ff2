"""Neighbours of cells, their weights, and the layout of the graph."""

import numpy as np
import pytest

from biocross.cells import neighbourhoods
from biocross.cells.neighbourhoods import (
    fuzzy_weights,
    lay_out,
    nearest,
    nearest_others,
    neighbours,
)


def islands(n=240, seed=1):
    """Three groups of cells in five dimensions."""
    random = np.random.default_rng(seed)
    group = np.repeat(np.arange(3), n // 3)
    points = random.normal(size=(n, 5))
    points[np.arange(n), group] += 15
    return points.astype(np.float32), group


def test_neighbours_are_exact_and_in_order():
    random = np.random.default_rng(1)
    reference, query = random.normal(size=(50, 4)), random.normal(size=(23, 4))
    indices, distances = nearest(reference.astype(np.float32), query.astype(np.float32), 5)
    every = np.linalg.norm(query[:, None] - reference[None], axis=2)
    np.testing.assert_array_equal(indices, np.argsort(every, axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :5], rtol=1e-3)


def test_a_cell_is_not_its_own_neighbour_even_among_twins():
    points = np.zeros((6, 3), dtype=np.float32)
    found, distances = nearest_others(points, 3)
    assert found.shape == (6, 3)
    assert not (found == np.arange(6)[:, None]).any()
    assert (distances == 0).all()


def test_weights_sum_to_the_logarithm_of_the_neighbours():
    distances = np.sort(np.random.default_rng(2).gamma(3.0, size=(40, 14)), axis=1)
    weights = fuzzy_weights(distances)
    np.testing.assert_allclose(weights.sum(axis=1), np.log2(15), rtol=1e-6)
    np.testing.assert_allclose(weights[:, 0], 1)
    assert (np.diff(weights, axis=1) <= 0).all()
    # Scale does not matter: dense and sparse regions are alike.
    np.testing.assert_allclose(fuzzy_weights(7 * distances), weights, rtol=1e-6)


def test_the_exact_graph_is_that_of_scanpy(monkeypatch):
    points, _ = islands()
    distances, weights = neighbours(points, 10, 1)
    monkeypatch.setattr(neighbourhoods, "MOST_EXACT", 100)
    their_distances, their_weights = neighbours(points, 10, 1)
    assert abs(distances - their_distances).max() < 1e-4
    assert abs(weights - their_weights).max() < 1e-4


def test_the_layout_keeps_groups_apart_and_comes_again():
    points, group = islands()
    distances, _ = neighbours(points, 10, 1)
    layout = lay_out(distances, points, 3)
    assert layout.shape == (240, 2)
    assert np.isfinite(layout).all()
    near, _ = nearest_others(layout, 8)
    assert (group[near] == group[:, None]).mean() > 0.98
    np.testing.assert_array_equal(layout, lay_out(distances, points, 3))
    assert not np.array_equal(layout, lay_out(distances, points, 4))


@pytest.mark.parametrize("n_cells", [3, 5])
def test_few_cells_have_few_neighbours(n_cells):
    points = np.random.default_rng(3).normal(size=(n_cells, 4)).astype(np.float32)
    distances, _ = neighbours(points, 15, 1)
    assert distances.shape == (n_cells, n_cells)
    assert (np.diff(distances.indptr) == max(2, n_cells - 1) - 1).all()
