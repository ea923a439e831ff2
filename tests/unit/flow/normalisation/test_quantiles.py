import numpy as np
import pytest

from biocross.flow.normalisation.quantiles import (
    PROBABILITIES,
    common_quantiles,
    displacement,
    group_quantiles,
)


def described(values, groups=None, n_groups=1):
    values = np.asarray(values, dtype=np.float32)
    groups = np.zeros(len(values), int) if groups is None else np.asarray(groups)
    return group_quantiles(values, groups, n_groups)


def moved(values, source, target):
    return values + np.interp(values, *displacement(source, target))


def test_quantiles_are_numpys():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2000, 3)).astype(np.float32)
    groups = np.repeat([1, 2], 1000)
    found = described(values, groups, 3)
    assert found.shape == (3, 3, 99)
    expected = np.quantile(values[groups == 2, 1].astype(float), PROBABILITIES)
    np.testing.assert_allclose(found[2, 1], expected)
    np.testing.assert_allclose(found[0, 2], np.quantile(values[:, 2].astype(float), PROBABILITIES))


def test_few_events():
    """Fifty events hold quantiles with ten beyond; of fewer a cluster is not described."""
    values = np.arange(100, dtype=np.float32)[:, None]
    found = described(values, np.repeat([1, 2, 1], [30, 49, 21]), 4)
    assert np.isnan(found[2:]).all()
    held = PROBABILITIES[~np.isnan(found[1, 0])]
    assert held[0] == pytest.approx(0.2)
    assert held[-1] == pytest.approx(0.8)
    thousand = described(np.arange(1000, dtype=np.float32)[:, None])
    assert not np.isnan(thousand).any()


def test_goal_is_the_mean_or_a_batch():
    first, second = np.zeros((2, 100, 1), dtype=np.float32)
    first[:, 0], second[:, 0] = np.linspace(0, 1, 100), np.linspace(2, 5, 100)
    quantiles = np.stack([described(first), described(second)])
    source, target = common_quantiles(quantiles)
    np.testing.assert_array_equal(source, quantiles)
    np.testing.assert_allclose(target[0], target[1])
    np.testing.assert_allclose(target[0], (quantiles[0] + quantiles[1]) / 2)
    source, target = common_quantiles(quantiles, goal=1)
    np.testing.assert_array_equal(target[0], quantiles[1])
    np.testing.assert_array_equal(target[1], source[1])


def test_a_batch_with_too_few_events_in_a_cluster():
    """It takes the function of all its events, and the others come to meet it there."""
    random = np.random.default_rng(4)
    shift = np.array([0.0, 0.6, -0.9])
    clean = np.concatenate([random.normal(0, 0.2, 3000), random.normal(3, 0.2, 3000)])[:, None]
    groups = [np.repeat([1, 2], 3000)] * 3
    groups[2] = np.repeat([1, 2, 1], [3000, 40, 2960])  # the third has 40 events in cluster 2
    quantiles = np.stack([described(clean + s, g, 3) for s, g in zip(shift, groups, strict=True)])
    source, target = common_quantiles(quantiles)
    np.testing.assert_array_equal(source[2, 2], source[2, 0])
    at = [moved(3.0 + shift[b], source[b, 2, 0], target[b, 2, 0]) for b in range(3)]
    # All at the mean of the shifts, -0.1; the mean of the two with events would be 0.3.
    np.testing.assert_allclose(at, 3 + shift.mean(), atol=0.03)


def test_a_goal_batch_without_the_cluster():
    random = np.random.default_rng(4)
    clean = np.concatenate([random.normal(0, 0.2, 3000), random.normal(3, 0.2, 3000)])[:, None]
    whole = np.repeat([1, 2], 3000)
    wanting = np.repeat([1, 2, 1], [3000, 40, 2960])
    quantiles = np.stack([described(clean, wanting, 3), described(clean + 0.5, whole, 3)])
    source, target = common_quantiles(quantiles, goal=0)
    assert moved(3.5, source[1, 2, 0], target[1, 2, 0]) == pytest.approx(3.0, abs=0.03)
    assert moved(3.1, source[0, 2, 0], target[0, 2, 0]) == 3.1


def test_a_cluster_that_no_batch_has():
    values = np.random.default_rng(1).normal(size=(500, 2)).astype(np.float32)
    quantiles = np.stack([described(values + b, np.ones(500, int), 3) for b in range(2)])
    source, target = common_quantiles(quantiles)
    np.testing.assert_array_equal(source[:, 2], source[:, 0])
    np.testing.assert_array_equal(target[:, 2], target[:, 0])


def test_a_batch_without_events():
    quantiles = np.stack([described(np.ones((80, 1))), described(np.ones((10, 1)))])
    with pytest.raises(ValueError, match="no quantiles"):
        common_quantiles(quantiles)


def test_ties_become_one_knot():
    places, shifts = displacement(np.array([0, 0, 0, 1, np.nan]), np.array([0, 0.3, 0.6, 2, 5]))
    np.testing.assert_allclose(places, [0, 1])
    np.testing.assert_allclose(shifts, [0.3, 1])
    assert displacement(np.array([np.nan]), np.array([1.0]))[0].size == 0
