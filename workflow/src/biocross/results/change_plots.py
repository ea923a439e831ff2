"""Plots of changes, drawn for Jupyter: matplotlib axes in, matplotlib axes out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from biocross.errors import BiocrossError
from biocross.report.figures.forest import draw_forest, forest_figure
from biocross.report.figures.paired_changes import Panel, draw_panel
from biocross.report.figures.panels import by_panel, is_primary
from biocross.report.figures.style import BLUE, GREY, STYLE
from biocross.report.sources import records
from biocross.report.words import format_p, plain
from biocross.results.choices import axes_for

AxesArray = np.ndarray[Any, Any]
PANEL_WIDTH, PANEL_HEIGHT = 2.6, 2.8
LARGER = {**STYLE, "font.size": 8}


@contextmanager
def styled(style: Mapping[Any, Any]) -> Iterator[None]:
    """Draw in a style, in Jupyter as elsewhere.

    Jupyter's backend turns the showing of figures on when it is first used: it must be used before
    the style begins, because whatever is turned on within a style goes with it.
    """
    plt.draw_if_interactive()  # type: ignore[no-untyped-call]
    with plt.rc_context({**style}):
        yield


def panel_axes(n_panels: int, axes: Any, what: str) -> AxesArray:
    """Return the given axes, or new ones side by side, shape (panels,)."""
    if axes is not None:
        return axes_for(axes, n_panels, what)
    size = (PANEL_WIDTH * n_panels, PANEL_HEIGHT)
    _, grid = plt.subplots(1, n_panels, figsize=size, squeeze=False, layout="constrained")
    return np.asarray(grid[0])


def draw_changes(panels: Sequence[Panel], fdr: float, axes: Any) -> AxesArray:
    """Draw paired plots side by side.

    Parameters
    ----------
    panels
        Of `change_panels`.
    fdr
        False discovery rate below which the median is coloured.
    axes
        Where to draw, or None.

    Returns
    -------
    ndarray of Axes
        Shape (panels,).
    """
    with styled(LARGER):
        what = ", ".join(f"{panel.title} {panel.treatment}" for panel in panels)
        drawn = panel_axes(len(panels), axes, what)
        for axis, panel in zip(drawn, panels, strict=True):
            draw_panel(axis, panel, fdr)
    return drawn


def draw_forests(changes: pd.DataFrame, fdr: float, axes: Any) -> AxesArray:
    """Draw a forest plot per treatment and contrast, primary populations first.

    Parameters
    ----------
    changes
        Rows of ``paired_changes.tsv`` of one readout.
    fdr
        False discovery rate of a claim.
    axes
        Where to draw, or None.

    Returns
    -------
    ndarray of Axes
        Shape (panels,).
    """
    if changes.empty:
        raise BiocrossError("there is no change to draw; see results.pairs for why")
    panels = by_panel(sorted(records(changes), key=lambda row: not is_primary(row)))
    if axes is None:
        with styled(STYLE):
            return np.array(forest_figure(panels, fdr, plt.figure).axes)
    given = axes_for(axes, len(panels), "; ".join(map(", ".join, panels)))
    with styled(STYLE):
        for axis, rows in zip(given, panels.values(), strict=True):
            draw_forest(axis, rows, fdr)
    return given


def draw_markers(
    values: pd.DataFrame,
    changes: pd.DataFrame,
    units_of: Mapping[str, Sequence[str]],
    levels: Sequence[str],
    title: str,
    axes: Any,
) -> AxesArray:
    """Draw a marker in a population, a panel per treatment.

    Parameters
    ----------
    values
        Rows of ``expression.tsv`` with ``unit`` and ``level``.
    changes
        Its rows of ``marker_changes.tsv``, or none.
    units_of
        Who is compared, by treatment.
    levels
        Levels of the contrast in order.
    title
        Stands above.
    axes
        Where to draw, or None.

    Returns
    -------
    ndarray of Axes
        Shape (panels,).
    """
    with styled(LARGER):
        drawn = panel_axes(len(units_of), axes, ", ".join(units_of))
        for axis, (treatment, units) in zip(drawn, units_of.items(), strict=True):
            own = values[values["unit"].isin(units)]
            tested = changes[changes["treatment"] == treatment]
            draw_marker(own, tested, levels, f"{title}\n{treatment}", axis)
        drawn[0].set_ylabel("median, on the scale of the transform")
    return drawn


def draw_marker(
    values: pd.DataFrame, changes: pd.DataFrame, levels: Sequence[str], title: str, axis: Axes
) -> None:
    """Draw a marker in a population: a line per patient, the median of complete ones in bold.

    Parameters
    ----------
    values
        Rows of ``expression.tsv`` with ``unit`` and ``level``.
    changes
        Its rows of ``marker_changes.tsv``, or none.
    levels
        Levels of the contrast in order.
    title
        Stands above.
    axis
        Where to draw.
    """
    wide = values.pivot_table(index="unit", columns="level", values="value", dropna=False)
    lines = wide.reindex(columns=list(levels)).to_numpy(dtype=float)
    positions = np.arange(len(levels))
    for unit, line in zip(wide.index, lines, strict=True):
        axis.plot(positions, line, "o-", color=GREY, ms=3, lw=0.7, gid=f"patient:{unit}")
    complete = lines[np.isfinite(lines).all(axis=1)]
    if len(complete):
        axis.plot(positions, np.median(complete, axis=0), color=BLUE, lw=2.2, marker="_", ms=9)
    axis.set_xticks(positions, [plain(level) for level in levels], parse_math=False)
    axis.set_xlim(-0.35, len(levels) - 0.65)
    tested = changes[changes["status"] == "tested"].sort_values("q_value", kind="stable")
    said = [
        f"{plain(row['contrast'])}: {row['n_pairs']} pairs, q = {format_p(row['q_value'])}"
        for row in records(tested)[:1]
    ]
    axis.set_title(title, loc="left", parse_math=False)
    axis.set_xlabel("\n".join(said) or "not tested", fontsize=6, parse_math=False)
