"""A sheet of all thresholds of a cohort: every patient's border on the marker's density."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from biocross.flow.transforms import Transform, decades_between
from biocross.report.figures.densities import smooth_1d, to_pixels
from biocross.report.figures.scale_axes import decorate
from biocross.report.figures.style import BLUE, STYLE, VERMILLION, save_figure
from biocross.report.words import plain
from biocross.tables import written_whole

BINS, SMOOTHING = 200, 2.0
# A4 in inches; one strip with its axis.
PAGE, MARGIN, HEAD, STRIP, GAP = (8.27, 11.69), 0.4, 0.75, 0.42, 0.33
LABELS, NOTES = 1.55, 1.75
# Below the density, where the dots are: as a share of its height.
DOTS = 0.75
ORANGE = "#E69F00"
NAMED_PER_STRIP = 4


class Density(NamedTuple):
    """The density of a marker in one population, mean of the samples.

    Parameters
    ----------
    low, high
        Ends of the range, on the transformed scale.
    height
        Share of the events per bin, shape (bins,).
    """

    low: float
    high: float
    height: NDArray[np.float64]


def mean_density(
    values: Sequence[NDArray[np.float32]], low: float, high: float, bins: int = BINS
) -> Density:
    """Average the densities of a marker over samples, each of equal weight.

    Parameters
    ----------
    values
        Of every sample, shape (events,) each; samples without events do not count.
    low, high
        Ends of the range; events beyond them lie in its first or last bin.
    bins
        How many.

    Returns
    -------
    Density
        Its height sums to 1, or is 0 everywhere where no sample has an event.
    """
    filled = [one for one in values if one.size]
    total = np.zeros(bins)
    for one in filled:
        total += np.bincount(to_pixels(one, low, high, bins), minlength=bins) / one.size
    return Density(low, high, total / max(len(filled), 1))


class _Strip(NamedTuple):
    """One threshold in one population: its rows of the table."""

    threshold: str
    population: str
    marker: str
    rows: Sequence[Mapping[str, str]]

    @property
    def flagged(self) -> list[Mapping[str, str]]:
        return [row for row in self.rows if row["flag"]]

    @property
    def farthest(self) -> float:
        """The largest distance of a sample from the cohort, in decades."""
        return max((abs(_number(row["distance"], 0.0)) for row in self.rows), default=0.0)


def plot_thresholds(
    rows: Sequence[Mapping[str, str]],
    transforms: Mapping[str, Transform],
    densities: Mapping[tuple[str, str], Density],
    labels: Mapping[str, str],
    figure_out: Path | str,
) -> None:
    """Draw every threshold of a cohort on one sheet, those with outliers first.

    Parameters
    ----------
    rows
        Of ``thresholds.tsv``, as text: patient_id, sample_id, threshold, marker, population,
        source, value, cohort_value, distance (decades), flag.
    transforms
        By marker.
    densities
        By threshold and population; a strip without one has dots alone.
    labels
        What to write on the axis of a marker; by default its name.
    figure_out
        A PDF has A4 pages; any other format has one long page.
    """
    strips = _strips(rows)
    per_page = int((PAGE[1] - HEAD - MARGIN) // (STRIP + GAP))
    with mpl.rc_context({**STYLE, "font.size": 6}):
        if Path(figure_out).suffix != ".pdf":
            height = HEAD + max(len(strips), 1) * (STRIP + GAP) + MARGIN
            figure = _page(strips, transforms, densities, labels, height, rows)
            save_figure(figure, figure_out)
            return
        with (
            written_whole(figure_out) as temporary,
            PdfPages(temporary, metadata={"CreationDate": None}) as pdf,
        ):
            for start in range(0, max(len(strips), 1), per_page):
                part = strips[start : start + per_page]
                pdf.savefig(_page(part, transforms, densities, labels, PAGE[1], rows))


def _strips(rows: Sequence[Mapping[str, str]]) -> list[_Strip]:
    found: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in rows:
        found.setdefault((row["threshold"], row["population"]), []).append(row)
    strips = [_Strip(*key, own[0]["marker"], own) for key, own in found.items()]
    return sorted(strips, key=lambda strip: (not strip.flagged, -strip.farthest))


def _page(
    strips: Sequence[_Strip],
    transforms: Mapping[str, Transform],
    densities: Mapping[tuple[str, str], Density],
    labels: Mapping[str, str],
    height: float,
    rows: Sequence[Mapping[str, str]],
) -> Figure:
    figure = Figure(figsize=(PAGE[0], height))
    _head(figure, height, rows)
    width = PAGE[0] - 2 * MARGIN - LABELS - NOTES
    for number, strip in enumerate(strips):
        bottom = height - HEAD - STRIP - number * (STRIP + GAP)
        place = ((MARGIN + LABELS) / PAGE[0], bottom / height, width / PAGE[0], STRIP / height)
        axis = figure.add_axes(place)
        density = densities.get((strip.threshold, strip.population))
        _draw_strip(axis, strip, transforms[strip.marker], density)
        _describe(figure, strip, labels, (bottom + STRIP) / height, height)
    return figure


def _head(figure: Figure, height: float, rows: Sequence[Mapping[str, str]]) -> None:
    patients = {row["patient_id"] for row in rows}
    flagged = {row["patient_id"] for row in rows if row["flag"]}
    start = MARGIN / PAGE[0]
    figure.text(start, 1 - 0.3 / height, "Thresholds of the cohort", size=9, weight="bold")
    said = (
        f"{len(patients)} patients, {len(flagged)} with a flagged threshold; a dot is a border, "
        "the borders of a patient's visits stand on one line; grey: mean density of the samples"
    )
    figure.text(start, 1 - 0.46 / height, said)
    look: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 3}
    handles = [
        Line2D([], [], color=BLUE, label="as estimated", **look),
        Line2D([], [], color=VERMILLION, label="pulled towards the cohort", **look),
        Line2D([], [], color=ORANGE, label="flagged otherwise", **look),
        Line2D([], [], color="black", linestyle=(0, (3, 2)), linewidth=0.8, label="cohort"),
    ]
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(1 - start, 1 - 0.14 / height),
        ncols=4,
        frameon=False,
        handletextpad=0.3,
    )


def _draw_strip(axis: Axes, strip: _Strip, transform: Transform, density: Density | None) -> None:
    values = np.array([_number(row["value"]) for row in strip.rows])
    axis.set_xlim(*_limits(values, transform, density))
    axis.set_ylim(-DOTS, 1.05)
    if density is not None and density.height.any():
        height = smooth_1d(density.height.astype(np.float32), SMOOTHING)
        edges = np.linspace(density.low, density.high, height.size + 1)
        middle = (edges[:-1] + edges[1:]) / 2
        axis.fill_between(middle, height / height.max(), color="#D5D9DD", linewidth=0, zorder=1)
        axis.plot(middle, height / height.max(), color="#7A858F", linewidth=0.6, zorder=2)
    axis.axhline(0, color="#7A858F", linewidth=0.4, zorder=2)
    cohort = [_number(row["cohort_value"]) for row in strip.rows]
    if known := [value for value in cohort if math.isfinite(value)]:
        middle_line: Any = {"color": "black", "linewidth": 0.8, "linestyle": (0, (3, 2))}
        axis.axvline(float(np.median(known)), zorder=3, **middle_line)
    _draw_dots(axis, strip, values)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.tick_params(axis="x", which="major", length=3, width=0.5, pad=1.5, labelsize=5.5)
    axis.tick_params(axis="x", which="minor", length=1.6, width=0.3)
    decorate(axis, transform, "x")


def _draw_dots(axis: Axes, strip: _Strip, values: NDArray[np.float64]) -> None:
    patients = list(dict.fromkeys(row["patient_id"] for row in strip.rows))
    levels = np.linspace(-0.12, -DOTS + 0.1, max(len(patients), 2))
    # Neighbours in the table do not share a height: every second level comes later.
    order = [*range(0, len(levels), 2), *range(1, len(levels), 2)]
    level = {patient: levels[order[i]] for i, patient in enumerate(patients)}
    colours = [_colour(row["flag"]) for row in strip.rows]
    heights = np.array([level[row["patient_id"]] for row in strip.rows])
    for patient in patients:
        own = values[[row["patient_id"] == patient for row in strip.rows]]
        if np.isfinite(own).sum() > 1 and np.ptp(own[np.isfinite(own)]) > 0:
            ends = [np.nanmin(own), np.nanmax(own)]
            axis.plot(ends, [level[patient]] * 2, color="#8A8A8A", linewidth=0.6, zorder=4)
    axis.scatter(values, heights, s=5, c=colours, linewidths=0, zorder=5)
    _name_flagged(axis, strip, values, heights)


def _name_flagged(
    axis: Axes, strip: _Strip, values: NDArray[np.float64], heights: NDArray[np.float64]
) -> None:
    """Name the flagged patients, those farthest from the cohort first."""
    named: dict[str, int] = {}
    for i, row in enumerate(strip.rows):
        if row["flag"] and math.isfinite(values[i]):
            rightmost = named.get(row["patient_id"], i)
            named[row["patient_id"]] = i if values[i] >= values[rightmost] else rightmost
    farthest = sorted(named, key=lambda p: -abs(_number(strip.rows[named[p]]["distance"], 0.0)))
    for patient in farthest[:NAMED_PER_STRIP]:
        i = named[patient]
        left, right = axis.get_xlim()
        # Away from the crowd, unless the axis ends there.
        middle = float(np.nanmedian(values))
        to_left = values[i] < middle or values[i] > left + 0.93 * (right - left)
        axis.annotate(
            patient,
            (values[i], heights[i]),
            xytext=(-3 if to_left else 3, 0),
            textcoords="offset points",
            ha="right" if to_left else "left",
            va="center",
            fontsize=5.5,
            color=_colour(strip.rows[i]["flag"]),
            parse_math=False,
            zorder=6,
        )


def _colour(flag: str) -> str:
    if not flag:
        return BLUE
    return VERMILLION if "pulled" in flag else ORANGE


def _limits(
    values: NDArray[np.float64], transform: Transform, density: Density | None
) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    ends = [*known] or [0.0, 1.0]
    if density is not None:
        ends += [density.low, density.high]
    low, high = min(ends), max(ends)
    if density is None:
        # Without a density to show the range, half a decade around the borders.
        unit = decades_between(0.0, 1.0, transform)
        room = 0.5 / unit if math.isfinite(unit) else 0.1 * (abs(high) or 1.0)
        return low - room, high + room
    room = 0.02 * (high - low)
    return low - room, high + room


def _describe(
    figure: Figure, strip: _Strip, labels: Mapping[str, str], top: float, height: float
) -> None:
    start, line = MARGIN / PAGE[0], 0.12 / height
    words: dict[str, Any] = {"va": "top", "parse_math": False}
    figure.text(start, top, plain(strip.threshold), size=7.5, weight="bold", **words)
    label = labels.get(strip.marker, strip.marker)
    figure.text(start, top - 1.15 * line, label, **words)
    on = plain(strip.population) if strip.population != "root" else "all events that passed"
    figure.text(start, top - 2.2 * line, f"on {on}", color="#555555", **words)
    sources = Counter(plain(row["source"]) for row in strip.rows)
    flags = Counter(plain(row["flag"]) for row in strip.flagged)
    unknown = sum(not row["value"] for row in strip.rows)
    lines = [", ".join(f"{name} {n}" for name, n in sources.most_common())]
    if strip.farthest:
        lines.append(f"up to {strip.farthest:.2f} decades from the cohort's")
    if flags:
        lines.append("flagged: " + ", ".join(f"{name} {n}" for name, n in flags.most_common()))
    if unknown:
        lines.append(f"unknown in {unknown} of {len(strip.rows)} samples")
    right = (PAGE[0] - MARGIN - NOTES + 0.12) / PAGE[0]
    for number, text in enumerate(lines):
        colour = VERMILLION if text.startswith("flagged") else "#333333"
        figure.text(right, top - number * line, text, color=colour, **words)


def _number(text: str, missing: float = math.nan) -> float:
    """Return a cell as a number; `missing` where it is empty."""
    return float(text) if text else missing
