"""The self-organising map, and the nearest node of an event."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

from biocross.flow.som import (
    SelfOrganisingMap,
    marker_ranges,
    nearest_nodes,
    nearest_nodes_of_columns,
)


def groups(n_events=5000, n_markers=6, n_groups=9, seed=0):
    random = np.random.default_rng(seed)
    centres = random.normal(0, 3, (n_groups, n_markers))
    own = random.integers(n_groups, size=n_events)
    values = centres[own] + random.normal(0, 0.2, (n_events, n_markers))
    return values.astype(np.float32), own


def test_nearest_node_is_that_of_all_distances():
    values, _ = groups()
    nodes = values[:70]
    nearest, squared = nearest_nodes(values, nodes)
    distances = np.square(values[:, None].astype(float) - nodes[None]).sum(axis=2)
    assert (nearest == distances.argmin(axis=1)).mean() > 0.9999
    np.testing.assert_allclose(squared, distances.min(axis=1), rtol=1e-3, atol=1e-3)
    assert nearest.dtype == np.uint16
    assert squared.dtype == np.float32


@pytest.mark.parametrize("chunk", [1, 7, 4096, 10_000])
def test_chunks_and_columns_do_not_matter(chunk):
    values, _ = groups(2500)
    expected = nearest_nodes(values, values[:40])
    columns = [np.ascontiguousarray(column) for column in values.T]
    found = nearest_nodes_of_columns(columns, values[:40], chunk)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_first_of_equal_nodes():
    nodes = np.array([[0, 1], [1, 0], [1, 0], [0, 1]], np.float32)
    assert nearest_nodes(nodes, nodes)[0].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_missing_values_are_refused_by_column(bad):
    values, _ = groups(3000)
    nodes = values[:20].copy()
    values[2500, 3] = bad
    with pytest.raises(ValueError, match="column 3 holds 1 values"):
        nearest_nodes(values, nodes)
    with pytest.raises(ValueError, match="column 3 holds 1 values"):
        SelfOrganisingMap(3, 3).fit(values)


def test_event_far_out_goes_to_the_nearest_side():
    nodes = np.array([[-1.0], [1.0]], np.float32)
    assert nearest_nodes(np.array([[1e30], [-1e30]], np.float32), nodes)[0].tolist() == [1, 0]


def test_groups_do_not_share_nodes():
    values, own = groups()
    som = SelfOrganisingMap(6, 6, seed=3).fit(values)
    counts = np.zeros((36, 9))
    np.add.at(counts, (som.labels_, own), 1)
    assert counts.max(axis=1).sum() / len(values) > 0.999
    assert set(counts.argmax(axis=1)[som.sizes_ > 0]) == set(range(9))
    assert som.quantisation_error_ < 0.6
    np.testing.assert_array_equal(som.sizes_, np.bincount(som.labels_, minlength=36))
    np.testing.assert_array_equal(som.labels_, som.predict(values))


def test_neighbours_on_the_grid_are_alike():
    values = np.random.default_rng(0).random((20_000, 2)).astype(np.float32)
    som = SelfOrganisingMap(8, 8, start_radius=2.0, end_radius=0.5).fit(values)
    nodes = som.nodes_.reshape(8, 8, 2)
    step = np.linalg.norm(np.diff(nodes, axis=0), axis=2).mean()
    anywhere = np.linalg.norm(som.nodes_[:, None] - som.nodes_[None], axis=2).mean()
    assert step < anywhere / 2


def test_more_epochs_come_closer():
    values, _ = groups(n_groups=60)
    errors = [
        SelfOrganisingMap(5, 5, epochs=epochs).fit(values).quantisation_error_ for epochs in (1, 15)
    ]
    assert errors[1] < errors[0]


@pytest.mark.parametrize("n_events", [1, 2, 10])
def test_fewer_events_than_nodes(n_events):
    values, _ = groups(n_events)
    som = SelfOrganisingMap().fit(values)
    assert som.nodes_.shape == (100, 6)
    assert som.sizes_.sum() == n_events
    assert (som.sizes_ > 0).sum() <= n_events
    assert np.isfinite(som.nodes_).all()


def test_equal_events_and_constant_markers():
    values, _ = groups(500)
    values[:, 2] = 4.5
    som = SelfOrganisingMap(4, 4).fit(values)
    np.testing.assert_allclose(som.nodes_[:, 2], 4.5, rtol=1e-5)
    same = SelfOrganisingMap(4, 4).fit(np.zeros((50, 3), np.float32))
    assert same.quantisation_error_ == 0
    assert same.sizes_.max() == 50


def test_scikit_learn_can_clone_it():
    som = SelfOrganisingMap(4, 5, seed=8)
    copy = clone(som)
    assert copy is not som
    assert copy.get_params() == som.get_params()
    assert copy.set_params(epochs=3).epochs == 3
    with pytest.raises(ValueError, match="no parameter wide"):
        copy.set_params(wide=3)


def test_seed_decides():
    values, _ = groups(3000)
    one, again, other = (SelfOrganisingMap(4, 4, seed=seed).fit(values) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.nodes_, again.nodes_)
    assert not np.array_equal(one.nodes_, other.nodes_)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"width": 0}, "1 to 65,535 nodes"),
        ({"width": 300, "height": 300}, "1 to 65,535 nodes"),
        ({"epochs": 0}, "at least one epoch"),
        ({"end_radius": 0}, "above zero"),
        ({"start_radius": 0.1}, "from 0.1 to 0.2"),
    ],
)
def test_parameters_out_of_range(params, said):
    with pytest.raises(ValueError, match=said):
        SelfOrganisingMap(**params).fit(np.ones((5, 2)))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4,)])
def test_nothing_to_train_on(shape):
    with pytest.raises(ValueError, match="events, markers"):
        SelfOrganisingMap().fit(np.ones(shape))


def test_untrained_and_mismatched():
    with pytest.raises(ValueError, match="not trained"):
        SelfOrganisingMap().predict(np.ones((3, 2)))
    with pytest.raises(ValueError, match="the nodes have 3 markers, the events 2"):
        nearest_nodes(np.ones((4, 2)), np.ones((2, 3)))


def test_ranges_hold_rare_positives():
    random = np.random.default_rng(0)
    values = random.normal(0, 0.05, (100_000, 3))
    values[:500, 1] += 1
    values[:, 2] = 7
    ranges = marker_ranges(values)
    assert ranges[0] == pytest.approx(0.31, abs=0.02)
    assert ranges[1] > 1
    assert ranges[2] == 1


THREADS = """
import hashlib
import numpy as np
from biocross.flow.som import SelfOrganisingMap
random = np.random.default_rng(0)
values = random.normal(size=(30_000, 21)).astype(np.float32)
som = SelfOrganisingMap(12, 12, epochs=4).fit(values)
print(hashlib.sha256(som.nodes_.tobytes() + som.labels_.tobytes()).hexdigest())
"""


def test_same_at_any_number_of_threads():
    found = set()
    for threads in ("1", "2"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        command = [sys.executable, "-c", THREADS]
        done = subprocess.run(
            command, env={**os.environ, **limits}, capture_output=True, check=True, text=True
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_products_are_exact():
    """Sums of products on the lattice do not depend on their order."""
    values, _ = groups(4000, 40)
    order = np.random.default_rng(1).permutation(40)
    one = nearest_nodes(values, values[:50])
    other = nearest_nodes(values[:, order], values[:50][:, order])
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
