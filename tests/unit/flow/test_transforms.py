import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from biocross.errors import ConfigError
from biocross.flow.compensation import compensate
from biocross.flow.fcs import read_fcs
from biocross.flow.thresholds import find_peaks, smooth
from biocross.flow.transforms import (
    Transform,
    apply_transform,
    decades_between,
    invert_transform,
    logicle_decades,
    logicle_width,
    negative_reference,
    transform_exactly,
    why_not_logicle,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "transforms"
SCALES = [
    Transform("logicle", top=262144.0, decades=4.5, width=0.5),
    Transform("logicle", top=262144.0, decades=4.5, width=1.4),
    Transform("logicle", top=1024.0, decades=logicle_decades(1024.0), width=0.1),
    Transform("logicle", top=4194304.0, decades=logicle_decades(4194304.0), width=2.0),
    Transform("logicle", top=262144.0, decades=4.5, width=1.0, negative=0.5),
    Transform("logicle", top=262144.0, decades=4.5, width=1.0, negative=-0.5),
]
BIEX = Transform("biex", 262144.000029, 4.418540, negative=1.0, width_basis=-7.943282)


def biexponential(y, transform):
    """The inverse of logicle, from the formulas of Moore & Parks 2012 as they print them."""
    whole = transform.decades + transform.negative
    w = transform.width / whole
    x2 = transform.negative / whole
    b = whole * math.log(10)
    d = b if w == 0 else brentq(lambda d: 2 * math.log(d / b) + w * (b + d), 1e-12, b)
    x1, x0 = x2 + w, x2 + 2 * w
    c_a = math.exp(x0 * (b + d))
    f_a = math.exp(b * x1) - c_a * math.exp(-d * x1)
    a = transform.top / (math.exp(b) - f_a - c_a * math.exp(-d))
    distance = np.abs(y - x1)
    value = a * (np.exp(b * (x1 + distance)) - c_a * np.exp(-d * (x1 + distance)) - f_a)
    return np.where(y < x1, -value, value)


def bisect(values, transform):
    """Logicle by halving an interval of its inverse: slow, and sure."""
    low, high = np.full(values.shape, -8.0), np.full(values.shape, 9.0)
    for _ in range(80):
        middle = (low + high) / 2
        below = biexponential(middle, transform) < values
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def golden(name, kind):
    """By transform: columns of the two numbers that belong together."""
    with (GOLDEN / name).open(newline="") as lines:
        header, *rows = csv.reader(lines, delimiter="\t")
    pairs = {}
    for row in rows:
        numbers = dict(zip(header[:4], map(float, row[:4]), strict=True))
        pairs.setdefault(Transform(kind, **numbers), []).append([float(cell) for cell in row[4:]])
    return {transform: np.array(cells).T for transform, cells in pairs.items()}


@pytest.mark.parametrize(("transform", "pair"), golden("logicle.tsv", "logicle").items())
def test_logicle_equals_flowkit(transform, pair):
    values, expected = pair
    np.testing.assert_allclose(transform_exactly(values, transform), expected, rtol=0, atol=1e-12)
    tolerance = 1e-6 if transform.decades > 2 else 2e-6
    fast = apply_transform(values.astype(np.float32), transform)
    np.testing.assert_allclose(fast, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("transform", "pair"), golden("biex.tsv", "biex").items())
def test_biex_equals_flowkit(transform, pair):
    values, expected = pair
    np.testing.assert_allclose(transform_exactly(values, transform), expected, rtol=0, atol=1e-3)
    fast = apply_transform(values.astype(np.float32), transform)
    np.testing.assert_allclose(fast, expected, rtol=0, atol=3e-3)


@pytest.mark.parametrize(("transform", "pair"), golden("biex_inverse.tsv", "biex").items())
def test_inverse_of_biex_equals_flowkit(transform, pair):
    channels, expected = pair
    np.testing.assert_allclose(
        invert_transform(channels, transform), expected, rtol=1e-12, atol=1e-9
    )


@pytest.mark.parametrize("transform", SCALES)
def test_logicle_equals_bisection(transform):
    values = np.concatenate([np.geomspace(1e-5, 20, 500), -np.geomspace(1e-5, 1, 500), [0]])
    values *= transform.top
    np.testing.assert_allclose(
        transform_exactly(values, transform), bisect(values, transform), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("transform", SCALES)
def test_inverse_of_logicle_is_the_biexponential(transform):
    places = np.linspace(-0.3, 1.1, 2001)
    np.testing.assert_allclose(
        invert_transform(places, transform),
        biexponential(places, transform),
        rtol=1e-10,
        atol=1e-11 * transform.top,
    )


@pytest.mark.parametrize("transform", SCALES)
def test_logicle_inverts_the_biexponential(transform):
    y = np.linspace(-0.3, 1.1, 2001)
    values = biexponential(y, transform).astype(np.float32)
    np.testing.assert_allclose(apply_transform(values, transform), y, rtol=0, atol=1e-5)


@pytest.mark.parametrize("transform", SCALES)
def test_logicle_as_flowkit(transform):
    from flowkit import transforms  # 2 s, so only here

    reference = transforms.LogicleTransform(
        transform.top, transform.width, transform.decades, transform.negative
    )
    values = np.concatenate(
        [np.linspace(-0.05, 1.2, 3001), np.geomspace(1e-6, 1, 500), -np.geomspace(1e-6, 0.1, 500)]
    ).astype(np.float32) * np.float32(transform.top)
    expected = reference.apply(values.astype(np.float64))
    np.testing.assert_allclose(apply_transform(values, transform), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("transform", SCALES)
def test_logicle_landmarks(transform):
    top, zero = apply_transform(np.array([transform.top, 0], dtype=np.float32), transform)
    assert top == pytest.approx(1, abs=1e-6)
    share = (transform.negative + transform.width) / (transform.decades + transform.negative)
    assert zero == pytest.approx(share, abs=1e-6)


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
    linear = Transform("linear")
    np.testing.assert_array_equal(apply_transform(values, linear), values)
    np.testing.assert_array_equal(transform_exactly(values, linear), values)
    np.testing.assert_array_equal(invert_transform(values, linear), values)


@pytest.mark.parametrize("kind", ["linear", "arcsinh", "logicle", "biex"])
def test_results_go_where_they_are_wanted(kind):
    transform = Transform(kind)
    values = np.array([-5, 0, 3e5, 12], dtype=np.float32)
    expected = apply_transform(values, transform).copy()
    out = np.full(4, -1, dtype=np.float32)
    assert apply_transform(values, transform, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert apply_transform(values, transform, out=values) is values
    np.testing.assert_array_equal(values, expected)


def test_biex_ends_where_flowjo_does():
    inf = float("inf")
    for function in (apply_transform, transform_exactly):
        values = np.array([-inf, -1e9, 1e9, inf, np.nan], dtype=np.float32)
        np.testing.assert_array_equal(function(values, BIEX), [0, 0, 4096, 4096, np.nan])
    ends = invert_transform(np.array([0.0, 4096.0]), BIEX)
    np.testing.assert_array_equal(invert_transform(np.array([-3.0, 5e9]), BIEX), ends)


@pytest.mark.parametrize("transform", [*SCALES, Transform("arcsinh", cofactor=5.0)])
def test_what_is_not_finite_stays(transform):
    values = np.array([np.nan, np.inf, -np.inf, 1], dtype=np.float32)
    for function in (apply_transform, transform_exactly):
        result = function(values, transform)
        np.testing.assert_array_equal(result[:3], values[:3])
        assert np.isfinite(result[3])
    np.testing.assert_array_equal(invert_transform(values[:3], transform), values[:3])


@pytest.mark.parametrize(
    ("transform", "named"),
    [
        (Transform("logicle", top=0.0), "T = 0"),
        (Transform("logicle", decades=-0.2, width=0.1), "M = -0.2"),
        (Transform("logicle", decades=4.5, width=2.3), "W = 2.3"),
        (Transform("logicle", width=float("nan")), "W = nan"),
        (Transform("logicle", width=0.5, negative=-0.6), "A = -0.6"),
        (Transform("logicle", decades=4.0, width=1.0, negative=2.1), "A = 2.1"),
        (Transform("logicle", top=float("inf")), "T = inf"),
        (Transform("biex", width_basis=10.0), "width basis 10"),
        (Transform("biex", width_basis=-0.5), "width basis -0.5"),
        (Transform("biex", negative=-1.0), "-1 negative"),
        (Transform("biex", decades=0.4), "0.4 positive"),
        (Transform("biex", top=float("nan")), "range nan"),
        (Transform("arcsinh", cofactor=0.0), "cofactor 0"),
        (Transform("arcsinh", cofactor=float("nan")), "cofactor nan"),
        (Transform("hyperlog"), '"hyperlog"'),
    ],
)
def test_numbers_that_make_no_scale_are_refused(transform, named):
    ones = np.ones(3, dtype=np.float32)
    for function in (apply_transform, transform_exactly, invert_transform):
        with pytest.raises(ConfigError, match=named):
            function(ones, transform)
    with pytest.raises(ConfigError, match=named):
        decades_between(0, 1, transform)


@pytest.mark.parametrize(
    ("transform", "far"),
    [
        *((scale, 1e4) for scale in SCALES),
        (Transform("arcsinh", cofactor=150.0), 1e4),
        (BIEX, 0.0999),
    ],
)
def test_a_decade_far_from_zero_is_a_decade(transform, far):
    low, high = transform_exactly(np.array([far, 10 * far]) * transform.top, transform)
    assert decades_between(low, high, transform) == pytest.approx(1, abs=0.002)
    assert decades_between(high, low, transform) == -decades_between(low, high, transform)


def test_a_linear_scale_has_no_decades():
    assert math.isnan(decades_between(1, 2, Transform("linear")))


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
    assert math.isnan(logicle_decades(0.0))
    assert math.isnan(logicle_decades(-7.0))


@pytest.mark.parametrize("top", [84.0, 1024.0, 262144.0, 4194304.0])
def test_logicle_serves_the_ranges_of_cytometers(top):
    assert why_not_logicle(top) == ""
    assert 0.1 <= logicle_width([-1.0], top) <= logicle_decades(top) / 2


@pytest.mark.parametrize(
    ("top", "named"),
    [(82.0, "82"), (5.0, "0.0 decades"), (0.0, "is 0"), (-7.0, "-7"), (math.inf, "inf")],
)
def test_ranges_too_short_for_logicle_are_named(top, named):
    assert named in why_not_logicle(top)
    assert "left linear" in why_not_logicle(top)
    assert math.isnan(logicle_width([-1.0], top))


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


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "split_when_narrow"),
    [("fcs_oddities/fcs30_float_be_fortessa.fcs", 1), ("flowkit/test_comp_example.fcs", 3)],
)
def test_negatives_of_real_channels_are_one_peak(test_data, name, split_when_narrow):
    """With the width chosen no channel has a second peak at or below zero; with the least, some."""
    file = read_fcs(test_data / name)
    events = compensate(file.events, file.channels, file.spillover)
    split = {"chosen": [], "least": []}
    for channel in file.spillover.channels:
        values = events[:, file.channels.index(channel)]
        top = file.ranges[file.channels.index(channel)]
        reference = negative_reference(values)
        widths = {"chosen": logicle_width([reference], top), "least": 0.1}
        assert 0.3 < widths["chosen"] < 0.7
        for which, width in widths.items():
            transform = Transform("logicle", top, logicle_decades(top), width)
            grid, density, effective = smooth(apply_transform(values, transform).astype(float))
            peaks = invert_transform(grid[find_peaks(density, effective)], transform)
            if np.sum(np.abs(peaks) < 4 * abs(reference)) > 1 and peaks[0] < 0:
                split[which].append(channel)
    assert split["chosen"] == []
    assert len(split["least"]) == split_when_narrow
