"""What a run on a simulated cohort found, beside what was planted."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.sources import records
from biocross.report.words import plain
from biocross.statistics.pairs import read_table

TRUTH_COLUMNS = (
    *("panel", "modality", "source", "treatment", "contrast", "population", "true_effect"),
    *("effect", "effect_low", "effect_high", "verdict", "f1", "visit", "change_bias"),
    "change_bias_se",
)
# Shape and colour of what the verdicts say.
_LOOKS = {
    "found": (BLUE, "o", "changed, and found"),
    "missed": ("white", "o", "changed, not claimed"),
    "rightly not claimed": (GREY, ".", "unchanged, not claimed"),
    "false claim": (VERMILLION, "X", "unchanged, but claimed"),
    "claimed in the wrong direction": (VERMILLION, "P", "claimed in the wrong direction"),
}
# Farther from no change, on the log scale, nothing is drawn.
_MOST = 4.0
_SOURCES = {"gate": (BLUE, "o", "gates"), "cluster": (VERMILLION, "s", "clusters")}


def plot_evaluation(folder: Path, outputs: Sequence[Path | str]) -> None:
    """Draw what was found beside the truth.

    Parameters
    ----------
    folder
        Has the tables of `evaluate_run`.
    outputs
        The figure's files, one per format.
    """
    found = read_table(folder / "findings.tsv")
    shown = found[(found["kind"] == "frequency") & (found["status"] == "tested")]
    shown = shown[(shown["readout"] == "percent_of_parent") & shown["source"].isin(_SOURCES)]
    agreement = read_table(folder / "events.tsv")
    with mpl.rc_context(STYLE):
        height = max(3.2, 0.16 * agreement["population"].nunique() + 1)
        figure = Figure(figsize=(7.2, height), layout="constrained")
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
        draw_effects(left, shown[shown["modality"] == "flow"])
        order = draw_agreement(middle, agreement)
        frequencies = read_table(folder / "frequencies.tsv")
        draw_bias(right, frequencies, order)
        parts = [("changes", shown), ("agreement", agreement), ("bias", frequencies)]
        source = [{**row, "panel": name} for name, part in parts for row in records(part)]
        save_figure(figure, *outputs, source=source, columns=TRUTH_COLUMNS)


def draw_effects(ax: Axes, findings: pd.DataFrame) -> None:
    """Draw estimated odds ratios with their intervals against the planted ones.

    Parameters
    ----------
    ax
        Where.
    findings
        Tested rows of percentages.
    """
    gates = findings[findings["source"] == "gate"]
    ax.axline((1, 1), slope=1, color=GREY, linewidth=0.6)
    for verdict, (colour, marker, label) in _LOOKS.items():
        own = gates[gates["verdict"] == verdict]
        if own.empty:
            continue
        spread = np.abs(own[["effect_low", "effect_high"]].to_numpy().T - own["effect"].to_numpy())
        edge = BLUE if colour == "white" else colour
        ax.errorbar(
            own["true_effect"],
            own["effect"],
            yerr=spread,
            fmt=marker,
            color=edge,
            mfc=colour,
            mec=edge,
            mew=0.8,
            markersize=4,
            elinewidth=0.5,
            label=f"{label} ({len(own)})",
        )
    ends = [*gates["true_effect"], *gates["effect_low"], *gates["effect_high"], 0.5, 2]
    reach = max(abs(np.log(value)) for value in (np.nanmin(ends), np.nanmax(ends)))
    limits = np.exp(-min(reach, _MOST)), np.exp(min(reach, _MOST))
    ax.set(xscale="log", yscale="log", xlim=(limits[0], 4), ylim=limits)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    ax.set_xlabel("true odds ratio of the percentage")
    ax.set_ylabel("estimated odds ratio, with its 95 % interval")
    ax.set_title("Changes found by gates", loc="left")
    ax.legend(frameon=False, fontsize=6, loc="upper left")


def draw_agreement(ax: Axes, events: pd.DataFrame) -> list[str]:
    """Draw the F1 of gates and clusters for every population.

    Parameters
    ----------
    ax
        Where.
    events
        ``events.tsv``.

    Returns
    -------
    list of str
        The populations from below.
    """
    order = [*dict.fromkeys(events["population"])][::-1]
    for source, (colour, marker, label) in _SOURCES.items():
        own = events[events["source"] == source]
        rows = [order.index(name) for name in own["population"]]
        ax.plot(own["f1"], rows, marker, color=colour, markersize=3, label=label)
    ax.set_yticks(range(len(order)), [plain(name) for name in order])
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.7, len(order) - 0.3))
    ax.set_xlabel("F1, event by event")
    ax.set_title("Cells found", loc="left")
    ax.legend(frameon=False, fontsize=6, loc="lower left")
    return order


def draw_bias(ax: Axes, frequencies: pd.DataFrame, order: Sequence[str]) -> None:
    """Draw the bias of the change since the baseline, a point for every later visit.

    Parameters
    ----------
    ax
        Where.
    frequencies
        ``frequencies.tsv``.
    order
        The populations from below.
    """
    known = frequencies[frequencies["population"].isin(order) & (frequencies["n_pairs"] > 2)]
    for source, (colour, marker, _) in _SOURCES.items():
        own = known[(known["source"] == source) & (known["modality"] == "flow")]
        rows = [order.index(name) for name in own["population"]]
        ax.errorbar(
            own["change_bias"],
            rows,
            xerr=1.96 * own["change_bias_se"],
            fmt=marker,
            color=colour,
            markersize=2.5,
            elinewidth=0.5,
        )
    ax.axvline(0, color=GREY, linewidth=0.6)
    ax.set_yticks(range(len(order)), [])
    ax.set(ylim=(-0.7, len(order) - 0.3))
    ax.set_xlabel("bias of the change (log odds)")
    ax.set_title("Wrong alike at all visits?", loc="left")
