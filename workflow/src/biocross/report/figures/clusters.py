"""Figures of clusters: their markers, and their sizes by visit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.flow.clusters.colours import GREY as NO_FAMILY
from biocross.flow.clusters.colours import category_colours, population_colours
from biocross.flow.clusters.groups import MAIN, SINGLE, cluster_name
from biocross.report.figures.style import GREY, STYLE, save_figure
from biocross.report.words import plain
from biocross.tables import read_rows

Floats = NDArray[np.float64]
Rows = Sequence[Mapping[str, str]]

# A sample's median of fewer cells is left out of the heat map.
FEW_CELLS = 10
# Inches.
ROW, COLUMN = 0.15, 0.16
PANEL = (1.22, 1.12)
PANELS_ACROSS = 6
UNSTABLE_MARK = "°"


class Cluster(NamedTuple):
    """One cluster, as figures name it."""

    number: int
    population: str
    stable: bool
    percent: float

    @property
    def title(self) -> str:
        """Population and number; a ring marks clusters that reruns do not find again."""
        return f"{plain(self.population)} {self.number}{'' if self.stable else UNSTABLE_MARK}"


def plot_clusters(
    annotation: Path | str,
    counts: Path | str,
    expression: Path | str,
    samples: Path | str,
    populations: Path | str,
    levels: Sequence[str],
    heat_map_out: Sequence[Path | str],
    sizes_out: Sequence[Path | str],
) -> None:
    """Draw the markers and the sizes of all clusters.

    Parameters
    ----------
    annotation, counts, expression
        Tables of the clusters, in ``results/flow/clusters/``.
    samples
        ``results/cohort/samples.tsv``.
    populations
        ``populations.yaml``.
    levels
        Values of the contrast in order.
    heat_map_out, sizes_out
        Each figure, one file per format.
    """
    vocabulary = load_vocabulary(Path(populations))
    clusters = read_clusters(read_rows(annotation), vocabulary)
    markers, medians = cluster_medians(read_rows(expression), clusters)
    plot_heat_map(clusters, markers, medians, vocabulary, *heat_map_out)
    sheet = {row["sample_id"]: row for row in read_rows(samples)}
    plot_cluster_sizes(clusters, read_rows(counts), sheet, levels, *sizes_out)


def read_clusters(annotation: Rows, vocabulary: Vocabulary) -> list[Cluster]:
    """Put the clusters into the order of the vocabulary, the largest of a population first.

    Parameters
    ----------
    annotation
        Rows of ``annotation.tsv``: ``cluster, population, stable, percent`` and ``used``.
    vocabulary
        Of the study.

    Returns
    -------
    list of Cluster
        Those of the map of all events that hold some; unassigned ones last.
    """
    order = {name: place for place, name in enumerate(vocabulary)}
    clusters = [
        Cluster(
            int(row["cluster"]),
            row["population"],
            row["stable"] == "yes",
            float(row["percent"] or "nan"),
        )
        for row in annotation
        if row.get("map", MAIN) == MAIN
        and row.get("used", "yes") == "yes"
        and float(row["percent"] or 0) > 0
    ]
    return sorted(clusters, key=lambda c: (order.get(c.population, len(order)), -c.percent))


def cluster_medians(expression: Rows, clusters: Sequence[Cluster]) -> tuple[list[str], Floats]:
    """Take the median of the samples' medians: every sample counts the same.

    Parameters
    ----------
    expression
        Rows of the clusters' ``expression.tsv``.
    clusters
        Rows of the result.

    Returns
    -------
    markers : list of str
        In order of the rows in which they are highest, so that the picture has a diagonal.
    values : ndarray
        Shape (clusters, markers); NaN where no sample has ten cells.
    """
    place = {cluster_name(c.number): row for row, c in enumerate(clusters)}
    values: dict[tuple[str, int], list[float]] = {}
    for row in expression:
        if row["population"] in place and row["value"] and int(row["n_cells"]) >= FEW_CELLS:
            values.setdefault((row["marker"], place[row["population"]]), []).append(
                float(row["value"])
            )
    markers = list(dict.fromkeys(marker for marker, _ in values))
    table = np.full((len(clusters), len(markers)), np.nan)
    for (marker, at), found in values.items():
        table[at, markers.index(marker)] = float(np.median(found))
    highest = [int(np.nanargmax(column)) for column in table.T]
    order = sorted(range(len(markers)), key=lambda column: (highest[column], column))
    return [markers[column] for column in order], table[:, order]


def plot_heat_map(
    clusters: Sequence[Cluster],
    markers: Sequence[str],
    medians: Floats,
    vocabulary: Vocabulary,
    *figures_out: Path | str,
) -> None:
    """Draw the markers of every cluster, with its size.

    Parameters
    ----------
    clusters, markers
        Rows and columns.
    medians
        Shape (clusters, markers).
    vocabulary
        Gives the colours of the populations.
    figures_out
        One file per format.
    """
    n_rows, n_columns = max(len(clusters), 1), max(len(markers), 1)
    left, right, top, bottom = 1.75, 1.5, 0.85, 0.72
    width, height = left + COLUMN * n_columns + right, top + ROW * n_rows + bottom
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        frame = (bottom / height, ROW * n_rows / height)
        axis = figure.add_axes((left / width, frame[0], COLUMN * n_columns / width, frame[1]))
        bars = figure.add_axes((1 - 1.4 / width, frame[0], 1.1 / width, frame[1]), sharey=axis)
        if clusters and markers:
            _draw_medians(axis, clusters, markers, medians, vocabulary)
            _draw_sizes(bars, clusters, vocabulary)
            _draw_key(figure, left / width, 0.3 / height, width, height)
        else:
            axis.set_axis_off()
            bars.set_axis_off()
            axis.text(0, 0.5, "no clusters")
        words = "Markers of the clusters"
        figure.text(left / width, 1 - 0.12 / height, words, fontsize=8, va="top", weight="bold")
        save_figure(figure, *figures_out)


def _draw_medians(
    axis: Axes,
    clusters: Sequence[Cluster],
    markers: Sequence[str],
    medians: Floats,
    vocabulary: Vocabulary,
) -> None:
    low, high = np.nanmin(medians, axis=0), np.nanmax(medians, axis=0)
    relative = (medians - low) / np.where(high > low, high - low, 1.0)
    colours = mpl.colormaps["cividis"].with_extremes(bad="#FFFFFF")
    axis.pcolormesh(
        np.ma.masked_invalid(relative), cmap=colours, vmin=0, vmax=1, edgecolor="white", lw=0.4
    )
    axis.set_ylim(len(clusters), 0)
    axis.set_yticks(np.arange(len(clusters)) + 0.5, [c.title for c in clusters], parse_math=False)
    axis.set_xticks(np.arange(len(markers)) + 0.5, list(markers), rotation=90, parse_math=False)
    axis.xaxis.tick_top()
    axis.tick_params(length=0, pad=2)
    axis.tick_params(axis="y", pad=9)
    axis.spines[:].set_visible(False)
    colour = population_colours(vocabulary)
    for row, one in enumerate(clusters):
        axis.add_patch(
            mpl.patches.Rectangle(
                *((-0.1, row + 0.04), -0.45, 0.92),
                facecolor=colour.get(one.population, NO_FAMILY),
                transform=axis.transData,
                clip_on=False,
                linewidth=0,
            )
        )
        if row and one.population != clusters[row - 1].population:
            axis.axhline(row, color="white", linewidth=1.6)
    for label, one in zip(axis.get_yticklabels(), clusters, strict=True):
        label.set_color("black" if one.stable else GREY)


def _draw_sizes(axis: Axes, clusters: Sequence[Cluster], vocabulary: Vocabulary) -> None:
    colour = population_colours(vocabulary)
    percent = np.array([one.percent for one in clusters])
    least = 10.0 ** np.floor(np.log10(percent.min()))
    place = np.arange(len(clusters)) + 0.5
    axis.set_xscale("log")
    axis.barh(
        *(place, percent - least),
        left=least,
        height=0.72,
        color=[colour.get(one.population, NO_FAMILY) for one in clusters],
    )
    axis.set_xlim(least, max(float(percent.max()) * 1.5, 10 * least))
    axis.tick_params(axis="y", length=0, labelleft=False)
    axis.spines["left"].set_visible(False)
    _percent_axis(axis.xaxis, (1.0,))
    axis.set_xlabel("% of all clustered events")


def _draw_key(figure: Figure, left: float, bottom: float, width: float, height: float) -> None:
    """Draw the scale of colours, and say what the ring means."""
    axis = figure.add_axes((left, bottom, 1.1 / width, 0.09 / height))
    axis.imshow(np.linspace(0, 1, 64)[np.newaxis], aspect="auto", cmap="cividis")
    axis.set_yticks([])
    axis.set_xticks([])
    for x, words, side in ((0, "lowest", "left"), (1, "highest", "right")):
        axis.text(x, -0.4, words, transform=axis.transAxes, ha=side, va="top", fontsize=6)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    note = (
        "median signal, each marker from its lowest to its highest cluster\n"
        f"{UNSTABLE_MARK} grey: other seeds or patients do not find this cluster again"
    )
    figure.text(left + 1.25 / width, bottom + 0.09 / height, note, fontsize=6, va="top")


def _percent_axis(axis: Any, steps: Sequence[float]) -> None:
    axis.set_major_locator(LogLocator(subs=list(steps), numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def plot_cluster_sizes(
    clusters: Sequence[Cluster],
    counts: Rows,
    sheet: Mapping[str, Mapping[str, str]],
    levels: Sequence[str],
    *figures_out: Path | str,
) -> None:
    """Draw every cluster's share of the live cells by visit: a line per patient.

    Parameters
    ----------
    clusters
        One panel each.
    counts
        Rows of the clusters' ``counts.tsv``, single clusters among them.
    sheet
        By sample, its row of ``results/cohort/samples.tsv``.
    levels
        Visits (or stimulations) in order.
    figures_out
        One file per format.
    """
    treatments = sorted({row["treatment"] for row in sheet.values()})
    colours = category_colours(treatments)
    percents = cluster_percents(counts)
    across = min(PANELS_ACROSS, max(len(clusters), 1))
    down = -(-len(clusters) // across) or 1
    size = (PANEL[0] * across + 0.3, PANEL[1] * down + 0.75)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(down, across, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, one in zip(axes.flat, clusters, strict=False):
            axis.set_axis_on()
            own = percents.get(cluster_name(one.number), {})
            _draw_panel(axis, own, sheet, levels, colours)
            shade = "black" if one.stable else GREY
            axis.set_title(one.title, fontsize=6.5, loc="left", parse_math=False, color=shade)
        figure.supylabel("% of all clustered events of the sample (log)", fontsize=7)
        figure.suptitle(_sizes_title(sheet, levels, treatments), fontsize=7, x=0.01, ha="left")
        _name_treatments(figure, colours)
        save_figure(figure, *figures_out)


def cluster_percents(counts: Rows) -> dict[str, dict[str, float]]:
    """Return every cluster's percentage of the clustered events, by cluster and sample.

    Parameters
    ----------
    counts
        Rows of the clusters' ``counts.tsv``.

    Returns
    -------
    dict
        By name of the cluster, by sample; samples without a map are missing.
    """
    rows = [row for row in counts if row["source"].endswith(SINGLE) and row["count"]]
    # Among the single clusters stands their root, once per source.
    single = [row for row in rows if row["population"].startswith(cluster_name(0)[:-2])]
    total: dict[str, int] = {}
    for row in single:
        total[row["sample_id"]] = total.get(row["sample_id"], 0) + int(row["count"])
    percents: dict[str, dict[str, float]] = {}
    for row in single:
        if whole := total[row["sample_id"]]:
            share = 100 * int(row["count"]) / whole
            percents.setdefault(row["population"], {})[row["sample_id"]] = share
    return percents


def _draw_panel(
    axis: Axes,
    percent: Mapping[str, float],
    sheet: Mapping[str, Mapping[str, str]],
    levels: Sequence[str],
    colours: Mapping[str, str],
) -> None:
    positive = [value for value in percent.values() if value > 0]
    floor = min(positive) / 2 if positive else 0.001
    step = len(levels) + 0.4
    for number, (treatment, colour) in enumerate(colours.items()):
        lines: dict[str, Floats] = {}
        for sample, value in percent.items():
            row = sheet[sample]
            if row["treatment"] == treatment and row["level"] in levels:
                line = lines.setdefault(row["unit"], np.full(len(levels), np.nan))
                line[levels.index(row["level"])] = max(value, floor)
        x = np.arange(len(levels)) + number * step
        for line in lines.values():
            axis.plot(x, line, "o-", color=GREY, linewidth=0.5, markersize=1.4, alpha=0.7)
        values = np.array(list(lines.values())).reshape(-1, len(levels))
        complete = values[np.isfinite(values).all(axis=1)]
        if len(complete):
            axis.plot(x, np.median(complete, axis=0), color=colour, linewidth=2)
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    # At least a decade, so that every panel has numbers and noise does not look like a change.
    middle, half = np.sqrt(low * high), max(np.sqrt(high / low), np.sqrt(10))
    top = min(middle * half, max(100.0, high))
    axis.set_ylim(top / half**2, top)
    _percent_axis(axis.yaxis, (1.0,) if half > 10 else (1.0, 3.0))
    axis.tick_params(labelsize=5.5, length=2, pad=1.5)
    axis.set_xlim(-0.3, step * len(colours) - 1.1)
    axis.set_xticks([])


def _sizes_title(
    sheet: Mapping[str, Mapping[str, str]], levels: Sequence[str], treatments: Sequence[str]
) -> str:
    patients = {
        treatment: len({r["patient_id"] for r in sheet.values() if r["treatment"] == treatment})
        for treatment in treatments
    }
    said = ", ".join(f"{name} (n = {count})" for name, count in patients.items())
    visits = " → ".join(plain(level) for level in levels)
    return (
        f"Sizes of the clusters, {visits}, from left to right: {said}\n"
        "grey: patients; bold: median of those with all visits; a sample without such events "
        f"stands at half the smallest share\n{UNSTABLE_MARK} grey: other seeds or patients do not "
        "find this cluster again"
    )


def _name_treatments(figure: Figure, colours: Mapping[str, str]) -> None:
    handles = [
        mpl.lines.Line2D([], [], color=colour, linewidth=2, label=name)
        for name, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles) or 1, frameon=False)
