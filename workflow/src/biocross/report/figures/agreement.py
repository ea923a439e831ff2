"""Whether gates and clusters call the same cells by the same name, at a glance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biocross.cohort.vocabulary import load_vocabulary
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.words import plain
from biocross.tables import read_rows

AGREEMENT_FIGURE_COLUMNS = (
    *("population", "f1", "f1_low", "f1_median", "f1_high", "n_gate", "n_cluster"),
)
# Right ends of the columns of numbers beside the plot, in its widths.
COUNT_PLACES = (1.25, 1.55)


def plot_agreement(
    summary: Path | str, populations: Path | str, least_f1: float, *figures_out: Path | str
) -> None:
    """Draw how far gates and clusters call the same cells by the same name.

    Parameters
    ----------
    summary
        ``agreement_summary.tsv``.
    populations
        ``populations.yaml``, which gives their order.
    least_f1
        F1 below which a population is in question.
    figures_out
        One file per format.
    """
    order = {name: place for place, name in enumerate(load_vocabulary(Path(populations)))}
    rows = sorted(
        (row for row in read_rows(summary) if row["f1_median"]),
        key=lambda row: order.get(row["population"], len(order)),
    )
    height = 0.16 * max(len(rows), 2) + 1.0
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, height))
        axis = figure.add_axes((0.28, 0.45 / height, 0.42, 1 - 1.1 / height))
        axis.set(xlim=(-0.02, 1.03), ylim=(max(len(rows), 1) - 0.4, -0.6))
        axis.axvline(least_f1, color=GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
        if not rows:
            axis.text(0.5, 0.2, "nothing that both found", ha="center")
        for place, row in enumerate(rows):
            _draw_agreement(axis, place, row, least_f1)
        axis.set_yticks(range(len(rows)), [plain(row["population"]) for row in rows])
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.grid(axis="x", linewidth=0.3, color="#DDDDDD")
        axis.set_axisbelow(True)
        axis.set_xlabel("F1: 0 no cell in common, 1 the same cells")
        for x, words in zip(
            COUNT_PLACES, ("cells in\nthe gate", "cells in\nthe clusters"), strict=True
        ):
            where = axis.get_yaxis_transform()
            axis.text(x, -0.75, words, transform=where, fontsize=6, ha="right", va="bottom")
        title = (
            "Gates and clusters: the same cells?\nPoint: median of the samples, bar: their middle "
            f"half; orange: F1 over all samples below {least_f1:g}"
        )
        figure.text(0.02, 1 - 0.1 / height, title, fontsize=7, va="top")
        save_figure(figure, *figures_out, source=rows, columns=AGREEMENT_FIGURE_COLUMNS)


def _draw_agreement(axis: Axes, place: int, row: Mapping[str, str], least_f1: float) -> None:
    low, middle, high = (float(row[key] or "nan") for key in ("f1_low", "f1_median", "f1_high"))
    colour = VERMILLION if float(row.get("f1") or middle) < least_f1 else BLUE
    axis.plot([low, high], [place, place], color=colour, linewidth=2, alpha=0.45)
    axis.plot(middle, place, "o", color=colour, markersize=4)
    where = axis.get_yaxis_transform()
    style: dict[str, Any] = {"fontsize": 6, "va": "center", "ha": "right", "color": "#555555"}
    for x, key in zip(COUNT_PLACES, ("n_gate", "n_cluster"), strict=True):
        axis.text(x, place, f"{int(row[key]):,}", transform=where, **style)
