"""What figures of changes share: which rows they show, how panels are called, empty figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from biocross.report.figures.style import GREY, STYLE
from biocross.report.sources import leading_rows, records
from biocross.report.words import contrast_words, subject, unit_words
from biocross.statistics.families import CONFIRMATORY

Row = Mapping[str, Any]
# Modality, source, population and parent.
Subject = tuple[str, str, str, str]
SUBJECT_KEYS = ["modality", "source", "population", "parent"]
READOUT_WORDS = {
    "percent_of_parent": "percent of parent",
    "cells_per_ul": "cells/µl",
    "composition": "composition",
}

# Ticks of an axis of ratios that does not reach twofold.
NARROW = (1.1, 1.25, 1.5)


def shown_rows(
    changes: pd.DataFrame, declared: Sequence[str], readout: str = "percent_of_parent"
) -> list[dict[str, Any]]:
    """Take the changes that figures show: of the declared source, the primary ones first.

    Parameters
    ----------
    changes
        Of `load_changes`.
    declared
        Modality and source of the confirmatory family.
    readout
        The readout.

    Returns
    -------
    list of dict
        Rows of ``paired_changes.tsv``; by treatment and contrast, primary populations first.
    """
    rows = records(leading_rows(changes[changes["readout"] == readout], declared))
    return sorted(rows, key=lambda row: not is_primary(row))


def subject_of(row: Row) -> Subject:
    """What a row of changes is about, apart from treatment, contrast and readout."""
    modality, source, population, parent = (row[key] for key in SUBJECT_KEYS)
    return _text(modality), _text(source), _text(population), _text(parent)


def _text(value: Any) -> str:
    """Return a cell as text: an empty one is no text."""
    return "" if pd.isna(value) else str(value)


def is_primary(row: Row) -> bool:
    """Whether a row answers a question that was declared beforehand."""
    return bool(row.get("family") == CONFIRMATORY)


def by_panel(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Group rows by treatment and contrast: treatments by name, contrasts in their order."""
    contrasts = list(dict.fromkeys(str(row["contrast"]) for row in rows))
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        panels.setdefault((str(row["treatment"]), str(row["contrast"])), []).append(row)
    return dict(sorted(panels.items(), key=lambda item: (item[0][0], contrasts.index(item[0][1]))))


def panel_title(treatment: str, contrast: str) -> str:
    """Name a panel by treatment and contrast."""
    return f"{treatment}: {contrast_words(contrast)}"


def measured(row: Row) -> str:
    """Say what was counted: ``ILC2, % of lymphocytes``."""
    parent = row["parent"]
    no_parent = not isinstance(parent, str) or not parent
    unit = "%" if no_parent and row["readout"] == "percent_of_parent" else unit_words(row)
    return f"{subject(row)}, {unit}"


def fold_axis(axis: Axes, reach: float, x: bool = True) -> None:
    """Make an axis of ratios logarithmic and symmetric, with readable ticks.

    Parameters
    ----------
    axis
        The axes.
    reach
        The largest factor that it shows.
    x
        Whether the horizontal axis is meant.
    """
    step = 1 if reach <= 4 else 2 if reach <= 20 else 3
    factors = NARROW[int(reach > 1.4) :] if reach < 2 else tuple(2.0 ** np.arange(step, 11, step))
    ticks = [1.0, *(factor for one in factors if one <= reach for factor in (one, 1 / one))]
    own = axis.xaxis if x else axis.yaxis
    (axis.set_xscale if x else axis.set_yscale)("log")
    (axis.set_xlim if x else axis.set_ylim)(1 / reach, reach)
    (axis.set_xticks if x else axis.set_yticks)(ticks)
    own.set_minor_locator(NullLocator())
    own.set_major_formatter(
        FuncFormatter(lambda value, _: f"× 1/{1 / value:g}" if value <= 0.5 else f"× {value:.3g}")
    )


def empty_figure(words: str, size: tuple[float, float] = (4.5, 0.8)) -> Figure:
    """Make a figure that says why there is nothing to see."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size)
        figure.text(0.5, 0.5, words, ha="center", va="center", color=GREY, wrap=True)
    return figure
