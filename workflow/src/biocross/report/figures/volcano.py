"""Volcano plot: how large every change is against how sure."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from biocross.report.figures.label_places import write_labels
from biocross.report.figures.panels import (
    Row,
    by_panel,
    empty_figure,
    fold_axis,
    is_primary,
)
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.sources import is_below
from biocross.report.words import contrast_words, subject

VOLCANO_COLUMNS = (
    *("treatment", "contrast", "modality", "source", "population", "parent", "readout"),
    *("n_pairs", "effect", "p_value", "q_value", "family"),
)
PANEL = (2.9, 2.8)
# Farther from no change a point stands at the edge.
WIDEST = 32.0
# Size of a population of the confirmatory family, and of another.
PRIMARY, OTHER = 5.5, 3.5


def draw_volcano(axis: Axes, rows: Sequence[Row], fdr: float, top: float) -> None:
    """Draw one panel: every tested change a point, those below the false discovery rate named.

    Parameters
    ----------
    axis
        Where to draw; its place on the page must be fixed, since labels are placed by it.
    rows
        Rows of ``paired_changes.tsv``; those not tested are left out.
    fdr
        False discovery rate of a claim.
    top
        The largest -log10 p of the vertical axis.
    """
    tested = [row for row in rows if row["status"] == "tested"]
    effects = np.array([np.clip(row["effect"], 1 / WIDEST, WIDEST) for row in tested])
    fold_axis(axis, 1.25 * max([2.0, *effects, *(1 / effects)]))
    axis.set_ylim(0, top)
    axis.axvline(1, color=GREY, linewidth=0.6, zorder=0)
    heights = np.array([-np.log10(row["p_value"]) for row in tested])
    if not tested:
        axis.text(0.5, 0.5, "nothing tested", transform=axis.transAxes, ha="center", color=GREY)
    claimed = [place for place, row in enumerate(tested) if is_below(row, fdr)]
    for place, (row, x, y) in enumerate(zip(tested, effects, heights, strict=True)):
        primary = is_primary(row)
        axis.plot(
            *(x, y, "D" if primary else "o"),
            color=VERMILLION if place in claimed else BLUE,
            markerfacecolor=VERMILLION if place in claimed else "white",
            markersize=PRIMARY if primary else OTHER,
            markeredgewidth=0.8,
            gid=f"change:{row['population']}",
        )
    write_labels(axis, effects, heights, [subject(tested[n]) for n in claimed], claimed, 6.5)


def plot_volcano(rows: Sequence[Row], fdr: float, *figures_out: Path | str) -> None:
    """Draw the volcano plots of a study: treatments below each other, contrasts beside.

    Parameters
    ----------
    rows
        Of `shown_rows`.
    fdr
        False discovery rate of a claim.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    tested = [row for row in rows if row["status"] == "tested"]
    with mpl.rc_context(STYLE):
        figure = _volcanoes(by_panel(rows), tested, fdr)
        save_figure(figure, *figures_out, source=tested, columns=VOLCANO_COLUMNS)


def _volcanoes(
    panels: dict[tuple[str, str], list[Row]], tested: Sequence[Row], fdr: float
) -> Figure:
    if not tested:
        return empty_figure("No change of percentages could be tested.")
    contrasts = list(dict.fromkeys(contrast for _, contrast in panels))
    columns = len(contrasts) if len(contrasts) > 1 else min(3, len(panels))
    lines = -(-len(panels) // columns)
    width, height = max(PANEL[0] * columns + 0.2, 3.6), PANEL[1] * lines + 0.35
    top = 1.15 * max(2.0, *(-np.log10(row["p_value"]) for row in tested))
    figure = Figure(figsize=(width, height))
    places = [(number // columns, number % columns) for number in range(len(panels))]
    if len(contrasts) > 1:
        arms = list(dict.fromkeys(treatment for treatment, _ in panels))
        places = [(arms.index(arm), contrasts.index(contrast)) for arm, contrast in panels]
    for ((arm, contrast), rows), (line, column) in zip(panels.items(), places, strict=True):
        left, bottom = PANEL[0] * column + 0.5, height - PANEL[1] * (line + 1) + 0.45
        box = (left / width, bottom / height, (PANEL[0] - 0.65) / width, (PANEL[1] - 0.9) / height)
        axis = figure.add_axes(box)
        draw_volcano(axis, rows, fdr, top)
        axis.set_title(f"{arm}\n{contrast_words(contrast)}", loc="left", parse_math=False)
        axis.set_xlabel("change (ratio of odds)")
        axis.set_ylabel("$-\\log_{10}$ p")
    _explain(figure, fdr)
    return figure


def _explain(figure: Figure, fdr: float) -> None:
    looks = (
        ("D", BLUE, PRIMARY, "primary population"),
        ("o", BLUE, OTHER, "other population"),
        ("s", VERMILLION, OTHER, f"q < {fdr:g}, named"),
    )
    handles = [
        Line2D(
            *([], []),
            linestyle="",
            marker=marker,
            color=colour,
            markerfacecolor=colour if marker == "s" else "white",
            markersize=size,
            label=label,
        )
        for marker, colour, size, label in looks
    ]
    figure.legend(handles=handles, loc="lower left", ncols=3, frameon=False, fontsize=6.5)
