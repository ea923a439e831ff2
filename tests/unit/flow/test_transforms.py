import math

import numpy as np
import pytest
from scipy.optimize import brentq

from biocross.flow.transforms import (
    Transform,
    apply_transform,
    logicle_decades,
    logicle_width,
    negative_reference,
)

SCALES = [
    Transform("logicle", top=262144.0, decades=4.5, width=0.5),
    Transform("logicle", top=262144.0, decades=4.5, width=1.4),
    Transform("logicle", top=1024.0, decades=logicle_decades(1024.0), width=0.1),
    Transform("logicle", top=4194304.0, decades=logicle_decades(4194304.0), width=2.0),
]


def biexponential(y, transform):
    """The inverse of logicle, from the formulas of Moore & Parks 2012 (A = 0)."""
    w = transform.width / transform.decades
    b = transform.decades * math.log(10)
    d = b if w == 0 else brentq(lambda d: 2 * math.log(d / b) + w * (b + d), 1e-12, b)
    x1, x0 = w, 2 * w
    c_a = math.exp(x0 * (b + d))
    f_a = math.exp(b * x1) - c_a * math.exp(-d * x1)
    a = transform.top / (math.exp(b) - f_a - c_a * math.exp(-d))
    distance = np.abs(y - x1)
    value = a * (np.exp(b * (x1 + distance)) - c_a * np.exp(-d * (x1 + distance)) - f_a)
    return np.where(y < x1, -value, value)


@pytest.mark.parametrize("transform", SCALES)
def test_logicle_inverts_the_biexponential(transform):
    y = np.linspace(-0.3, 1.1, 2001)
    values = biexponential(y, transform).astype(np.float32)
    np.testing.assert_allclose(apply_transform(values, transform), y, rtol=0, atol=1e-5)


@pytest.mark.parametrize("transform", SCALES)
def test_logicle_as_flowkit(transform):
    from flowkit import transforms  # 2 s, so only here

    reference = transforms.LogicleTransform(transform.top, transform.width, transform.decades, 0)
    values = np.concatenate(
        [np.linspace(-0.05, 1.2, 3001), np.geomspace(1e-6, 1, 500), -np.geomspace(1e-6, 0.1, 500)]
    ).astype(np.float32) * np.float32(transform.top)
    expected = reference.apply(values.astype(np.float64))
    np.testing.assert_allclose(apply_transform(values, transform), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("transform", SCALES)
def test_logicle_landmarks(transform):
    top, zero = apply_transform(np.array([transform.top, 0], dtype=np.float32), transform)
    assert top == pytest.approx(1, abs=1e-6)
    assert zero == pytest.approx(transform.width / transform.decades, abs=1e-6)


@pytest.mark.parametrize("cofactor", [5.0, 150.0, 2000.0])
def test_arcsinh_formula_and_inverse(cofactor):
    values = np.array([-1e4, -5, 0, 1, 5, 150, 262144], dtype=np.float32)
    transformed = apply_transform(values, Transform("arcsinh", cofactor=cofactor))
    assert transformed.dtype == np.float32
    x = values.astype(float) / cofactor
    np.testing.assert_allclose(
        transformed, np.sign(x) * np.log(np.abs(x) + np.sqrt(x**2 + 1)), rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(np.sinh(transformed) * cofactor, values, rtol=1e-5, atol=1e-4)


def test_linear_leaves_values_as_they_are():
    values = np.array([-5, 0, 3e5], dtype=np.float32)
    np.testing.assert_array_equal(apply_transform(values, Transform("linear")), values)


@pytest.mark.parametrize("transform", [*SCALES, Transform("arcsinh", cofactor=5.0)])
def test_transforms_keep_type_and_order(transform):
    values = np.sort(np.random.default_rng(0).normal(0, 5e4, 5000)).astype(np.float32)
    transformed = apply_transform(values, transform)
    assert transformed.dtype == np.float32
    assert transformed.shape == values.shape
    assert (np.diff(transformed) >= 0).all()


def test_decades_grow_with_the_scale():
    assert logicle_decades(262144.0) == 4.5
    assert logicle_decades(2621440.0) == pytest.approx(5.5)


def test_width_formula():
    """W = (M - log10(T / |r|)) / 2 with r the median reference."""
    assert logicle_width([-100.0], 262144.0) == pytest.approx((4.5 - math.log10(2621.44)) / 2)
    three = logicle_width([-10.0, -100.0, -5000.0], 262144.0)
    assert three == logicle_width([-100.0], 262144.0)
    wide = 10 * 262144.0
    assert logicle_width([-100.0], wide) == pytest.approx((5.5 - math.log10(wide / 100)) / 2)


@pytest.mark.parametrize(("reference", "width"), [(-1e-3, 0.1), (-1e9, 2.25)])
def test_width_is_kept_in_bounds(reference, width):
    assert logicle_width([reference], 262144.0) == pytest.approx(width)


def test_width_ignores_samples_without_negatives():
    nan = float("nan")
    assert logicle_width([nan, -100.0, nan], 1000.0) == logicle_width([-100.0], 1000.0)
    assert math.isnan(logicle_width([nan, nan], 262144.0))
    assert math.isnan(logicle_width([], 262144.0))


def test_negative_reference_is_the_fifth_percentile_of_the_negatives():
    values = np.concatenate([-np.arange(1, 102), np.arange(5000), [0]]).astype(np.float32)
    assert negative_reference(values) == pytest.approx(-96)


@pytest.mark.parametrize(("negatives", "known"), [(0, False), (49, False), (50, True)])
def test_negative_reference_needs_fifty_negatives(negatives, known):
    values = np.concatenate([np.full(negatives, -3), np.ones(1000)]).astype(np.float32)
    assert negative_reference(values) == pytest.approx(-3 if known else float("nan"), nan_ok=True)


def test_negative_reference_ignores_values_that_are_not_finite():
    values = np.full(60, -3, dtype=np.float32)
    with_rest = np.concatenate([values, np.full(30, -np.inf), [np.nan]]).astype(np.float32)
    assert negative_reference(with_rest) == negative_reference(values)
