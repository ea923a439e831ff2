"""Quantiles of the batches of an anchor, and the ones they are to have in common."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PROBABILITIES: Floats = np.arange(1, 100) / 100
# The whole of a batch is described by this group; the clusters are numbered from 1.
ALL_EVENTS = 0
MIN_EVENTS = 50
# A percentile that rests on fewer events than this in the tail beyond it is noise.
MIN_TAIL_EVENTS = 10


def group_quantiles(
    values: NDArray[np.float32],
    groups: NDArray[np.integer],
    n_groups: int,
    probabilities: Floats = PROBABILITIES,
    min_events: int = MIN_EVENTS,
) -> Floats:
    """Describe all events of a batch, and each of its clusters, by quantiles.

    Parameters
    ----------
    values
        Transformed values, shape (events, markers).
    groups
        Cluster of every event, from 1; shape (events,).
    n_groups
        Number of clusters + 1.
    probabilities
        Ascending, shape (knots,).
    min_events
        A cluster with fewer is not described.

    Returns
    -------
    ndarray
        Shape (groups, markers, knots); group 0 is all events. NaN for a cluster of too few events,
        and for percentiles with fewer than 10 events beyond them.
    """
    described = np.full((n_groups, values.shape[1], probabilities.size), np.nan)
    for group in range(n_groups):
        members = values if group == ALL_EVENTS else values[groups == group]
        if len(members) >= min_events:
            held = _held_by_events(probabilities, len(members))
            found = np.quantile(members.astype(np.float64), probabilities[held], axis=0)
            described[group][:, held] = found.T
    return described


def _held_by_events(probabilities: Floats, n_events: int) -> NDArray[np.bool_]:
    """Say which probabilities have events enough beyond them; always the one in the middle."""
    beyond = np.minimum(probabilities, 1 - probabilities)
    # Rounding: a hundredth of a thousand events are ten.
    held: NDArray[np.bool_] = beyond * n_events >= (
        min(MIN_TAIL_EVENTS, beyond.max() * n_events) - 1e-6
    )
    return held


def common_quantiles(quantiles: Floats, goal: int | None = None) -> tuple[Floats, Floats]:
    """Say which quantiles every batch has and which it shall have.

    A cluster's goal is the mean over the batches, or the quantiles of one of them. A batch with too
    few events in a cluster gets the function of all its events there; so that the other batches
    meet it, the cluster's goal is then the mean of *their* quantiles as moved by the functions of
    all events.

    Parameters
    ----------
    quantiles
        Of `group_quantiles`, shape (batches, groups, markers, knots).
    goal
        Position of the batch that the others shall resemble; None is the mean of all.

    Returns
    -------
    source, target : ndarray
        Shape (batches, groups, markers, knots), NaN where there is no knot. Both are
        non-decreasing over the knots.

    Raises
    ------
    ValueError
        A batch has too few events in all.

    References
    ----------
    Van Gassen et al. 2020, Cytometry A 97:268 (CytoNorm).
    """
    described = np.logical_not(np.isnan(quantiles).all(axis=(2, 3)))
    if not described[:, ALL_EVENTS].all():
        raise ValueError("a batch has no quantiles of all its events")
    source, target = np.empty_like(quantiles), np.empty_like(quantiles)
    for group in range(quantiles.shape[1]):
        present = described[:, group]
        unknown = np.isnan(quantiles[present, group]).any(axis=0)
        source[:, group] = np.where(unknown, np.nan, quantiles[:, group])
        if present.all():
            found = source[:, group]
        else:
            source[~present, group] = source[~present, ALL_EVENTS]
            target[~present, group] = target[~present, ALL_EVENTS]
            found = _moved(source[:, group], source[:, ALL_EVENTS], target[:, ALL_EVENTS])
        if goal is not None and present[goal]:
            target[present, group] = source[goal, group]
        elif present.any():
            target[present, group] = found[present].mean(axis=0)
    return source, target


def _moved(values: Floats, source: Floats, target: Floats) -> Floats:
    """Move quantiles by other functions, shape (batches, markers, knots) all three."""
    moved = np.empty_like(values)
    for place in np.ndindex(values.shape[:2]):
        moved[place] = values[place] + np.interp(
            values[place], *displacement(source[place], target[place])
        )
    return moved


def displacement(source: Floats, target: Floats) -> tuple[Floats, Floats]:
    """Turn quantiles and their goals into how far a value is moved.

    Interpolated linearly and constant beyond the ends, so that a value outside the quantiles is
    shifted as the outermost one. As the goals do not decrease, the order of events is kept, and
    nothing overshoots. Equal quantiles (many zeros, as in mass cytometry) become one knot with the
    mean of their goals.

    Parameters
    ----------
    source, target
        Non-decreasing, shape (knots,); NaN where there is no knot.

    Returns
    -------
    places, shifts : ndarray
        Strictly increasing places and the shift at each, shape (distinct knots,).
    """
    known = ~(np.isnan(source) | np.isnan(target))
    places, which, counts = np.unique(source[known], return_inverse=True, return_counts=True)
    shifts = np.bincount(which, target[known], places.size) / counts - places
    return places, shifts
