"""One cluster as figures name it, and the axis of percentages that they share."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from biocross.report.words import plain

UNSTABLE_MARK = "°"


class Cluster(NamedTuple):
    """One cluster, as figures name it."""

    number: int
    population: str
    stable: bool
    percent: float

    @property
    def title(self) -> str:
        """Population and number; a ring marks clusters that reruns do not find again."""
        return f"{plain(self.population)} {self.number}{'' if self.stable else UNSTABLE_MARK}"


def percent_axis(axis: Any, steps: Sequence[float]) -> None:
    """Put plain numbers on a logarithmic axis of percentages: `steps` within each decade."""
    axis.set_major_locator(LogLocator(subs=list(steps), numticks=5))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
