"""Writing events as an FCS 3.1 file."""

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

import flowio
import numpy as np
from numpy.typing import NDArray

from biocross.tables import written_whole


def write_fcs(
    path: Path,
    events: NDArray[np.float32],
    channels: Sequence[str],
    markers: Sequence[str],
    keywords: Mapping[str, str],
    data_range: int = 262144,
) -> None:
    """Write events as single-precision list-mode data, whole or not at all.

    Parameters
    ----------
    path
        The file.
    events
        Shape (events, channels).
    channels, markers
        $PnN and $PnS of every channel; an empty marker is left out.
    keywords
        Further keywords without their ``$``, such as ``SPILLOVER``.
    data_range
        $PnR of every channel.

    References
    ----------
    Spidlen 2010, Cytometry A 77:97 (FCS 3.1).
    """
    # flowio takes a flat array('f'); from bytes it is copied at once, not value by value. The
    # bytes are little-endian, as flowio declares them, whatever the machine.
    flat = array("f")
    flat.frombytes(np.ascontiguousarray(events, dtype="<f4").tobytes())
    ranges = {f"P{i}R": str(data_range) for i in range(1, len(channels) + 1)}
    with written_whole(path) as temporary, temporary.open("wb") as handle:
        flowio.create_fcs(handle, flat, channels, markers, {**keywords, **ranges})


def spillover_keyword(matrix: NDArray[np.float64], channels: Sequence[str]) -> str:
    """Word a spillover matrix as the value of $SPILLOVER.

    Parameters
    ----------
    matrix
        Share of each dye (row) in each detector (column), 1 on the diagonal.
    channels
        Their $PnN.

    Returns
    -------
    str
        Their number, their names and the matrix row by row, with commas.
    """
    cells = [format(value, ".6g") for value in matrix.ravel()]
    return ",".join([str(len(channels)), *channels, *cells])
