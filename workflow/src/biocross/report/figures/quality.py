"""A sample over its acquisition: flow rate, signals, and what was set aside when."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from biocross.flow.events import Events, read_events
from biocross.flow.losses import step_words
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure

# Okabe & Ito's palette: steps that stand side by side differ for colour-blind readers.
STEP_COLOURS = {
    **{"nonfinite": "#000000", "margin": GREY, "doublet": BLUE, "dead": VERMILLION},
    **{"time": "#E69F00", "flow_rate": "#CC79A7", "event_length": "#56B4E9"},
    **{"gaussian": "#009E73", "dna": "#F0E442", "bead": "#C9C9C9"},
}
OTHER_COLOUR, BAND_COLOUR, SHADE = "#5B3A1E", "#B9CFE0", 0.45
# Steps that set aside stretches of the acquisition rather than single events.
TIME_STEPS = ("time", "flow_rate")
BINS, EVENTS_PER_BIN, FEWEST_PER_BIN = 150, 1000, 200
# Stretches closer than this share of the events are drawn as one.
SMALLEST_GAP = 0.001
# Time may step back by this share of the acquisition: digitisers do not always keep the order.
JITTER = 0.001
PAGE_HEIGHT = 11.0


class _Course(NamedTuple):
    """The events of a time plot, by their numbers: places on the axis, and flags by step."""

    position: NDArray[np.float64]
    axis: str
    is_time: bool
    events: NDArray[np.intp]
    flagged: dict[str, NDArray[np.bool_]]


def plot_time_quality(
    events: Path | str,
    figure_out: Path | str,
    step_names: Sequence[str] = (),
    time_unit: str = "units of the file",
    channels: Sequence[str] | None = None,
) -> None:
    """Draw flow rate and signals of one sample over its acquisition, flagged stretches shaded.

    Parameters
    ----------
    events
        Prepared events, of `prepare_flow_sample`. Shown are those that passed, or were set aside
        by a step over time.
    figure_out
        The figure; the ending decides the format.
    step_names
        Names of the steps that the flags number from 1, where the file does not hold
        ``flag_steps``.
    time_unit
        Unit of Time, where the file does not hold ``time_unit``; "s" for seconds.
    channels
        Channels to draw; by default all but Time.
    """
    prepared = read_events(events)
    named = prepared.meta.get("flag_steps", "")
    steps = [step.strip() for step in named.split(",")] if named else list(step_names)
    course = _follow_course(prepared, steps, prepared.meta.get("time_unit", time_unit))
    signals = {
        name: prepared.values[name] for name in channels or prepared.values if name != "Time"
    }
    above = 1.65 if course.is_time else 0.75
    strips = min(0.36 * max(len(signals), 1), PAGE_HEIGHT - above - 0.45)
    height = above + strips + 0.45
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, height))
        axes = [figure.add_axes((0.13, 0.45 / height, 0.73, strips / height))]
        if course.is_time:
            place = (0.13, 1 - 1.4 / height, 0.73, 0.75 / height)
            axes.append(figure.add_axes(place, sharex=axes[0]))
            _draw_rate(axes[1], course)
        _draw_signals(axes[0], course, signals)
        for axis in axes:
            _shade(axis, course)
        _head_time_plot(figure, prepared, course, height)
        save_figure(figure, figure_out)


def flagged_stretches(flagged: NDArray[np.bool_], smallest_gap: int = 1) -> NDArray[np.intp]:
    """Find the stretches of flagged events.

    Parameters
    ----------
    flagged
        Shape (events,), in order of acquisition.
    smallest_gap
        Stretches with fewer passing events between them are joined.

    Returns
    -------
    NDArray
        First and last event of every stretch, shape (stretches, 2).
    """
    edges = np.flatnonzero(np.diff(flagged.astype(np.int8), prepend=0, append=0))
    starts, stops = edges[::2], edges[1::2]
    apart = starts[1:] - stops[:-1] >= smallest_gap
    first = np.append(True, apart)[: starts.size]
    last = np.append(apart, True)[: starts.size]
    return np.column_stack([starts[first], stops[last] - 1])


def _follow_course(prepared: Events, steps: Sequence[str], unit: str) -> _Course:
    """Choose the events to show: in time where Time runs forwards, else in order."""
    number_of = {step: number for number, step in enumerate(steps, 1) if step in TIME_STEPS}
    quality = prepared.quality
    index = np.flatnonzero(np.isin(quality, [0, *number_of.values()]))
    flagged = {step: quality[index] == number for step, number in number_of.items()}
    axis = "Events, in order of acquisition"
    if "Time" in prepared.values and index.size:
        time = prepared.values["Time"][index].astype(np.float64)
        forwards = np.maximum.accumulate(time)
        if 0 < np.ptp(time) < np.inf and np.max(forwards - time) <= JITTER * np.ptp(time):
            position = forwards - forwards[0]
            return _Course(position, f"Acquisition time ({unit})", True, index, flagged)
        axis += " (Time is constant or runs backwards)"
    return _Course(index.astype(np.float64), axis, False, index, flagged)


def _draw_rate(axis: Axes, course: _Course) -> None:
    n_bins = max(1, min(BINS, course.position.size // FEWEST_PER_BIN))
    counts, edges = np.histogram(course.position, n_bins)
    rate = counts / np.diff(edges)
    axis.stairs(rate, edges, baseline=None, color="black", linewidth=0.8)
    axis.set_ylim(0, 1.15 * rate.max())
    axis.tick_params(labelbottom=False)
    axis.locator_params(axis="y", nbins=3)
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_ylabel("events per\n" + ("second" if course.axis.endswith("(s)") else "unit of time"))


def _draw_signals(axis: Axes, course: _Course, signals: Mapping[str, NDArray[np.float32]]) -> None:
    """Draw one strip per signal, each on its own range, which stands at its right."""
    size = 6.5 if len(signals) <= 32 else 200 / len(signals)
    axis.set_ylim(len(signals), 0)
    axis.set_yticks(np.arange(len(signals)) + 0.5, list(signals), parse_math=False, fontsize=size)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_xlabel(course.axis)
    beside: dict[str, Any] = {"transform": axis.get_yaxis_transform(), "color": "#555555"}
    if not course.events.size:
        axis.text(0.5, 0.5, "no event passed", transform=axis.transAxes, ha="center")
        return
    chosen = _bins(course.events.size)
    x = np.median(course.position[chosen], axis=1)
    bands, medians = [], []
    for number, values in enumerate(signals.values()):
        ordered = np.sort(values[course.events[chosen]], axis=1)
        ranks = [round((ordered.shape[1] - 1) * share) for share in (0.05, 0.5, 0.95)]
        low, median, high = ordered[:, ranks].T.astype(np.float64)
        bottom, top = float(low.min()), float(high.max())
        to_strip = 0.84 / ((top - bottom) or 1.0)
        low, median, high = (number + 0.92 - (y - bottom) * to_strip for y in (low, median, high))
        bands.append(np.column_stack([np.append(x, x[::-1]), np.append(low, high[::-1])]))
        medians.append(np.column_stack([x, median]))
        words = f"{_short(bottom)} to {_short(top)}"
        axis.text(1.01, number + 0.5, words, va="center", fontsize=min(size, 6), **beside)
    axis.text(1.01, -0.12, "range (transformed)", va="bottom", fontsize=6, **beside)
    axis.add_collection(PolyCollection(bands, facecolor=BAND_COLOUR, linewidth=0, zorder=1))
    axis.add_collection(LineCollection(medians, colors="black", linewidth=0.8, zorder=3))
    first, last = course.position[[0, -1]]
    axis.set_xlim(first, last if last > first else first + 1)


def _bins(n_events: int) -> NDArray[np.intp]:
    """Divide events in order into bins of equal size, evenly thinned; (bins, events per bin)."""
    n_bins = max(1, min(BINS, n_events // FEWEST_PER_BIN))
    size = n_events // n_bins
    starts = np.linspace(0, n_events - size, n_bins).astype(np.intp)
    within = np.linspace(0, size - 1, min(size, EVENTS_PER_BIN)).astype(np.intp)
    return np.asarray(starts[:, np.newaxis] + within)


def _short(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:.0f}" if abs(value) >= 100 else f"{round(value, 2) + 0.0:.2f}"


def _shade(axis: Axes, course: _Course) -> None:
    gap = max(1, round(SMALLEST_GAP * course.events.size))
    for step, flagged in course.flagged.items():
        for first, last in course.position[flagged_stretches(flagged, gap)]:
            colour, gid = STEP_COLOURS[step], f"flag:{step}"
            axis.axvspan(first, last, color=colour, alpha=SHADE, zorder=2, gid=gid)


def _head_time_plot(figure: Figure, prepared: Events, course: _Course, height: float) -> None:
    n, name = prepared.quality.size, prepared.meta.get("sample_id", "")
    lost = {step: int(flagged.sum()) for step, flagged in course.flagged.items()}
    said = [f"{step_words(step)} {100 * k / n:.1f} %" for step, k in lost.items() if k]
    said = said or ["nothing" if lost else "not examined"]
    title = f"{n:,} events; set aside over time: {', '.join(said)}"
    if excluded := prepared.meta.get("excluded"):
        title = shorten(f"excluded: {excluded}", 130)
    figure.text(0.02, 1 - 0.2 / height, name, fontsize=9, weight="bold", parse_math=False)
    figure.text(0.02, 1 - 0.36 / height, title, parse_math=False)
    handles: list[Any] = [
        Patch(color=STEP_COLOURS[s], alpha=SHADE, label=step_words(s)) for s in lost
    ]
    handles += [Patch(color=BAND_COLOUR, label="middle 90 % of the events")]
    handles += [Line2D([], [], color="black", linewidth=0.8, label="median")]
    place_legend(figure, handles, "upper right", (1, 1 - 0.08 / height))


def place_legend(
    figure: Figure, handles: Sequence[Any], loc: Any, place: tuple[float, float]
) -> None:
    """Place a legend in up to six columns: at `place`, its corner `loc`."""
    look: Any = {"bbox_to_anchor": place, "ncols": 6, "frameon": False, "fontsize": 6}
    figure.legend(handles=handles, loc=loc, **look)
