"""Name cells after the most similar cells that have a name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.neighbourhoods import nearest
from biocross.errors import ConfigError

N_NEIGHBOURS = 15
# Share of the votes that names a cell.
LEAST_VOTES = 0.6
LEAST_SHARED_GENES = 100
N_COMPONENTS = 30


class Vote(NamedTuple):
    """What the nearest named cells say.

    Parameters
    ----------
    codes
        The most frequent label, shape (cells,).
    confidence
        Its share of the votes, each weighted by nearness, shape (cells,).
    """

    codes: NDArray[np.int64]
    confidence: NDArray[np.float64]


def vote(
    reference: NDArray[np.float32],
    codes: NDArray[np.int64],
    query: NDArray[np.float32],
    n_codes: int,
    allowed: NDArray[np.bool_] | None = None,
    n_neighbours: int = N_NEIGHBOURS,
) -> Vote:
    """Let the nearest reference cells vote on the label of each cell.

    Parameters
    ----------
    reference
        Points of the named cells, shape (named cells, dimensions).
    codes
        Their labels, from 0, shape (named cells,).
    query
        Points of the cells to name, shape (cells, dimensions).
    n_codes
        How many labels there are.
    allowed
        Labels that each cell may get, shape (cells, labels); all where not given.
    n_neighbours
        How many vote.

    Returns
    -------
    Vote
        Confidence 0 for a cell that may have none of its neighbours' labels.
    """
    indices, distances = nearest(reference, query, n_neighbours)
    width = np.maximum(distances[:, [-1]], 1e-12)
    weights = np.exp(-((distances / width) ** 2))
    votes = np.zeros((len(query), n_codes))
    rows = np.repeat(np.arange(len(query)), indices.shape[1])
    np.add.at(votes, (rows, codes[indices].ravel()), weights.ravel())
    votes /= np.maximum(votes.sum(axis=1, keepdims=True), 1e-12)
    if allowed is not None:
        votes *= allowed
    return Vote(votes.argmax(axis=1), votes.max(axis=1))


def transfer_labels(
    values: sparse.csr_matrix,
    genes: Sequence[str],
    variable: NDArray[np.bool_],
    reference: Path,
    column: str,
    seed: int,
) -> tuple[list[str], Vote]:
    """Name cells after a reference, in principal components that the reference defines.

    Parameters
    ----------
    values
        Log-normalised expression, shape (cells, genes).
    genes
        Their symbols.
    variable
        Genes that may be used, shape (genes,).
    reference
        An ``.h5ad`` of named cells, counts or log-normalised.
    column
        The column of its ``obs`` that names them.
    seed
        Of the components.

    Returns
    -------
    names : list of str
        The labels of the reference.
    votes : Vote
        Of each cell.

    Raises
    ------
    ConfigError
        The reference lacks the column, or shares too few genes.
    """
    from biocross.cells.embedding import principal_components, project

    theirs, their_genes, labels = _read_reference(reference, column)
    place = {gene: i for i, gene in enumerate(their_genes)}
    shared = [i for i, gene in enumerate(genes) if variable[i] and gene in place]
    if len(shared) < LEAST_SHARED_GENES:
        raise ConfigError(
            f"{reference}: shares {len(shared)} of the variable genes with the study; a reference "
            f"must share {LEAST_SHARED_GENES} or more (are its genes named by symbol?)"
        )
    components = principal_components(
        theirs[:, [place[genes[i]] for i in shared]], N_COMPONENTS, seed
    )
    points = project(values[:, shared], components, recentre=True)
    names, codes = np.unique(labels, return_inverse=True)
    return [str(name) for name in names], vote(components.scores, codes, points, len(names))


def _read_reference(path: Path, column: str) -> tuple[sparse.csr_matrix, list[str], NDArray[Any]]:
    import anndata as ad

    from biocross.cells.normalise import are_counts, log_normalise
    from biocross.cohort.sheets import did_you_mean

    try:
        cells = ad.read_h5ad(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such reference of named cells") from None
    except Exception as error:
        raise ConfigError(f"{path}: cannot be read as .h5ad ({error})") from None
    if column not in cells.obs:
        hint = did_you_mean(column, map(str, cells.obs.columns))
        raise ConfigError(f'{path}: has no column "{column}" in obs{hint}')
    named = cells.obs[column].notna().to_numpy()
    source = cells.raw if cells.raw is not None else cells
    values = sparse.csr_matrix(source.X)[np.flatnonzero(named)]
    if values.data.min(initial=0) < 0:
        raise ConfigError(f"{path}: its values are negative; give counts, or their logarithms")
    genes = [str(gene) for gene in source.var_names]
    labels = cells.obs[column].astype(str).to_numpy()[named]
    return (log_normalise(values) if are_counts(values) else values), genes, labels
