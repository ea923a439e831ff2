"""Cells and clinic: change against change, and responders against others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from biocross.report.figures.panels import Row, empty_figure, fold_axis
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.words import (
    contrast_words,
    format_number,
    format_p,
    plain,
    subject,
    unit_words,
)

FloatArray = NDArray[np.float64]
ASSOCIATIONS_COLUMNS = (
    *("treatment", "contrast", "population", "readout", "variable", "patient", "arm"),
    *("clinical_change", "population_change", "rho", "rho_low", "rho_high", "p_value", "q_value"),
)
RESPONSE_FIGURE_COLUMNS = (
    *("treatment", "contrast", "population", "readout", "patient", "responder"),
    *("population_change", "effect", "effect_low", "effect_high", "p_value", "q_value", "status"),
)
# So many associations of a treatment are drawn, and so many plots stand beside each other.
MOST, BESIDE = 6, 3
PANEL = (2.4, 2.2)
ARM_LOOKS = ((BLUE, "o"), (VERMILLION, "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"))


class Changes(NamedTuple):
    """Changes of one population, pair by pair; arrays of shape (pairs,).

    Parameters
    ----------
    patients
        Who.
    arms
        The treatment of each pair.
    change
        Of the population, as a ratio (of odds, or of cells/µl); NaN where not known.
    other
        What is set against it: the change of a clinical measurement, or 1 for responders and 0
        for others.
    """

    patients: Sequence[str]
    arms: Sequence[str]
    change: FloatArray
    other: FloatArray


class Panel(NamedTuple):
    """One plot: a row of results and the changes behind it."""

    row: Row
    changes: Changes


def strongest(rows: Sequence[Row]) -> list[Row]:
    """Take the associations with the smallest p values of every treatment.

    Parameters
    ----------
    rows
        Rows of ``clinical_associations.tsv``.

    Returns
    -------
    list
        At most `MOST` per treatment, by treatment and p value.
    """
    tested = [row for row in rows if row["status"] == "tested" and np.isfinite(row["rho"])]
    ordered = sorted(tested, key=lambda row: (str(row["treatment"]), row["p_value"]))
    kept: dict[str, list[Row]] = {}
    for row in ordered:
        own = kept.setdefault(str(row["treatment"]), [])
        if len(own) < MOST:
            own.append(row)
    return [row for own in kept.values() for row in own]


def draw_association(axis: Axes, panel: Panel, looks: Mapping[str, tuple[str, str]]) -> None:
    """Draw the change of a population against that of a clinical measurement.

    Parameters
    ----------
    axis
        Where to draw.
    panel
        A row of ``clinical_associations.tsv`` and its changes.
    looks
        Colour and marker of every treatment.
    """
    row, changes = panel
    for arm in dict.fromkeys(changes.arms):
        own = np.array([name == arm for name in changes.arms])
        colour, marker = looks[arm]
        axis.plot(
            *(changes.other[own], changes.change[own], marker),
            color=colour,
            markersize=4,
            markerfacecolor="none",
        )
    axis.axhline(1, color="#CCCCCC", linewidth=0.7, zorder=0)
    axis.axvline(0, color="#CCCCCC", linewidth=0.7, zorder=0)
    known = changes.change[np.isfinite(changes.change)]
    fold_axis(axis, 1.15 * max([1.6, *known, *(1 / known)]), x=False)
    rho = f"rho {row['rho']:.2f} ({row['rho_low']:.2f} to {row['rho_high']:.2f})"
    sure = f"{row['n_pairs']} pairs, p = {format_p(row['p_value'])}, q = {format_p(row['q_value'])}"
    title = f"{row['treatment']}\n{contrast_words(row['contrast'])}\n{rho}\n{sure}"
    axis.set_title(title, loc="left", fontsize=6.5, parse_math=False)
    variable = plain(row["variable"]).replace(" per ul", "/µl")
    axis.set_xlabel(f"change of {variable}", parse_math=False)
    axis.set_ylabel(_change_words(row), parse_math=False)


def _change_words(row: Row) -> str:
    return f"{subject(row)}\n{unit_words(row)}, ratio"


def plot_associations(panels: Sequence[Panel], *figures_out: Path | str) -> None:
    """Draw the strongest associations of every treatment.

    Parameters
    ----------
    panels
        Rows of `strongest` with their changes.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    arms = sorted({arm for panel in panels for arm in panel.changes.arms})
    looks = {arm: ARM_LOOKS[number % len(ARM_LOOKS)] for number, arm in enumerate(arms)}
    with mpl.rc_context(STYLE):
        if not panels:
            figure = empty_figure(
                "No association of cells with clinical measurements could be tested: it takes a "
                "clinical sheet\nand at least 6 pairs in which both changes are known."
            )
        else:
            figure, axes = _grid(panels)
            for axis, panel in zip(axes, panels, strict=False):
                draw_association(axis, panel, looks)
            words = (
                f"Up to {MOST} associations with the smallest p of each treatment; those with q "
            )
            words += "above the false discovery rate are not shown to exist."
            figure.supxlabel(words, fontsize=6.5, x=0.01, ha="left")
            handles = [
                Line2D([], [], linestyle="", marker=marker, color=colour, label=arm)
                for arm, (colour, marker) in looks.items()
            ]
            figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False)
        source = [row for panel in panels for row in _source(panel, "clinical_change")]
        save_figure(figure, *figures_out, source=source, columns=ASSOCIATIONS_COLUMNS)


def _grid(panels: Sequence[Panel]) -> tuple[Figure, list[Axes]]:
    columns = min(BESIDE, len(panels))
    lines = -(-len(panels) // columns)
    size = (max(PANEL[0] * columns, 5.2), PANEL[1] * lines + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return figure, axes


def _source(panel: Panel, other: str) -> list[dict[str, Any]]:
    row, changes = panel
    return [
        {**row, "patient": patient, "arm": arm, "population_change": float(change), other: value}
        for patient, arm, change, value in zip(*changes, strict=True)
        if np.isfinite(change) and np.isfinite(value)
    ]


def draw_response(axis: Axes, panel: Panel) -> None:
    """Draw the changes of responders beside those of the others, with the medians.

    Parameters
    ----------
    axis
        Where to draw.
    panel
        A row of ``response.tsv`` and its changes.
    """
    row, changes = panel
    known = np.isfinite(changes.change) & np.isfinite(changes.other)
    for place, group in enumerate((1.0, 0.0)):
        values = np.sort(changes.change[known & (changes.other == group)])
        # Side by side, so that no dot hides another; the same places in every run.
        spread = 0.12 * (np.arange(len(values)) % 5 - 2) / 2
        colour = BLUE if group else GREY
        axis.plot(place + spread, values, "o", color=colour, markersize=3.5, markerfacecolor="none")
        if len(values):
            middle = float(np.median(values))
            axis.plot([place - 0.25, place + 0.25], [middle] * 2, color=colour, linewidth=1.8)
    axis.axhline(1, color="#CCCCCC", linewidth=0.7, zorder=0)
    shown = changes.change[known]
    fold_axis(axis, 1.15 * max([1.6, *shown, *(1 / shown)]), x=False)
    numbers = (row["n_responders"], row["n_nonresponders"])
    groups = zip(("responders", "non-resp."), numbers, strict=True)
    axis.set_xticks([0, 1], [f"{name}\nn = {n}" for name, n in groups])
    axis.set_xlim(-0.5, 1.5)
    axis.set_ylabel(_change_words(row), parse_math=False)
    title = f"{row['treatment']}\n{contrast_words(row['contrast'])}\n{_response_words(row)}"
    axis.set_title(title, loc="left", fontsize=6.5, parse_math=False)


def _response_words(row: Row) -> str:
    if row["status"] != "tested":
        return plain(row["status"])
    ends = (format_number(row[f"effect{end}"]) for end in ("", "_low", "_high"))
    ratio = "ratio {} ({} to {})".format(*ends)
    return f"{ratio}, p = {format_p(row['p_value'])}, q = {format_p(row['q_value'])}"


def plot_response(panels: Sequence[Panel], *figures_out: Path | str) -> None:
    """Draw the change of the primary populations in responders and in others.

    Parameters
    ----------
    panels
        Rows of ``response.tsv`` with their changes.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    drawn = [panel for panel in panels if len(_source(panel, "responder"))]
    with mpl.rc_context(STYLE):
        if not drawn:
            figure = empty_figure(
                "Responders cannot be compared: patients.tsv has no column responder, or no "
                "primary population was counted in a pair."
            )
        else:
            figure, axes = _grid(drawn)
            for axis, panel in zip(axes, drawn, strict=False):
                draw_response(axis, panel)
        rows = [row for panel in drawn for row in _source(panel, "responder")]
        source = [row | {"responder": bool(row["responder"])} for row in rows]
        save_figure(figure, *figures_out, source=source, columns=RESPONSE_FIGURE_COLUMNS)
