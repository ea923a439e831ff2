"""A plan as a figure: power against the number of patients."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from biocross.flow.clusters.colours import category_colours
from biocross.report.figures.style import GREY, STYLE, save_figure
from biocross.report.words import plain
from biocross.statistics.planning import MOST_PATIENTS, TARGETS, Basis, Prospect, Wishes

PANELS_ACROSS = 3
PANEL = (2.1, 1.8)
# Of populations that are not primary, where none is.
MOST_PANELS = 12
TARGET = TARGETS[0]
DASHED = (0, (3, 2))


def draw_plan(
    prospects: Sequence[Prospect], basis: Basis, wishes: Wishes, *figures_out: Path | str
) -> None:
    """Draw the power of every primary population against the number of patients.

    Parameters
    ----------
    prospects
        Of `plan`.
    basis, wishes
        As there.
    figures_out
        One file per format.
    """
    panels = answered(prospects)
    down = -(-len(panels) // PANELS_ACROSS)
    across = -(-len(panels) // down)
    colours = category_colours([f"{fold:g}" for fold in wishes.folds])
    size = (max(PANEL[0] * across + 0.3, 4.6), PANEL[1] * down + 1.15)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        for axis, panel in zip(axes.flat, panels, strict=False):
            _draw_panel(axis, panel, colours, basis.readout, max(wishes.patients))
        for axis in axes[:, 0]:
            axis.set_ylabel("chance that it is found")
        for column in range(across):
            lowest = max(row for row in range(down) if row * across + column < len(panels))
            axes[lowest, column].set_xlabel("patients per treatment")
            axes[lowest, column].tick_params(labelbottom=True)
        _explain(figure, colours, basis, wishes)
        save_figure(figure, *figures_out)


def answered(prospects: Sequence[Prospect]) -> list[list[Prospect]]:
    """Choose the populations that figure and answer show.

    Parameters
    ----------
    prospects
        Of `plan`.

    Returns
    -------
    list of list of Prospect
        By population: of the primary ones, or of the first twelve where none is primary.
    """
    found: dict[str, list[Prospect]] = {}
    for one in prospects:
        found.setdefault(one.variation.population, []).append(one)
    primary = [panel for panel in found.values() if panel[0].variation.primary]
    return primary or [*found.values()][:MOST_PANELS]


def _draw_panel(
    axis: Axes, panel: Sequence[Prospect], colours: dict[str, str], readout: str, most: int
) -> None:
    variation = panel[0].variation
    in_percent = readout == "percent_of_parent"
    unit = f"% of {plain(variation.parent)}" if in_percent else "cells/µl"
    axis.axhline(TARGET, color=GREY, linewidth=0.7, zorder=0)
    patients = np.arange(2, most + 1)
    for line, one in enumerate(reversed(panel)):
        colour = colours[f"{one.fold:g}"]
        axis.text(
            *(0.98, 0.03 + 0.095 * line, f"× {one.fold:g}: {_needed(one)}"),
            transform=axis.transAxes,
            ha="right",
            fontsize=6,
            color=colour,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8},
        )
        if one.status != "planned":
            continue
        single, family = one.power[0][:, patients]
        low, high = one.power[2, 0, patients], one.power[1, 0, patients]
        axis.fill_between(patients, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(patients, single, color=colour, linewidth=1.4)
        axis.plot(patients, family, color=colour, linewidth=0.9, linestyle=DASHED)
        needed = one.needed(TARGET)[0, 0]
        if needed <= most:
            axis.plot(needed, one.power[0, 0, int(needed)], "o", color=colour, markersize=3.5)
    axis.set(xlim=(2, most), ylim=(0, 1.04))
    axis.set_title(f"{plain(variation.population)}, {unit}", loc="left")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.yaxis.set_major_formatter(PercentFormatter(1))


def _needed(one: Prospect) -> str:
    """Patients for 80 % power, in one test and within the family."""
    if one.status != "planned":
        return plain(one.status)
    single, family = one.needed(TARGET)[0]
    return f"{patients_words(single)} [{patients_words(family)}]"


def patients_words(number: float) -> str:
    """Write a number of patients, of which NaN is beyond all that are looked at."""
    return f"> {MOST_PATIENTS}" if np.isnan(number) else f"{number:.0f}"


def _explain(figure: Figure, colours: dict[str, str], basis: Basis, wishes: Wishes) -> None:
    line, family = mpl.lines.Line2D, wishes.family or basis.family
    ranged = any(np.isfinite(variation.df) for variation in basis.variations)
    bands = ".\nBands: what the pilot leaves open" if ranged else ""
    handles = [
        *(line([], [], color=colour, label=f"× {fold}") for fold, colour in colours.items()),
        line([], [], color="black", label="one test"),
        line(
            [],
            [],
            color="black",
            linestyle=(0, (3, 2)),
            label=f"one of {family} tests",
        ),
    ]
    figure.legend(
        handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=6
    )
    figure.suptitle(
        "Chance that a change is found, by the number of patients per treatment\n"
        f"Numbers: patients for {100 * TARGET:.0f} % power in one test [as one of {family}], "
        f"{100 * wishes.missing:.0f} % without second visit{bands}",
        fontsize=7,
        x=0.01,
        ha="left",
    )
