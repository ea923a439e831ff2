import numpy as np
import pytest

from biocross.cohort.gate_regions import Ellipse, Polygon, Rectangle, Singlets
from biocross.flow.gate_shapes import (
    inside_ellipse,
    inside_polygon,
    inside_rectangle,
    inside_region,
    is_above,
)

# Coordinates that corners and events share, so that many events lie on borders.
PLACES = np.array([0, 0.25, 0.3, 0.5, 0.7, 0.75, 1])
INF = float("inf")


@pytest.fixture
def events():
    random = np.random.default_rng(4)
    on_places = random.choice(PLACES, (2, 4000))
    return np.concatenate([on_places, random.uniform(-0.2, 1.2, (2, 4000))], axis=1).astype("f4")


@pytest.fixture(scope="module")
def flowkit():
    return pytest.importorskip("flowkit")


def frame(events):
    import pandas as pd

    return pd.DataFrame({name: row.astype(float) for name, row in zip("xyz", events, strict=False)})


def dimensions(flowkit, low=(None, None), high=(1, 1)):
    return [
        flowkit.Dimension(name, range_min=start, range_max=end)
        for name, start, end in zip("xyz", low, high, strict=False)
    ]


@pytest.mark.parametrize("border", [0.5, 0.7, 0.3, 1 / 3, -0.1, 1e-60, 1e300, -1e300, INF, -INF])
def test_above_is_exact_in_double_precision(events, border):
    values = np.concatenate([events[0], np.float32([border if abs(border) < 1e30 else 1.0])])
    expected = [float(value) > border for value in values]
    assert is_above(values, border).tolist() == expected


def test_a_border_between_two_single_precision_numbers():
    """0.7 is none in single precision: the nearest, below it, must not count as above."""
    nearest = np.float32(0.7)
    assert float(nearest) < 0.7
    values = np.array([nearest, np.nextafter(nearest, np.float32(1))])
    assert is_above(values, 0.7).tolist() == [False, True]
    assert is_above(values, float(nearest)).tolist() == [False, True]
    assert inside_rectangle([values], [0.7], [INF]).tolist() == [False, True]
    assert inside_rectangle([values], [float(nearest)], [INF]).tolist() == [True, True]
    assert inside_rectangle([values], [-INF], [0.7]).tolist() == [True, False]
    assert inside_rectangle([values], [-INF], [float(nearest)]).tolist() == [False, False]


def test_nothing_is_above_an_unknown_border(events):
    assert not is_above(events[0], float("nan")).any()


@pytest.mark.parametrize(
    ("low", "high"),
    [((0.25, 0.3), (0.5, 0.7)), ((0.3, -INF), (INF, 0.7)), ((-INF, 0.1), (0.75, INF))],
)
def test_rectangle_against_flowkit_and_brute_force(events, flowkit, low, high):
    inside = inside_region(Rectangle(("x", "y"), low, high), list(events))
    brute = [
        all(a <= float(v) < b for v, a, b in zip(event, low, high, strict=True))
        for event in events.T
    ]
    assert inside.tolist() == brute
    ends = [tuple(None if np.isinf(v) else v for v in values) for values in (low, high)]
    gate = flowkit.gates.RectangleGate("g", dimensions(flowkit, *ends))
    assert (inside == gate.apply(frame(events))).all()
    assert 0 < inside.sum() < inside.size


def winding_parity(x, y, vertices):
    """Count crossings of a ray to the right with exact fractions."""
    from fractions import Fraction as F

    x, y = F(float(x)), F(float(y))
    odd = False
    corners = [(F(float(a)), F(float(b))) for a, b in vertices]
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        if min(y1, y2) <= y < max(y1, y2):
            odd ^= x < x1 + (y - y1) * (x2 - x1) / (y2 - y1)
    return odd


@pytest.mark.parametrize("seed", range(12))
def test_polygon_against_flowkit_and_brute_force(events, flowkit, seed):
    random = np.random.default_rng(seed)
    corners = random.integers(3, 9)
    on_grid = random.choice(PLACES, (corners, 2))
    vertices = on_grid if seed % 3 else random.random((corners, 2))
    inside = inside_polygon(*events, vertices)
    gate = flowkit.gates.PolygonGate("g", dimensions(flowkit), vertices.tolist())
    assert (inside == gate.apply(frame(events))).all()
    # Corners as single precision would have them, so that the events on edges are exactly there.
    single = vertices.astype("f4").astype(float)
    inside = inside_polygon(*events, single)
    some = slice(None, None, 7)
    brute = [winding_parity(x, y, single) for x, y in events[:, some].T]
    assert inside[some].tolist() == brute


SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)


@pytest.mark.parametrize("vertices", [SQUARE, SQUARE[::-1], np.roll(SQUARE, 1, axis=0)])
def test_borders_of_a_polygon_are_those_of_a_rectangle(vertices):
    places = np.array([0, 0.5, 1], dtype="f4")
    x, y = (axis.ravel() for axis in np.meshgrid(places, places))
    inside = inside_polygon(x, y, vertices)
    assert (inside == inside_rectangle([x, y], [0, 0], [1, 1])).all()
    assert inside.sum() == 4


def test_polygons_that_share_an_edge_share_no_event(events):
    left = np.array([[0, 0], [0.3, 0], [0.7, 1], [0, 1]])
    right = np.array([[0.3, 0], [1, 0], [1, 1], [0.7, 1]])
    first, second = inside_polygon(*events, left), inside_polygon(*events, right)
    assert not (first & second).any()
    assert ((first | second) == inside_polygon(*events, SQUARE)).all()


def test_a_polygon_that_crosses_itself_has_a_hole(events):
    bow = np.array([[0, 0], [1, 1], [1, 0], [0, 1]], dtype=float)
    inside = inside_polygon(*np.array([[0.2, 0.8, 0.5, 0.5], [0.5, 0.5, 0.1, 0.9]], "f4"), bow)
    assert inside.tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("mean", "covariance", "square"),
    [
        ((0.5, 0.5), ((0.0625, 0), (0, 0.0625)), 1.0),
        ((0.25, 0.5), ((0.25, 0), (0, 0.0625)), 4.0),
        ((0.5, 0.4), ((0.04, 0.02), (0.02, 0.05)), 2.0),
    ],
)
def test_ellipse_against_flowkit_and_brute_force(events, flowkit, mean, covariance, square):
    inside = inside_region(Ellipse(("x", "y"), mean, covariance, square), list(events))
    gate = flowkit.gates.EllipsoidGate("g", dimensions(flowkit), mean, covariance, square)
    assert (inside == gate.apply(frame(events))).all()
    inverse = np.linalg.inv(covariance)
    brute = [
        (event - mean) @ inverse @ (event - mean) <= square for event in events.T.astype(float)
    ]
    assert (inside == brute).mean() > 0.9999  # those on the border itself may differ
    assert 0 < inside.sum() < inside.size


def test_the_border_of_an_ellipse_is_inside():
    x, y = np.array([[0.75, 0.25, 0.5, 0.751], [0.5, 0.5, 0.75, 0.5]], "f4")
    covariance = np.diag([0.0625, 0.0625])
    found = inside_ellipse([x, y], np.array([0.5, 0.5]), covariance, 1.0)
    assert found.tolist() == [True, True, True, False]


def test_ellipsoid_of_three_markers(events, flowkit):
    columns = np.vstack([events, events[0][::-1]])
    mean, covariance = (0.5, 0.5, 0.5), ((0.1, 0.02, 0), (0.02, 0.1, 0.03), (0, 0.03, 0.2))
    found = inside_region(Ellipse(("x", "y", "z"), mean, covariance, 2.0), list(columns))
    gate = flowkit.gates.EllipsoidGate(
        "g", dimensions(flowkit, (None,) * 3, (1,) * 3), mean, covariance, 2.0
    )
    assert (found == gate.apply(frame(columns))).all()


def test_singlets_drop_the_doublets():
    random = np.random.default_rng(0)
    height = random.normal(60_000, 6_000, 5000)
    area = height * random.normal(1, 0.03, 5000)
    doublet = np.arange(5000) % 10 == 0
    area[doublet] *= 1.8
    side = random.normal(20_000, 2_000, 5000)
    columns = [column.astype("f4") for column in (area, height, side)]
    for used in (columns, columns[:2]):
        names = ("FSC-A", "FSC-H", "SSC-A")[: len(used)]
        kept = inside_region(Singlets(names), used)
        assert not kept[doublet].any()
        assert kept[~doublet].mean() > 0.99
        stricter = inside_region(Singlets(names, n_mad=1.0), used)
        assert stricter.sum() < kept.sum()


def test_regions_without_events():
    nothing = [np.empty(0, dtype="f4")] * 2
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    for region in (
        Rectangle(("x", "y"), (0.0, 0.0), (1.0, INF)),
        Polygon(("x", "y"), corners),
        Ellipse(("x", "y"), (0.0, 0.0), ((1.0, 0.0), (0.0, 1.0)), 1.0),
        Singlets(("x", "y")),
    ):
        assert inside_region(region, nothing).shape == (0,)
