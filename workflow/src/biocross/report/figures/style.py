"""How figures look, and how they are saved."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from biocross.tables import written_whole

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


def save_figure(figure: Figure, *paths: Path | str) -> None:
    """Save a figure whole, without dates, and close it.

    Parameters
    ----------
    figure
        The figure.
    paths
        One file per format; the ending decides.
    """
    for path in paths:
        kind = Path(path).suffix[1:]
        dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
        with written_whole(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=200, metadata=dates)
    plt.close(figure)
