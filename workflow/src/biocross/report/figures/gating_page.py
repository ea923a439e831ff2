"""One page of gating plots: tiles with frames, ticks, densities, gates and their labels."""

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from biocross.report.figures.densities import (
    PIXELS,
    dot_size,
    faded,
    pseudocolour,
    smooth_1d,
    to_pixels,
)
from biocross.report.figures.gating_steps import Outline, ShownGate, Step, Visit
from biocross.report.figures.label_room import LETTER, TEXT, Box, LabelRoom, Tile
from biocross.report.figures.scale_axes import Ticks
from biocross.report.figures.style import BLUE
from biocross.report.words import plain

# A4 in points, and what lies around the plots.
PAGE_WIDTH, PAGE_HEIGHT, MARGIN = 595.0, 842.0, 22.0
HEAD, ABOVE, BELOW, LEFT, GAP = 46.0, 21.0, 25.0, 34.0, 5.0
NOTE_LINE = 8.0
SMALL, DIM = 5.0, "#555555"
SHADE = 0.07
HISTOGRAM_SMOOTHING, HISTOGRAM_HEIGHT = 2.5, 0.7


class Scale(NamedTuple):
    """The axis of a marker in all plots of a patient.

    Parameters
    ----------
    low, high
        Its ends, in the display unit of the marker's transform.
    ticks
        Between them.
    label
        Marker and fluorochrome.
    """

    low: float
    high: float
    ticks: Ticks
    label: str


class Page:
    """One page. All lines are drawn at once: an axis per plot would take ten times as long.

    Parameters
    ----------
    visits
        One column per visit.
    scales
        By marker.
    size
        Width and height of a plot, in points.
    height
        Of the page, in points.
    """

    def __init__(
        self, visits: Sequence[Visit], scales: Mapping[str, Scale], size: float, height: float
    ) -> None:
        self.visits = visits
        self.scales = scales
        self.size = size
        self.height = height
        self.figure = Figure(figsize=(PAGE_WIDTH / 72, height / 72))
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self._lines: dict[str, list[Any]] = {"frame": [], "major": [], "minor": [], "gate": []}
        self._areas: dict[str, list[Any]] = {"gate": [], "label": [], "histogram": []}

    def fill(self, title: str, rows: Sequence[Sequence[Step]], notes: Sequence[str]) -> None:
        """Draw rows of steps from the top, and the notes below them."""
        top = self.height - HEAD
        self._write(MARGIN, self.height - MARGIN, title, size=9, weight="bold", va="top")
        said = "colour: density of events; percent of the events plotted, and events in the gate"
        self._write(MARGIN, self.height - MARGIN - 12, said, va="top", color=DIM)
        for row in rows:
            for place, step in enumerate(row):
                width = LEFT + len(self.visits) * (self.size + GAP)
                self._draw_step(step, MARGIN + place * width, top - ABOVE - self.size)
            top -= self.size + ABOVE + BELOW
        for number, line in enumerate(notes):
            weight = "normal" if number else "bold"
            self._write(MARGIN, top - 8 - number * NOTE_LINE, line, weight=weight, va="top")
        self._flush()

    def _write(self, x: float, y: float, text: str, size: float = TEXT, **look: Any) -> None:
        self.axes.text(x, y, text, fontsize=size, parse_math=False, **look)

    def _draw_step(self, step: Step, left: float, bottom: float) -> None:
        above = bottom + self.size
        parent = plain(step.parent) or "all events that passed"
        self._write(left + LEFT, above + 12.5, parent, size=6.5, weight="bold")
        if step.within:
            start = len(parent) * 6.5 * 0.66 + 4
            room = int((len(self.visits) * (self.size + GAP) - start) / (TEXT * LETTER))
            self._write(left + LEFT + start, above + 12.5, _end_of(step.within, room), color=DIM)
        for place, visit in enumerate(self.visits):
            tile = Tile(left + LEFT + place * (self.size + GAP), bottom, self.size)
            self._draw_frame(step, tile, is_first=place == 0)
            events = step.events[place]
            said = "" if events is None else f"{events.size:,} events"
            room = int(self.size / (TEXT * LETTER)) - len(said)
            self._write(tile.left, above + 3, _beginning_of(visit.title, max(room, 8)))
            self._write(tile.left + self.size, above + 3, said, size=SMALL, ha="right")
            if why := _why_empty(step, visit, events):
                x, y = tile.left + self.size / 2, bottom + self.size / 2
                self._write(x, y, why, ha="center", va="center", style="italic")
            elif events is not None:
                self._draw_events(step, place, events, tile)
        x_label = self.scales[step.x].label
        middle = left + LEFT + (len(self.visits) * (self.size + GAP) - GAP) / 2
        self._write(middle, bottom - 17.5, x_label, size=6, ha="center")

    def _draw_frame(self, step: Step, tile: Tile, is_first: bool) -> None:
        corners = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
        box = [(tile.left + x * tile.size, tile.bottom + y * tile.size) for x, y in corners]
        self._lines["frame"].append(box)
        scale = self.scales[step.x]
        for kind, length in (("major", 3.0), ("minor", 1.7)):
            for x in _places(scale, getattr(scale.ticks, kind), tile.left, tile.size):
                self._lines[kind].append([(x, tile.bottom), (x, tile.bottom - length)])
        majors = _places(scale, scale.ticks.major, tile.left, tile.size)
        for x, label in zip(majors, scale.ticks.labels, strict=True):
            # Labels at the ends keep out of the neighbouring plots.
            reach = len(label) * SMALL * LETTER / 2
            x = min(max(x, tile.left + reach), tile.left + tile.size - reach)
            self._write(x, tile.bottom - 4, label, size=SMALL, ha="center", va="top")
        if step.y:
            self._draw_side(self.scales[step.y], tile, is_first)

    def _draw_side(self, scale: Scale, tile: Tile, is_first: bool) -> None:
        for kind, length in (("major", 3.0), ("minor", 1.7)):
            for y in _places(scale, getattr(scale.ticks, kind), tile.bottom, tile.size):
                self._lines[kind].append([(tile.left, y), (tile.left - length, y)])
        if not is_first:
            return
        majors = _places(scale, scale.ticks.major, tile.bottom, tile.size)
        for y, label in zip(majors, scale.ticks.labels, strict=True):
            self._write(tile.left - 4, y, label, size=SMALL, ha="right", va="center")
        place = (tile.left - 27, tile.bottom + tile.size / 2)
        self._write(*place, scale.label, size=6, rotation=90, ha="center", va="center")

    def _draw_events(self, step: Step, place: int, events: NDArray[np.intp], tile: Tile) -> None:
        visit = self.visits[place]
        x = self._pixels(visit, step.x, events)
        if not step.y:
            busy = self._draw_histogram(x, tile)
        else:
            y = self._pixels(visit, step.y, events)
            dot = dot_size(max(one.size for one in step.events if one is not None))
            image = pseudocolour(x, y, dot)
            for gate in step.gates:
                outline = gate.outlines[place]
                if outline and not outline.is_drawn:
                    kept_x = self._pixels(visit, step.x, outline.inside)
                    kept_y = self._pixels(visit, step.y, outline.inside)
                    image = faded(image, pseudocolour(kept_x, kept_y, dot))
            self._draw_image(image, tile)
            busy = (image[..., 3] > 0).astype(np.float32)
        shown = [(gate, outline) for gate in step.gates if (outline := gate.outlines[place])]
        boxes = [self._box(step, outline) for _, outline in shown]
        room = LabelRoom(busy, boxes, tile)
        for (gate, outline), box in zip(shown, boxes, strict=True):
            self._draw_gate(step, outline, tile)
            self._label_gate(gate, outline, events.size, box, room)

    def _pixels(self, visit: Visit, marker: str, events: NDArray[np.intp]) -> NDArray[np.intp]:
        scale = self.scales[marker]
        return to_pixels(visit.events.values[marker][events], scale.low, scale.high)

    def _draw_image(self, image: NDArray[np.uint8], tile: Tile) -> None:
        extent = (tile.left, tile.left + tile.size, tile.bottom, tile.bottom + tile.size)
        self.axes.imshow(
            image, extent=extent, origin="lower", interpolation="nearest", aspect="auto", zorder=1
        )

    def _draw_histogram(self, pixels: NDArray[np.intp], tile: Tile) -> NDArray[np.float32]:
        """Draw a smoothed histogram with room for labels above; return the pixels it fills."""
        counts = np.bincount(pixels, minlength=PIXELS).astype(np.float32)
        smooth = smooth_1d(counts, HISTOGRAM_SMOOTHING)
        height = smooth / (float(smooth.max()) or 1.0) * HISTOGRAM_HEIGHT
        x = tile.left + (np.arange(PIXELS) + 0.5) / PIXELS * tile.size
        ends = [(x[0], tile.bottom), *zip(x, tile.bottom + height * tile.size, strict=True)]
        self._areas["histogram"].append([*ends, (x[-1], tile.bottom)])
        levels = (np.arange(PIXELS) + 0.5) / PIXELS
        return (levels[:, None] < height).astype(np.float32)

    def _box(self, step: Step, outline: Outline) -> Box:
        """Return left, right, bottom and top of a gate as shares of the plot."""
        sides = []
        for marker, ends in ((step.x, outline.x), (step.y, outline.y)):
            if not marker:
                sides += [0.0, 1.0]
                continue
            scale = self.scales[marker]
            sides += [
                (np.clip(e, scale.low, scale.high) - scale.low) / (scale.high - scale.low)
                for e in ends
            ]
        return sides[0], sides[1], sides[2], sides[3]

    def _draw_gate(self, step: Step, outline: Outline, tile: Tile) -> None:
        if not outline.is_drawn:
            return
        if outline.corners is not None:
            x = _places(self.scales[step.x], outline.corners[:, 0], tile.left, tile.size)
            y = _places(self.scales[step.y], outline.corners[:, 1], tile.bottom, tile.size)
            border = list(zip(x, y, strict=True))
            self._areas["gate"].append(border)
            self._lines["gate"].append([*border, border[0]])
            return
        left, right, bottom, top = self._box(step, outline)
        x0, x1 = tile.left + left * tile.size, tile.left + right * tile.size
        y0, y1 = tile.bottom + bottom * tile.size, tile.bottom + top * tile.size
        self._areas["gate"].append([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        sides = [
            (outline.x[0], [(x0, y0), (x0, y1)]),
            (outline.x[1], [(x1, y0), (x1, y1)]),
            (outline.y[0], [(x0, y0), (x1, y0)]),
            (outline.y[1], [(x0, y1), (x1, y1)]),
        ]
        self._lines["gate"] += [line for end, line in sides if math.isfinite(end)]

    def _label_gate(
        self,
        gate: ShownGate,
        outline: Outline,
        plotted: int,
        box: Box,
        room: LabelRoom,
    ) -> None:
        count = outline.inside.size
        share = percent(count, plotted)
        # A narrow gate has a narrow label, so that its border is seen.
        letters = int((box[1] - box[0]) * self.size / (TEXT * LETTER))
        lines = [share]
        if gate.name:
            both = f"{share}  {count:,}"
            lines = wrap(plain(gate.name), min(max(letters, 8), 14))
            lines += [both] if len(both) <= letters else [share, f"{count:,}"]
        if outline.whole is not None:
            of_whole = percent(count, outline.whole)
            lines += (
                [f"{of_whole} of parent"]
                if len(of_whole) + 10 <= letters
                else [of_whole, "of parent"]
            )
        x, y, ground = room.take(lines, box)
        self._areas["label"].append(ground)
        self._write(x, y, "\n".join(lines), ha="center", va="center", linespacing=1.05, zorder=6)

    def _flush(self) -> None:
        looks: dict[str, dict[str, Any]] = {
            "frame": {"edgecolor": "#777777", "linewidth": 0.5, "zorder": 2},
            "major": {"edgecolor": "black", "linewidth": 0.5, "zorder": 2},
            "minor": {"edgecolor": "black", "linewidth": 0.25, "zorder": 2},
            "gate": {"edgecolor": "black", "linewidth": 0.8, "zorder": 4},
        }
        for kind, look in looks.items():
            # One path of many lines: a collection would be written line by line, many times slower.
            if path := _joined(self._lines[kind]):
                self.axes.add_artist(PathPatch(path, fill=False, capstyle="butt", **look))
        fills: dict[str, dict[str, Any]] = {
            "histogram": {"facecolors": "#C9D6E2", "edgecolors": "#4A6A85", "linewidths": 0.5},
            "gate": {"facecolors": BLUE, "alpha": SHADE, "linewidths": 0, "zorder": 3},
            "label": {"facecolors": "white", "alpha": 0.72, "linewidths": 0, "zorder": 3.5},
        }
        for kind, look in fills.items():
            self.axes.add_collection(PolyCollection(self._areas[kind], **look))
        self.axes.set_xlim(0, PAGE_WIDTH)
        self.axes.set_ylim(0, self.height)


def _joined(lines: Sequence[Sequence[tuple[float, float]]]) -> Path | None:
    """Join polygonal lines into one path; None where there is none."""
    if not lines:
        return None
    codes = np.concatenate([[Path.MOVETO] + [Path.LINETO] * (len(line) - 1) for line in lines])
    return Path(np.concatenate([np.asarray(line, dtype=float) for line in lines]), codes)


def _places(
    scale: Scale, values: NDArray[np.float64], start: float, size: float
) -> NDArray[np.float64]:
    return np.asarray(start + (values - scale.low) / (scale.high - scale.low) * size)


def _why_empty(step: Step, visit: Visit, events: NDArray[np.intp] | None) -> str:
    if "excluded" in visit.events.meta:
        return "excluded"
    missing = [m for m in (step.x, step.y) if m and m not in visit.events.values]
    if missing:
        return f"no {missing[0]}\nin this file"
    if events is None:
        return "not gated"
    return "" if events.size else "no events"


def percent(count: int, whole: int) -> str:
    """Write a share in percent with about three digits; only all events are 100 %."""
    if not whole:
        return "–"
    share = 100 * count / whole
    if count in (0, whole):
        return f"{share:.0f} %"
    if share >= 10:
        return f"{min(share, 99.9):.1f} %"
    return f"{share:.2f} %" if share >= 0.1 else f"{share:.2g} %"


def _beginning_of(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _end_of(words: str, most: int) -> str:
    """Shorten a list of conditions from its beginning: what comes last matters most."""
    return words if len(words) <= most else "…" + words[-max(most - 1, 0) :]
