"""Control of the false discovery rate within one family of tests."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def benjamini_hochberg(p: ArrayLike) -> NDArray[np.float64]:
    """Adjust p values for the false discovery rate within each family.

    Parameters
    ----------
    p
        p values; the last axis is the family, any leading axes are families of their own, for
        example (relabellings, populations). NaN marks what was not tested: it stays NaN and does
        not count as a test.

    Returns
    -------
    NDArray
        q values of the same shape, never below their p.

    Raises
    ------
    ValueError
        A p value lies outside [0, 1].

    References
    ----------
    Benjamini, Hochberg 1995, J R Stat Soc B 57:289.
    """
    p_values = np.asarray(p, dtype=np.float64)
    if np.any((p_values < 0) | (p_values > 1)):
        raise ValueError("p values must lie between 0 and 1.")
    order = np.argsort(p_values, axis=-1)  # NaN last
    ranked = np.take_along_axis(p_values, order, axis=-1)
    n_tests = np.count_nonzero(~np.isnan(p_values), axis=-1, keepdims=True)
    # The quotient first: it is at least 1 where it counts, so that rounding cannot give q < p.
    q = ranked * (n_tests / np.arange(1, p_values.shape[-1] + 1))
    # The smallest of all larger p's; fmin passes over the NaNs at the end.
    q = np.fmin.accumulate(q[..., ::-1], axis=-1)[..., ::-1]
    q[np.isnan(ranked)] = np.nan
    adjusted = np.empty_like(q)
    np.put_along_axis(adjusted, order, q, axis=-1)
    return adjusted
