"""How many events each finding on a rare population rests on, patient by patient."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from biocross.report.figures.panels import (
    SUBJECT_KEYS,
    Row,
    Subject,
    empty_figure,
    is_primary,
    subject_of,
)
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.sources import is_below
from biocross.report.words import format_number, plain, subject
from biocross.statistics.paired_changes import MIN_EVENTS

RARE_EVENTS_COLUMNS = (
    *("treatment", "modality", "source", "population", "parent", "patient", "visit"),
    "count",
)
# A claimed population with fewer events than these is shown.
SHOWN_BELOW = 200
PANEL = (2.3, 1.55)


class RarePanel(NamedTuple):
    """The counts of one population under one treatment.

    Parameters
    ----------
    treatment
        The arm.
    rows
        Its rows of ``paired_changes.tsv``, one per contrast.
    counts
        Events, one row per patient and one column per visit; NaN where not measured.
    """

    treatment: str
    rows: list[Row]
    counts: pd.DataFrame


def rare_subjects(rows: Sequence[Row], fdr: float) -> list[Subject]:
    """Choose what is shown: primary populations, and claimed ones with few events.

    Parameters
    ----------
    rows
        Of `shown_rows`.
    fdr
        False discovery rate of a claim.

    Returns
    -------
    list of tuple of str
        Of `subject_of`, in the order of the rows.
    """
    chosen = (
        row
        for row in rows
        if is_primary(row) or (is_below(row, fdr) and row["events_median"] < SHOWN_BELOW)
    )
    return list(dict.fromkeys(subject_of(row) for row in chosen))


def rare_panels(
    rows: Sequence[Row],
    table: pd.DataFrame,
    pair_sheet: pd.DataFrame,
    levels: Sequence[str],
    fdr: float,
) -> dict[tuple[Subject, str], RarePanel]:
    """Gather the counts behind the rare findings.

    Parameters
    ----------
    rows
        Of `shown_rows`.
    table
        Counts of `read_long_table`.
    pair_sheet
        Of `read_pair_sheet`.
    levels
        Levels of the contrast in order.
    fdr
        False discovery rate of a claim.

    Returns
    -------
    dict
        By subject and treatment; only where counts are known.
    """
    of_subject = dict(list(table.groupby(SUBJECT_KEYS, sort=False)))
    units_of = pair_sheet.groupby("treatment")["unit"].unique()
    panels = {}
    for name in rare_subjects(rows, fdr):
        own = [row for row in rows if subject_of(row) == name]
        measured = of_subject.get(name)
        if measured is None:
            continue
        for treatment in sorted({str(row["treatment"]) for row in own}):
            within = measured[measured["unit"].isin(units_of.get(treatment, []))]
            counts = within.pivot_table(index="unit", columns="level", values="count")
            if counts.size:
                about = [row for row in own if row["treatment"] == treatment]
                counts = counts.reindex(columns=list(levels))
                panels[name, treatment] = RarePanel(treatment, about, counts)
    return panels


def draw_rare_events(axis: Axes, panel: RarePanel, fdr: float) -> None:
    """Draw the events of one population: a dot per patient and visit, a line per patient.

    Parameters
    ----------
    axis
        Where to draw.
    panel
        What to draw.
    fdr
        Below it the panel is coloured.
    """
    claimed = any(is_below(row, fdr) for row in panel.rows)
    positions = np.arange(panel.counts.shape[1])
    values = panel.counts.to_numpy(dtype=float)
    axis.axhspan(0.4, MIN_EVENTS, color="#F0E9E2", linewidth=0, zorder=0)
    axis.axhline(MIN_EVENTS, color=GREY, linewidth=0.7, linestyle="--", zorder=1)
    for unit, line in zip(panel.counts.index, values, strict=True):
        shown = np.where(line == 0, 0.5, line)
        known = np.isfinite(shown)
        axis.plot(
            *(positions[known], shown[known], "o-"),
            color=VERMILLION if claimed else BLUE,
            markersize=2.8,
            linewidth=0.6,
            alpha=0.75,
            markeredgewidth=0,
            gid=f"patient:{unit}",
        )
    axis.set_yscale("log")
    axis.set_ylim(0.4, max(float(np.nanmax(values, initial=0)) * 1.6, 60))
    axis.yaxis.set_major_locator(LogLocator(numticks=6))
    ticks = [0.5, *(10.0**power for power in range(7) if 10**power <= axis.get_ylim()[1])]
    axis.set_yticks(ticks if (values == 0).any() else ticks[1:])
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: "0" if value == 0.5 else f"{value:,.0f}")
    )
    axis.set_xlim(-0.35, len(positions) - 0.65)
    axis.set_xticks(positions, [plain(level) for level in panel.counts.columns], parse_math=False)
    medians = ", ".join(format_number(row["events_median"]) for row in panel.rows)
    title = f"{subject(panel.rows[0])}, {panel.treatment}\nmedian of pairs: {medians}"
    axis.set_title(title, loc="left", fontsize=7, parse_math=False)


def plot_rare_events(
    panels: dict[tuple[Subject, str], RarePanel], fdr: float, *figures_out: Path | str
) -> None:
    """Draw the events behind the rare findings: populations below each other.

    Parameters
    ----------
    panels
        Of `rare_panels`.
    fdr
        False discovery rate of a claim.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    with mpl.rc_context(STYLE):
        figure = _panels_figure(panels, fdr)
        save_figure(figure, *figures_out, source=_source(panels), columns=RARE_EVENTS_COLUMNS)


def _panels_figure(panels: dict[tuple[Subject, str], RarePanel], fdr: float) -> Figure:
    if not panels:
        return empty_figure("Events cannot be shown: the populations have no counts.")
    names = list(dict.fromkeys(name for name, _ in panels))
    arms = sorted({arm for _, arm in panels})
    width, height = PANEL[0] * len(arms) + 0.3, PANEL[1] * len(names) + 0.3
    figure = Figure(figsize=(max(width, 3.6), height), layout="constrained")
    axes = figure.subplots(len(names), len(arms), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for (name, arm), panel in panels.items():
        axis = axes[names.index(name), arms.index(arm)]
        axis.set_axis_on()
        draw_rare_events(axis, panel, fdr)
    for line in axes:
        line[0].set_ylabel("events")
    words = f"Below {MIN_EVENTS} events (shaded) a count is mostly chance. Orange: q < {fdr:g}."
    figure.supxlabel(words, fontsize=6.5, x=0.02, ha="left")
    return figure


def _source(
    panels: dict[tuple[Subject, str], RarePanel],
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for (name, arm), panel in panels.items():
        for unit, counts in panel.counts.iterrows():
            rows += [
                {
                    **dict(zip(SUBJECT_KEYS, name, strict=True)),
                    **{"treatment": arm, "patient": unit, "visit": level, "count": float(count)},
                }
                for level, count in counts.items()
                if np.isfinite(count)
            ]
    return rows
