"""Specification curves: how far each primary finding depends on how it was analysed."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from biocross.report.figures.panels import Row, empty_figure, fold_axis
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.words import contrast_words, plain, subject

SPECIFICATIONS_COLUMNS = (
    *("treatment", "contrast", "modality", "source", "population", "parent", "aspect"),
    *("specification", "n_pairs", "effect", "effect_low", "effect_high", "effect_scale"),
    *("p_value", "holds", "status", "note"),
)
ASPECTS = (
    *("as_reported", "readout", "test", "source", "gate", "leave_one_out", "batch"),
    *("covariate", "dropout"),
)
WORDS = {"as_reported": "as reported", "leave_one_out": "each patient left out in turn"}
# Scales on which 1 is no change; the tipping point of dropouts is none.
RATIOS = ("odds_ratio", "fold_change")
PANEL_WIDTH, LINE, WIDEST = 1.75, 0.125, 32.0
MOST_BESIDE = 4
# A line of a panel: aspect and specification.
Line = tuple[str, str]


def line_of(row: Row) -> Line:
    """Name the line of a row: all patients left out share one."""
    aspect = str(row["aspect"])
    return (aspect, "" if aspect == "leave_one_out" else str(row["specification"]))


def ordered_lines(rows: Sequence[Row]) -> list[Line]:
    """Order the lines of a population's panels by aspect, the reported analysis first."""
    lines = dict.fromkeys(line_of(row) for row in rows if row["effect_scale"] in RATIOS)
    return sorted(lines, key=lambda line: ASPECTS.index(line[0]))


def draw_specifications(axis: Axes, rows: Sequence[Row], lines: Sequence[Line]) -> None:
    """Draw one finding under every specification.

    Parameters
    ----------
    axis
        Where to draw.
    rows
        Rows of ``specifications.tsv`` of one population, treatment and contrast.
    lines
        Of `ordered_lines`: what stands where, from the top.
    """
    place = {line: number for number, line in enumerate(lines)}
    axis.axvline(1, color=GREY, linewidth=0.6, zorder=0)
    reach, drawn = 2.0, [row for row in rows if _is_drawn(row)]
    for row in drawn:
        many = row["aspect"] == "leave_one_out"
        reported = row["aspect"] == "as_reported"
        colour = VERMILLION if row["holds"] in (True, "yes") else BLUE
        effect = float(np.clip(row["effect"], 1 / WIDEST, WIDEST))
        y = place[line_of(row)]
        if np.isfinite(row["effect_low"]):
            ends = [float(np.clip(row[f"effect_{e}"], 1 / WIDEST, WIDEST)) for e in ("low", "high")]
            axis.plot(ends, [y, y], color=colour, linewidth=0.9, alpha=0.35 if many else 1)
            reach = max(reach, ends[1], 1 / ends[0])
        axis.plot(
            *(effect, y, "D" if reported else "o"),
            color=colour,
            markersize=4.5 if reported else 2.6,
            markeredgewidth=0,
            gid=f"specification:{row['aspect']}:{row['specification']}",
        )
        if reported:
            axis.axvline(effect, color=colour, linewidth=0.6, linestyle=":", zorder=0)
    for before, after in pairwise(lines):
        if before[0] != after[0]:
            axis.axhline(place[after] - 0.5, color="#DDDDDD", linewidth=0.5, zorder=0)
    fold_axis(axis, reach * 1.1)
    axis.set(ylim=(len(lines) - 0.4, -0.6), yticks=[])
    axis.spines["left"].set_visible(False)
    if not drawn:
        axis.text(0.5, 0.5, "not tested", transform=axis.transAxes, ha="center", color=GREY)


def _is_drawn(row: Row) -> bool:
    return bool(
        row["status"] == "tested" and row["effect_scale"] in RATIOS and np.isfinite(row["effect"])
    )


def plot_specifications(rows: Sequence[Row], *figures_out: Path | str) -> None:
    """Draw the specification curves of a study: a band of panels per population.

    Parameters
    ----------
    rows
        Rows of ``specifications.tsv``.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    shown = [row for row in rows if row["effect_scale"] in RATIOS or row["status"] != "tested"]
    with mpl.rc_context(STYLE):
        figure = _curves(shown)
        save_figure(figure, *figures_out, source=shown, columns=SPECIFICATIONS_COLUMNS)


def _curves(rows: Sequence[Row]) -> Figure:
    bands: dict[str, dict[tuple[str, str], list[Row]]] = {}
    for row in rows:
        own = bands.setdefault(subject(row), {})
        own.setdefault((str(row["treatment"]), str(row["contrast"])), []).append(row)
    lines = {
        name: ordered_lines([row for own in band.values() for row in own])
        for name, band in bands.items()
    }
    bands = {name: band for name, band in bands.items() if lines[name]}
    if not bands:
        return empty_figure("No primary population could be tested, so nothing is varied.")
    heights = {
        name: (LINE * len(lines[name]) + 0.85) * -(-len(band) // MOST_BESIDE)
        for name, band in bands.items()
    }
    beside = min(MOST_BESIDE, max(map(len, bands.values())))
    names = 0.06 * max(len(_words(line)) for own in lines.values() for line in own) + 0.15
    size = max(names + PANEL_WIDTH * beside + 0.15, 4.8), sum(heights.values()) + 0.35
    figure = Figure(figsize=size)
    top = size[1]
    for name, band in bands.items():
        _draw_band(figure, name, band, lines[name], (names, top))
        top -= heights[name]
    _explain(figure)
    return figure


def _draw_band(
    figure: Figure,
    name: str,
    band: Mapping[tuple[str, str], Sequence[Row]],
    lines: Sequence[Line],
    corner: tuple[float, float],
) -> None:
    width, height = figure.get_size_inches()
    tall = LINE * len(lines)
    figure.text(
        *(0.08 / width, (corner[1] - 0.3) / height, name),
        fontsize=8,
        weight="bold",
        parse_math=False,
    )
    for number, ((treatment, contrast), rows) in enumerate(band.items()):
        column, line = number % MOST_BESIDE, number // MOST_BESIDE
        left = corner[0] + PANEL_WIDTH * column
        bottom = corner[1] - (tall + 0.85) * line - 0.45 - tall
        box = (left / width, bottom / height, (PANEL_WIDTH - 0.2) / width, tall / height)
        axis = figure.add_axes(box)
        draw_specifications(axis, rows, lines)
        title = f"{treatment}\n{contrast_words(contrast)}"
        axis.set_title(title, loc="left", fontsize=6.5, parse_math=False)
        if not column:
            axis.set_yticks(range(len(lines)), map(_words, lines), fontsize=6, parse_math=False)
            axis.tick_params(axis="y", length=0)


def _words(line: Line) -> str:
    aspect, specification = line
    if aspect in WORDS:
        return WORDS[aspect]
    return f"{plain(aspect)}: {plain(specification)}".replace("cells per ul", "cells/µl")


def _explain(figure: Figure) -> None:
    looks = (
        ("D", BLUE, 4.5, "as reported"),
        ("o", BLUE, 2.6, "varied"),
        ("o", VERMILLION, 2.6, "claimed, and holds (same direction, p < 0.05)"),
    )
    handles = [
        Line2D([], [], marker=marker, color=colour, markersize=size, label=label)
        for marker, colour, size, label in looks
    ]
    figure.legend(handles=handles, loc="lower left", ncols=3, frameon=False, fontsize=6.5)
