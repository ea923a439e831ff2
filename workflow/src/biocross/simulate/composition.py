"""Kernels: how many cells of each kind a µl of blood holds, and what a change does to odds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tree:
    """Sizes of nested populations; every array has one entry per population, wholes first.

    Attributes
    ----------
    part_of
        Index of the population that this one is part of, -1 right below the root.
    size
        Cells per µl right below the root, share of the whole elsewhere.
    lower, upper
        Limits of a patient's usual size.
    between, within
        SDs of the logarithm of the size between patients, and between visits of a patient.
    """

    part_of: NDArray[np.intp]
    size: Floats
    lower: Floats
    upper: Floats
    between: Floats
    within: Floats


def usual_sizes(tree: Tree, patient_z: Floats) -> Floats:
    """Draw what is usual for patients.

    Parameters
    ----------
    tree
        The populations.
    patient_z
        Standard normal values, shape (patients, populations).

    Returns
    -------
    numpy.ndarray
        Sizes as in `tree`, shape (patients, populations).
    """
    sizes: Floats = np.clip(tree.size * np.exp(tree.between * patient_z), tree.lower, tree.upper)
    return sizes


def cells_per_ul(tree: Tree, patient_z: Floats, visit_z: Floats) -> Floats:
    """Count the cells in a µl of blood, before any treatment changes them.

    Shares are rescaled so that the parts of a population sum to it.

    Parameters
    ----------
    tree
        The populations.
    patient_z, visit_z
        Standard normal values, shape (samples, populations).

    Returns
    -------
    numpy.ndarray
        Cells per µl, shape (samples, populations).
    """
    weight = usual_sizes(tree, patient_z) * np.exp(tree.within * visit_z)
    cells = weight.copy()
    for whole in dict.fromkeys(tree.part_of[tree.part_of >= 0].tolist()):
        parts = tree.part_of == whole
        total = weight[:, parts].sum(axis=1, keepdims=True)
        cells[:, parts] = cells[:, [whole]] * weight[:, parts] / total
    return cells


def log_fold_changes(before: Floats, after: Floats, members: Bools) -> Floats:
    """Compute the log fold change of populations when their parts change.

    Parameters
    ----------
    before, after
        Cells per µl of the leaves, shape (samples, leaves).
    members
        Which leaf belongs to which population, shape (populations, leaves).

    Returns
    -------
    numpy.ndarray
        log(after / before), shape (samples, populations).
    """
    sums = members.T.astype(np.float64)
    return np.log(after @ sums) - np.log(before @ sums)


def log_odds_ratios(before: Floats, after: Floats, members: Bools, parents: Bools) -> Floats:
    """Compute how the odds of populations in their parents change when leaves change.

    The odds of a population are its cells to all *other* cells of its parent. They change with
    the population's own cells per µl and with those of the others: where eosinophils are lost,
    the odds of every other leukocyte rise, though none of them changed per µl.

    Parameters
    ----------
    before, after
        Cells per µl of the leaves, shape (samples, leaves).
    members, parents
        Which leaf belongs to which population and to that population's parent, shape
        (populations, leaves). A parent must hold more than the population.

    Returns
    -------
    numpy.ndarray
        Log odds ratios, shape (samples, populations).
    """
    return log_fold_changes(before, after, members) - log_fold_changes(
        before, after, parents & ~members
    )
