"""Clusters that come back, and clusters that do not."""

import numpy as np
import pytest

from biocross.flow.clusters.stability import (
    STABLE,
    UNSTABLE,
    best_jaccard,
    cluster_stability,
    shared_events,
    union_jaccard,
    union_stability,
)


def test_best_partner():
    reference = np.array([1, 1, 1, 1, 2, 2, 4, 4])
    rerun = np.array([9, 9, 9, 5, 5, 5, 5, 7])
    found = best_jaccard(shared_events(reference, rerun, 4))
    np.testing.assert_allclose(found[[0, 1, 3]], [3 / 4, 2 / 4, 1 / 2])
    assert np.isnan(found[2])


def test_numbers_do_not_matter():
    reference = np.repeat([1, 2, 3], 5)
    np.testing.assert_array_equal(best_jaccard(shared_events(reference, 10 - reference, 3)), 1)


def test_cluster_of_one_patient_is_unstable():
    """Clusters 1 and 2 are in every patient; 3 is split off only where patient 0 takes part."""
    patients = np.repeat(np.arange(8), 30)
    reference = np.tile(np.repeat([1, 2, 1], 10), 8)
    reference[:10] = 3

    def cluster(events, seed):
        labels = reference[events].copy()
        if np.unique(patients[events]).size < 8:
            labels[labels == 3] = 1
        return labels

    found = cluster_stability(reference, cluster, patients, n_reruns=10)
    np.testing.assert_array_equal(found.over_seeds, 1)
    assert (found.over_patients[:2] >= STABLE).all()
    assert found.over_patients[2] < UNSTABLE
    np.testing.assert_array_equal(found.stability, found.over_patients)


def test_cluster_of_one_seed_is_unstable():
    reference = np.repeat([1, 2, 3], [50, 50, 10])

    def cluster(events, seed):
        random = np.random.default_rng(seed)
        labels = reference[events].copy()
        rare = labels == 3
        labels[rare] = random.integers(1, 3, rare.sum())
        return labels

    found = cluster_stability(reference, cluster)
    assert (found.stability[:2] >= STABLE).all()
    assert found.stability[2] < UNSTABLE
    assert np.isnan(found.over_patients).all()
    np.testing.assert_array_equal(found.stability, found.over_seeds)


def test_reruns_get_seeds_and_patients():
    patients = np.repeat(np.arange(6), 4)
    reference = np.ones(24, int)
    calls = []

    def cluster(events, seed):
        calls.append((events.size, seed))
        assert (np.bincount(patients[events], minlength=6) % 4 == 0).all()
        return reference[events]

    cluster_stability(reference, cluster, patients, n_reruns=5, seed=3)
    sizes, seeds = zip(*calls, strict=True)
    assert sizes[:5] == (24,) * 5
    assert len(set(seeds)) == 10
    assert 8 <= np.mean(sizes[5:]) < 24


@pytest.mark.parametrize("patients", [None, np.zeros(6, int)])
def test_one_patient_leaves_the_seeds(patients):
    found = cluster_stability(np.ones(6, int), lambda events, seed: events * 0, patients)
    assert np.isnan(found.over_patients).all()
    np.testing.assert_array_equal(found.stability, 1)


def test_cluster_that_no_resample_holds():
    found = cluster_stability(np.array([1, 1, 3, 3]), lambda events, seed: events // 2)
    assert np.isnan(found.stability[1])
    np.testing.assert_array_equal(found.stability[[0, 2]], 1)


def test_parts_that_change_places_leave_their_whole_stable():
    # Clusters 1 and 2 share their events anew in the rerun; 3 comes back as it was.
    both = np.array([[30, 20, 0], [25, 25, 2], [0, 1, 97]])
    assert best_jaccard(both)[0] < UNSTABLE
    assert union_jaccard(both, np.array([0, 1])) == pytest.approx(100 / 103)
    assert union_stability([both], [both[:, [0, 0, 2]]], np.array([2])) == pytest.approx(97 / 100)


def test_a_whole_that_is_lost_among_others_has_nothing_in_common():
    both = np.array([[5, 5], [90, 90]])
    assert union_jaccard(both, np.array([0])) == 0
    assert np.isnan(union_jaccard(both * 0, np.array([0])))
    assert np.isnan(union_stability([both * 0], [], np.array([0])))
