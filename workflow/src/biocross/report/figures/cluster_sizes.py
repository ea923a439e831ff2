"""Sizes of the clusters by visit: a panel per cluster, a line per patient."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from biocross.flow.clusters.colours import category_colours
from biocross.flow.clusters.groups import SINGLE, cluster_name
from biocross.report.figures.one_cluster import UNSTABLE_MARK, Cluster, percent_axis
from biocross.report.figures.style import GREY, STYLE, save_figure
from biocross.report.words import plain

Floats = NDArray[np.float64]
Rows = Sequence[Mapping[str, str]]

SIZES_FIGURE_COLUMNS = (
    *("cluster", "population", "sample_id", "patient_id", "visit", "treatment", "percent"),
)
# Inches.
PANEL = (1.22, 1.12)
PANELS_ACROSS = 6


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
        source = _source(clusters, percents, sheet)
        save_figure(figure, *figures_out, source=source, columns=SIZES_FIGURE_COLUMNS)


def _source(
    clusters: Sequence[Cluster],
    percents: Mapping[str, Mapping[str, float]],
    sheet: Mapping[str, Mapping[str, str]],
) -> Iterator[dict[str, Any]]:
    for one in clusters:
        for sample, percent in percents.get(cluster_name(one.number), {}).items():
            row = sheet[sample]
            keys = {key: row[key] for key in ("sample_id", "patient_id", "visit", "treatment")}
            yield {"cluster": one.number, "population": one.population, **keys, "percent": percent}


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
    percent_axis(axis.yaxis, (1.0,) if half > 10 else (1.0, 3.0))
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
