"""Quartiles of many columns at once, missing values left out."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def column_quartiles(values: FloatArray) -> FloatArray:
    """Return the quartiles of the known values of each column.

    Parameters
    ----------
    values
        Shape (rows, columns); NaN where not known.

    Returns
    -------
    ndarray
        Shape (3, columns): first quartile, median, third, interpolated linearly as R's type 7 and
        NumPy do; NaN for a column without any value.
    """
    if not len(values):
        return np.full((3, values.shape[1]), np.nan)
    ordered = np.sort(values, axis=0)  # NaN last
    n = (~np.isnan(values)).sum(axis=0)
    place = np.array([[0.25], [0.5], [0.75]]) * np.maximum(n - 1, 0)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, np.maximum(n - 1, 0))
    low, high = (np.take_along_axis(ordered, at, axis=0) for at in (below, above))
    return np.asarray(low + (place - below) * (high - low))
