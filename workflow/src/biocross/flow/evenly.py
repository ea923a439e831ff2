"""Fewer events of many, the same ones in every run."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", np.float32, np.intp)


def evenly(values: NDArray[Kind], most: int) -> NDArray[Kind]:
    """Take at most so many values, spread evenly over the recording.

    Parameters
    ----------
    values
        In the order of the recording, shape (n,).
    most
        How many at most.

    Returns
    -------
    ndarray
        The first, the last and those between them, shape (at most `most`,); all where there are
        no more.
    """
    if values.size <= most:
        return values
    return values[np.linspace(0, values.size - 1, most).astype(np.intp)]
