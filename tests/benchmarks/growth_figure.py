"""The figure of `growth`: seconds and memory against size, both axes logarithmic."""

import matplotlib as mpl
from growth import COLUMNS, EVENTS, POPULATIONS, SAMPLES, lines
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure

COLOURS = {"biocross": BLUE, "SciPy": VERMILLION, "FlowIO": VERMILLION, "FlowKit": GREY}
MARKS = ("o", "s", "^", "D", "v")
# Which lines stand in which panel, and the panel's title.
PANELS = (
    (EVENTS, "seconds", "Time, one file of 30 channels"),
    (EVENTS, "memory_mb", "Peak memory, one file of 30 channels"),
    (SAMPLES, "seconds", "Time, steps that see all samples"),
    (POPULATIONS, "seconds", "Time, tests of 40 patients"),
)
UNITS = {"seconds": "seconds", "memory_mb": "megabytes"}


def plot_growth(points, *paths):
    """Draw how cost grows.

    Parameters
    ----------
    points
        Of `growth.measure`.
    paths
        The figure's files; a ``.tsv`` takes the points.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 6.4), layout="constrained")
        for ax, (axis, unit, title) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
            _draw(ax, {key: own for key, own in lines(points).items() if key[0] == axis}, unit)
            ax.set(xlabel=axis, ylabel=UNITS[unit], title=title)
        save_figure(figure, *paths, source=[point._asdict() for point in points], columns=COLUMNS)


def _draw(ax, drawn, unit):
    """Draw the lines of a panel, and a dotted one in proportion to size."""
    whats = list(dict.fromkeys(what for _, what, _ in drawn))
    values = []
    for (_, what, program), points in drawn.items():
        known = [(point.size, getattr(point, unit)) for point in points]
        known = [(size, value) for size, value in known if value is not None]
        if known:
            label = what if program == "biocross" else f"{what}: {program}"
            style = {"color": COLOURS[program], "marker": MARKS[whats.index(what)]}
            ax.plot(*zip(*known, strict=True), label=label, linewidth=1, markersize=4, **style)
            values += known
    sizes = sorted({size for size, _ in values})
    high = max(value for size, value in values if size == sizes[-1])
    ax.set(xscale="log", yscale="log")
    limits = ax.get_ylim()
    linear = [high * size / sizes[-1] for size in sizes]
    ax.plot(sizes, linear, ":", color=GREY, linewidth=0.8, label="in proportion", zorder=0)
    ax.set_ylim(limits)
    ax.set_xticks(sizes, [_short(size) for size in sizes], minor=False)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.minorticks_off()
    # Below the axis, where no line is.
    ax.legend(frameon=False, fontsize=6, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.16))


def _short(size):
    """Write 10,000 as 10k and a million as 1M."""
    for unit, letter in ((1_000_000, "M"), (10_000, "k")):
        if size >= unit:
            return f"{size // (1_000 if letter == 'k' else unit)}{letter}"
    return f"{size:,}"
