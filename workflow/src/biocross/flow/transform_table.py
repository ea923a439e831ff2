"""The table of a cohort's transforms."""

from pathlib import Path

import numpy as np

from biocross.flow.transforms import Transform, decades_between, transform_exactly
from biocross.tables import read_rows

TRANSFORM_COLUMNS = (
    *("marker", "channel", "transform", "top", "decades", "width", "cofactor", "negative"),
    *("width_basis", "n_samples", "note"),
)
PARAMETERS = {
    "logicle": ("top", "decades", "width", "negative"),
    "arcsinh": ("cofactor",),
    "biex": ("top", "decades", "negative", "width_basis"),
    "linear": (),
}


def load_transforms(path: Path | str) -> dict[str, Transform]:
    """Load the transforms of `estimate_transforms`.

    Parameters
    ----------
    path
        Its table.

    Returns
    -------
    dict
        By marker.
    """
    return {
        row["marker"]: Transform(
            row["transform"],
            **{name: float(row[name]) for name in PARAMETERS[row["transform"]] if row.get(name)},
        )
        for row in read_rows(path)
    }


def decades_by_marker(transforms: Path | str) -> dict[str, float]:
    """Return how many decades one unit of the transformed scale is.

    Parameters
    ----------
    transforms
        The cohort's transforms.

    Returns
    -------
    dict of str to float
        By marker; NaN on a linear scale, which has no decades.
    """
    return {
        marker: decades_between(0.0, 1.0, transform)
        for marker, transform in load_transforms(transforms).items()
    }


def zeros_by_marker(transforms: Path | str) -> dict[str, float]:
    """Return where no light lies on the transformed scale.

    Parameters
    ----------
    transforms
        The cohort's transforms.

    Returns
    -------
    dict of str to float
        By marker; markers on a linear scale, such as scatter, are left out.
    """
    return {
        marker: float(transform_exactly(np.zeros(1), transform)[0])
        for marker, transform in load_transforms(transforms).items()
        if transform.kind != "linear"
    }
