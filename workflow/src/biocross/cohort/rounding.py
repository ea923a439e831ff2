"""Blood counts that were rounded so coarsely that their changes are steps."""

import math
import statistics
from collections.abc import Sequence

from biocross.cohort.sheets import Problem, SheetRow, caution

# Steps below a tenth of the median hide no change that anybody would report.
COARSE = 0.1
FEWEST_VALUES = 6


def rounding_cautions(file: str, rows: Sequence[SheetRow]) -> list[Problem]:
    """Find blood counts whose values are few steps apart.

    Parameters
    ----------
    file, rows
        The clinical sheet.

    Returns
    -------
    list of Problem
        One warning per column ``..._per_ul`` whose values are multiples of a step that is more
        than a tenth of their median.
    """
    columns = dict.fromkeys(name for row in rows for name in row.cells if name.endswith("_per_ul"))
    found = {name: _numbers(name, rows) for name in columns}
    return [
        caution(file, _words(name, step, values), name)
        for name, values in found.items()
        if (step := coarse_step(values)) > 0
    ]


def coarse_step(values: Sequence[float]) -> float:
    """Find the step that values are multiples of, where it is coarse.

    Parameters
    ----------
    values
        Cells per microlitre.

    Returns
    -------
    float
        The largest whole number that divides all values, if it is more than `COARSE` of the median
        of those above zero; else 0.
    """
    above = [value for value in values if value > 0]
    constant = len(set(above)) < 2
    if constant or len(above) < FEWEST_VALUES or any(value % 1 for value in above):
        return 0.0
    step = math.gcd(*(int(value) for value in above))
    return float(step) if step > COARSE * statistics.median(above) else 0.0


def _numbers(name: str, rows: Sequence[SheetRow]) -> list[float]:
    """Return what a column holds; text in it is an error that the schema names."""
    cells = (row.cells.get(name) for row in rows)
    return [float(cell) for cell in cells if isinstance(cell, int | float)]


def _words(name: str, step: float, values: Sequence[float]) -> str:
    zeros = sum(value == 0 for value in values)
    none = f"; {zeros} of {len(values)} are 0, which may be up to {step / 2:g}" if zeros else ""
    return (
        f'"{name}" comes in steps of {step:g}, where the median is {statistics.median(values):g}: '
        f"smaller changes are not seen, and ranks are tied{none}. Ask the laboratory for unrounded "
        "counts, or trust the cells per microlitre of the gates instead"
    )
