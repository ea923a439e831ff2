"""The logicle and FlowJo biexponential scales: exact, in double precision.

Both display a data value x at the root of one family of functions. With u the distance from data
zero in e-folds of the logarithmic part,

    x = p * g(u),   g(u) = exp(u) - 1 + q * (1 - exp(-r * u))   for u >= 0,

and x(-u) = -x(u). Moore & Parks write it a*exp(b*y) - c*exp(-d*y) - f; written about data zero
nothing cancels, so that single-photon values are as exact as bright ones.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.errors import ConfigError

FLOWJO_CHANNELS = 4096
MAX_ITERATIONS = 100


class Biexponential(NamedTuple):
    """A biexponential display scale.

    Parameters
    ----------
    unit
        The factor p (data units).
    rate
        Rate r of the second exponential relative to the first.
    weight
        Weight q of the second exponential relative to the first.
    zero
        Where data zero lies on the scale.
    fold
        Length of one e-fold of the logarithmic part (scale units).
    low, high
        Ends of the scale; what lies beyond is displayed there.
    """

    unit: float
    rate: float
    weight: float
    zero: float
    fold: float
    low: float = -math.inf
    high: float = math.inf


def logicle_scale(top: float, decades: float, width: float, negative: float = 0.0) -> Biexponential:
    """Make the logicle scale of T, M, W and A: T lies at 1.

    Parameters
    ----------
    top
        Top of the scale T (data units).
    decades
        Decades M of the logarithmic scale that the upper end approaches.
    width
        Decades W of the linear region, at most M / 2.
    negative
        Additional decades A of negative values, between -W and M - 2 W.

    Returns
    -------
    Biexponential
        Unbounded at both ends.

    Raises
    ------
    ConfigError
        The four numbers do not make a logicle scale.

    References
    ----------
    Moore & Parks 2012, Cytometry A 81A:273; Gating-ML 2.0, section 6.5.
    """
    if not (
        0 < top < math.inf
        and 0 < decades < math.inf
        and 0 <= 2 * width <= decades
        and -width <= negative <= decades - 2 * width
    ):
        raise ConfigError(
            f"logicle with T = {top:g}, M = {decades:g}, W = {width:g}, A = {negative:g}: needs "
            "T > 0, M > 0, W between 0 and M/2, and A between -W and M - 2W; correct the row of "
            "transforms.tsv"
        )
    rate = _second_rate(width)
    # The scale runs from A decades below the linear region to M decades above that point.
    above = (decades - width) * math.log(10)
    weight = rate**-2
    whole = decades + negative
    return Biexponential(
        unit=top / (math.expm1(above) - weight * math.expm1(-rate * above)),
        rate=rate,
        weight=weight,
        zero=(negative + width) / whole,
        fold=1 / (whole * math.log(10)),
    )


def flowjo_scale(
    top: float = 262144.000029,
    decades: float = 4.418540,
    negative: float = 0.0,
    width_basis: float = -10.0,
) -> Biexponential:
    """Make FlowJo's biexponential scale of 4,096 channels.

    FlowJo looks values up in a table of 4,097 points and interpolates; the formula behind it,
    taken here, differs from that by less than 0.001 channel.

    Parameters
    ----------
    top
        FlowJo's maximum range (data units).
    decades
        Positive decades.
    negative
        Additional negative decades.
    width_basis
        FlowJo's width basis, -1 (narrow) to -1000 (wide).

    Returns
    -------
    Biexponential
        Ends at channels 0 and 4096, where FlowJo puts what lies beyond.

    Raises
    ------
    ConfigError
        The four numbers do not make such a scale.

    References
    ----------
    FlowJo 10 documentation, "Biexponential transformation"; Finak 2018, Cytometry A 93A:1189
    (cytolib); White 2021, Front Immunol 12:768541 (FlowKit).
    """
    half_width = math.log10(-width_basis) / 2 if width_basis <= -1 else math.nan
    positive = decades - half_width
    if not (0 < top < math.inf and 0 < positive < math.inf and 0 <= negative < math.inf):
        raise ConfigError(
            f"biex with maximum range {top:g}, {decades:g} positive and {negative:g} negative "
            f"decades and width basis {width_basis:g}: needs a positive range, a width basis of "
            "-1 or below, more positive decades than half its logarithm, and no fewer than 0 "
            "negative decades; copy the numbers from FlowJo's transform dialogue"
        )
    below = negative + half_width
    # FlowJo puts data zero on a whole channel, no higher than the middle, and stretches the
    # decades to fit.
    zero = min(int(below * FLOWJO_CHANNELS / (below + positive)), FLOWJO_CHANNELS // 2)
    if zero > 0:
        positive = below * FLOWJO_CHANNELS / zero
    steps = FLOWJO_CHANNELS + 1
    span = positive * math.log(10)
    rate = _second_rate(half_width)
    crossing = (half_width + below) / positive
    return Biexponential(
        unit=top * math.exp(span * (zero / steps - 1)),
        rate=rate,
        weight=math.exp(span * (1 + rate) * (crossing - zero / steps)),
        zero=float(zero),
        fold=steps / span,
        low=0.0,
        high=float(FLOWJO_CHANNELS),
    )


def to_scale(values: NDArray[np.floating], scale: Biexponential) -> NDArray[np.float64]:
    """Find where data values lie on a biexponential scale, its ends ignored.

    Parameters
    ----------
    values
        Data values, any shape.
    scale
        The scale.

    Returns
    -------
    ndarray
        Same shape, scale units, to about 1e-15 of the scale. NaN and infinities stay.
    """
    values = np.asarray(values, dtype=np.float64)
    folds = np.abs(values) / scale.unit
    finite = np.isfinite(folds)
    folds[finite] = _solve(folds[finite], scale.rate, scale.weight)
    return np.asarray(scale.zero + scale.fold * np.copysign(folds, values))


def from_scale(places: NDArray[np.floating], scale: Biexponential) -> NDArray[np.float64]:
    """Return the data values at places of a biexponential scale, its ends ignored.

    Parameters
    ----------
    places
        Places on the scale, any shape.
    scale
        The scale.

    Returns
    -------
    ndarray
        Same shape, data units; infinite where they exceed double precision.
    """
    folds = (np.asarray(places, dtype=np.float64) - scale.zero) / scale.fold
    size = np.abs(folds)
    with np.errstate(over="ignore"):
        raised = np.expm1(size) - scale.weight * np.expm1(-scale.rate * size)
        return np.asarray(np.copysign(scale.unit * raised, folds))


def _second_rate(width: float) -> float:
    """Solve 2 ln(r) + W ln(10) (1 + r) = 0, which makes data zero the most linear point."""
    linear = width * math.log(10)
    rate = math.exp(-linear)  # below the root of a concave function: Newton only rises
    for _ in range(MAX_ITERATIONS):
        step = (2 * math.log(rate) + linear * (1 + rate)) / (2 / rate + linear)
        rate -= step
        if abs(step) <= 1e-15 * rate:
            break
    return rate


def _solve(heights: NDArray[np.float64], rate: float, weight: float) -> NDArray[np.float64]:
    """Solve g(u) = height for finite heights >= 0 by Newton's method.

    g is convex, and both starting values are at or above the root: Newton only falls.
    """
    u = np.minimum(np.log1p(heights), heights / (1 + weight * rate))
    for _ in range(MAX_ITERATIONS):
        excess = np.expm1(u) - weight * np.expm1(-rate * u) - heights
        step = excess / (np.exp(u) + weight * rate * np.exp(-rate * u))
        u -= step
        # Newton doubles the digits: after a step of 1e-8 nothing is left to gain.
        if (np.abs(step) <= 1e-8 * u).all():
            break
    return u
