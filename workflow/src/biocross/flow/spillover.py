"""Spillover matrices: what an FCS header says of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.errors import FcsError


class Spillover(NamedTuple):
    """Share of each fluorochrome's signal that every detector sees.

    Parameters
    ----------
    channels
        Detectors, in matrix order.
    matrix
        Shape (channels, channels); row = fluorochrome, column = detector, diagonal 1.
    """

    channels: tuple[str, ...]
    matrix: NDArray[np.float64]


def parse_spillover(keywords: dict[str, str], path: Path) -> Spillover | None:
    """Parse the spillover matrix of an FCS header.

    Parameters
    ----------
    keywords
        TEXT keywords in lower case without ``$``, as FlowIO gives them.
    path
        The file, for messages.

    Returns
    -------
    Spillover or None
        None where the header has no matrix.

    Raises
    ------
    FcsError
        The matrix is not of the form ``n,name1..namen,value1..valuen*n``.
    """
    text = next((keywords[key] for key in ("spillover", "spill") if keywords.get(key)), None)
    if text is None:
        return None
    fields = [field.strip() for field in text.split(",")]
    try:
        size = int(fields[0])
        if size == 0:
            return None
        values = np.array([float(value) for value in fields[1 + size :]])
        matrix = values.reshape(size, size)
        if not np.isfinite(matrix).all():
            raise ValueError
    except (ValueError, IndexError):
        raise FcsError(
            f"{path}: its spillover matrix cannot be parsed; export the file again"
        ) from None
    return Spillover(tuple(fields[1 : 1 + size]), matrix)
