"""How figures look, and how they are saved."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from biocross.tables import write_rows, written_whole

# Okabe & Ito's palette, distinct for colour-blind readers.
BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#8A8A8A"
STYLE: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "biocross",
    "figure.dpi": 100,
}


# Pixels beyond which few programs open a picture.
MOST_PIXELS = 30_000


def save_figure(
    figure: Figure,
    *paths: Path | str,
    source: Iterable[Mapping[str, Any]] = (),
    columns: Sequence[str] = (),
) -> None:
    """Save a figure whole, without dates, and beside it what it draws; close it.

    Parameters
    ----------
    figure
        The figure.
    paths
        One file per format; the ending decides. ``.tsv`` takes the source table.
    source
        What is drawn, one row per mark.
    columns
        Columns of the source table.
    """
    if figure.get_layout_engine():
        # Once, not again for each format: finding room for all labels takes longer than drawing.
        figure.draw_without_rendering()
        figure.set_layout_engine(None)
    dpi = min(200.0, MOST_PIXELS / max(figure.get_size_inches()))
    for path in paths:
        kind = Path(path).suffix[1:]
        if kind == "tsv":
            write_source(path, columns, source)
            continue
        dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
        with written_whole(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=dpi, metadata=dates)
    plt.close(figure)


def write_source(
    path: Path | str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Write what a figure draws; numbers with six digits, more than any eye reads off it.

    Parameters
    ----------
    path
        The table's file.
    columns
        Its columns; other values of the rows are left out.
    rows
        One per mark.
    """
    write_rows(path, columns, ({name: _rounded(row.get(name)) for name in columns} for row in rows))


def _rounded(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}")
    return value
