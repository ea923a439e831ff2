"""The table of a cohort's transforms."""

from pathlib import Path

from biocross.flow.transforms import Transform
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
