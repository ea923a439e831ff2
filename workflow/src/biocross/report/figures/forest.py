"""Forest plot: every change with its interval, and beside it the numbers it rests on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from biocross.report.figures.panels import (
    Row,
    by_panel,
    empty_figure,
    fold_axis,
    is_primary,
    measured,
    panel_title,
)
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.sources import is_below
from biocross.report.words import format_number, format_p, format_ratio, plain
from biocross.tables import written_whole

FOREST_COLUMNS = (
    *("treatment", "contrast", "modality", "source", "population", "parent", "readout"),
    *("n_pairs", "baseline_median", "followup_median", "effect", "effect_low", "effect_high"),
    *("effect_scale", "effect_is_bound", "equivalent", "p_value", "q_value", "family"),
    *("status", "note"),
)
# Where the columns of numbers begin, in points right of the plot, and their heads.
NUMBERS = (
    (8, "before → after"),
    (76, "pairs"),
    (100, "effect (95 % interval)"),
    (203, "p"),
    (241, "q"),
)
NUMBERS_WIDTH, NAMES_WIDTH, PLOT_WIDTH, LINE = 3.8, 2.15, 2.2, 0.155
# Of a bold letter, in inches.
LETTER = 0.066
# What a panel needs above and below its lines, in inches.
ABOVE, BELOW = 0.5, 0.45
# Factor beyond which an interval is cut off.
WIDEST = 32.0
# Within it a change is called equivalent to none.
EQUIVALENT = (0.8, 1.25)
PALE = "#777777"


def draw_forest(axis: Axes, rows: Sequence[Row], fdr: float) -> None:
    """Draw one line per change, from the top: effect, interval, and the numbers.

    Right of the axes `NUMBERS_WIDTH` inches are needed, left of them about `NAMES_WIDTH`.

    Parameters
    ----------
    axis
        Where to draw.
    rows
        Rows of ``paired_changes.tsv`` in the order of the lines. Effects are ratios of odds or
        folds. What was not tested is grey, with its status in words.
    fdr
        False discovery rate below which a change is coloured.
    """
    axis.axvspan(*EQUIVALENT, color="#EEEEEE", linewidth=0, zorder=0)
    axis.axvline(1, color=GREY, linewidth=0.7, zorder=0)
    for offset, head in NUMBERS:
        _write(axis, -1, offset, head, color=PALE)
    reach = 2.0
    for line, row in enumerate(rows):
        if row["status"] == "tested":
            reach = max(reach, _draw_effect(axis, line, row, is_below(row, fdr)))
        _write_numbers(axis, line, row, is_below(row, fdr))
        if line and is_primary(rows[line - 1]) and not is_primary(row):
            axis.axhline(line - 0.5, color="#CCCCCC", linewidth=0.6)
    fold_axis(axis, min(reach, WIDEST) * 1.12)
    axis.set_yticks(range(len(rows)), [measured(row) for row in rows], parse_math=False)
    for label, row in zip(axis.get_yticklabels(), rows, strict=True):
        label.set_color("black" if row["status"] == "tested" else PALE)
        label.set_fontweight("bold" if is_primary(row) else "normal")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    axis.set_xlabel(_scale_words(rows))


def _draw_effect(axis: Axes, line: int, row: Row, claimed: bool) -> float:
    """Draw an effect with its interval; return how far it reaches, as a factor."""
    colour = VERMILLION if claimed else BLUE
    ends = [
        float(np.clip(row[f"effect{end}"], 1 / WIDEST, WIDEST)) for end in ("", "_low", "_high")
    ]
    effect, low, high = ends
    axis.plot([low, high], [line, line], color=colour, linewidth=1.1, solid_capstyle="butt")
    for end, marker in ((low, "<"), (high, ">")):
        if end in (1 / WIDEST, WIDEST):
            axis.plot(end, line, marker, color=colour, markersize=3)
    marker = "o"
    if row["equivalent"] is True:
        marker = "D"
    if row["effect_is_bound"] is True:
        marker = ">" if row["effect"] > 1 else "<"
    axis.plot(
        *(effect, line, marker),
        color=colour,
        markerfacecolor="white" if row["equivalent"] is True else colour,
        markersize=4.5,
        markeredgewidth=0.8,
        gid=f"effect:{row['population']}",
    )
    return max(effect, 1 / effect, high, 1 / low)


def _write_numbers(axis: Axes, line: int, row: Row, claimed: bool) -> None:
    tested = row["status"] == "tested"
    values = [f"{format_number(row[f'{when}_median'])}" for when in ("baseline", "followup")]
    effect = format_ratio(row) if tested else plain(row["status"])
    cells = (
        " → ".join(values) if np.isfinite(row["baseline_median"]) else "",
        str(row["n_pairs"]),
        effect,
        format_p(row["p_value"]) if tested else "",
        format_p(row["q_value"]) if tested else "",
    )
    for (offset, _), text in zip(NUMBERS, cells, strict=True):
        colour = VERMILLION if claimed else "black" if tested else PALE
        _write(axis, line, offset, text, color=colour)


def _write(axis: Axes, line: float, offset: float, text: str, **look: Any) -> None:
    aside = ScaledTranslation(offset / 72, 0, axis.figure.dpi_scale_trans)
    place = axis.get_yaxis_transform() + aside
    axis.text(1, line, text, transform=place, va="center", fontsize=6.5, parse_math=False, **look)


def _scale_words(rows: Sequence[Row]) -> str:
    scales = {row["effect_scale"] for row in rows if row["status"] == "tested"}
    words = {
        frozenset({"odds_ratio"}): "ratio of odds of the percentage",
        frozenset({"fold_change"}): "fold change",
    }.get(frozenset(scales), "ratio")
    return f"{words}, with its 95 % interval"


def plot_forest(rows: Sequence[Row], fdr: float, *figures_out: Path | str) -> None:
    """Draw the forest plot of a study: one panel per treatment and contrast.

    The PDF has a page per panel; the other formats have them below each other.

    Parameters
    ----------
    rows
        Of `shown_rows`.
    fdr
        False discovery rate of a claim.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    panels = by_panel(rows)
    drawn = [row for panel in panels.values() for row in panel]
    pages = [path for path in figures_out if str(path).endswith(".pdf")]
    others = [path for path in figures_out if path not in pages]
    each = [{key: panel} for key, panel in panels.items()] or [{}]
    with mpl.rc_context(STYLE):
        for path in pages:
            with written_whole(path) as temporary, PdfPages(temporary, metadata=_UNDATED) as pdf:
                for one in each:
                    pdf.savefig(forest_figure(one, fdr))
        save_figure(forest_figure(panels, fdr), *others, source=drawn, columns=FOREST_COLUMNS)


_UNDATED: Any = {"CreationDate": None}


def forest_figure(
    panels: dict[tuple[str, str], list[Row]], fdr: float, make: Callable[..., Figure] = Figure
) -> Figure:
    """Put forest plots below each other, as tall as their lines need.

    Parameters
    ----------
    panels
        Rows by treatment and contrast.
    fdr
        False discovery rate of a claim.
    make
        Makes an empty figure: ``pyplot.figure`` where it shall be shown at once.

    Returns
    -------
    Figure
        It says so in words where there is nothing to draw.
    """
    if not panels:
        return empty_figure("No change of percentages could be asked for: no two visits compare.")
    heights = [LINE * len(rows) + ABOVE + BELOW for rows in panels.values()]
    longest = max(len(measured(row)) for rows in panels.values() for row in rows)
    names = max(NAMES_WIDTH, LETTER * longest)
    width, height = names + PLOT_WIDTH + NUMBERS_WIDTH, sum(heights) + 0.4
    with mpl.rc_context(STYLE):
        figure = make(figsize=(width, height))
        top = height
        for ((treatment, contrast), rows), own in zip(panels.items(), heights, strict=True):
            box = (names, top - own + BELOW, PLOT_WIDTH, own - ABOVE - BELOW)
            shares = (box[0] / width, box[1] / height, box[2] / width, box[3] / height)
            axis = figure.add_axes(shares)
            draw_forest(axis, rows, fdr)
            figure.text(
                *(0.1 / width, (top - 0.12) / height, panel_title(treatment, contrast)),
                va="top",
                fontsize=8,
                weight="bold",
                parse_math=False,
            )
            top -= own
        _explain(figure, fdr)
    return figure


def _explain(figure: Figure, fdr: float) -> None:
    marks: tuple[tuple[str, str, str, str], ...] = (
        ("o", VERMILLION, VERMILLION, f"q < {fdr:g}"),
        ("o", BLUE, BLUE, "no change claimed"),
        ("D", BLUE, "white", "equivalent: within × 0.8 to 1.25 (grey band)"),
        (">", BLUE, BLUE, "at least so much: counts near zero"),
    )
    handles = [
        Line2D([], [], marker=m, color=edge, markerfacecolor=face, markersize=4.5, label=label)
        for m, edge, face, label in marks
    ]
    figure.legend(handles=handles, loc="lower left", ncols=4, frameon=False, fontsize=6.5)
