"""Remove the spill of every fluorochrome into the other detectors."""

import numpy as np
from numpy.typing import NDArray

from biocross.errors import FcsError
from biocross.flow.spillover import Spillover


def compensate(
    events: NDArray[np.float32], channels: tuple[str, ...], spillover: Spillover
) -> NDArray[np.float32]:
    """Compensate events with a spillover matrix.

    Parameters
    ----------
    events
        Raw values, shape (events, channels).
    channels
        Names of the columns.
    spillover
        The matrix; its detectors must be among `channels`.

    Returns
    -------
    ndarray
        Compensated copy, shape (events, channels); other columns as they were.

    Raises
    ------
    FcsError
        The matrix names a detector that the file lacks, or cannot be inverted.

    References
    ----------
    Bagwell & Adams 1993, Ann N Y Acad Sci 677:167 (observed = true @ spillover).
    """
    missing = [name for name in spillover.channels if name not in channels]
    if missing:
        raise FcsError(
            f'the spillover matrix names "{missing[0]}", which is no channel of the file'
        )
    columns = [channels.index(name) for name in spillover.channels]
    if np.linalg.cond(spillover.matrix) > 1e8:
        raise FcsError("the spillover matrix is singular: two fluorochromes spill alike")
    inverse = np.linalg.inv(spillover.matrix).astype(np.float32)
    compensated = events.copy()
    with np.errstate(invalid="ignore"):  # infinite values become missing, and are flagged later
        compensated[:, columns] = events[:, columns] @ inverse
    return compensated
