"""Names from a CellTypist model, where the user gives one and the package is installed."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.errors import ConfigError


def celltypist_labels(
    values: sparse.csr_matrix, genes: Sequence[str], model: Path
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Name cells by a CellTypist model, each cell for itself.

    Majority voting within clusters stays off: it would swallow rare populations such as ILC2.

    Parameters
    ----------
    values
        Log-normalised expression (10,000 counts), shape (cells, genes).
    genes
        Symbols.
    model
        A ``.pkl`` file of CellTypist.

    Returns
    -------
    labels, confidence
        The label of each cell and its probability, shape (cells,).

    Raises
    ------
    ConfigError
        The package or the file is missing, or the model cannot be used.

    References
    ----------
    Dominguez Conde 2022, Science 376:eabl5197.
    """
    if not model.is_file():
        raise ConfigError(f"{model}: there is no such CellTypist model")
    try:
        celltypist = import_module("celltypist")
    except ImportError:
        raise ConfigError(
            f"{model}: CellTypist is not installed; install it beside biocross "
            "(pip install celltypist) or remove the model from the config"
        ) from None
    import anndata as ad
    import pandas as pd

    cells = ad.AnnData(values, var=pd.DataFrame(index=list(genes)))
    try:
        found = celltypist.annotate(cells, model=str(model), majority_voting=False)
    except Exception as error:
        raise ConfigError(f"{model}: CellTypist cannot use it on these cells ({error})") from None
    labels = found.predicted_labels["predicted_labels"].astype(str).to_numpy()
    return labels, found.probability_matrix.to_numpy().max(axis=1)
