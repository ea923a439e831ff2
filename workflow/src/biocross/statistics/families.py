"""Families of tests: rows that are corrected together, named in the rows."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from biocross.statistics.kernels.battery import ALPHA
from biocross.statistics.kernels.multiplicity import benjamini_hochberg
from biocross.statistics.kernels.power import detectable_fold

CONFIRMATORY = "confirmatory"
MIN_CONFIRMATORY_PAIRS = 6


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


def assign_families(
    rows: Sequence[dict[str, Any]], primary: Collection[str], confirmatory: tuple[str, ...]
) -> None:
    """Correct for multiple testing, within families that are named in the rows.

    The confirmatory family holds the primary populations over all treatments and visits, in one
    readout. Every other row belongs to the exploratory family of its modality, source, treatment,
    contrast and readout.

    Parameters
    ----------
    rows
        Rows of `change_rows`; ``family``, ``q_value`` and ``detectable_fold_family`` are filled in.
    primary
        Names of the primary populations.
    confirmatory
        Modality, source and readout of the confirmatory family.
    """
    for row in rows:
        declared = (row["modality"], row["source"], row["readout"]) == confirmatory
        enough = row["n_pairs"] >= MIN_CONFIRMATORY_PAIRS
        row["family"] = exploratory(row, "modality", "source", "treatment", "contrast", "readout")
        if declared and enough and row["population"] in primary:
            row["family"] = CONFIRMATORY
    for members in correct_families(rows).values():
        for row in members:
            row["detectable_fold_family"] = float(
                detectable_fold(
                    row["change_sd"], row["n_pairs"], row["df"], alpha=ALPHA / len(members)
                )
            )
