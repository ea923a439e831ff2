"""From stored values to the scale of the measurement: gain, log amplification, time step."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.errors import FcsError
from biocross.flow.headers import FcsHeader, Repair
from biocross.flow.segments import shown

# More decades than single precision has room for are no amplifier's.
_MOST_DECADES = 30.0


class Scale(NamedTuple):
    """How the stored values of a channel become measured ones.

    Parameters
    ----------
    top
        Top of the scale in measured units; NaN where unknown.
    decades
        Decades of a log amplifier; 0 for a linear one.
    lowest
        What a log amplifier stores as 0.
    stored_top
        ``$PnR``, at which a log amplifier reaches its top.
    factor
        What linear values are multiplied with, such as the time step.
    divisor
        What linear values are divided by: the gain.
    """

    top: float
    decades: float = 0.0
    lowest: float = 1.0
    stored_top: float = 1.0
    factor: float = 1.0
    divisor: float = 1.0

    @property
    def is_identity(self) -> bool:
        """Whether stored and measured values are the same."""
        return self.decades == 0 and self.factor == self.divisor == 1

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the measured values of stored ones."""
        if self.decades:
            return np.power(10.0, self.decades * values / self.stored_top) * self.lowest
        return values * self.factor if self.divisor == 1 else values * self.factor / self.divisor


def read_scales(path: Path, header: FcsHeader) -> tuple[list[Scale], float, list[Repair]]:
    """Read the scale of each channel from ``$PnE``, ``$PnG``, ``$PnR`` and ``$TIMESTEP``.

    Parameters
    ----------
    path
        The file, for messages.
    header
        What the file says of itself.

    Returns
    -------
    scales : list of Scale
        One per channel.
    time_step : float
        Seconds per stored unit of time; NaN without such a keyword or a channel of time.
    repairs : list of Repair
        Keywords of no use, and how they were taken.

    Raises
    ------
    FcsError
        A channel is log amplified and has no range, so that its values mean nothing.
    """
    repairs: list[Repair] = []
    scales = []
    time_step = math.nan
    for number, (name, top) in enumerate(zip(header.channels, header.ranges, strict=True), 1):
        if _is_time(header, number):
            # Files give time a gain that repeats the time step or the detectors' gain.
            if math.isnan(time_step):
                time_step = _time_step(header, repairs)
            factor = 1.0 if math.isnan(time_step) else time_step
            scales.append(Scale(top * factor, factor=factor))
        elif amplification := _amplification(header, number, repairs):
            if not (math.isfinite(top) and top > 0):
                raise FcsError(
                    f'{path}: channel "{shown(name)}" is log amplified, but its range '
                    f"($P{number}R) is not given, so that its values mean nothing; export the file "
                    "again from the instrument's software"
                )
            decades, lowest = amplification
            scales.append(Scale(lowest * 10.0**decades, decades, lowest, top))
        else:
            gain = _gain(header, number, repairs)
            scales.append(Scale(top / gain, divisor=gain))
    return scales, time_step, repairs


def _is_time(header: FcsHeader, number: int) -> bool:
    kind = header.keywords.get(f"p{number}type", "") if header.version == "3.2" else ""
    return "time" in (header.channels[number - 1].lower(), kind.strip().lower())


def _time_step(header: FcsHeader, repairs: list[Repair]) -> float:
    text = header.keywords.get("timestep", "").strip()
    step = _number(text)
    if step > 0:
        return step
    if text:
        note = "the time step is not a number above 0; time left in the instrument's units"
        repairs.append(Repair("time_step", note))
    return math.nan


def _amplification(
    header: FcsHeader, number: int, repairs: list[Repair]
) -> tuple[float, float] | None:
    """Return decades and lowest value of a log amplifier, or None for a linear one."""
    text = header.keywords.get(f"p{number}e", "").strip()
    decades, lowest = (_number(field) for field in (*text.split(",", 1), "0")[:2])
    if not text or decades == 0:
        return None
    if not (0 < decades <= _MOST_DECADES and 0 <= lowest < math.inf):
        note = f'the amplification of channel {number} reads "{shown(text)}"; taken as linear'
        repairs.append(Repair("log_amplification", note))
        return None
    if header.datatypes[number - 1] != "I":
        note = f"channel {number} is log amplified, which only integers may be; undone all the same"
        repairs.append(Repair("log_amplification", note))
    # The standard has a lowest value of 0 read as 1.
    return decades, lowest or 1.0


def _gain(header: FcsHeader, number: int, repairs: list[Repair]) -> float:
    text = header.keywords.get(f"p{number}g", "").strip()
    gain = _number(text)
    if gain > 0:
        return gain
    if text and gain != 0:
        note = f'the gain of channel {number} reads "{shown(text)}"; taken as 1'
        repairs.append(Repair("gain", note))
    return 1.0


def _number(text: str) -> float:
    """Return a finite number, or NaN."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
