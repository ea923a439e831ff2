"""Which events lie inside a gate: thresholds, rectangles, polygons, ellipses, single cells.

Events are float32 and borders are float64. A border is rounded once, to the float32 that divides
the events as the float64 itself would, so that comparisons are exact and run on float32.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.gate_regions import Ellipse, Polygon, Rectangle, Region, Singlets
from biocross.flow.quality.scatter import flag_doublets

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]


def is_above(values: Values, border: float) -> Mask:
    """Return which events are positive; one on the border is negative.

    Parameters
    ----------
    values
        Transformed values, shape (events,).
    border
        The threshold; nothing lies above NaN.

    Returns
    -------
    ndarray of bool
        Shape (events,).
    """
    return np.asarray(values > _largest_not_above(border))


def inside_region(region: Region, columns: Sequence[Values]) -> Mask:
    """Return which events lie inside a region.

    Parameters
    ----------
    region
        The region.
    columns
        Values of its markers, in its order, shape (events,) each.

    Returns
    -------
    ndarray of bool
        Shape (events,).
    """
    if isinstance(region, Rectangle):
        return inside_rectangle(columns, region.low, region.high)
    if isinstance(region, Polygon):
        return inside_polygon(columns[0], columns[1], np.array(region.vertices))
    if isinstance(region, Ellipse):
        mean, covariance = np.array(region.mean), np.array(region.covariance)
        return inside_ellipse(columns, mean, covariance, region.distance_square)
    return are_singlets(region, columns)


def inside_rectangle(
    columns: Sequence[Values], low: Sequence[float], high: Sequence[float]
) -> Mask:
    """Return which events lie in low <= value < high in every dimension.

    Parameters
    ----------
    columns
        Values by dimension, shape (events,) each.
    low, high
        Borders by dimension; -inf and inf are open.

    Returns
    -------
    ndarray of bool
        Shape (events,).

    References
    ----------
    Spidlen 2015, Cytometry A 87A:683 (Gating-ML 2.0), section 5.1.1.
    """
    inside = np.ones(columns[0].shape, dtype=bool)
    for values, start, end in zip(columns, low, high, strict=True):
        if start > -math.inf:
            inside &= values >= _smallest_not_below(start)
        if end < math.inf:
            inside &= values < _smallest_not_below(end)
    return inside


def inside_polygon(x: Values, y: Values, vertices: NDArray[np.float64]) -> Mask:
    """Return which events lie inside a polygon, by the even-odd rule.

    A ray goes from the event to the right: it lies inside where the ray crosses the border an odd
    number of times. On the border itself the left and the lower edges belong to the polygon, so
    that polygons which share an edge share no event.

    Parameters
    ----------
    x, y
        Values on both axes, shape (events,).
    vertices
        Corners in order, shape (corners, 2).

    Returns
    -------
    ndarray of bool
        Shape (events,).

    References
    ----------
    Shimrat 1962, Commun ACM 5:434; Spidlen 2015, Cytometry A 87A:683 (Gating-ML 2.0), 5.1.3.
    """
    inside = np.zeros(x.shape, dtype=bool)
    (left, bottom), (right, top) = vertices.min(axis=0), vertices.max(axis=0)
    near = np.flatnonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
    px, py = x[near].astype(np.float64), y[near].astype(np.float64)
    odd = np.zeros(near.size, dtype=bool)
    for (x1, y1), (x2, y2) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        level = np.flatnonzero((py >= min(y1, y2)) & (py < max(y1, y2)))
        # Above 0 where the event is left of the edge, seen along the edge.
        side = (x2 - x1) * (py[level] - y1) - (px[level] - x1) * (y2 - y1)
        odd[level] ^= side > 0 if y2 > y1 else side < 0
    inside[near[odd]] = True
    return inside


def inside_ellipse(
    columns: Sequence[Values],
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    distance_square: float,
) -> Mask:
    """Return which events have a squared Mahalanobis distance of at most `distance_square`.

    Parameters
    ----------
    columns
        Values by dimension, shape (events,) each.
    mean
        The centre, shape (dimensions,).
    covariance
        Shape (dimensions, dimensions).
    distance_square
        Square of the distance at the border, which is inside.

    Returns
    -------
    ndarray of bool
        Shape (events,).

    References
    ----------
    Spidlen 2015, Cytometry A 87A:683 (Gating-ML 2.0), section 5.1.2.
    """
    inverse = np.linalg.inv(covariance)
    centred = [
        values.astype(np.float64) - place for values, place in zip(columns, mean, strict=True)
    ]
    distance = np.zeros(columns[0].shape)
    for values, weights in zip(centred, inverse.T, strict=True):
        # A plain sum, not a matrix product, whose last digit may depend on the number of events.
        rotated = sum(
            (other * weight for other, weight in zip(centred, weights, strict=True)),
            start=np.zeros(()),
        )
        distance += rotated * values
    return np.asarray(distance <= distance_square)


def are_singlets(region: Singlets, columns: Sequence[Values]) -> Mask:
    """Return which events are single cells by the area of a scatter pulse against its height.

    Parameters
    ----------
    region
        The gate.
    columns
        Area and height, and side scatter if it is used, as acquired, shape (events,) each.

    Returns
    -------
    ndarray of bool
        Shape (events,); see `flag_doublets`.
    """
    area, height, *side = columns
    return ~flag_doublets(area, height, side[0] if side else None, region.n_mad)


def _largest_not_above(border: float) -> np.float32:
    with np.errstate(over="ignore"):
        single = np.float32(border)
    return np.nextafter(single, np.float32(-np.inf)) if float(single) > border else single


def _smallest_not_below(border: float) -> np.float32:
    with np.errstate(over="ignore"):
        single = np.float32(border)
    return np.nextafter(single, np.float32(np.inf)) if float(single) < border else single
