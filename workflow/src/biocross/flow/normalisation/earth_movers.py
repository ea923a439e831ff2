"""The earth mover's distance between distributions of one marker."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def earth_movers_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Measure how far events must be moved to turn one distribution into the other.

    Parameters
    ----------
    first, second
        Values of two sets of events, shape (events,) each, not empty.

    Returns
    -------
    float
        The area between the two cumulative distributions, in units of the values.
    """
    return largest_distance([first, second])


def largest_distance(samples: Sequence[NDArray[np.floating]]) -> float:
    """Return the largest earth mover's distance between any two of several sets of events.

    Parameters
    ----------
    samples
        Values of two or more sets, shape (events,) each, not empty.

    Returns
    -------
    float
        In units of the values; exact, not binned.

    Raises
    ------
    ValueError
        There are fewer than two sets, or one is empty.

    References
    ----------
    Van Gassen et al. 2020, Cytometry A 97:268, judge a normalisation by this number; in one
    dimension it is the area between the cumulative distributions (Vallender 1974, Theory Probab
    Appl 18:784).
    """
    if len(samples) < 2 or any(sample.size == 0 for sample in samples):
        raise ValueError("a distance needs two sets of events, neither of them empty")
    everything = np.sort(np.concatenate(samples).astype(np.float64))
    gaps = np.diff(everything)
    shares = np.stack(
        [
            np.searchsorted(np.sort(sample).astype(np.float64), everything[:-1], "right")
            / sample.size
            for sample in samples
        ]
    )
    return max(
        float((np.abs(shares[number + 1 :] - shares[number]) @ gaps).max())
        for number in range(len(samples) - 1)
    )
