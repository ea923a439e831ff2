"""A border moves with the cells: it depends neither on their order nor on the unit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.flow.thresholds import find_valley

UNEVENTFUL = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.sampled_from([0.0, 0.02, 0.1, 0.5, 0.9])


def cells(seed, share, number=4000):
    """Negative cells around 0.2 and a share of positive ones around 0.7."""
    random = np.random.default_rng(seed)
    positive = random.random(number) < share
    return np.where(positive, random.normal(0.7, 0.06, number), random.normal(0.2, 0.05, number))


def close(found, expected, step):
    """Same kind of border, at most two steps of the density's grid apart."""
    assert found.source == expected.source
    assert found.value == pytest.approx(expected.value, abs=2 * step)


def grid_step(values):
    return float(np.ptp(values)) / 400


@UNEVENTFUL
@given(seed=SEEDS, share=SHARES)
def test_order_of_events_is_irrelevant(seed, share):
    values = cells(seed, share).astype(np.float32)
    shuffled = np.random.default_rng(seed + 1).permutation(values)
    close(find_valley(shuffled), find_valley(values), grid_step(values))


@UNEVENTFUL
@given(seed=SEEDS, share=SHARES, shift=st.floats(-50, 50))
def test_shift(seed, share, shift):
    values = cells(seed, share)
    expected = find_valley(values)
    moved = find_valley(values + shift)
    close(moved._replace(value=moved.value - shift), expected, grid_step(values))


@UNEVENTFUL
@given(seed=SEEDS, share=SHARES, exponent=st.integers(-10, 18))
def test_scale(seed, share, exponent):
    """A power of two is exact in floating point, so the border is exactly as much larger."""
    values = cells(seed, share)
    scaled = find_valley(values * 2.0**exponent)
    expected = find_valley(values)
    assert scaled.source == expected.source
    assert scaled.value == pytest.approx(expected.value * 2.0**exponent, rel=1e-9)
    assert scaled.depth == pytest.approx(expected.depth, rel=1e-9, nan_ok=True)


@UNEVENTFUL
@given(seed=SEEDS, share=SHARES, copies=st.integers(2, 3))
def test_a_valley_stays_when_every_event_is_repeated(seed, share, copies):
    values = cells(seed, share)
    if find_valley(values).source == "valley":
        assert find_valley(np.tile(values, copies)).source == "valley"


@UNEVENTFUL
@given(seed=SEEDS, share=SHARES, low=st.floats(-0.5, 1.5), width=st.floats(0.01, 1.0))
def test_between_is_never_left(seed, share, low, width):
    found = find_valley(cells(seed, share), (low, low + width))
    assert found.source in ("valley", "tail")
    assert low <= found.value <= low + width


@UNEVENTFUL
@given(
    values=st.lists(
        st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1.0, 262143.0]),
        min_size=50,
        max_size=300,
    )
)
def test_any_finite_values_have_a_border(values):
    found = find_valley(np.array(values, dtype=np.float32))
    assert found.source in ("valley", "tail")
    assert np.isfinite(found.value)
    if found.source == "valley":
        assert min(values) < found.value < max(values)
        assert 0 < found.depth <= 1


@given(number=st.integers(0, 49))
def test_fewer_than_fifty_events_never_have_a_border(number):
    assert find_valley(np.linspace(0, 1, number)).source == "too_few_events"
