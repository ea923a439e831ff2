"""Axes of transformed values: ticks where cytometrists expect them."""

import math
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator
from numpy.typing import NDArray

from biocross.flow.transforms import Transform, invert_transform, transform_exactly

# Shares of the visible range: labels nearer to zero, and ticks nearer to each other, are left out.
LABEL_GAP = 0.08
TICK_GAP = 0.006
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LEAST_DECADE = -3
_MINOR = tuple(range(2, 10))


class Ticks(NamedTuple):
    """The ticks of an axis.

    Parameters
    ----------
    major
        Places with a label, in the display unit of the transform.
    labels
        One per place.
    minor
        Places without a label.
    """

    major: NDArray[np.float64]
    labels: tuple[str, ...]
    minor: NDArray[np.float64]


def scale_ticks(
    transform: Transform, low: float, high: float, label_gap: float = LABEL_GAP
) -> Ticks:
    """Choose the ticks of a transformed axis.

    On logicle, biexponential and arcsinh scales a label stands at zero and at every power of ten
    that can be told from it (-10³, 0, 10³, 10⁴, 10⁵), a minor tick at 2 to 9 times each of them.
    Linear scales have round numbers, thousands as K.

    Parameters
    ----------
    transform
        The channel's transform.
    low, high
        Ends of the axis, in the display unit of the transform.
    label_gap
        Powers of ten nearer to zero than this share of the axis have no label.

    Returns
    -------
    Ticks
        All of them between the ends.

    Raises
    ------
    ConfigError
        The transform's numbers make no scale.
    """
    if transform.kind == "linear":
        return _linear_ticks(low, high)
    ends = invert_transform(np.array([low, high]), transform)
    top = _decade(float(np.abs(ends).max()))
    powers = [10.0**n for n in range(_LEAST_DECADE, top + 1)]
    zero = float(transform_exactly(np.zeros(1), transform)[0])
    span = high - low
    values, labels = [0.0], ["0"]
    for sign, mark in ((1, ""), (-1, "−")):
        for power in powers:
            place = float(transform_exactly(np.array([sign * power]), transform)[0])
            if ends[0] <= sign * power <= ends[1] and abs(place - zero) >= label_gap * span:
                values.append(sign * power)
                labels.append(f"{mark}10{str(_decade(power)).translate(_SUPERSCRIPTS)}")
    places = transform_exactly(np.array(values), transform)
    order = [int(i) for i in np.argsort(places) if low <= places[i] <= high]
    between = np.array([sign * n * power for sign in (1, -1) for power in powers for n in _MINOR])
    # Values beyond the ends of a scale that has some would all stand at its ends.
    between = between[(between >= ends[0]) & (between <= ends[1])]
    minor = _apart(np.sort(transform_exactly(between, transform)), TICK_GAP * span)
    return Ticks(places[order], tuple(labels[i] for i in order), minor)


def _decade(value: float) -> int:
    return math.floor(math.log10(max(value, 10.0**_LEAST_DECADE)) + 1e-9)


def _apart(places: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Keep the places whose neighbours are far enough to be told apart."""
    if places.size < 2:
        return places
    steps = np.diff(places, prepend=-np.inf, append=np.inf)
    return np.asarray(places[np.minimum(steps[:-1], steps[1:]) >= gap])


def _linear_ticks(low: float, high: float) -> Ticks:
    raw = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(n * unit for n in (1, 2, 5, 10) if n * unit >= raw * 0.999)
    major, minor = _multiples(step, low, high), _multiples(step / 5, low, high)
    thousands = max(abs(low), abs(high)) >= 10_000
    labels = [f"{v / 1000:g}K" if thousands and v else f"{round(v, 12):g}" for v in major]
    return Ticks(major, tuple(labels), minor)


def _multiples(step: float, low: float, high: float) -> NDArray[np.float64]:
    """Return the multiples of a number from low to high."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return np.array([n * step for n in range(first, last + 1)], dtype=np.float64)


def decorate(axis: Axes, transform: Transform, which: Literal["x", "y"]) -> Ticks:
    """Give one axis of a plot the ticks of its transform, between the limits that it has.

    Parameters
    ----------
    axis
        The plot; its limits must be set.
    transform
        The channel's transform.
    which
        ``x`` or ``y``.

    Returns
    -------
    Ticks
        What was set.
    """
    low, high = sorted(axis.get_xlim() if which == "x" else axis.get_ylim())
    ticks = scale_ticks(transform, low, high)
    side = axis.xaxis if which == "x" else axis.yaxis
    side.set_major_locator(FixedLocator(ticks.major.tolist()))
    side.set_major_formatter(FixedFormatter(list(ticks.labels)))
    side.set_minor_locator(FixedLocator(ticks.minor.tolist()))
    return ticks
