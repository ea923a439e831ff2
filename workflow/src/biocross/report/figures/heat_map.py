"""Heat map of changes: every population, treatment, contrast and readout in one view."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from biocross.report.figures.panels import (
    READOUT_WORDS,
    Row,
    Subject,
    by_panel,
    empty_figure,
    is_primary,
    subject_of,
)
from biocross.report.figures.style import STYLE, save_figure
from biocross.report.sources import is_below
from biocross.report.words import plain, subject

HEAT_MAP_COLUMNS = (
    *("readout", "treatment", "contrast", "modality", "source", "population", "parent"),
    *("n_pairs", "effect", "log2_effect", "q_value", "status"),
)
# Colour is at its fullest where a population grew or shrank fourfold.
MOST = 2.0
COLOURS = "RdBu_r"
CELL, LINE, BETWEEN = 0.36, 0.16, 0.12


def draw_heat_map(
    axis: Axes,
    cells: Mapping[tuple[Subject, tuple[str, str]], Row],
    subjects: Sequence[Subject],
    columns: Sequence[tuple[str, str]],
    fdr: float,
) -> None:
    """Draw the changes of one readout, a line per population.

    Parameters
    ----------
    axis
        Where to draw.
    cells
        Rows of ``paired_changes.tsv`` by subject and by treatment and contrast.
    subjects
        The lines from the top.
    columns
        Treatment and contrast of the columns.
    fdr
        Below it a cell is framed.
    """
    colours, scale = mpl.colormaps[COLOURS], Normalize(-MOST, MOST)
    for line, name in enumerate(subjects):
        for column, key in enumerate(columns):
            row = cells.get((name, key))
            if row is None:
                continue
            if row["status"] != "tested":
                axis.add_patch(_cell(column, line, facecolor="white", hatch="////"))
                continue
            value = np.log2(row["effect"])
            axis.add_patch(_cell(column, line, facecolor=colours(scale(value))))
            dark, claimed = abs(value) > 0.62 * MOST, is_below(row, fdr)
            text = f"{row['effect']:.2f}" if row["effect"] < 9.95 else f"{row['effect']:.0f}"
            axis.text(
                *(column, line, text),
                ha="center",
                va="center",
                fontsize=5.5,
                color="white" if dark else "black",
                weight="bold" if claimed else "normal",
            )
            if claimed:
                frame = _cell(column, line, facecolor="none", edgecolor="black", linewidth=1.0)
                axis.add_patch(frame).set_zorder(3)
    _label(axis, subjects, columns)


def _cell(column: int, line: int, **look: Any) -> Rectangle:
    defaults: dict[str, Any] = {"edgecolor": "#C8C8C8", "linewidth": 0.3}
    return Rectangle((column - 0.5, line - 0.5), 1, 1, **(defaults | look))


def _label(axis: Axes, subjects: Sequence[Subject], columns: Sequence[tuple[str, str]]) -> None:
    axis.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(subjects) - 0.5, -0.5))
    heads = [_head(*key) for key in columns]
    axis.xaxis.tick_top()
    axis.set_xticks(range(len(columns)), heads, rotation=60, ha="left", parse_math=False)
    axis.tick_params(length=0, pad=1)
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _head(treatment: str, contrast: str) -> str:
    return f"{treatment}, {plain(contrast.split(' - ')[0])}"


def plot_heat_map(rows: Sequence[Row], fdr: float, *figures_out: Path | str) -> None:
    """Draw the readouts side by side, the primary populations first.

    Parameters
    ----------
    rows
        Of `shown_rows`, of all readouts.
    fdr
        False discovery rate of a claim.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    source = [{**row, "log2_effect": _log2(row)} for row in rows]
    with mpl.rc_context(STYLE):
        figure = _readouts(rows, fdr)
        save_figure(figure, *figures_out, source=source, columns=HEAT_MAP_COLUMNS)


def _log2(row: Row) -> float:
    return float(np.log2(row["effect"])) if row["status"] == "tested" else float("nan")


def _readouts(rows: Sequence[Row], fdr: float) -> Figure:
    cells: dict[str, dict[tuple[Subject, tuple[str, str]], Row]] = {}
    for row in rows:
        key = (str(row["treatment"]), str(row["contrast"]))
        cells.setdefault(str(row["readout"]), {})[subject_of(row), key] = row
    # A readout that was tested nowhere takes no room: composition needs twelve populations.
    shown = {
        name: cells[name]
        for name in READOUT_WORDS
        if any(row["status"] == "tested" for row in cells.get(name, {}).values())
    }
    if not shown:
        return empty_figure("No change could be tested.")
    subjects = list(dict.fromkeys(subject_of(row) for row in rows))
    columns = list(by_panel(rows))
    names = 0.065 * max(len(name[2]) for name in subjects) + 0.5
    heads = 0.05 * max(len(_head(*key)) for key in columns) + 0.35
    each = CELL * len(columns)
    width = max(names + (each + BETWEEN) * len(shown) + 0.4, 5.8)
    height = heads + LINE * len(subjects) + 0.75
    figure = Figure(figsize=(width, height))
    axes = []
    for place, (readout, own) in enumerate(shown.items()):
        box = (names + place * (each + BETWEEN), 0.75, each, LINE * len(subjects))
        axis = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        draw_heat_map(axis, own, subjects, columns, fdr)
        figure.text(
            box[0] / width, 1 - 0.06 / height, READOUT_WORDS[readout], va="top", weight="bold"
        )
        axes.append(axis)
    _name_lines(axes[0], subjects, rows)
    _explain(figure, fdr, (names / width, 0.42 / height, 1.6 / width, 0.1 / height))
    return figure


def _name_lines(axis: Axes, subjects: Sequence[Subject], rows: Sequence[Row]) -> None:
    primary = {subject_of(row) for row in rows if is_primary(row)}
    names = [
        subject({"modality": name[0], "source": name[1], "population": name[2]})
        for name in subjects
    ]
    axis.set_yticks(range(len(subjects)), names, parse_math=False)
    for label, name in zip(axis.get_yticklabels(), subjects, strict=True):
        label.set_fontweight("bold" if name in primary else "normal")


def _explain(figure: Figure, fdr: float, box: tuple[float, float, float, float]) -> None:
    scale = figure.add_axes(box)
    ticks = np.arange(-MOST, MOST + 1)
    shades = ScalarMappable(Normalize(-MOST, MOST), COLOURS)
    bar = figure.colorbar(shades, cax=scale, orientation="horizontal", ticks=ticks, extend="both")
    bar.ax.set_xticklabels(["× 1/4", "× 1/2", "× 1", "× 2", "× 4"])
    handles = [
        Patch(facecolor="white", edgecolor="black", label=f"q < {fdr:g}"),
        Patch(facecolor="white", edgecolor="#C8C8C8", hatch="////", label="not tested"),
    ]
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(
            box[0] + box[2] + 0.1 / figure.get_figwidth(),
            box[1] - 0.1 / figure.get_figheight(),
        ),
        ncols=2,
        frameon=False,
        fontsize=6.5,
    )
    figure.text(
        *(0.1 / figure.get_figwidth(), 0.05 / figure.get_figheight()),
        "Ratio of odds (percent of parent) or fold change against baseline; primary populations "
        "are bold",
        fontsize=6.5,
    )
