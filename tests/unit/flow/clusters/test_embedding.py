import numpy as np
import pytest

from biocross.flow.clusters.embedding import embed_cells, equal_share


def test_every_sample_gives_as_many_cells_unless_it_has_fewer():
    sample = np.repeat([0, 1, 2, 3], [500, 20, 300, 0 + 400])
    chosen = equal_share(sample, 320, seed=1)
    assert np.bincount(sample[chosen]).tolist() == [100, 20, 100, 100]
    assert (np.diff(chosen) > 0).all()


def test_a_share_is_the_same_for_the_same_seed_and_another_for_another():
    sample = np.repeat([0, 1], 1000)
    one = equal_share(sample, 100, seed=1)
    assert np.array_equal(one, equal_share(sample, 100, seed=1))
    assert not np.array_equal(one, equal_share(sample, 100, seed=2))


@pytest.mark.parametrize(("n", "most"), [(10, 100), (10, 10), (0, 5)])
def test_all_cells_are_taken_where_there_are_few(n, most):
    assert equal_share(np.zeros(n, dtype=int), most, seed=1).size == n


def test_more_samples_than_cells_asked_for_are_no_error():
    assert equal_share(np.arange(10), 4, seed=1).size <= 4


def test_kinds_of_cells_are_apart_and_the_map_is_the_same_again():
    rng = np.random.default_rng(1)
    kind = np.repeat([0, 1, 2], 60)
    values = rng.normal(0, 0.1, (180, 6)) + 3 * np.eye(6)[kind]
    places = embed_cells(values, seed=1)
    assert places.shape == (180, 2)
    assert places.dtype == np.float32
    middles = np.array([places[kind == k].mean(axis=0) for k in range(3)])
    within = max(np.linalg.norm(places[kind == k] - middles[k], axis=1).max() for k in range(3))
    between = min(np.linalg.norm(middles[i] - middles[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert between > within
    assert np.array_equal(embed_cells(values, seed=1), places)
    assert not np.array_equal(embed_cells(values, seed=2), places)


@pytest.mark.parametrize("values", [np.zeros((50, 4)), np.ones((3, 4)), np.zeros((5, 0))])
def test_few_cells_and_cells_that_are_all_alike_have_places_too(values):
    places = embed_cells(values, seed=1)
    assert places.shape == (len(values), 2)
    assert np.isfinite(places).all()


def test_missing_values_are_refused():
    with pytest.raises(ValueError, match="finite"):
        embed_cells([[1.0, np.nan]], seed=1)
