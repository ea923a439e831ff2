"""Density plots of events as small images: cheap to draw, small on disk, every event visible."""

from collections.abc import Sequence
from functools import cache

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

PIXELS = 140
# Standard deviation of the density's smoothing, in pixels.
SMOOTHING = 2.0
# With fewer events than this, an event is a dot of several pixels.
FEW_EVENTS, SOME_EVENTS = 500, 3000
# So few colours compress well, and the eye tells no more apart.
COLOURS = 48


def to_pixels(
    values: NDArray[np.float32], low: float, high: float, pixels: int = PIXELS
) -> NDArray[np.intp]:
    """Give every event its pixel along an axis.

    Parameters
    ----------
    values
        Shape (events,).
    low, high
        Ends of the axis; events beyond them lie on its first or last pixel.
    pixels
        Length of the axis.

    Returns
    -------
    ndarray
        Shape (events,), 0 to pixels - 1; NaN on the first.
    """
    places = (values - np.float32(low)) * np.float32(pixels / (high - low))
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.clip(places, 0, pixels - 1)).astype(np.intp)


def pseudocolour(
    x: NDArray[np.intp], y: NDArray[np.intp], pixels: int = PIXELS
) -> NDArray[np.uint8]:
    """Draw events as dots whose colour is the density of the events around them.

    Parameters
    ----------
    x, y
        Pixels of the events, of `to_pixels`, shape (events,) each.
    pixels
        Width and height of the image.

    Returns
    -------
    ndarray
        Shape (pixels, pixels, 4), RGBA, the lowest row first; transparent where no event is.
    """
    counts = np.bincount(y * pixels + x, minlength=pixels * pixels).reshape(pixels, pixels)
    image = np.zeros((pixels, pixels, 4), dtype=np.uint8)
    if not x.size:
        return image
    density = smooth_2d(counts.astype(np.float32), SMOOTHING)
    filled = counts > 0
    if x.size < SOME_EVENTS:
        filled = _widen(filled, 2 if x.size < FEW_EVENTS else 1)
    # The densest half per cent may be a pile of events on the edge: it must not set the scale.
    top = float(np.quantile(density[filled], 0.995)) or 1.0
    # The square root shows rare populations beside common ones.
    level = np.sqrt(np.clip(density[filled] / top, 0, 1)) * (COLOURS - 1)
    image[filled] = _colours()[level.astype(np.intp)]
    return image


def smooth_2d(counts: NDArray[np.float32], sd: float) -> NDArray[np.float32]:
    """Smooth a square histogram with a Gaussian, shape (pixels, pixels); nothing leaves it."""
    kernel = _smoother(len(counts), sd)
    return np.asarray(kernel @ counts @ kernel.T)


def smooth_1d(counts: NDArray[np.float32], sd: float) -> NDArray[np.float32]:
    """Smooth histograms with a Gaussian, shape (..., bins); nothing leaves them."""
    return np.asarray(counts @ _smoother(counts.shape[-1], sd).T)


@cache
def _smoother(size: int, sd: float) -> NDArray[np.float32]:
    """Return the matrix whose product with a histogram smooths it; its columns sum to 1."""
    steps = np.arange(size)
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / sd) ** 2)
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float32)


@cache
def _colours() -> NDArray[np.uint8]:
    # The brightest yellow would vanish on white paper.
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.96, COLOURS))
    return np.asarray(np.round(255 * shades), dtype=np.uint8)


def _widen(filled: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Make a dot of every pixel: a plus sign for 1, a disc for 2."""
    wide = filled.copy()
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if abs(down) + abs(right) <= (reach if reach == 1 else 3) and (down or right):
                wide |= _shifted(filled, down, right)
    return wide


def _shifted(filled: NDArray[np.bool_], down: int, right: int) -> NDArray[np.bool_]:
    moved = np.zeros_like(filled)
    rows, columns = filled.shape
    moved[max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)] = filled[
        max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)
    ]
    return moved


def marker_range(
    values: Sequence[NDArray[np.float32]], borders: Sequence[float] = ()
) -> tuple[float, float]:
    """Choose the ends of a marker's axis: nearly all events of all samples, and all borders.

    Parameters
    ----------
    values
        Of every sample, shape (events,) each.
    borders
        Places that must be seen.

    Returns
    -------
    tuple of float
        Low and high, never equal.
    """
    ends = [np.quantile(_thinned(one), [0.001, 0.999]) for one in values if one.size]
    places = [float(end) for pair in ends for end in pair] + [b for b in borders if np.isfinite(b)]
    places = [place for place in places if np.isfinite(place)] or [0.0, 1.0]
    low, high = min(places), max(places)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def _thinned(values: NDArray[np.float32], most: int = 20_000) -> NDArray[np.float32]:
    return values[:: max(1, values.size // most)]
