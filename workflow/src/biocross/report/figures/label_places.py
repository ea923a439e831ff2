"""Where names stand beside points so that they hide neither each other nor the points."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Width of a letter and height of a line as shares of the size of type.
LETTER, LINE = 0.56, 1.25
# Directions and distances (in points) that are tried, the preferred ones first.
ANGLES = np.deg2rad([0, 180, 40, 140, -40, -140, 90, -90])
DISTANCES = (4, 9, 16, 26, 38, 52)
POINT = 3.0
ON_LABEL, ON_POINT, OUTSIDE, FAR = 20.0, 3.0, 30.0, 0.05


def label_places(
    points: FloatArray, sizes: FloatArray, room: tuple[float, float], obstacles: FloatArray
) -> FloatArray:
    """Choose the lower left corner of every label, one after the other.

    Parameters
    ----------
    points
        Shape (labels, 2), in points from the lower left corner of the plot.
    sizes
        Width and height of every label, shape (labels, 2).
    room
        Width and height of the plot.
    obstacles
        Shape (all points, 2): what labels should not hide.

    Returns
    -------
    ndarray
        Shape (labels, 2).
    """
    placed = np.empty((0, 4))
    corners = np.empty_like(points)
    for number, (point, size) in enumerate(zip(points, sizes, strict=True)):
        boxes, distances = _candidates(point, size)
        cost = FAR * distances + OUTSIDE * _outside(boxes, room)
        cost += ON_LABEL * _overlaps(boxes, placed)
        dots = np.column_stack([obstacles - POINT, obstacles + POINT])
        cost += ON_POINT * _overlaps(boxes, dots)
        best = boxes[int(np.argmin(cost))]
        corners[number] = best[:2]
        placed = np.vstack([placed, best])
    return corners


def _candidates(point: FloatArray, size: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return boxes (left, bottom, right, top) around a point and their distances."""
    boxes, distances = [], []
    for distance in DISTANCES:
        for angle in ANGLES:
            way = np.array([np.cos(angle), np.sin(angle)])
            # The label's side that faces the point stands at the distance.
            middle = point + way * distance + np.round(way, 1) * size / 2
            boxes.append(np.concatenate([middle - size / 2, middle + size / 2]))
            distances.append(distance)
    return np.array(boxes), np.array(distances, dtype=float)


def _outside(boxes: FloatArray, room: tuple[float, float]) -> FloatArray:
    limits = np.array(room)
    below = np.clip(-boxes[:, :2], 0, None).sum(1)
    above = np.clip(boxes[:, 2:] - limits, 0, None).sum(1)
    return np.asarray(below + above > 0, dtype=np.float64)


def _overlaps(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Count how many of the others each box touches."""
    apart = (boxes[:, None, :2] >= others[None, :, 2:]) | (
        others[None, :, :2] >= boxes[:, None, 2:]
    )
    return np.asarray((~apart.any(2)).sum(1), dtype=np.float64)


def write_labels(
    axis: Axes,
    x: FloatArray,
    y: FloatArray,
    texts: Sequence[str],
    wanted: Sequence[int],
    size: float,
) -> None:
    """Write names beside some of the points of a plot, with a thin line where they stand off.

    The limits and scales of the axes must be set, and their place on the page be fixed.

    Parameters
    ----------
    axis
        The axes.
    x, y
        All points, in data coordinates.
    texts
        The names of the wanted points.
    wanted
        Indices of the points to name.
    size
        Size of type in points.
    """
    if not len(wanted):
        return
    to_points = 72 / axis.figure.dpi
    box = axis.get_window_extent()
    pixels = axis.transData.transform(np.column_stack([x, y]))
    spots = (pixels - [box.x0, box.y0]) * to_points
    sizes = np.array([[LETTER * size * len(text), LINE * size] for text in texts])
    room = (box.width * to_points, box.height * to_points)
    corners = label_places(spots[list(wanted)], sizes, room, spots)
    for corner, extent, text, index in zip(corners, sizes, texts, wanted, strict=True):
        middle = corner + extent / 2
        line = {"arrowstyle": "-", "linewidth": 0.4, "color": "#8A8A8A", "shrinkA": 0, "shrinkB": 2}
        far = np.abs(middle - spots[index]).max() > extent.max() / 2 + 8
        axis.annotate(
            text,
            (float(x[index]), float(y[index])),
            xytext=(float(middle[0]), float(middle[1])),
            textcoords="axes points",
            ha="center",
            va="center",
            fontsize=size,
            arrowprops=line if far else None,
            parse_math=False,
        )
