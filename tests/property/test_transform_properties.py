"""Transforms: round trips, order, and the tabulated against the exact function."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.flow.transforms import (
    Transform,
    apply_transform,
    decades_between,
    invert_transform,
    transform_exactly,
)

QUIET = settings(deadline=None, max_examples=150)
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@st.composite
def logicles(draw):
    decades = draw(st.floats(1.0, 8.0))
    width = draw(st.floats(0.0, decades / 2))
    negative = draw(st.floats(-width, max(-width, decades - 2 * width)))
    # Short of the corner M = -A, where no scale is left.
    negative = max(negative, 0.5 - decades)
    return Transform("logicle", draw(st.floats(83, 1e8)), decades, width, negative=negative)


@st.composite
def biexes(draw):
    return Transform(
        "biex",
        draw(st.floats(1e3, 1e8)),
        draw(st.floats(2.5, 8.0)),
        negative=draw(st.floats(0, 3)),
        width_basis=-(10 ** draw(st.floats(0, 3))),
    )


ARCSINHS = st.floats(0.1, 1e4).map(lambda cofactor: Transform("arcsinh", cofactor=cofactor))
CURVED = st.one_of(logicles(), biexes(), ARCSINHS)


def length(transform):
    """Length of a usual display in its unit."""
    return {"logicle": 1.0, "arcsinh": 10.0, "biex": 4096.0}[transform.kind]


@QUIET
@given(transform=CURVED, share=st.floats(0, 1))
def test_there_and_back_on_the_display(transform, share):
    place = np.array([share * length(transform)])
    back = transform_exactly(invert_transform(place, transform), transform)
    np.testing.assert_allclose(back, place, rtol=0, atol=1e-12 * length(transform))


@QUIET
@given(transform=st.one_of(logicles(), ARCSINHS), value=st.floats(-1e9, 1e9))
def test_there_and_back_in_data_units(transform, value):
    back = float(invert_transform(transform_exactly(np.array([value]), transform), transform)[0])
    # What the display cannot tell apart from zero.
    width = invert_transform(
        transform_exactly(np.zeros(1), transform) + 1e-14 * length(transform), transform
    )
    assert math.isclose(back, value, rel_tol=1e-10, abs_tol=float(width[0]))


@QUIET
@given(transform=CURVED, values=st.lists(FLOATS, min_size=1, max_size=50))
def test_fast_equals_exact(transform, values):
    values = np.array(values, dtype=np.float32)
    fast, exact = apply_transform(values, transform), transform_exactly(values, transform)
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(np.isfinite(fast), finite)
    np.testing.assert_array_equal(fast[~finite], exact[~finite])
    np.testing.assert_allclose(
        fast[finite], exact[finite], rtol=4e-7, atol=2e-6 * length(transform)
    )


@QUIET
@given(
    transform=CURVED,
    value=st.floats(-(2.0**126), 2.0**126, width=32),
    steps=st.integers(1, 2_000_000),
)
def test_a_larger_value_never_gets_less(transform, value, steps):
    here = np.float32(abs(value)).view(np.int32)
    # Some floats on, and the neighbours at the ends of buckets on the way.
    ends = (np.linspace(here, here + steps, 50).astype(np.int32) >> 15) << 15
    bits = np.concatenate([ends - 1, ends, [here, here + 1, here + steps]])
    values = np.sort(np.clip(bits, 0, None).astype(np.int32)).view(np.float32)
    if value < 0:
        values = -values[::-1]
    assert (np.diff(apply_transform(values, transform)) >= 0).all()


@QUIET
@given(transform=CURVED, values=st.lists(FLOATS, min_size=1, max_size=20))
def test_events_are_transformed_one_by_one(transform, values):
    values = np.array(values, dtype=np.float32)
    alone = [apply_transform(values[i : i + 1], transform)[0] for i in range(values.size)]
    np.testing.assert_array_equal(apply_transform(values, transform), alone)


@QUIET
@given(transform=CURVED, places=st.tuples(*[st.floats(0, 1)] * 3))
def test_distances_add_up(transform, places):
    a, b, c = (place * length(transform) for place in places)
    whole = decades_between(a, c, transform)
    parts = decades_between(a, b, transform) + decades_between(b, c, transform)
    assert math.isclose(whole, parts, rel_tol=1e-9, abs_tol=1e-9)
