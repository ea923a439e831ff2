"""Principal components of cells and their correction by batch, alike at any thread count."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# A gene's standardised value above this is taken for it: a few cells must not make a component.
LIMIT = 10.0


class Components(NamedTuple):
    """Principal components of standardised genes.

    Parameters
    ----------
    scores
        Shape (cells, components).
    loadings
        Shape (genes, components).
    mean, scale, centre
        Of each gene, by which new cells are standardised, shape (genes,): mean and standard
        deviation, and the mean after scaling and cutting.
    variance_ratio
        Share of the total variance, shape (components,).
    """

    scores: NDArray[np.float32]
    loadings: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    centre: NDArray[np.float64]
    variance_ratio: NDArray[np.float64]


def principal_components(values: sparse.csr_matrix, n_components: int, seed: int) -> Components:
    """Find the principal components of standardised genes without making them dense.

    Parameters
    ----------
    values
        Log-normalised expression, shape (cells, genes).
    n_components
        How many; fewer where there are fewer cells or genes.
    seed
        Of the vector that the iteration starts from.

    Returns
    -------
    Components
        The sign of a component makes its largest loading positive.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh
    from threadpoolctl import threadpool_limits

    n_cells, n_genes = values.shape
    mean, scale, centre = standards(values)
    scaled = _scaled(values, mean, scale)
    turned = scaled.T.tocsr()
    n_components = min(n_components, n_cells - 1, n_genes - 1)

    def gram(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        vector = vector.ravel()
        projected = scaled @ vector - centre @ vector
        product: NDArray[np.float64] = turned @ projected - centre * projected.sum()
        return product / (n_cells - 1)

    square = scaled.multiply(scaled).sum() / (n_cells - 1)
    total = float(square - n_cells / (n_cells - 1) * (centre**2).sum())
    start = np.random.default_rng(seed).normal(size=n_genes)
    with threadpool_limits(1):
        operator = LinearOperator((n_genes, n_genes), matvec=gram, dtype=np.float64)
        variances, loadings = eigsh(operator, k=n_components, v0=start, which="LA", tol=1e-6)
    order = np.argsort(-variances)
    variances, loadings = variances[order], loadings[:, order]
    largest = loadings[np.abs(loadings).argmax(axis=0), np.arange(n_components)]
    loadings = loadings * np.sign(largest)
    scores = scaled @ loadings - centre @ loadings
    ratio = np.maximum(variances, 0) / max(total, 1e-12)
    return Components(scores.astype(np.float32), loadings, mean, scale, centre, ratio)


def standards(
    values: sparse.csr_matrix,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Find the mean, scale and centre of each gene; see `Components`."""
    mean, scale = _moments(values)
    scaled = _scaled(values, mean, scale)
    return mean, scale, np.asarray(scaled.mean(axis=0), dtype=np.float64).ravel()


def project(
    values: sparse.csr_matrix, components: Components, recentre: bool = False
) -> NDArray[np.float32]:
    """Place other cells among the components.

    Parameters
    ----------
    values
        Log-normalised expression of the same genes, shape (cells, genes).
    components
        Of the reference.
    recentre
        Whether scores are relative to the mean of the cells given instead of the reference's:
        what shifts all of them, such as the chemistry of another laboratory, is taken out.

    Returns
    -------
    ndarray
        Scores, shape (cells, components).
    """
    scaled = _scaled(values, components.mean, components.scale)
    centre = components.centre
    if recentre:
        centre = np.asarray(scaled.mean(axis=0), dtype=np.float64).ravel()
    scores: NDArray[np.float64] = scaled @ components.loadings - centre @ components.loadings
    return scores.astype(np.float32)


def harmonise(
    scores: NDArray[np.float32], batches: NDArray[np.int64], seed: int
) -> NDArray[np.float32]:
    """Remove what differs between batches from principal components.

    Parameters
    ----------
    scores
        Shape (cells, components).
    batches
        Batch of each cell, shape (cells,).
    seed
        Of its clusters.

    Returns
    -------
    ndarray
        Corrected scores, shape (cells, components).

    References
    ----------
    Korsunsky 2019, Nat Methods 16:1289.
    """
    import logging

    # The package attaches a handler of its own, which would repeat everything.
    import harmonypy

    logging.getLogger("harmonypy").setLevel(logging.WARNING)
    fitted = harmonypy.run_harmony(
        scores,
        {"batch": batches},
        "batch",
        nclust=int(np.clip(round(len(scores) / 30), 1, 100)),
        random_state=seed,
        verbose=False,
    )
    corrected = np.asarray(fitted.Z_corr, dtype=np.float32)
    # Versions before 2 gave components by cells.
    return np.ascontiguousarray(corrected if corrected.shape == scores.shape else corrected.T)


def _moments(values: sparse.csr_matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each gene; 1 for a gene that does not vary."""
    n_cells = values.shape[0]
    mean = np.asarray(values.mean(axis=0), dtype=np.float64).ravel()
    square = np.asarray(values.multiply(values).mean(axis=0), dtype=np.float64).ravel()
    variance = np.maximum(square - mean**2, 0) * n_cells / max(n_cells - 1, 1)
    return mean, np.where(variance > 1e-12, np.sqrt(np.maximum(variance, 1e-12)), 1.0)


def _scaled(
    values: sparse.csr_matrix, mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> sparse.csr_matrix:
    """Divide genes by their scale, what is beyond `LIMIT` above the mean cut off."""
    scaled = values.tocsr().astype(np.float64, copy=True)
    column = scaled.indices
    scaled.data = np.minimum(scaled.data / scale[column], mean[column] / scale[column] + LIMIT)
    return scaled
