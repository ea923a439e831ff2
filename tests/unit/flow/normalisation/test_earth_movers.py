import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import wasserstein_distance

from biocross.flow.normalisation.earth_movers import earth_movers_distance, largest_distance

VALUES = arrays(np.float32, st.integers(1, 30), elements=st.floats(-5, 5, width=16))


@given(VALUES, VALUES)
def test_as_scipy(first, second):
    expected = wasserstein_distance(first, second)
    assert earth_movers_distance(first, second) == pytest.approx(expected, abs=1e-6)


@given(VALUES, VALUES, VALUES)
def test_largest_of_the_pairs(first, second, third):
    samples = [first, second, third]
    pairs = [earth_movers_distance(samples[i], samples[j]) for i in range(3) for j in range(i)]
    assert largest_distance(samples) == pytest.approx(max(pairs), abs=1e-9)


def test_a_shift_is_its_own_distance():
    values = np.random.default_rng(0).normal(size=500)
    assert earth_movers_distance(values, values + 0.7) == pytest.approx(0.7)


@pytest.mark.parametrize("samples", [[np.ones(3)], [np.ones(3), np.ones(0)]])
def test_nothing_to_compare(samples):
    with pytest.raises(ValueError, match="two sets"):
        largest_distance(samples)
