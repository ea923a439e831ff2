"""Which clusters come back when the map is made again, with another seed or other patients."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Mean Jaccard index of a cluster that can be relied on, and of one that dissolves.
STABLE = 0.75
UNSTABLE = 0.6
N_RERUNS = 10

Overlaps = NDArray[np.integer]
Clustering = Callable[[NDArray[np.intp], int], NDArray[np.integer]]


class Stability(NamedTuple):
    """How well clusters come back, each field of shape (clusters,).

    Parameters
    ----------
    over_seeds
        Mean Jaccard index over reruns of the same events with other seeds.
    over_patients
        Mean over reruns with resampled patients; NaN with fewer than two patients, and for a
        cluster that no resample held.
    stability
        The smaller of the two.
    seeds, patients
        Of every rerun of each kind, the events that clusters share: see `shared_events`.
    """

    over_seeds: NDArray[np.float64]
    over_patients: NDArray[np.float64]
    stability: NDArray[np.float64]
    seeds: tuple[Overlaps, ...]
    patients: tuple[Overlaps, ...]


def shared_events(
    reference: NDArray[np.integer], rerun: NDArray[np.integer], n_clusters: int
) -> Overlaps:
    """Count the events that the clusters of two clusterings share.

    Parameters
    ----------
    reference, rerun
        Clusters of the same events, shape (events,); those of `reference` count from 1.
    n_clusters
        Clusters of the reference.

    Returns
    -------
    ndarray
        Shape (clusters, clusters of the rerun).
    """
    _, partner = np.unique(rerun, return_inverse=True)
    n_partners = int(partner.max(initial=0)) + 1
    pairs = (np.asarray(reference, dtype=np.intp) - 1) * n_partners + partner
    both = np.bincount(pairs, minlength=n_clusters * n_partners)
    return both.reshape(n_clusters, n_partners)


def best_jaccard(both: Overlaps) -> NDArray[np.float64]:
    """Find each cluster again: its greatest overlap with any cluster of another clustering.

    Parameters
    ----------
    both
        Of `shared_events`.

    Returns
    -------
    ndarray
        Events in both clusters / events in either, of the best partner, shape (clusters,); NaN
        for a cluster without events here.

    References
    ----------
    Jaccard 1912, New Phytol 11:37.
    """
    own, others = both.sum(axis=1, keepdims=True), both.sum(axis=0, keepdims=True)
    best = (both / np.maximum(own + others - both, 1)).max(axis=1)
    return np.where(own[:, 0] > 0, best, np.nan)


def union_jaccard(both: Overlaps, members: NDArray[np.intp]) -> float:
    """Find several clusters together again: in the clusters that hold mostly their events.

    Parts of a population may change places from rerun to rerun while the population stays.

    Parameters
    ----------
    both
        Of `shared_events`.
    members
        Positions of the clusters.

    Returns
    -------
    float
        Events in both / events in either; NaN if the clusters have none here.
    """
    own = both[members].sum(axis=0)
    if not own.sum():
        return float("nan")
    again = 2 * own > both.sum(axis=0)
    found = own[again].sum()
    return float(found / (own.sum() + both[:, again].sum() - found))


def union_stability(
    seeds: Sequence[Overlaps], patients: Sequence[Overlaps], members: NDArray[np.intp]
) -> float:
    """Measure how well several clusters come back together.

    Parameters
    ----------
    seeds, patients
        Reruns of both kinds, of `cluster_stability`.
    members
        Positions of the clusters.

    Returns
    -------
    float
        The smaller of the means over both kinds of reruns; see `union_jaccard`.
    """
    means = [
        np.nanmean(found)
        for reruns in (seeds, patients)
        if not np.isnan(found := np.array([union_jaccard(r, members) for r in reruns])).all()
    ]
    return float(min(means, default=np.nan))


def cluster_stability(
    reference: NDArray[np.integer],
    cluster: Clustering,
    patients: NDArray[np.integer] | None = None,
    n_reruns: int = N_RERUNS,
    seed: int = 0,
) -> Stability:
    """Make the clusters again, and see which come back.

    Half of the reruns differ in the seed alone. For the other half as many patients as there are
    are drawn with replacement; those drawn take part once, so about 63 % of the patients. A
    cluster that only one patient has, or that a seed has made up, does not come back.

    Parameters
    ----------
    reference
        Cluster of each event from 1, shape (events,).
    cluster
        ``cluster(events, seed)`` clusters the events at these positions anew and returns their
        clusters, shape (events,), numbered as it likes.
    patients
        Patient of each event, shape (events,); None leaves the seeds alone.
    n_reruns
        Of each kind.
    seed
        Of the draws; the reruns get seeds that follow from it.

    Returns
    -------
    Stability
        From `STABLE` on a cluster can be relied on; below `UNSTABLE` it should not be believed.

    References
    ----------
    Hennig 2007, Comput Stat Data Anal 52:258 (the bootstrap, and the meaning of .75 and .6).
    """
    n_clusters = int(reference.max(initial=0))
    everything = np.arange(reference.size)
    random = np.random.default_rng(seed)
    seeds = random.integers(1, 2**31, size=2 * n_reruns)
    by_seeds = tuple(
        shared_events(reference, cluster(everything, int(each)), n_clusters)
        for each in seeds[:n_reruns]
    )
    by_patients: list[Overlaps] = []
    known = np.unique(patients) if patients is not None else np.empty(0)
    if patients is not None and known.size > 1:
        for each in seeds[n_reruns:]:
            drawn = np.flatnonzero(np.isin(patients, random.choice(known, known.size)))
            again = cluster(drawn, int(each))
            by_patients.append(shared_events(reference[drawn], again, n_clusters))
    over_seeds, over_patients = _mean(by_seeds, n_clusters), _mean(by_patients, n_clusters)
    return Stability(
        *(over_seeds, over_patients, np.fmin(over_seeds, over_patients)),
        *(by_seeds, tuple(by_patients)),
    )


def _mean(reruns: Sequence[Overlaps], n_clusters: int) -> NDArray[np.float64]:
    """Average over the reruns that held the cluster."""
    values = np.array([best_jaccard(both) for both in reruns]).reshape(-1, n_clusters)
    held = ~np.isnan(values)
    total = np.where(held, values, 0).sum(axis=0)
    return np.where(held.any(axis=0), total / np.maximum(held.sum(axis=0), 1), np.nan)
