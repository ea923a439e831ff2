"""A map of cells in two dimensions, an equal share of every sample."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

NEIGHBOURS = 20
# Kinds of blood cells lie far apart: wide islands leave less of the plane empty than UMAP's 0.1
# and 1, and small ones can be seen.
MIN_DISTANCE, SPREAD = 0.6, 2.0
# Fewer cells have no neighbourhoods to keep.
FEWEST_CELLS = 10


def equal_share(sample: ArrayLike, most: int, seed: int) -> NDArray[np.intp]:
    """Choose cells such that no sample has more of them than another, if it has enough.

    Parameters
    ----------
    sample
        Number of each cell's sample, shape (cells,).
    most
        How many to choose at the most.
    seed
        Of the draw.

    Returns
    -------
    ndarray
        Positions of the chosen cells, ascending. A sample with fewer cells than its share gives
        all of them, and the others share what it leaves.
    """
    number = np.asarray(sample)
    names, counts = np.unique(number, return_counts=True)
    share, left = most, most
    # By size: those with less than an equal part of what is left give all they have.
    for position, count in enumerate(np.sort(counts)):
        share = left // (counts.size - position)
        if count > share:
            break
        left -= int(count)
    chosen = []
    for name, count in zip(names, counts, strict=True):
        cells = np.flatnonzero(number == name)
        if count > share:
            stream = np.random.default_rng([seed, int(name)])
            cells = stream.choice(cells, share, replace=False, shuffle=False)
        chosen.append(cells)
    return np.sort(np.concatenate([np.zeros(0, dtype=np.intp), *chosen]))


def embed_cells(values: ArrayLike, seed: int) -> Floats:
    """Lay cells out on a plane by UMAP.

    The layout starts from the first two principal components, so that large distances mean
    something, and runs on one thread: more would change its last digits, and with them the map.

    Parameters
    ----------
    values
        Markers on the scale of the clusters, shape (cells, markers); no NaN.
    seed
        Of neighbour search and layout.

    Returns
    -------
    ndarray
        Shape (cells, 2). Fewer than ten cells, or cells that are all alike, are placed by their
        principal components.

    Raises
    ------
    ValueError
        A value is no number.

    References
    ----------
    McInnes, Healy & Melville 2018, arXiv:1802.03426; Becht et al. 2019, Nat Biotechnol 37:38;
    Kobak & Linderman 2021, Nat Biotechnol 39:156 (initialisation).
    """
    x = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(x).all():
        raise ValueError("values must be finite; leave markers out that some samples lack")
    if x.shape[1] == 0:
        return np.zeros((len(x), 2), dtype=np.float32)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        start = _principal_components(x)
        if len(x) < FEWEST_CELLS or not start.any():
            return start
        with warnings.catch_warnings():
            # It says that TensorFlow is missing, which only its parametric variant needs.
            warnings.simplefilter("ignore", ImportWarning)
            from umap import UMAP
        return np.asarray(
            UMAP(
                n_neighbors=min(NEIGHBOURS, len(x) - 1),
                min_dist=MIN_DISTANCE,
                spread=SPREAD,
                init=start,
                random_state=seed,
                n_jobs=1,
            ).fit_transform(x),
            dtype=np.float32,
        )


def _principal_components(x: Floats) -> Floats:
    """Place cells on their first two components, each with its largest loading positive."""
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors[:, ::-1][:, :2]
    largest = np.abs(axes).round(8).argmax(axis=0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    places = np.zeros((len(x), 2), dtype=np.float32)
    places[:, : axes.shape[1]] = centred @ axes
    return places
