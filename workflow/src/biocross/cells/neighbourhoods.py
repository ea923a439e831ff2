"""Each cell's nearest cells: exact, the graph that they make, and its layout on a plane."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# Above, the time of an exact search (it grows with the square: 100,000 cells take half a minute)
# exceeds that of an approximate one.
MOST_EXACT = 150_000
MIN_DISTANCE = 0.3
EPOCHS = 100
_HALVINGS = 64
_LEAST_WIDTH = 1e-3


def nearest(
    reference: NDArray[np.float32], query: NDArray[np.float32], n_neighbours: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the nearest reference cells exactly.

    Parameters
    ----------
    reference, query
        Shape (cells, dimensions).
    n_neighbours
        How many; all where the reference has fewer.

    Returns
    -------
    indices, distances
        From the nearest on, shape (query cells, neighbours).
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(n_neighbours, len(reference))
    if not len(query):
        return np.zeros((0, k), dtype=np.int64), np.zeros((0, k))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(np.ascontiguousarray(reference))
    distances, indices = search.kneighbors(np.ascontiguousarray(query))
    return indices.astype(np.int64), distances.astype(np.float64)


def nearest_others(
    points: NDArray[np.float32], n_neighbours: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the nearest other cells of every cell; see `nearest`."""
    found, distances = nearest(points, points, n_neighbours + 1)
    own = found == np.arange(len(points))[:, None]
    # Twins at distance 0 may come first: where the cell is not among its neighbours, the last goes.
    own[~own.any(axis=1), -1] = True
    shape = (len(points), found.shape[1] - 1)
    return found[~own].reshape(shape), distances[~own].reshape(shape)


def neighbours(
    points: NDArray[np.float32], n_neighbours: int, seed: int
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Link each cell with its nearest neighbours.

    Parameters
    ----------
    points
        Shape (cells, dimensions).
    n_neighbours
        How many, the cell itself among them.
    seed
        Of the approximate search that more than `MOST_EXACT` cells need.

    Returns
    -------
    distances : scipy.sparse.csr_matrix
        To the neighbours, shape (cells, cells).
    connectivities : scipy.sparse.csr_matrix
        Symmetric weights from 0 to 1, shape (cells, cells); see `fuzzy_weights`.
    """
    n_neighbours = max(2, min(n_neighbours, len(points) - 1))
    if len(points) > MOST_EXACT:
        return _approximate(points, n_neighbours, seed)
    found, lengths = nearest_others(points, n_neighbours - 1)
    weights = fuzzy_weights(lengths)
    one_way = _matrix(found, weights)
    other_way = one_way.T.tocsr()
    connectivities = one_way + other_way - one_way.multiply(other_way)
    return _matrix(found, lengths), sparse.csr_matrix(connectivities, dtype=np.float32)


def fuzzy_weights(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh the neighbours of every cell by how near they are for that cell.

    ``exp(-(d - r) / w)`` with r the distance to the nearest neighbour and the width w such that
    the weights sum to the logarithm (base 2) of the number of neighbours, the cell included.

    Parameters
    ----------
    distances
        From the nearest on, shape (cells, neighbours).

    Returns
    -------
    ndarray
        From 0 to 1, shape (cells, neighbours).

    References
    ----------
    McInnes, Healy & Melville 2018, arXiv:1802.03426, algorithm 3.
    """
    target = np.log2(distances.shape[1] + 1)
    apart = np.where(distances > 0, distances, np.inf).min(axis=1, initial=np.inf)
    beyond = np.maximum(distances - np.where(np.isfinite(apart), apart, 0)[:, None], 0)
    low, high = np.zeros(len(distances)), np.full(len(distances), np.inf)
    width = np.ones(len(distances))
    for _ in range(_HALVINGS):
        too_wide = np.exp(-beyond / width[:, None]).sum(axis=1) > target
        high = np.where(too_wide, width, high)
        low = np.where(too_wide, low, width)
        width = np.where(np.isinf(high), 2 * width, (low + np.minimum(high, 1e300)) / 2)
    # Many neighbours at one distance would make it zero.
    least = _LEAST_WIDTH * np.where(np.isfinite(apart), distances.mean(axis=1), distances.mean())
    weights: NDArray[np.float64] = np.exp(-beyond / np.maximum(width, least + 1e-12)[:, None])
    return weights


def lay_out(
    distances: sparse.csr_matrix, points: NDArray[np.float32], seed: int
) -> NDArray[np.float32]:
    """Lay the cells out on a plane by UMAP, starting from their first two components.

    Parameters
    ----------
    distances
        Of `neighbours`, shape (cells, cells).
    points
        Components, shape (cells, dimensions).
    seed
        Of the cells that push each other apart.

    Returns
    -------
    ndarray
        Shape (cells, 2); the same at any number of threads.

    References
    ----------
    McInnes, Healy & Melville 2018, arXiv:1802.03426; Kobak & Linderman 2021, Nat Biotechnol
    39:156 (start).
    """
    import random

    import igraph

    links = sparse.triu(distances.maximum(distances.T), k=1).tocoo()
    graph = igraph.Graph(n=len(points), edges=np.column_stack([links.row, links.col]))
    start = np.zeros((len(points), 2))
    plane = points[:, :2] / max(float(np.abs(points[:, :2]).max()), 1e-9) * 10
    start[:, : plane.shape[1]] = plane
    # igraph draws from Python's generator; give it one of ours and leave the global one alone.
    igraph.set_random_number_generator(random.Random(seed))
    try:
        layout = graph.layout_umap(
            dist=links.data.tolist(), seed=start.tolist(), epochs=EPOCHS, min_dist=MIN_DISTANCE
        )
    finally:
        igraph.set_random_number_generator(random)
    return np.array(layout.coords, dtype=np.float32)


def _matrix(found: NDArray[np.int64], values: NDArray[np.float64]) -> sparse.csr_matrix:
    n_cells, k = found.shape
    starts = np.arange(0, n_cells * k + 1, k)
    matrix = sparse.csr_matrix((values.ravel(), found.ravel(), starts), shape=(n_cells, n_cells))
    matrix.sort_indices()
    return matrix


def _approximate(
    points: NDArray[np.float32], n_neighbours: int, seed: int
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    import anndata as ad
    import scanpy as sc
    from threadpoolctl import threadpool_limits

    cells = ad.AnnData(obsm={"points": points})
    with threadpool_limits(1, user_api="blas"):
        sc.pp.neighbors(cells, n_neighbors=n_neighbours, use_rep="points", random_state=seed)
    return cells.obsp["distances"].tocsr(), cells.obsp["connectivities"].tocsr()
