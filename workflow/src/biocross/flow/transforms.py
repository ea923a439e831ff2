"""Display transforms of signal channels, one set for the whole cohort."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from flowutils import transforms as flowutils_transforms
from numpy.typing import NDArray

DEFAULT_COFACTOR = {"mass": 5.0, "conventional": 150.0, "spectral": 2000.0}
MIN_NEGATIVES = 50


class Transform(NamedTuple):
    """How one channel's values are displayed and gated.

    Parameters
    ----------
    kind
        ``logicle``, ``arcsinh`` or ``linear`` (values left as they are).
    top
        Top of the scale T of logicle (data units).
    decades
        Decades M of the whole logicle scale.
    width
        Decades W of its linear region.
    cofactor
        Divisor of arcsinh (data units).
    """

    kind: str
    top: float = 262144.0
    decades: float = 4.5
    width: float = 0.5
    cofactor: float = 5.0


def default_transform(cytometry: str) -> str:
    """Return the transform of signal channels: arcsinh for mass cytometry, else logicle."""
    return "arcsinh" if cytometry == "mass" else "logicle"


def apply_transform(values: NDArray[np.float32], transform: Transform) -> NDArray[np.float32]:
    """Transform the values of one channel.

    Parameters
    ----------
    values
        Compensated values, shape (events,).
    transform
        The channel's transform.

    Returns
    -------
    ndarray
        Shape (events,): logicle in units of the scale (T is at 1), arcsinh as
        ``arcsinh(x / cofactor)``, linear unchanged.

    References
    ----------
    Moore & Parks 2012, Cytometry A 81A:273 (logicle); Gating-ML 2.0, section 6.
    """
    if transform.kind == "logicle":
        scaled = flowutils_transforms.logicle(
            np.asarray(values, dtype=np.float64),
            None,
            t=transform.top,
            m=transform.decades,
            w=transform.width,
            a=0,
        )
        return np.asarray(scaled, dtype=np.float32)
    if transform.kind == "arcsinh":
        return np.asarray(np.arcsinh(values / np.float32(transform.cofactor)))
    return values


def logicle_decades(top: float) -> float:
    """Return the decades M of a logicle scale whose top is T: 4.5 at 262,144."""
    return 4.5 + float(np.log10(top / 262144.0))


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
        return float("nan")
    return float(np.percentile(negatives, 5))


def logicle_width(references: Sequence[float], top: float) -> float:
    """Choose the linear width W of a logicle channel for a whole cohort.

    Parameters
    ----------
    references
        `negative_reference` of every sample.
    top
        Top of the scale T.

    Returns
    -------
    float
        W = (M - log10(T / |r|)) / 2 within [0.1, M / 2], with r the median reference;
        NaN where no sample has enough negative values.

    References
    ----------
    Parks, Roederer & Moore 2006, Cytometry A 69A:541.
    """
    known = [value for value in references if not np.isnan(value)]
    if not known:
        return float("nan")
    decades = logicle_decades(top)
    width = (decades - np.log10(top / abs(np.median(known)))) / 2
    return float(np.clip(width, 0.1, decades / 2))
