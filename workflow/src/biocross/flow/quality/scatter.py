"""Flag events that are not single, whole cells."""

import numpy as np
from numpy.typing import NDArray

MAD_TO_SD = 1.4826
SSC_STRATA = 6
MIN_STRATUM = 200


def flag_nonfinite(events: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Flag events with a missing or infinite value in any channel, shape (events,)."""
    return np.asarray(~np.isfinite(events).all(axis=1))


def flag_margin(fsc_area: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Flag events without forward scatter.

    Parameters
    ----------
    fsc_area
        Raw FSC-A, shape (events,).

    Returns
    -------
    ndarray of bool
        True where FSC-A is zero or negative.
    """
    return np.asarray(fsc_area <= 0)


def flag_doublets(
    fsc_area: NDArray[np.float32],
    fsc_height: NDArray[np.float32],
    ssc_area: NDArray[np.float32] | None = None,
    n_mad: float = 4.0,
) -> NDArray[np.bool_]:
    """Flag events whose forward-scatter area is too large for their height.

    Parameters
    ----------
    fsc_area, fsc_height
        Raw FSC-A and FSC-H, shape (events,).
    ssc_area
        Raw SSC-A; where given, the border is drawn within strata of side scatter, because
        granulocytes have a larger area for their height than lymphocytes.
    n_mad
        Border, in robust standard deviations above the stratum's median.

    Returns
    -------
    ndarray of bool
        True for doublets.
    """
    ratio = np.asarray(fsc_area, dtype=np.float64) / np.maximum(fsc_height, 1e-6)
    flagged = np.zeros(ratio.shape, dtype=bool)
    for stratum in _strata(ssc_area, ratio.size):
        centre = np.median(ratio[stratum])
        spread = MAD_TO_SD * np.median(np.abs(ratio[stratum] - centre))
        flagged[stratum] = ratio[stratum] > centre + n_mad * spread
    return flagged


def _strata(ssc_area: NDArray[np.float32] | None, size: int) -> list[NDArray[np.intp]]:
    """Split events into strata of equal size by side scatter."""
    if size == 0:
        return []
    n_strata = 1 if ssc_area is None else int(np.clip(size // MIN_STRATUM, 1, SSC_STRATA))
    if n_strata == 1 or ssc_area is None:
        return [np.arange(size)]
    return list(np.array_split(np.argsort(ssc_area, kind="stable"), n_strata))
