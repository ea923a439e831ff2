"""Figures of paired changes: every patient a line, every visit a position."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.sources import leading_rows, records
from biocross.report.words import format_effect, format_p, plain, subject
from biocross.statistics.paired_changes import load_changes
from biocross.statistics.pairs import read_long_table, read_pair_sheet

PAIRED_FIGURE_COLUMNS = (
    *("modality", "source", "treatment", "population", "parent", "patient", "visit", "percent"),
)
PANEL_SIZE = (2.3, 2.15)
# Of visits side by side; with more, their names are slanted.
MOST_LETTERS = 26


class Panel(NamedTuple):
    """What one paired plot shows.

    Parameters
    ----------
    treatment, population, parent
        Its subject.
    percent
        Percent of parent, or cells/µl: a row per patient, a column per level; NaN where missing.
    changes
        Rows of ``paired_changes.tsv`` in that readout, one per contrast.
    """

    treatment: str
    population: str
    parent: str
    percent: pd.DataFrame
    changes: pd.DataFrame

    @property
    def subject(self) -> tuple[str, ...]:
        """What is plotted, apart from the treatment: gates and tables may share a name."""
        first = self.changes.iloc[0]
        return tuple(str(first[key]) for key in ("modality", "source", "population", "parent"))

    @property
    def is_percent(self) -> bool:
        """Whether percentages are plotted."""
        return bool(self.changes["readout"].iloc[0] == "percent_of_parent")

    @property
    def title(self) -> str:
        """The population, and what found it where that was not a gate."""
        modality, source = self.subject[:2]
        if source == "table":
            return f"{plain(self.population)} (table)"
        row = {"modality": modality, "source": source, "population": self.population}
        return subject(row)


def plot_paired_changes(
    changes: Path | str,
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    levels: Sequence[str],
    fdr: float,
    declared: Sequence[str],
    figures_out: Sequence[Path | str],
) -> None:
    """Draw the paired plot of every population, one column per treatment.

    Parameters
    ----------
    changes, counts
        ``paired_changes.tsv`` and ``counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    levels
        Levels of the contrast in order.
    fdr
        False discovery rate below which a change is coloured.
    declared
        Modality and source of the confirmatory family; others are drawn where these have no rows.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    table, pair_sheet = read_long_table(counts, samples), read_pair_sheet(pairs)
    drawn = leading_rows(load_changes(changes), declared)
    panels = list(change_panels(drawn, table, pair_sheet, levels))
    treatments = sorted({panel.treatment for panel in panels})
    rows = list(dict.fromkeys(panel.subject for panel in panels))
    width, height = PANEL_SIZE
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(rows),
            len(treatments),
            figsize=(width * len(treatments) + 0.6, height * len(rows)),
            squeeze=False,
            layout="constrained",
        )
        for axis in axes.flat:
            axis.set_axis_off()
        for panel in panels:
            axis = axes[rows.index(panel.subject), treatments.index(panel.treatment)]
            axis.set_axis_on()
            draw_panel(axis, panel, fdr)
        source = _source(panels)
        save_figure(figure, *figures_out, source=source, columns=PAIRED_FIGURE_COLUMNS)


def _source(panels: Sequence[Panel]) -> Iterator[dict[str, Any]]:
    keys = ("modality", "source", "population", "parent")
    for panel in panels:
        about = {**dict(zip(keys, panel.subject, strict=True)), "treatment": panel.treatment}
        for unit, line in panel.percent.iterrows():
            for level, value in line.items():
                if np.isfinite(value):
                    yield {**about, "patient": unit, "visit": level, "percent": float(value)}


def change_panels(
    changes: pd.DataFrame,
    table: pd.DataFrame,
    pair_sheet: pd.DataFrame,
    levels: Sequence[str],
    readout: str = "percent_of_parent",
) -> Iterator[Panel]:
    """Gather what every paired plot shows.

    Parameters
    ----------
    changes
        Of `load_changes`.
    table
        Counts of `read_long_table`.
    pair_sheet
        Of `read_pair_sheet`.
    levels
        Levels of the contrast in order.
    readout
        ``percent_of_parent`` or ``cells_per_ul``.

    Yields
    ------
    Panel
        One per population and treatment, in the order of the table of changes.
    """
    units_of = pair_sheet.groupby("treatment")["unit"].unique()
    percent = changes[changes["readout"] == readout]
    values = "percent" if readout == "percent_of_parent" else readout
    keys = ["modality", "source", "population", "parent"]
    of_population = dict(list(table.groupby(keys, sort=False)))
    for key, rows in percent.groupby([*keys, "treatment"], sort=False):
        population, parent, treatment = (str(part) for part in key[2:])
        measured = of_population[key[:4]]
        wide = measured[measured["unit"].isin(units_of[treatment])].pivot_table(
            index="unit", columns="level", values=values, dropna=False
        )
        yield Panel(treatment, population, parent, wide.reindex(columns=list(levels)), rows)


def draw_panel(axis: Axes, panel: Panel, fdr: float) -> None:
    """Draw one population under one treatment: a line per patient, the median in bold.

    Parameters
    ----------
    axis
        Where to draw.
    panel
        What to draw.
    fdr
        False discovery rate below which the median is coloured.
    """
    levels = list(panel.percent.columns)
    positions = np.arange(len(levels))
    values, floor = _above_floor(panel.percent.to_numpy(dtype=float))
    for unit, line in zip(panel.percent.index, values, strict=True):
        alone = np.isfinite(line).sum() == 1
        axis.plot(
            positions,
            line,
            marker="o",
            markersize=3,
            markerfacecolor="white" if alone else GREY,
            color=GREY,
            linewidth=0.7,
            alpha=0.8,
            gid=f"patient:{unit}",
        )
    complete = values[np.isfinite(values).all(axis=1)]
    called = bool((panel.changes["q_value"] < fdr).any())
    if len(complete):
        colour = VERMILLION if called else BLUE
        median = np.median(complete, axis=0)
        axis.plot(positions, median, color=colour, linewidth=2.2, marker="_", markersize=9)
    _label(axis, panel, levels, floor)


def _above_floor(values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], float | None]:
    """Put zeros at half the smallest positive value, because the axis is logarithmic."""
    positive = values[values > 0]
    floor = float(positive.min()) / 2 if positive.size else 0.5
    has_zero = bool((values == 0).any())
    return np.where(values == 0, floor, values), floor if has_zero else None


def _label(axis: Axes, panel: Panel, levels: Sequence[str], floor: float | None) -> None:
    axis.set_yscale("log")
    axis.set_xlim(-0.35, len(levels) - 0.65)
    slant: dict[str, Any] = {"parse_math": False, "fontsize": 6}
    if sum(len(level) for level in levels) > MOST_LETTERS:
        slant |= {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(range(len(levels)), [plain(level) for level in levels], **slant)
    low, high = axis.get_ylim()
    axis.set_ylim(low / 1.15, high * 1.15)
    axis.set_yticks(_ticks(*axis.get_ylim(), floor))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: "0" if value == floor else f"{value:.3g}")
    )
    # Names are words: a "$" in one is no formula.
    unit = f"% of {plain(panel.parent)}" if panel.is_percent else "cells/µl"
    axis.set_ylabel(unit, parse_math=False)
    title = f"{panel.title}\n{panel.treatment}"
    axis.set_title(title, loc="left", parse_math=False)
    below = -0.36 if "rotation" in slant else -0.2
    axis.text(
        *(0, below, _summary(panel)),
        transform=axis.transAxes,
        va="top",
        fontsize=6,
        parse_math=False,
    )


def _summary(panel: Panel) -> str:
    """Write the test under a plot; of several contrasts, the one with the smallest q value."""
    rows = records(panel.changes.sort_values("q_value", kind="stable"))
    text = _annotate(rows[0])
    return text if len(rows) == 1 else f"{plain(rows[0]['contrast'])}:\n{text}"


def _annotate(row: dict[str, Any]) -> str:
    if row["status"] != "tested":
        return f"n = {row['n_pairs']}: {plain(row['status'])}"
    return f"{format_effect(row)}\nn = {row['n_pairs']} pairs, q = {format_p(row['q_value'])}"


def _ticks(low: float, high: float, floor: float | None) -> list[float]:
    """Choose two to five readable ticks on a logarithmic axis."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 2:
            break
    ticks = ticks[:: max(1, len(ticks) // 4)]
    return [floor, *(tick for tick in ticks if tick > 1.5 * floor)] if floor else ticks
