"""Paired analysis of patients' immune cells before and during treatment."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biocross.results import Results

__all__ = ["open_results"]


def open_results(folder: Path | str = "results") -> "Results":
    """Open the results of a run, to explore them in Jupyter.

    Parameters
    ----------
    folder
        The run's results folder.

    Returns
    -------
    Results
        Its tables and plots, each read when first asked for.

    Raises
    ------
    BiocrossError
        The folder holds no results.

    Examples
    --------
    >>> results = open_results("results")  # doctest: +SKIP
    >>> results.changes.query("status == 'tested' and q_value < 0.05")  # doctest: +SKIP
    """
    # Imported here, because every light step of the workflow imports this package.
    from biocross.results import Results

    return Results(folder)
