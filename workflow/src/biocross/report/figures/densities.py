"""Density plots of events as small images: cheap to draw, small on disk, every event visible."""

from collections.abc import Sequence
from functools import cache

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

PIXELS = 200
# Standard deviation of the density's smoothing, in pixels.
SMOOTHING = 2.8
# The fewer events, the more pixels make the dot of one.
FEW_EVENTS, SOME_EVENTS = 2_000, 20_000
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
        inside = np.nan_to_num(np.clip(places, 0, pixels - 1))
    return np.asarray(inside, dtype=np.intp)


def pseudocolour(
    x: NDArray[np.intp], y: NDArray[np.intp], dot: int = 1, pixels: int = PIXELS
) -> NDArray[np.uint8]:
    """Draw events as dots whose colour is the density of the events around them.

    Parameters
    ----------
    x, y
        Pixels of the events, of `to_pixels`, shape (events,) each.
    dot
        Width of an event, in pixels; see `dot_size`.
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
    filled = _widen(counts > 0, dot)
    # The densest half per cent may be a pile of events on the edge: it must not set the scale.
    top = float(np.quantile(density[filled], 0.995)) or 1.0
    # The square root shows rare populations beside common ones.
    level = np.sqrt(np.clip(density[filled] / top, 0, 1)) * (COLOURS - 1)
    image[filled] = _colours()[level.astype(np.intp)]
    return image


def dot_size(most_events: int) -> int:
    """Return the width of an event's dot for plots that hold at most so many events each."""
    if most_events < FEW_EVENTS:
        return 3
    return 2 if most_events < SOME_EVENTS else 1


def smooth_2d(counts: NDArray[np.float32], sd: float) -> NDArray[np.float32]:
    """Smooth a two-dimensional histogram with a Gaussian, shape (rows, columns)."""
    return smooth_1d(smooth_1d(counts, sd).T, sd).T


def smooth_1d(counts: NDArray[np.float32], sd: float) -> NDArray[np.float32]:
    """Smooth histograms with a Gaussian, shape (..., bins); beyond their ends nothing is."""
    reach = int(np.ceil(3 * sd))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    size = counts.shape[-1]
    padded = np.pad(counts, [(0, 0)] * (counts.ndim - 1) + [(reach, reach)])
    # Sums of shifted copies: a matrix product would wake all threads for a millisecond's work.
    smooth = np.zeros_like(counts)
    for shift, weight in enumerate(weights):
        smooth += weight * padded[..., shift : shift + size]
    return smooth


@cache
def _colours() -> NDArray[np.uint8]:
    # The brightest yellow would vanish on white paper.
    shades = mpl.colormaps["viridis"](np.linspace(0.0, 0.96, COLOURS))
    return np.asarray(np.round(255 * shades), dtype=np.uint8)


def _widen(filled: NDArray[np.bool_], dot: int) -> NDArray[np.bool_]:
    """Make a dot of every pixel: a square of 2, or a plus sign 3 wide."""
    wide = filled.copy()
    shifts = {1: (), 2: ((0, 1), (1, 0), (1, 1)), 3: ((0, 1), (1, 0), (0, -1), (-1, 0))}
    for down, right in shifts[dot]:
        rows, columns = filled.shape
        wide[max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)] |= filled[
            max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)
        ]
    return wide


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
    ends = [np.quantile(_thinned(one), [0.0003, 0.9997]) for one in values if one.size]
    places = [float(end) for pair in ends for end in pair] + [b for b in borders if np.isfinite(b)]
    places = [place for place in places if np.isfinite(place)] or [0.0, 1.0]
    low, high = min(places), max(places)
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def _thinned(values: NDArray[np.float32], most: int = 30_000) -> NDArray[np.float32]:
    return values[:: max(1, values.size // most)]


def faded(image: NDArray[np.uint8], kept: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Show the events of an image in grey where they are not kept.

    Parameters
    ----------
    image, kept
        Of `pseudocolour`: all events, and those kept.

    Returns
    -------
    ndarray
        Shape of the images.
    """
    mixed = image.copy()
    mixed[image[..., 3] > 0] = (190, 190, 190, 255)
    inside = kept[..., 3] > 0
    mixed[inside] = kept[inside]
    return mixed
