"""What naming needs of the integrated cells, taken from their file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocross.cells.naming import Cells
from biocross.cells.proteins import centred_log_ratio


def embedding_key(adata: Any) -> str:
    """Name the components that neighbours are found in."""
    return "X_pca_harmony" if adata.uns["integration"]["integrated"] else "X_pca"


def cells_of(adata: Any) -> Cells:
    """Take from an integrated file what naming needs.

    Parameters
    ----------
    adata
        As `integrate_cells` writes it.

    Returns
    -------
    Cells
        All of its cells, proteins normalised.
    """
    integration = adata.uns["integration"]
    integrated = bool(integration["integrated"])
    resolution = float(integration["resolution"])
    clusters = adata.obs[f"leiden_{resolution:g}"].astype(int).to_numpy() - 1
    groups = np.unique(adata.obs["library"].astype(str), return_inverse=True)[1]
    proteins, names = np.empty((adata.n_obs, 0)), list[str]()
    if "proteins" in adata.obsm:
        table = adata.obsm["proteins"]
        names = [str(name) for name in table.columns]
        proteins = _normalised_proteins(table.to_numpy(dtype=np.float64), groups)
    return Cells(
        adata.X.tocsr(),
        [str(gene) for gene in adata.var_names],
        proteins,
        names,
        np.asarray(adata.obsm[embedding_key(adata)]),
        adata.obsp["distances"].tocsr(),
        clusters.astype(np.int64),
        groups,
        np.unique(adata.obs["batch"].astype(str), return_inverse=True)[1] if integrated else None,
    )


def _normalised_proteins(
    counts: NDArray[np.float64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Centred log-ratio of each cell's proteins; what a library lacks stays NaN."""
    result = np.full(counts.shape, np.nan)
    for group in np.unique(groups):
        rows = groups == group
        measured = np.flatnonzero(~np.isnan(counts[rows]).any(axis=0))
        if len(measured):
            block = np.ix_(rows, measured)
            result[block] = centred_log_ratio(counts[block].astype(np.int32))
    return result
