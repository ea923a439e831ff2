"""A tree of 20 gates, beside FlowKit."""

from gating_benchmark import compare
from harness import beside

TARGET = 10


def measure():
    """Time the tree with thresholds, and with rectangles as FlowKit has them.

    Returns
    -------
    list of Row
        The counts are the same, or there are no rows but an error.
    """
    seconds = compare()
    return [
        beside(f"20 gates, 1 M events, {how}", seconds[how], "FlowKit", seconds["flowkit"], TARGET)
        for how in ("thresholds", "rectangles")
    ]
