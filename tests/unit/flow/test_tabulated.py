import tracemalloc

import numpy as np
import pytest

from biocross.flow.tabulated import CHUNK, Tabulated


def bucket_borders():
    """The first float of every bucket and the last one before it, of both signs, ascending."""
    bits = np.arange(60 << 8, 200 << 8, dtype=np.uint32) << 15
    positive = np.sort(np.concatenate([bits - 1, bits])).view(np.float32)
    return np.concatenate([-positive[::-1], np.zeros(1, dtype=np.float32), positive])


FUNCTIONS = [
    (np.arcsinh, 1e-7),
    (lambda x: 4096 * np.arcsinh(x / 150), 4e-4),
    (lambda x: np.arcsinh(x / 1e-3) + 100, 1e-6),
    (np.tanh, 1e-7),
]


@pytest.mark.parametrize(("function", "tolerance"), FUNCTIONS)
def test_results_never_fall_from_bucket_to_bucket(function, tolerance):
    results = Tabulated(function, tolerance)(bucket_borders())
    assert (np.diff(results) >= 0).all()
    assert results[-1] > results[0]


@pytest.mark.parametrize(("function", "tolerance"), FUNCTIONS)
def test_error_is_that_of_256_chords_per_octave(function, tolerance):
    rng = np.random.default_rng(3)
    values = (rng.uniform(1, 2, 50_000) * 2.0 ** rng.integers(-40, 40, 50_000)).astype(np.float32)
    values *= rng.choice(np.float32([-1, 1]), values.size)
    exact = function(values.astype(float))
    # 4096 * asinh and asinh + 100 round as numbers of their size do.
    scale = max(1.0, function(np.array([150.0]))[0] / np.arcsinh(1))
    allowed = tolerance + scale * 2.0**-16 / 8 + 4 * np.abs(exact).max() * 2.0**-24
    error = np.abs(Tabulated(function, tolerance)(values) - exact)
    assert error.max() <= allowed


def test_a_straight_line_stays_one():
    values = np.array([-3e38, -1, 0, 1e-30, 7, 3e38], dtype=np.float32)
    np.testing.assert_allclose(Tabulated(lambda x: x / 8, 1e-7)(values), values / 8, rtol=1e-6)


def test_buckets_are_filled_for_the_values_met():
    calls = []

    def watched(x):
        calls.append(x)
        return np.arcsinh(x)

    tabulated = Tabulated(watched, 1e-7)
    calls.clear()
    tabulated(np.array([1, 100], dtype=np.float32))
    assert len(calls) == 1
    assert (calls[0] > 0).all()
    assert calls[0].max() == 128
    calls.clear()
    tabulated(np.array([3, 120], dtype=np.float32))
    assert calls == []
    tabulated(np.array([-1, 200], dtype=np.float32))
    assert sorted(call.max() for call in calls) == [-np.min(np.abs(calls[0])), 256]


def test_results_do_not_depend_on_neighbours_or_layout():
    rng = np.random.default_rng(4)
    matrix = rng.normal(0, 1e4, (2 * CHUNK + 100, 3)).astype(np.float32)
    together = Tabulated(np.arcsinh, 1e-7)(matrix[:, 1])
    backwards = Tabulated(np.arcsinh, 1e-7)(np.ascontiguousarray(matrix[::-1, 1]))
    np.testing.assert_array_equal(together, backwards[::-1])
    few = [CHUNK - 1, CHUNK, 2 * CHUNK + 99]
    for event in few:
        alone = Tabulated(np.arcsinh, 1e-7)(matrix[event : event + 1, 1])
        np.testing.assert_array_equal(alone, together[event])


def test_bounds_clip_and_nan_stays():
    values = np.array([-np.inf, -50, 0, 50, np.inf, np.nan], dtype=np.float32)
    bounded = Tabulated(np.arcsinh, 1e-7, low=-1, high=2)(values)
    np.testing.assert_array_equal(bounded, np.array([-1, -1, 0, 2, 2, np.nan], dtype=np.float32))


def test_no_events_no_results():
    assert Tabulated(np.arcsinh, 1e-7)(np.empty(0, dtype=np.float32)).shape == (0,)


def test_all_nan():
    assert np.isnan(Tabulated(np.arcsinh, 1e-7)(np.full(5, np.nan, dtype=np.float32))).all()


def test_memory_beyond_the_results_is_small():
    values = np.random.default_rng(5).normal(0, 1e4, 2_000_000).astype(np.float32)
    tracemalloc.start()
    results = Tabulated(np.arcsinh, 1e-7)(values)
    beyond = tracemalloc.get_traced_memory()[1] - results.nbytes
    tracemalloc.stop()
    assert beyond < 3e6
