import math

import numpy as np
import pytest

from biocross.flow.biexponential import flowjo_scale, from_scale, logicle_scale, to_scale


@pytest.mark.parametrize("width", [0.0, 0.1, 1.0, 2.25])
def test_second_rate_solves_its_equation(width):
    rate = logicle_scale(262144.0, 4.5, width).rate
    assert 0 < rate <= 1
    assert 2 * math.log(rate) + width * math.log(10) * (1 + rate) == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("width", [0.0, 0.5, 2.25])
def test_data_zero_is_the_most_linear_point(width):
    """The curvature vanishes there: equal steps to both sides are equal in data units."""
    scale = logicle_scale(262144.0, 4.5, width)
    low, zero, high = from_scale(scale.zero + np.array([-1e-3, 0, 1e-3]), scale)
    assert zero == 0
    assert high == pytest.approx(-low, rel=1e-9)
    near, far = from_scale(scale.zero + np.array([1e-4, 2e-4]), scale)
    assert far == pytest.approx(2 * near, rel=1e-5)


def test_tiny_values_keep_their_digits():
    """The printed formula cancels to noise here."""
    scale = logicle_scale(262144.0, 4.5, 1.0)._replace(zero=0.0)
    values = np.array([1e-12, 1e-9, 1e-6])
    np.testing.assert_allclose(from_scale(to_scale(values, scale), scale), values, rtol=1e-13)


def test_the_largest_doubles_are_no_problem():
    scale = logicle_scale(262144.0, 4.5, 0.5)
    largest = np.array([-1e307, 1e307])
    places = to_scale(largest, scale)
    assert np.isfinite(places).all()
    np.testing.assert_allclose(from_scale(places, scale), largest, rtol=1e-12)
    np.testing.assert_array_equal(from_scale(np.array([-1e3, 1e3]), scale), [-np.inf, np.inf])


@pytest.mark.parametrize(
    ("negative", "width_basis", "zero"), [(0.0, -1.0, 0.0), (1.0, -10.0, 1133.0), (9.0, -1.0, 2048)]
)
def test_flowjo_puts_zero_on_a_whole_channel(negative, width_basis, zero):
    """(n + w/2) / (n + p) of 4,096 channels, cut to a whole one, the middle at most."""
    scale = flowjo_scale(negative=negative, width_basis=width_basis, decades=4.418540)
    assert scale.zero == zero
    assert to_scale(np.zeros(1), scale)[0] == zero
