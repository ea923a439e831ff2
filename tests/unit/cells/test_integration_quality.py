"""Mixing of batches and purity of clusters, where both are known."""

import numpy as np
import pytest

from biocross.cells.integration_quality import batch_mixing, cluster_purity, quality_rows
from biocross.cells.neighbourhoods import nearest


def two_batches(gap, n=600, seed=1):
    """Two populations in two batches that lie `gap` apart."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    batches = random.integers(0, 2, n)
    points = random.normal(size=(n, 5))
    points[:, 0] += 12 * labels
    points[:, 1] += gap * batches
    return points.astype(np.float32), batches, labels


def mixing(points, batches, labels):
    found, _ = nearest(points, points, 21)
    return batch_mixing(found[:, 1:], batches, labels)


def test_mixing_is_one_by_chance_and_zero_apart():
    assert mixing(*two_batches(0)) == pytest.approx([1, 1], abs=0.07)
    assert mixing(*two_batches(20)) == pytest.approx([0, 0], abs=0.01)


def test_mixing_is_judged_by_what_the_batches_hold():
    points, batches, labels = two_batches(0)
    batches = np.where(labels == 1, np.random.default_rng(2).random(600) < 0.05, batches)
    assert mixing(points, batches.astype(int), labels) == pytest.approx([1, 1], abs=0.15)


def test_a_cluster_of_one_batch_has_no_mixing():
    points, _, labels = two_batches(0)
    assert np.isnan(mixing(points, labels, labels)).all()


def test_a_cluster_that_integration_merges_is_found():
    points, _, labels = two_batches(0)
    merged = points.copy()
    merged[:, 0] -= 12 * labels
    kept = cluster_purity(points, points, 1)
    lost = cluster_purity(points, merged, 1)
    np.testing.assert_array_equal(kept.before, kept.after)
    assert np.all(lost.before == kept.before)
    assert np.mean(lost.after) < 0.75 * np.mean(lost.before)


def test_rows_tell_what_is_still_apart():
    points, batches, labels = two_batches(20)
    mixed, _, _ = two_batches(0)
    apart = quality_rows(points, points, batches, ["lot_1", "lot_2"], labels, 1)
    good = quality_rows(points, mixed, batches, ["lot_1", "lot_2"], labels, 1)
    assert apart[0]["status"] == "poorly_mixed"
    assert good[0]["status"] == "measured"
    assert good[0]["before"] < 0.1 < 0.9 < good[0]["after"]
    few = quality_rows(
        points, mixed, np.r_[np.zeros(590, int), np.ones(10, int)], ["a", "b"], labels, 1
    )
    assert [row["status"] for row in few if row["group"] == "b"] == ["not_possible"]
