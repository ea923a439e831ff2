"""Figures of clusters: their markers, and their sizes by visit."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.flow.clusters.colours import GREY as NO_FAMILY
from biocross.flow.clusters.colours import population_colours
from biocross.flow.clusters.groups import MAIN, cluster_name
from biocross.report.figures.cluster_sizes import plot_cluster_sizes
from biocross.report.figures.one_cluster import UNSTABLE_MARK, Cluster, percent_axis
from biocross.report.figures.style import GREY, STYLE, save_figure
from biocross.tables import read_rows

Floats = NDArray[np.float64]
Rows = Sequence[Mapping[str, str]]

# A sample's median of fewer cells is left out of the heat map.
FEW_CELLS = 10
# Inches.
ROW, COLUMN = 0.15, 0.16
MARKERS_FIGURE_COLUMNS = ("cluster", "population", "stable", "percent", "marker", "median")


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
        source = _source(clusters, markers, medians)
        save_figure(figure, *figures_out, source=source, columns=MARKERS_FIGURE_COLUMNS)


def _source(
    clusters: Sequence[Cluster], markers: Sequence[str], medians: Floats
) -> Iterator[dict[str, Any]]:
    for one, line in zip(clusters, medians, strict=True):
        about = {"cluster": one.number, "population": one.population, "stable": one.stable}
        for marker, value in zip(markers, line, strict=True):
            yield {**about, "percent": one.percent, "marker": marker, "median": float(value)}


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
    percent_axis(axis.xaxis, (1.0,))
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
