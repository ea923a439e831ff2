"""A tree of 20 gates, beside FlowKit."""

from statistics import median

from gating_benchmark import compare
from harness import beside

TARGET = 10
RUNS = 3


def measure():
    """Time the tree with thresholds, and with rectangles as FlowKit has them.

    Returns
    -------
    list of Row
        The counts are the same, or there are no rows but an error.
    """
    runs = [compare() for _ in range(RUNS)]
    seconds = {program: median(run[program] for run in runs) for program in runs[0]}
    return [
        beside(f"20 gates, 1 M events, {how}", seconds[how], "FlowKit", seconds["flowkit"], TARGET)
        for how in ("thresholds", "rectangles")
    ]
