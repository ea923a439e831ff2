"""Samples on a plane, those far from their peers named."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from biocross.flow.clusters.colours import category_colours
from biocross.report.figures.style import GREY, STYLE, VERMILLION, save_figure
from biocross.report.words import plain
from biocross.tables import read_rows

Rows = Sequence[Mapping[str, str]]

OUTLIERS_FIGURE_COLUMNS = (
    *("stratum", "aspect", "sample_id", "patient_id", "visit", "treatment", "batch"),
    *("mds_1", "mds_2", "outlier", "status"),
)
# Inches.
WIDTH, HEIGHT = 3.5, 3.6
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
TITLES = {"composition": "Composition", "expression": "Markers"}


def plot_outliers(outliers: Path | str, levels: Sequence[str], *figures_out: Path | str) -> None:
    """Draw the samples by composition and by markers, a row per tissue and stimulation.

    Parameters
    ----------
    outliers
        ``outliers.tsv``.
    levels
        Visits in order; others follow.
    figures_out
        One file per format.
    """
    rows = [row for row in read_rows(outliers) if row["subject"] == "sample"]
    strata = list(dict.fromkeys(row["stratum"] for row in rows)) or [""]
    treatments = sorted({row["treatment"] for row in rows})
    visits = list(dict.fromkeys([*levels, *(row["visit"] for row in rows)]))
    visits = [visit for visit in visits if any(row["visit"] == visit for row in rows)]
    # Vermillion is kept for what is far out.
    colours = category_colours([*treatments, "", "", ""])
    shades = [shade for shade in colours.values() if shade != VERMILLION]
    colour = dict(zip(treatments, [*shades, *[GREY] * len(treatments)], strict=False))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2 * WIDTH, HEIGHT * len(strata) + 0.4), layout="constrained")
        axes = figure.subplots(len(strata), 2, squeeze=False)
        for line, stratum in zip(axes, strata, strict=True):
            for axis, aspect in zip(line, TITLES, strict=True):
                own = [r for r in rows if (r["stratum"], r["aspect"]) == (stratum, aspect)]
                _draw_samples(axis, own, visits, colour)
                title = f"{TITLES[aspect]}{f' ({plain(stratum)})' if len(strata) > 1 else ''}"
                axis.set_title(f"{title}: {_verdict(own)}", loc="left", parse_math=False)
        _name_marks(figure, visits, colour)
        save_figure(figure, *figures_out, source=rows, columns=OUTLIERS_FIGURE_COLUMNS)


def _draw_samples(axis: Axes, rows: Rows, visits: Sequence[str], colour: Mapping[str, str]) -> None:
    """Draw one plane: visits of a patient joined, outliers ringed and named."""
    measured = [row for row in rows if row["status"] == "measured"]
    if not measured:
        axis.set_axis_off()
        note = rows[0]["note"] if rows else "nothing to compare"
        axis.text(0.5, 0.5, note, transform=axis.transAxes, ha="center", wrap=True)
        return
    patients: dict[str, list[Mapping[str, str]]] = {}
    for row in sorted(measured, key=lambda row: visits.index(row["visit"])):
        patients.setdefault(row["patient_id"], []).append(row)
    for own in patients.values():
        x, y = ([float(row[key]) for row in own] for key in ("mds_1", "mds_2"))
        axis.plot(x, y, color="#C8C8C8", linewidth=0.7, zorder=1)
        for at_x, at_y, row in zip(x, y, own, strict=True):
            first = row["visit"] == visits[0]
            axis.plot(
                *(at_x, at_y, MARKERS[visits.index(row["visit"]) % len(MARKERS)]),
                color=colour[row["treatment"]],
                markerfacecolor="white" if first else colour[row["treatment"]],
                markersize=4.5,
                zorder=2,
            )
            if row["outlier"] == "yes":
                axis.plot(at_x, at_y, "o", mfc="none", mec=VERMILLION, markersize=9, zorder=3)
    axis.set_aspect("equal", adjustable="datalim")
    axis.margins(0.12)
    axis.set(xlabel="axis 1 of classical scaling", ylabel="axis 2")
    _name_batches(axis, measured)
    _name_outliers(axis, [row for row in measured if row["outlier"] == "yes"])


def _name_batches(axis: Axes, rows: Rows) -> None:
    """Write every batch in the middle of its samples: a batch of its own kind shows."""
    batches: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        place = float(row["mds_1"]), float(row["mds_2"])
        batches.setdefault(row["batch"], []).append(place)
    middles = {batch: np.median(places, axis=0) for batch, places in batches.items()}
    within = [np.hypot(*(np.array(places) - middles[b]).T) for b, places in batches.items()]
    usual = float(np.median(np.concatenate([[0.0], *within])))
    for batch, (x, y) in middles.items():
        others = [middle for name, middle in middles.items() if name != batch]
        # Batches that are not apart need no names.
        if not others or min(np.hypot(*(middle - (x, y))) for middle in others) < usual:
            continue
        style: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "fontsize": 8,
            "color": "#9A9A9A",
            "zorder": 0,
        }
        axis.text(x, y, batch, parse_math=False, style="italic", **style)


def _name_outliers(axis: Axes, rows: Rows) -> None:
    """Name outliers on the side that leads away from the middle."""
    middle = np.mean([axis.get_xlim(), axis.get_ylim()], axis=1)
    for row in rows:
        x, y = float(row["mds_1"]), float(row["mds_2"])
        right = x <= middle[0]
        axis.annotate(
            *(row["sample_id"], (x, y)),
            xytext=(6 if right else -6, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=6,
            color=VERMILLION,
            parse_math=False,
        )


def _verdict(rows: Rows) -> str:
    measured = [row for row in rows if row["status"] == "measured"]
    far = sum(row["outlier"] == "yes" for row in measured)
    return f"{far or 'no'} outlier{'' if far == 1 else 's'} among {len(measured)} samples"


def _name_marks(figure: Figure, visits: Sequence[str], colour: Mapping[str, str]) -> None:
    handles = [
        mpl.lines.Line2D(
            *([], []),
            marker=MARKERS[place % len(MARKERS)],
            color="black",
            markerfacecolor="white" if place == 0 else "black",
            linestyle="",
            markersize=4.5,
            label=plain(visit),
        )
        for place, visit in enumerate(visits)
    ]
    handles += [
        mpl.lines.Line2D([], [], color=shade, linewidth=3, label=name)
        for name, shade in colour.items()
    ]
    joined = mpl.lines.Line2D(
        [],
        [],
        color="#C8C8C8",
        linewidth=0.8,
        label="one patient (grey words: batches that are apart)",
    )
    figure.legend(
        handles=[*handles, joined], loc="outside lower left", ncols=6, frameon=False, fontsize=6.5
    )
