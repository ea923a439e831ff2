"""Where the label of a gate fits into its plot."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# The size of type in points; a letter's width and a line's height as shares of it.
TEXT, LETTER, LINE = 5.5, 0.53, 1.2
# What a label costs: on events, on borders, outside its gate, in another gate, on another label.
ON_EVENTS, ON_BORDER, OUTSIDE, IN_ANOTHER, ON_LABEL = 2.0, 3.0, 1.2, 1.0, 8.0
EDGE = 0.02
Floats = NDArray[np.float64]
# Left, right, bottom and top of a gate, as shares of the plot.
Box = tuple[float, float, float, float]


class Tile(NamedTuple):
    """The place of one plot on the page, in points: lower left corner, width and height."""

    left: float
    bottom: float
    size: float


class LabelRoom:
    """The room for labels in one plot.

    A label goes into its gate or right beside it: where the fewest events lie, off other gates,
    and never onto another label.

    Parameters
    ----------
    busy
        Shape (pixels, pixels), the lowest row first: 1 where events are drawn.
    boxes
        The gates of the plot.
    tile
        The plot.
    """

    def __init__(self, busy: NDArray[np.float32], boxes: Sequence[Box], tile: Tile) -> None:
        self.cost = ON_EVENTS * busy
        self.boxes = boxes
        self.tile = tile
        for left, right, bottom, top in boxes:
            rows, columns = self._cells(left, right, bottom, top)
            for side in {rows.start, rows.stop} - {0, len(busy)}:
                self.cost[side - 1 : side + 1, columns] += ON_BORDER
            for side in {columns.start, columns.stop} - {0, len(busy)}:
                self.cost[rows, side - 1 : side + 1] += ON_BORDER

    def take(
        self, lines: Sequence[str], box: Box
    ) -> tuple[float, float, list[tuple[float, float]]]:
        """Give a label its place, and keep the next ones off it.

        Parameters
        ----------
        lines
            Its lines.
        box
            Its gate.

        Returns
        -------
        x, y : float
            The middle of the label on the page, in points.
        ground : list of (float, float)
            Corners of its ground on the page.
        """
        size = self.tile.size
        width = min((max(map(len, lines)) * TEXT * LETTER + 2) / size, 1 - 2 * EDGE)
        height = min((len(lines) * LINE * TEXT + 1) / size, 1 - 2 * EDGE)
        others = [other for other in self.boxes if other != box]
        places = _candidates(box, width, height)
        costs = self._costs(places, box, others)
        left, right, bottom, top = (float(side) for side in places[int(np.argmin(costs))])
        self.cost[self._cells(left, right, bottom, top)] += ON_LABEL
        x = [self.tile.left + side * size for side in (left, right)]
        y = [self.tile.bottom + side * size for side in (bottom, top)]
        ground = [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])]
        return sum(x) / 2, sum(y) / 2, ground

    def _costs(self, places: Floats, box: Box, others: Sequence[Box]) -> Floats:
        """Return what every place costs; places as rows of left, right, bottom and top."""
        left, right, bottom, top = places.T
        area = (right - left) * (top - bottom)
        outside = 1 - _overlaps(places, box) / area
        # In a gate that contains its own one a label is not astray.
        astray = np.zeros(len(places))
        for other in others:
            shared = _overlaps(places, other) - _overlaps(places, _intersection(other, box))
            astray = np.maximum(astray, shared / area)
        sides = [box[0] - right, left - box[1], box[2] - top, bottom - box[3]]
        apart = np.maximum(np.max(sides, axis=0), 0)
        far = OUTSIDE * (0.4 * outside + 2 * apart)
        return np.asarray(self._covered(places) + far + IN_ANOTHER * astray)

    def _covered(self, places: Floats) -> Floats:
        """Return the mean cost of the pixels below every place, from sums over rectangles."""
        sums = np.pad(self.cost, ((1, 0), (1, 0))).cumsum(0, dtype=np.float64).cumsum(1)
        rows, columns = self.cost.shape
        x = (places[:, :2] * columns).astype(int)
        y = (places[:, 2:] * rows).astype(int)
        x0, x1, y0, y1 = x[:, 0], np.maximum(x[:, 1], x[:, 0] + 1), y[:, 0], y[:, 1]
        y1 = np.maximum(y1, y0 + 1)
        total = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        return np.asarray(total / ((x1 - x0) * (y1 - y0)))

    def _cells(self, left: float, right: float, bottom: float, top: float) -> tuple[slice, slice]:
        rows, columns = self.cost.shape
        return (
            slice(int(bottom * rows), max(int(top * rows), int(bottom * rows) + 1)),
            slice(int(left * columns), max(int(right * columns), int(left * columns) + 1)),
        )


def _candidates(box: Box, width: float, height: float) -> Floats:
    """Return places inside a gate and around it, all within the plot; preferred ones first."""
    left, right, bottom, top = box
    around = np.meshgrid(
        np.linspace(left - width, right, 13), np.linspace(top + height, bottom - 2 * height, 13)
    )
    inside = np.meshgrid(
        np.linspace(left + EDGE, right - width - EDGE, 7),
        np.linspace(top - height - EDGE, bottom + EDGE, 7),
    )
    x, y = (np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(around, inside, strict=True))
    x, y = np.clip(x, EDGE, 1 - EDGE - width), np.clip(y, EDGE, 1 - EDGE - height)
    return np.column_stack([x, x + width, y, y + height])


def _intersection(one: Box, other: Box) -> Box:
    return (
        max(one[0], other[0]),
        min(one[1], other[1]),
        max(one[2], other[2]),
        min(one[3], other[3]),
    )


def _overlaps(places: Floats, box: Box) -> Floats:
    """Return the area that every place shares with a box."""
    wide = np.minimum(places[:, 1], box[1]) - np.maximum(places[:, 0], box[0])
    high = np.minimum(places[:, 3], box[3]) - np.maximum(places[:, 2], box[2])
    return np.asarray(np.maximum(wide, 0) * np.maximum(high, 0))
