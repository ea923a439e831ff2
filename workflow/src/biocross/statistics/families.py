"""Families of tests: rows that are corrected together, named in the rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from biocross.statistics.kernels.multiplicity import benjamini_hochberg

CONFIRMATORY = "confirmatory"


def exploratory(row: dict[str, Any], *parts: str) -> str:
    """Name the exploratory family of a row by the columns that its members share."""
    return f"exploratory: {', '.join(str(row[part]) for part in parts)}"


def correct_families(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Fill in ``q_value`` by Benjamini and Hochberg within each family.

    Parameters
    ----------
    rows
        Rows with ``family``, ``status`` and, where the status is ``tested``, ``p_value``.

    Returns
    -------
    dict
        The tested rows of every family.
    """
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["status"] == "tested":
            families.setdefault(row["family"], []).append(row)
    for members in families.values():
        q_values = benjamini_hochberg(np.array([row["p_value"] for row in members]))
        for row, q_value in zip(members, q_values, strict=True):
            row["q_value"] = float(q_value)
    return families
