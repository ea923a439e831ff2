"""Display transforms of signal channels, one set for the whole cohort."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.errors import ConfigError
from biocross.flow.biexponential import (
    Biexponential,
    flowjo_scale,
    from_scale,
    logicle_scale,
    to_scale,
)
from biocross.flow.tabulated import Tabulated

DEFAULT_COFACTOR = {"mass": 5.0, "conventional": 150.0, "spectral": 2000.0}
MIN_NEGATIVES = 50
MIN_DECADES = 1.0
MIN_WIDTH = 0.1
# Error allowed to the straight line through zero, as a share of the scale.
TOLERANCE = 1e-7


class Transform(NamedTuple):
    """How one channel's values are displayed and gated.

    =========  =========================================  ==================================
    kind       uses                                       display unit
    =========  =========================================  ==================================
    logicle    top, decades, width, negative              the scale: T lies at 1
    arcsinh    cofactor                                   ``arcsinh(x / cofactor)``: e-folds
    biex       top, decades, negative, width_basis        FlowJo's channels, 0 to 4096
    linear     nothing                                    data units, values left as they are
    =========  =========================================  ==================================

    Far from zero the first three are logarithms; `decades_between` measures distances on any of
    them in decades of that logarithm, whatever the display unit.

    Parameters
    ----------
    kind
        ``logicle``, ``arcsinh``, ``biex`` (FlowJo's biexponential) or ``linear``.
    top
        Top of the scale: T of logicle, maximum range of biex (data units).
    decades
        Decades M of the whole logicle scale; positive decades of biex.
    width
        Decades W of logicle's linear region.
    cofactor
        Divisor of arcsinh (data units).
    negative
        Additional negative decades: A of logicle, "negative" of biex.
    width_basis
        FlowJo's width basis of biex, -1 to -1000.
    """

    kind: str
    top: float = 262144.0
    decades: float = 4.5
    width: float = 0.5
    cofactor: float = 5.0
    negative: float = 0.0
    width_basis: float = -10.0


def default_transform(cytometry: str) -> str:
    """Return the transform of signal channels: arcsinh for mass cytometry, else logicle."""
    return "arcsinh" if cytometry == "mass" else "logicle"


def apply_transform(
    values: NDArray[np.float32], transform: Transform, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Transform the values of one channel, fast.

    Within 1e-6 of the scale of `transform_exactly` (2e-6 on scales of one decade), and never
    falling: a larger value never gets a smaller result. Each event's result depends on its
    value alone.

    Parameters
    ----------
    values
        Compensated values, shape (events,).
    transform
        The channel's transform.
    out
        Where the results go, shape (events,); it may be `values`. None makes an array, except
        for ``linear``, which then returns `values` itself.

    Returns
    -------
    ndarray
        Shape (events,), in the display unit of the kind. NaN and infinities stay, except that
        biex ends at its channels 0 and 4096.

    Raises
    ------
    ConfigError
        The transform's numbers make no scale.

    References
    ----------
    Moore & Parks 2012, Cytometry A 81A:273 (logicle); Gating-ML 2.0, section 6.
    """
    if transform.kind == "linear":
        if out is None:
            return values
        out[:] = values
        return out
    if transform.kind == "arcsinh":
        cofactor = _cofactor(transform)
        return Tabulated(lambda x: np.arcsinh(x / cofactor), TOLERANCE)(values, out)
    scale = _biexponential(transform)
    # A scale without ends is one unit long.
    length = scale.high - scale.low if math.isfinite(scale.high) else 1.0
    tabulated = Tabulated(
        lambda x: to_scale(x, scale), TOLERANCE * length, low=scale.low, high=scale.high
    )
    return tabulated(values, out)


def transform_exactly(values: NDArray[np.floating], transform: Transform) -> NDArray[np.float64]:
    """Transform values in double precision, for thresholds and gate corners.

    Parameters
    ----------
    values
        Data values, any shape.
    transform
        The channel's transform.

    Returns
    -------
    ndarray
        Same shape, in the display unit of the kind.

    Raises
    ------
    ConfigError
        The transform's numbers make no scale.
    """
    exact: NDArray[np.float64] = np.array(values, dtype=np.float64)
    if transform.kind == "linear":
        return exact
    if transform.kind == "arcsinh":
        return np.asarray(np.arcsinh(exact / _cofactor(transform)))
    scale = _biexponential(transform)
    return np.clip(to_scale(exact, scale), scale.low, scale.high)


def invert_transform(places: NDArray[np.floating], transform: Transform) -> NDArray[np.float64]:
    """Return the data values of places on the display.

    Parameters
    ----------
    places
        Places in the display unit of the kind, any shape.
    transform
        The channel's transform.

    Returns
    -------
    ndarray
        Same shape, data units. Places beyond the ends of biex give its ends.

    Raises
    ------
    ConfigError
        The transform's numbers make no scale.
    """
    exact: NDArray[np.float64] = np.array(places, dtype=np.float64)
    if transform.kind == "linear":
        return exact
    if transform.kind == "arcsinh":
        with np.errstate(over="ignore"):
            return np.asarray(np.sinh(exact) * _cofactor(transform))
    scale = _biexponential(transform)
    return from_scale(np.clip(exact, scale.low, scale.high), scale)


def decades_between(start: float, end: float, transform: Transform) -> float:
    """Measure the distance of two places on the display in decades.

    A decade is one of the logarithmic part, to which the scale tends far from zero; in the
    linear part around zero the same length of display is counted as if it were there.

    Parameters
    ----------
    start, end
        Places in the display unit of the kind.
    transform
        The channel's transform.

    Returns
    -------
    float
        Decades from start to end, negative downwards; NaN for ``linear``, which has none.

    Raises
    ------
    ConfigError
        The transform's numbers make no scale.
    """
    if transform.kind == "linear":
        return math.nan
    if transform.kind == "arcsinh":
        _cofactor(transform)  # refuses what makes no scale
        return float(end - start) / math.log(10)
    return float(end - start) / (_biexponential(transform).fold * math.log(10))


def logicle_decades(top: float) -> float:
    """Return the decades M of a logicle scale whose top is T: 4.5 at 262,144, NaN below 0."""
    return 4.5 + math.log10(top / 262144.0) if top > 0 else math.nan


def why_not_logicle(top: float) -> str:
    """Say why a channel's range is too short for logicle, or nothing if it is not.

    Below one decade (T < 83) the linear region leaves no room for a logarithm. Such ranges are
    met in files of values transformed before, and of mass cytometry, where $PnR is the largest
    count.

    Parameters
    ----------
    top
        Top of the scale T, the file's $PnR.

    Returns
    -------
    str
        A sentence for the note of ``transforms.tsv``; empty where logicle serves.
    """
    decades = logicle_decades(top)
    if MIN_DECADES <= decades < math.inf:
        return ""
    if math.isnan(decades) or math.isinf(decades):
        reason = f"its range ($PnR) is {top:g}, which is no top of a logicle scale"
    else:
        reason = (
            f"its range ($PnR) of {top:g} makes a logicle scale of {max(decades, 0):.1f} decades, "
            f"fewer than {MIN_DECADES:g}"
        )
    return f"{reason}; left linear, unless panel.tsv names arcsinh"


def negative_reference(values: NDArray[np.float32]) -> float:
    """Measure how far below zero a sample's compensated channel reaches.

    Parameters
    ----------
    values
        Compensated values of one channel, shape (events,).

    Returns
    -------
    float
        The 5th percentile of the negative values; NaN where there are fewer than 50.
    """
    negatives = values[(values < 0) & np.isfinite(values)]
    if negatives.size < MIN_NEGATIVES:
        return math.nan
    return float(np.percentile(negatives, 5))


def logicle_width(references: Sequence[float], top: float) -> float:
    """Choose the linear width W of a logicle channel for a whole cohort.

    With M = 4.5 + log10(T / 262144) it is (4.5 - log10(262144 / abs(r))) / 2, whatever T: the
    same noise gets the same linear region on every instrument. `estimateLogicle` of flowCore
    keeps M = 4.5, which is the same at T = 262144 and narrower by log10(T / 262144) / 2 above.

    Parameters
    ----------
    references
        `negative_reference` of every sample.
    top
        Top of the scale T.

    Returns
    -------
    float
        W = (M - log10(T / abs(r))) / 2 within [0.1, M / 2], with r the median reference;
        NaN where no sample has enough negative values, or T is too low for logicle
        (`why_not_logicle`).

    References
    ----------
    Parks, Roederer & Moore 2006, Cytometry A 69A:541.
    """
    known = [value for value in references if not np.isnan(value)]
    if not known or why_not_logicle(top):
        return math.nan
    decades = logicle_decades(top)
    width = (decades - np.log10(top / abs(np.median(known)))) / 2
    return float(np.clip(width, MIN_WIDTH, decades / 2))


def _biexponential(transform: Transform) -> Biexponential:
    if transform.kind == "logicle":
        return logicle_scale(transform.top, transform.decades, transform.width, transform.negative)
    if transform.kind == "biex":
        return flowjo_scale(
            transform.top, transform.decades, transform.negative, transform.width_basis
        )
    raise ConfigError(
        f'there is no transform "{transform.kind}"; use logicle, arcsinh, biex or linear'
    )


def _cofactor(transform: Transform) -> float:
    if not 0 < transform.cofactor < math.inf:
        raise ConfigError(
            f"arcsinh with cofactor {transform.cofactor:g}: needs a positive number; "
            "correct the cofactor in panel.tsv or the config"
        )
    return transform.cofactor
