"""Figures of the validation: errors against their limits, and power against its prediction."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from validation.scenarios import Rate

from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.words import plain


class Measured(NamedTuple):
    """A rate, what it is of, and the limits that the design sets."""

    name: str
    rate: Rate
    low: float
    high: float


class Power(NamedTuple):
    """How often a change was claimed, and what was planned for one test and within the family."""

    population: str
    found: Rate
    single: float
    family: float


def plot_errors(measured: Sequence[Measured], path: Path) -> None:
    """Draw rates with their intervals, limits shaded.

    Parameters
    ----------
    measured
        From above; those of which the lower limit exceeds one half are drawn on the right.
    path
        The figure.
    """
    sides = [one for one in measured if one.high < 0.5], [one for one in measured if one.high > 0.5]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.2 * len(measured) + 0.9), layout="constrained")
        ratios = [len(side) for side in sides]
        for axes, side in zip(
            figure.subplots(2, 1, height_ratios=ratios, squeeze=False)[:, 0], sides, strict=True
        ):
            _draw_rates(axes, side)
        save_figure(figure, path)


def plot_power(powers: Sequence[Power], path: Path) -> None:
    """Draw claimed against planned power, a point for every treatment and contrast.

    Parameters
    ----------
    powers
        Of all populations.
    path
        The figure.
    """
    colours = dict(zip(dict.fromkeys(one.population for one in powers), _COLOURS, strict=False))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.4, 3.2), layout="constrained")
        ax = figure.subplots()
        ax.axline((0, 0), slope=1, color=GREY, linewidth=0.6)
        for name, colour in colours.items():
            own = [one for one in powers if one.population == name]
            middle = np.array([(one.single + one.family) / 2 for one in own])
            half = np.array([(one.single - one.family) / 2 for one in own])
            found = np.array([one.found.value for one in own])
            ends = np.array([[f.value - f.low, f.high - f.value] for f in (o.found for o in own)]).T
            ax.errorbar(
                middle,
                found,
                xerr=half,
                yerr=ends,
                fmt="o",
                color=colour,
                markersize=3,
                elinewidth=0.6,
                label=plain(name),
            )
        ax.set(xlim=(0.45, 1.02), ylim=(0.45, 1.02))
        ax.set_xlabel("power planned: within the family to one test")
        ax.set_ylabel("claimed (q < 0.05), with its 95 % interval")
        ax.legend(frameon=False, fontsize=6, loc="lower right")
        save_figure(figure, path)


_COLOURS = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def _draw_rates(ax: Axes, measured: Sequence[Measured]) -> None:
    for row, one in enumerate(reversed(measured)):
        ax.barh(row, one.high - one.low, left=one.low, height=0.8, color="#DDE7EE", zorder=0)
        met = one.low <= one.rate.value <= one.high
        ax.errorbar(
            one.rate.value,
            row,
            xerr=[[one.rate.value - one.rate.low], [one.rate.high - one.rate.value]],
            fmt="o",
            color=BLUE if met else VERMILLION,
            markersize=3,
            elinewidth=0.8,
        )
    ax.set_yticks(range(len(measured)), [one.name for one in reversed(measured)])
    ax.set_ylim(-0.6, len(measured) - 0.4)
    ax.set_xlabel("share, with its 95 % interval; shaded: what the design demands")
