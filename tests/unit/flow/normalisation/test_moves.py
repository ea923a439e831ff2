import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from biocross.flow.normalisation.moves import move_values, tabulate_moves
from biocross.flow.normalisation.quantiles import displacement

KNOTS = arrays(np.float64, 12, elements=st.floats(-5, 5)).map(np.sort)


def move(values, source, target, groups=None):
    values = np.asarray(values, dtype=np.float32)
    groups = np.zeros(values.size, np.uint16) if groups is None else np.asarray(groups, np.uint16)
    source, target = np.atleast_2d(source)[:, None], np.atleast_2d(target)[:, None]
    return move_values(values, groups, tabulate_moves(source, target), 0)


def test_as_interpolated_between_knots():
    random = np.random.default_rng(0)
    source = np.sort(random.normal(0, 1, 99))
    target = np.sort(random.normal(0.5, 1.3, 99))
    values = random.normal(0, 1.5, 200_000).astype(np.float32)
    exact = values + np.interp(values, *displacement(source, target))
    found = move(values, source, target)
    assert np.abs(found - exact).mean() < 2e-4
    assert np.abs(found - exact).max() < 0.05


def test_shifted_beyond_the_knots():
    found = move([-100, -1, 0, 5, 10, 1000], [0, 10], [1, 13])
    np.testing.assert_allclose(found, [-99, 0, 1, 6 + 1, 13, 1003])


def test_every_event_by_its_group():
    source = np.array([[0.0, 1], [0, 1], [np.nan, np.nan]])
    target = np.array([[1.0, 2], [-3, -2], [np.nan, np.nan]])
    found = move([0.5, 0.5, 0.5, 0, 0], source, target, groups=[0, 1, 2, 1, 2])
    np.testing.assert_allclose(found, [1.5, -2.5, 0.5, -3, 0])


def test_missing_and_infinite_values():
    found = move([np.nan, np.inf, -np.inf, 0.5], [0, 1], [1, 2])
    np.testing.assert_array_equal(found, [np.nan, np.inf, -np.inf, 1.5])


def test_a_constant_marker_is_shifted():
    np.testing.assert_allclose(move([2, 3], [2, 2, 2], [1, 1, 1]), [1, 2])


def test_nothing_to_move_is_nothing_changed():
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    knots = np.quantile(values.astype(float), [0.1, 0.5, 0.9])
    np.testing.assert_array_equal(move(values, knots, knots), values)
    assert move([], knots, knots + 1).size == 0


@given(KNOTS, KNOTS, arrays(np.float32, 40, elements=st.floats(-10, 10, width=32)))
def test_the_order_of_events_is_kept(source, target, values):
    values = np.sort(values)
    assert (np.diff(move(values, source, target)) >= -1e-4).all()


@given(KNOTS, KNOTS, st.floats(-5, 5, width=32))
def test_nothing_overshoots(source, target, value):
    inside = np.clip(np.float32(value), *source[[0, -1]].astype(np.float32))
    found = move([inside], source, target)[0]
    assert target[0] - 1e-4 <= found <= target[-1] + 1e-4


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537])
def test_chunks(size):
    values = np.linspace(0, 1, size, dtype=np.float32)
    np.testing.assert_allclose(move(values, [0, 1], [1, 2]), values + 1, rtol=1e-6)
