"""Name the cells that quality flagged, and take back those that are usual for their population."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.embedding import Components, project, standards
from biocross.cells.flags import FLAGS
from biocross.cells.gathering import gather_flagged
from biocross.cells.integrated_cells import cells_of, embedding_key
from biocross.cells.marker_scores import Markers
from biocross.cells.naming import Cells, Naming, name_cells
from biocross.cells.neighbourhoods import nearest, neighbours
from biocross.cells.normalise import are_counts, log_normalise
from biocross.cells.population_tree import ROOT, UNASSIGNED
from biocross.cells.quality_recheck import RECHECKED, UNCHANGED, CellMeasures, recheck_cohort

# Hashtags and doublets say nothing about how much RNA a population has.
LOOKED_AT = tuple(FLAGS.index(step) + 1 for step in (*RECHECKED, *UNCHANGED))
N_NEIGHBOURS = 15


class Rescue(NamedTuple):
    """The cells with those that pass again behind them, and what was found for each population."""

    adata: Any
    cells: Cells
    naming: Naming
    rows: list[dict[str, object]]


def rescue_cells(
    adata: Any,
    cells: Cells,
    naming: Naming,
    markers: Mapping[str, Markers],
    libraries: Sequence[Path | str],
    samples: Sequence[dict[str, str]],
    options: tuple[Sequence[str], int],
) -> Rescue:
    """Judge the cells flagged for their RNA again, each within its population.

    Flagged cells are placed among the components of the passing ones and named as these were,
    all cells together; the names of passing cells stay. `recheck_cohort` then decides. Those that
    pass again join the others, at the mean place of their nearest passing cells.

    Parameters
    ----------
    adata
        The integrated cells; gets the column ``rescued``.
    cells, naming
        What naming took of them, and found.
    markers
        The vocabulary.
    libraries
        Prepared libraries.
    samples
        Rows of ``results/cohort/samples.tsv``.
    options
        Genes that must not shape the finer embedding, and the seed.

    Returns
    -------
    Rescue
        Unchanged, with the rows of `recheck_cohort`, where no cell passes again.
    """
    flagged = gather_flagged(libraries, samples, LOOKED_AT)
    adata.obs["rescued"] = False
    if flagged is None:
        return Rescue(adata, cells, naming, [])
    flagged = _like(flagged, adata)
    _place(flagged, adata)
    n_passing = adata.n_obs
    both = _behind(adata, flagged)
    joined = cells_of(both)
    n_neighbours = round(cells.graph.nnz / n_passing) + 1
    joined = joined._replace(graph=neighbours(joined.points, n_neighbours, options[1])[0])
    print(f"naming {flagged.n_obs} flagged cells among the others", flush=True)
    together, _ = name_cells(joined, markers, *options)
    # Passing cells keep the names that they got without the others.
    names = _appended(naming, together, n_passing)
    found = recheck_cohort(
        _measured(both.obs),
        both.obs["flag"].to_numpy(dtype=np.uint8),
        # What RNA cannot count has a name of its own here: granulocytes have little RNA.
        np.where(names.candidate != "", names.candidate, names.population).astype(str),
        both.obs["library"].to_numpy(dtype=str),
        keep_out=(UNASSIGNED, ROOT),
    )
    passing = np.flatnonzero(found.flag == 0)
    print(f"{len(passing) - n_passing} of {flagged.n_obs} flagged cells pass again", flush=True)
    if len(passing) == n_passing:
        return Rescue(adata, cells, naming, found.rows)
    whole = both[passing].copy()
    return Rescue(whole, cells_of(whole), _of(names, passing), found.rows)


def _appended(first: Naming, second: Naming, start: int) -> Naming:
    """Put names from `start` on behind others."""
    return Naming(
        np.append(first.population, second.population[start:]),
        np.append(first.lineage, second.lineage[start:]),
        np.append(first.candidate, second.candidate[start:]),
        np.append(first.confidence, second.confidence[start:]),
        np.append(first.assigned_by, second.assigned_by[start:]),
    )


def _of(naming: Naming, rows: NDArray[np.int64]) -> Naming:
    return Naming(
        naming.population[rows],
        naming.lineage[rows],
        naming.candidate[rows],
        naming.confidence[rows],
        naming.assigned_by[rows],
    )


def _like(flagged: Any, adata: Any) -> Any:
    """Give flagged cells the genes, proteins and layers of the integrated ones."""
    import anndata as ad

    place = {gene: i for i, gene in enumerate(adata.var_names)}
    column = np.array([place.get(gene, -1) for gene in flagged.var_names])
    entries = flagged.X.tocoo()
    kept = column[entries.col] >= 0
    counts = sparse.csr_matrix(
        (entries.data[kept], (entries.row[kept], column[entries.col[kept]])),
        shape=(flagged.n_obs, adata.n_vars),
    )
    counted = "counts" in adata.layers and are_counts(counts)
    values = log_normalise(counts) if counted else counts.astype(np.float32)
    result = ad.AnnData(values, obs=flagged.obs, var=adata.var[[]])
    if "counts" in adata.layers:
        result.layers["counts"] = counts.astype(adata.layers["counts"].dtype)
    if "proteins" in adata.obsm:
        table = flagged.obsm.get("proteins")
        names = adata.obsm["proteins"].columns
        empty = np.full((flagged.n_obs, len(names)), np.nan, dtype=np.float32)
        result.obsm["proteins"] = (
            table.reindex(columns=names)
            if table is not None
            else type(adata.obsm["proteins"])(empty, index=flagged.obs_names, columns=names)
        )
    return result


def _place(flagged: Any, adata: Any) -> None:
    """Place flagged cells among the components, by their nearest passing cells.

    These are looked for within the batch, and before its correction, which the flagged cells then
    share with them.
    """
    variable = np.flatnonzero(adata.var["highly_variable"].to_numpy())
    loadings = np.asarray(adata.varm["PCs"])[variable]
    scores = np.asarray(adata.obsm["X_pca"])
    components = Components(
        scores, loadings, *standards(adata.X[:, variable]), np.empty(loadings.shape[1])
    )
    points = project(flagged.X[:, variable], components)
    near = np.zeros((flagged.n_obs, min(N_NEIGHBOURS, adata.n_obs)), dtype=np.int64)
    batches, own = adata.obs["batch"].astype(str), flagged.obs["batch"].astype(str)
    for batch in sorted(set(own)):
        rows = np.flatnonzero(own == batch)
        same = np.flatnonzero(batches == batch)
        if len(same) < near.shape[1]:
            same = np.arange(adata.n_obs)
        near[rows] = same[nearest(scores[same], points[rows], near.shape[1])[0]]
    flagged.obsm["X_pca"] = points
    key = embedding_key(adata)
    if key != "X_pca":
        shift = np.asarray(adata.obsm[key]) - scores
        flagged.obsm[key] = points + shift[near].mean(axis=1)
    if "X_umap" in adata.obsm:
        flagged.obsm["X_umap"] = np.asarray(adata.obsm["X_umap"])[near].mean(axis=1)
    for column in adata.obs:
        if column.startswith("leiden_"):
            flagged.obs[column] = adata.obs[column].to_numpy()[near[:, 0]]


def _behind(adata: Any, flagged: Any) -> Any:
    """Put flagged cells behind the passing ones; they have no links to neighbours."""
    import anndata as ad

    flagged.obs["rescued"] = True
    both = ad.concat(
        [adata, flagged], join="outer", merge="first", uns_merge="first", pairwise=True
    )
    both.var = adata.var
    both.varm["PCs"] = adata.varm["PCs"]
    for key in both.obs:
        if both.obs[key].dtype.kind not in "biuf":
            both.obs[key] = both.obs[key].astype(str).astype("category")
    return both


def _measured(obs: Any) -> CellMeasures:
    return CellMeasures(*(obs[key].to_numpy(dtype=float) for key in CellMeasures._fields))
