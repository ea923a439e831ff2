"""The error rates of this very run: how often relabelled visits would have been called a change."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from biocross.report.figures.panels import Row, empty_figure
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.words import contrast_words
from biocross.statistics.calibration_rows import OK_RATES

CALIBRATION_COLUMNS = (
    *("scope", "modality", "source", "treatment", "contrast", "readout", "what"),
    *("n_populations", "n_pairs", "n_relabellings", "rate", "rate_low", "rate_high", "verdict"),
    *("status", "note"),
)
LINE = 0.16
COLOURS = {"ok": BLUE, "inflated": VERMILLION, "conservative": "#56B4E9"}
MARKERS = {"ok": "o", "inflated": "s", "conservative": "v"}


def draw_calibration(axis: Axes, rows: Sequence[Row]) -> None:
    """Draw the rate of every abundance class with its interval, and that of any claim.

    Parameters
    ----------
    axis
        Where to draw.
    rows
        Rows of ``calibration.tsv``, from the top; those of one question together.
    """
    axis.axvspan(*OK_RATES, color="#E4EEF4", linewidth=0, zorder=0)
    axis.axvline(0.05, color=GREY, linewidth=0.6, zorder=0)
    labels, reach = [], 0.1
    for line, row in enumerate(rows):
        many = f"{row['n_populations']:g} population{'' if row['n_populations'] == 1 else 's'}"
        labels.append(f"{row['what']} ({many})")
        if row["status"] != "tested":
            axis.text(0.05, line, "not tested", fontsize=5.5, va="center", ha="center", color=GREY)
            continue
        colour = COLOURS.get(row["verdict"], GREY)
        axis.plot([row["rate_low"], row["rate_high"]], [line, line], color=colour, linewidth=1)
        axis.plot(
            *(row["rate"], line, MARKERS.get(row["verdict"], "o")),
            color=colour,
            markersize=4,
            gid=f"rate:{row['what']}",
        )
        axis.annotate(
            f"{row['rate']:.3f}",
            (1, line),
            xycoords=axis.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=VERMILLION if row["verdict"] == "inflated" else "black",
        )
        reach = max(reach, row["rate_high"])
    axis.set(xlim=(0, reach * 1.05), ylim=(len(rows) - 0.4, -0.6))
    axis.set_yticks(range(len(rows)), labels, parse_math=False)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


def calibration_rows(rows: Sequence[Row], declared: Sequence[str]) -> list[Row]:
    """Take what the figure shows: confirmatory claims, and the classes of the declared table.

    Parameters
    ----------
    rows
        Of ``calibration.tsv``.
    declared
        Modality, source and readout of the confirmatory family; without such rows, all sources
        of that readout.

    Returns
    -------
    list
        Without the rows of single populations.
    """
    whole = [row for row in rows if row["scope"] != "population"]
    own = [row for row in whole if (row["modality"], row["source"]) == tuple(declared[:2])]
    return [row for row in own or whole if row["readout"] == declared[2]]


def plot_calibration(rows: Sequence[Row], *figures_out: Path | str) -> None:
    """Draw the error rates of a run, question by question.

    Parameters
    ----------
    rows
        Of `calibration_rows`.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    with mpl.rc_context(STYLE):
        figure = _questions(rows)
        save_figure(figure, *figures_out, source=rows, columns=CALIBRATION_COLUMNS)


def _questions(rows: Sequence[Row]) -> Figure:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if np.isfinite(row["n_populations"]):
            groups.setdefault(_head(row), []).append(row)
    if not groups:
        return empty_figure("The run could not be calibrated: too few pairs.")
    heights = [LINE * len(group) + 0.62 for group in groups.values()]
    width, height = 6.0, sum(heights) + 0.85
    figure, top = Figure(figsize=(width, height)), height - 0.4
    figure.text(
        *(0.08 / width, 1 - 0.06 / height),
        "How often would relabelled visits be called a change? Shaded: 0.03 to 0.07, a sound rate "
        "of single tests.\nAny claim at all may be rarer, but not more frequent",
        va="top",
    )
    for (head, group), own in zip(groups.items(), heights, strict=True):
        bottom = top - own + 0.3
        box = (2.3 / width, bottom / height, 3.1 / width, (own - 0.62 + 0.02) / height)
        axis = figure.add_axes(box)
        draw_calibration(axis, group)
        figure.text(
            *(0.08 / width, (bottom + own - 0.56) / height, head), weight="bold", parse_math=False
        )
        top -= own
    axis.set_xlabel("share of relabellings, with its 95 % interval")
    handles = [
        Line2D([], [], marker=MARKERS[word], color=COLOURS[word], markersize=4, label=word)
        for word in COLOURS
    ]
    figure.legend(handles=handles, loc="lower left", ncols=3, frameon=False)
    return figure


def _head(row: Row) -> str:
    if row["scope"] == "confirmatory":
        return "All primary populations, treatments and contrasts together"
    return f"{row['treatment']}: {contrast_words(row['contrast'])} ({row['n_pairs']:g} pairs)"
