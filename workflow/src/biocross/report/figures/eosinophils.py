"""Eosinophils of flow cytometry against those of the blood analyser."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from biocross.report.figures.panels import empty_figure, fold_axis
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.sources import records
from biocross.report.words import format_number, plain

FloatArray = NDArray[np.float64]
EOSINOPHILS_COLUMNS = ("patient", "visit", "treatment", "flow_percent", "analyser_percent")
COLOURS = (BLUE, VERMILLION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
ANALYSER = ("eosinophils_per_ul", "leukocytes_per_ul")
# Where percentages span so many folds, methods are compared as ratios.
WIDE = 10.0
FEWEST = 3


class Agreement(NamedTuple):
    """Bland and Altman's comparison of two methods.

    Parameters
    ----------
    as_ratio
        Whether values are compared as ratios; else as differences in percent points.
    middle
        What each sample has on average: geometric or arithmetic mean, shape (samples,).
    difference
        First method by (or minus) the second, shape (samples,).
    mean, low, high
        Mean difference (or ratio) and the limits between which 95 % of them lie.

    References
    ----------
    Bland and Altman 1986, Lancet 327:307.
    """

    as_ratio: bool
    middle: FloatArray
    difference: FloatArray
    mean: float
    low: float
    high: float


def bland_altman(first: FloatArray, second: FloatArray) -> Agreement:
    """Compare two methods sample by sample.

    Parameters
    ----------
    first, second
        Percentages, shape (samples,), without NaN; at least two samples.

    Returns
    -------
    Agreement
        As ratios where all values are above zero and they span a factor of `WIDE`, because errors
        then grow with the value.
    """
    values = np.concatenate([first, second])
    as_ratio = bool((values > 0).all() and values.max() / values.min() >= WIDE)
    one, other = (np.log(first), np.log(second)) if as_ratio else (first, second)
    difference, middle = one - other, (one + other) / 2
    mean, spread = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    ends = np.array([mean, mean - spread, mean + spread])
    if as_ratio:
        return Agreement(True, np.exp(middle), np.exp(difference), *map(float, np.exp(ends)))
    return Agreement(False, middle, difference, *map(float, ends))


def eosinophil_table(table: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Gather what both methods measured.

    Parameters
    ----------
    table
        Counts of `read_long_table`.
    samples
        ``results/cohort/samples.tsv`` as text.

    Returns
    -------
    DataFrame
        With `EOSINOPHILS_COLUMNS`; empty where either was not measured. Gates lead over clusters,
        clusters over imported tables.
    """
    empty = pd.DataFrame(columns=list(EOSINOPHILS_COLUMNS))
    if not set(ANALYSER) <= set(samples):
        return empty
    chosen = (table["population"].str.casefold() == "eosinophils") & (table["modality"] == "flow")
    chosen &= table["parent"].str.casefold() == "leukocytes"
    own = table[chosen & table["percent"].notna()]
    for source in ("gate", "cluster", "table"):
        if (own["source"] == source).any():
            own = own[own["source"] == source]
            break
    else:
        return empty
    blood = samples[["sample_id", *ANALYSER]].copy()
    eosinophils, leukocytes = (pd.to_numeric(blood[name], errors="coerce") for name in ANALYSER)
    blood["analyser_percent"] = 100 * eosinophils / leukocytes.where(leukocytes > 0)
    joined = own.merge(blood, on="sample_id").dropna(subset=["analyser_percent"])
    names = {"unit": "patient", "level": "visit", "percent": "flow_percent"}
    joined = joined.drop(columns=["visit"]).rename(columns=names)
    return joined[list(EOSINOPHILS_COLUMNS)].reset_index(drop=True)


def draw_against(axis: Axes, table: pd.DataFrame, levels: Sequence[str], as_ratio: bool) -> None:
    """Draw one method against the other with the line on which they agree.

    Parameters
    ----------
    axis
        Where to draw.
    table
        Of `eosinophil_table`.
    levels
        Visits in order: each has a marker.
    as_ratio
        Whether axes are logarithmic.
    """
    for colour, marker, level, own in _by_visit(table, levels):
        axis.plot(
            *(own["analyser_percent"], own["flow_percent"], marker),
            color=colour,
            markersize=4,
            markerfacecolor="none",
            label=plain(level),
        )
    values = table[["flow_percent", "analyser_percent"]].to_numpy(dtype=float)
    low, high = values.min(), values.max()
    ends = (low / 1.3, high * 1.3) if as_ratio else (0.0, high * 1.08 + 0.1)
    if as_ratio:
        axis.set(xscale="log", yscale="log")
        for own_axis in (axis.xaxis, axis.yaxis):
            _plain_ticks(own_axis, ends)
    axis.plot(ends, ends, color=GREY, linewidth=0.8, zorder=0)
    axis.set(xlim=ends, ylim=ends, aspect="equal")
    axis.set_xlabel("analyser: eosinophils, % of leukocytes")
    axis.set_ylabel("flow cytometry: eosinophils, % of leukocytes")
    axis.set_title(f"{len(table)} samples, {table['patient'].nunique()} patients", loc="left")
    axis.legend(frameon=False, fontsize=6.5, loc="upper left")


def _plain_ticks(axis: Any, ends: tuple[float, float]) -> None:
    ticks = [s * 10.0**p for p in range(-3, 3) for s in (1, 2, 5)]
    axis.set_ticks([tick for tick in ticks if ends[0] <= tick <= ends[1]])
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _by_visit(table: pd.DataFrame, levels: Sequence[str]) -> list[tuple[str, str, str, Any]]:
    looks = (
        (COLOURS[n % len(COLOURS)], MARKERS[n % len(MARKERS)], level)
        for n, level in enumerate(levels)
    )
    parts = ((*look, table[table["visit"] == look[2]]) for look in looks)
    return [part for part in parts if len(part[3])]


def draw_bland_altman(
    axis: Axes, table: pd.DataFrame, levels: Sequence[str], found: Agreement
) -> None:
    """Draw the difference of the methods against their mean.

    Parameters
    ----------
    axis
        Where to draw.
    table
        Of `eosinophil_table`.
    levels
        Visits in order.
    found
        Of `bland_altman`.
    """
    for colour, marker, _, own in _by_visit(table, levels):
        rows = own.index.to_numpy()
        axis.plot(
            *(found.middle[rows], found.difference[rows], marker),
            color=colour,
            markersize=4,
            markerfacecolor="none",
        )
    axis.axhline(1 if found.as_ratio else 0, color="#CCCCCC", linewidth=0.8, zorder=0)
    words = "× {}" if found.as_ratio else "{} points"
    for value, name in ((found.mean, "mean"), (found.low, "95 %"), (found.high, "95 %")):
        axis.axhline(value, color=GREY, linewidth=0.8, linestyle="-" if name == "mean" else "--")
        axis.annotate(
            f"{name}: {words.format(format_number(value))}",
            (1, value),
            xycoords=axis.get_yaxis_transform(),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
        )
    if found.as_ratio:
        axis.set_xscale("log")
        _plain_ticks(axis.xaxis, axis.get_xlim())
        ends = [found.low, found.high, *found.difference]
        fold_axis(axis, 1.05 * max(*ends, *(1 / end for end in ends)), x=False)
    axis.set_xlabel("mean of the two, % of leukocytes")
    sign = "by" if found.as_ratio else "minus"
    axis.set_ylabel(f"flow cytometry {sign} analyser")
    axis.set_title("Difference of the methods (Bland and Altman)", loc="left")


def plot_eosinophils(table: pd.DataFrame, levels: Sequence[str], *figures_out: Path | str) -> None:
    """Draw flow cytometry's eosinophils against the analyser's.

    Parameters
    ----------
    table
        Of `eosinophil_table`.
    levels
        Visits in order.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    with mpl.rc_context(STYLE):
        if len(table) < FEWEST:
            figure = empty_figure(
                f"{len(table)} samples with eosinophils by flow cytometry and by an analyser\n"
                "(eosinophils_per_ul and leukocytes_per_ul of the clinical sheet): too few"
            )
        else:
            values = table[["flow_percent", "analyser_percent"]].to_numpy(dtype=np.float64)
            found = bland_altman(values[:, 0], values[:, 1])
            figure = Figure(figsize=(7.4, 3.2), layout="constrained")
            left, right = figure.subplots(1, 2)
            draw_against(left, table, levels, found.as_ratio)
            draw_bland_altman(right, table, levels, found)
        rows = records(table)
        save_figure(figure, *figures_out, source=rows, columns=EOSINOPHILS_COLUMNS)
