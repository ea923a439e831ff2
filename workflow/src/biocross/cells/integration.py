"""Bring the cells of all libraries together: variable genes, components, batches, clusters."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.batches import NOT_ASKED, BatchPlan, plan_batches, refuse_key
from biocross.cells.embedding import harmonise, principal_components
from biocross.cells.gathering import gather_libraries
from biocross.cells.integration_quality import QUALITY_COLUMNS, quality_rows
from biocross.cells.marker_scores import load_markers
from biocross.cells.neighbourhoods import lay_out, neighbours
from biocross.cells.normalise import are_counts, eligible_genes, log_normalise, variable_genes
from biocross.cells.resolutions import (
    Stability,
    choose_resolution,
    cluster_network,
    network,
    stabilities,
    stable_share,
)
from biocross.errors import DesignError
from biocross.flow.clusters.stability import STABLE
from biocross.intact import write_h5ad
from biocross.tables import read_rows, write_rows

RESOLUTION_COLUMNS = (
    *("resolution", "chosen", "n_clusters", "rand", "stable_share", "cluster", "n_cells"),
    *("jaccard", "stable"),
)
RESOLUTIONS = (0.3, 0.6, 1.0, 1.5, 2.0)
# A group of fewer cells says nothing about the variance of genes.
LEAST_GROUP = 50


class Embedded(NamedTuple):
    """Cells among their neighbours.

    Parameters
    ----------
    variable
        Genes used, shape (genes,).
    components, corrected
        Principal components before and after integration (the same where there is none), shape
        (cells, components).
    loadings
        Shape (variable genes, components).
    distances, connectivities
        Of neighbours, shape (cells, cells).
    """

    variable: NDArray[np.bool_]
    components: NDArray[np.float32]
    corrected: NDArray[np.float32]
    loadings: NDArray[np.float64]
    distances: sparse.csr_matrix
    connectivities: sparse.csr_matrix


def integrate_cells(
    libraries: Sequence[Path | str],
    samples: Path | str,
    populations: Path | str,
    integrated_out: Path | str,
    quality_out: Path | str,
    resolutions_out: Path | str,
    batch_key: str | None = "batch",
    n_genes: int = 2_000,
    n_components: int = 40,
    n_neighbours: int = 15,
    resolutions: Sequence[float] = RESOLUTIONS,
    excluded_genes: Sequence[str] = (),
    seed: int = 1,
) -> None:
    """Integrate the cells that passed quality, of all libraries.

    Parameters
    ----------
    libraries
        ``results/cells/libraries/*.h5ad``.
    samples
        ``results/cohort/samples.tsv``.
    populations
        ``populations.yaml``, whose RNA markers are always among the variable genes.
    integrated_out
        All passing cells, with components, neighbours, UMAP, and clusters.
    quality_out
        Mixing of batches and preservation of clusters, with `QUALITY_COLUMNS`.
    resolutions_out
        Stability of the clusters of each resolution, with `RESOLUTION_COLUMNS`.
    batch_key
        Column of the samples that is integrated over; None for no integration.
    n_genes, n_components, n_neighbours
        Of the embedding.
    resolutions
        Of the clusters.
    excluded_genes
        Genes that must not shape the embedding, such as those the study's drug induces.
    seed
        Of every step that draws.

    Raises
    ------
    DesignError
        Integration over visit or patient was asked for, or too few cells passed.
    TableError
        A library names a sample that the sheet does not know.
    """
    if batch_key is not None:
        refuse_key(batch_key)
    sheet = read_rows(samples)
    cells = gather_libraries(libraries, sheet)
    values = _normalised(cells)
    markers = {gene for each in load_markers(Path(populations)).values() for gene in each.present}
    plan = _plan(cells, sheet, batch_key)
    print(plan.note)
    # Batches are looked at, and said to be apart, where they are left as they are, too.
    batches, names = _codes(cells.obs[batch_key or "batch"])
    genes = [str(gene) for gene in cells.var_names]
    embedded = embed(
        values,
        genes,
        _codes(cells.obs["library"])[0],
        batches if plan.integrate else None,
        eligible_genes(genes, excluded_genes),
        markers,
        (n_genes, n_components, n_neighbours),
        seed,
    )
    cells.X = values
    labels, stability = _cluster(embedded.connectivities, resolutions, seed)
    chosen = choose_resolution(
        resolutions,
        [stable_share(labels[r], s.jaccard) for r, s in zip(resolutions, stability, strict=True)],
    )
    print(f"resolution {chosen:g} is the finest at which clusters come again")
    _keep(cells, embedded, labels, chosen, plan)
    print("laying out the cells (UMAP)", flush=True)
    cells.obsm["X_umap"] = lay_out(embedded.distances, embedded.corrected, seed)
    write_rows(
        resolutions_out,
        RESOLUTION_COLUMNS,
        _resolution_rows(labels, stability, resolutions, chosen),
    )
    write_rows(
        quality_out, QUALITY_COLUMNS, _quality(embedded, plan, batches, names, labels[chosen], seed)
    )
    print("writing the integrated cells", flush=True)
    write_h5ad(integrated_out, cells, compression="lzf")


def embed(
    values: sparse.csr_matrix,
    genes: Sequence[str],
    groups: NDArray[np.int64],
    batches: NDArray[np.int64] | None,
    eligible: NDArray[np.bool_],
    markers: set[str],
    sizes: tuple[int, int, int],
    seed: int,
) -> Embedded:
    """Find variable genes, components, and neighbours.

    Parameters
    ----------
    values
        Log-normalised expression, shape (cells, genes).
    genes
        Symbols.
    groups
        Cells within which the variability of genes is judged (libraries), shape (cells,).
    batches
        To integrate over, shape (cells,); None for no integration.
    eligible
        Genes that may be used, shape (genes,).
    markers
        Genes that are used in any case, if they are eligible and detected.
    sizes
        Numbers of genes, components, and neighbours.
    seed
        Of the steps that draw.

    Returns
    -------
    Embedded
        Of all cells.
    """
    n_genes, n_components, n_neighbours = sizes
    print(f"choosing variable genes of {values.shape[0]} cells", flush=True)
    counts = np.bincount(groups)
    # Groups too small to judge by are judged together.
    joined = np.where(counts[groups] >= LEAST_GROUP, groups, len(counts))
    found = variable_genes(values, joined, n_genes, eligible)
    marked = np.array([gene in markers for gene in genes]) & eligible
    marked &= np.isfinite(found.median_rank)
    variable = found.selected | marked
    print(f"components of {variable.sum()} variable genes", flush=True)
    components = principal_components(values[:, np.flatnonzero(variable)], n_components, seed)
    corrected = components.scores
    if batches is not None:
        print(f"integrating {len(np.unique(batches))} batches", flush=True)
        corrected = harmonise(components.scores, batches, seed)
    print("finding neighbours", flush=True)
    distances, connectivities = neighbours(corrected, n_neighbours, seed)
    return Embedded(
        variable, components.scores, corrected, components.loadings, distances, connectivities
    )


def _normalised(cells: Any) -> sparse.csr_matrix:
    """Normalise counts, or take what is normalised already as it is."""
    if are_counts(cells.X):
        cells.layers["counts"] = cells.X
        return log_normalise(cells.X)
    note = "the values are no counts: taken as log-normalised as they are; no pseudobulk from them"
    print(note)
    cells.uns["normalisation"] = note
    return sparse.csr_matrix(cells.X, dtype=np.float32)


def _plan(cells: Any, sheet: Sequence[dict[str, str]], batch_key: str | None) -> BatchPlan:
    """Decide by the samples that have cells; what is compared may be visits or stimulations."""
    if batch_key is None:
        return NOT_ASKED
    if batch_key not in cells.obs:
        raise DesignError(f'the samples have no column "{batch_key}" to integrate over')
    with_cells = set(cells.obs["sample_id"].astype(str))
    rows = [row for row in sheet if row["sample_id"] in with_cells]
    compared = [row.get("level") or row["visit"] for row in rows]
    return plan_batches(
        [row[batch_key] for row in rows], compared, [row["patient_id"] for row in rows]
    )


def _cluster(
    graph: sparse.csr_matrix, resolutions: Sequence[float], seed: int
) -> tuple[dict[float, NDArray[np.int64]], list[Stability]]:
    labels = {}
    cells = network(graph)
    for resolution in resolutions:
        labels[resolution] = cluster_network(cells, resolution, seed)
        print(f"resolution {resolution:g}: {labels[resolution].max() + 1} clusters", flush=True)
    print("clustering parts of the cells again", flush=True)
    return labels, stabilities(cells, labels, seed)


def _keep(
    cells: Any,
    embedded: Embedded,
    labels: dict[float, NDArray[np.int64]],
    chosen: float,
    plan: BatchPlan,
) -> None:
    """Put what was found where scanpy looks for it."""
    import pandas as pd

    cells.var["highly_variable"] = embedded.variable
    loadings = np.zeros((cells.n_vars, embedded.loadings.shape[1]))
    loadings[embedded.variable] = embedded.loadings
    cells.varm["PCs"] = loadings
    cells.obsm["X_pca"] = embedded.components
    if plan.integrate:
        cells.obsm["X_pca_harmony"] = embedded.corrected
    cells.obsp["distances"] = embedded.distances
    cells.obsp["connectivities"] = embedded.connectivities
    for resolution, found in labels.items():
        cells.obs[f"leiden_{resolution:g}"] = pd.Categorical([str(code + 1) for code in found])
    cells.uns["integration"] = {
        "note": plan.note,
        "integrated": plan.integrate,
        "resolution": float(chosen),
    }
    cells.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "distances_key": "distances",
        "params": {"method": "umap", "use_rep": "X_pca_harmony" if plan.integrate else "X_pca"},
    }


def _resolution_rows(
    labels: dict[float, NDArray[np.int64]],
    stability: Sequence[Stability],
    resolutions: Sequence[float],
    chosen: float,
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for resolution, found in zip(resolutions, stability, strict=True):
        sizes = np.bincount(labels[resolution])
        share = stable_share(labels[resolution], found.jaccard)
        for cluster, (size, jaccard) in enumerate(zip(sizes, found.jaccard, strict=True), 1):
            values = (
                *(resolution, resolution == chosen, len(sizes), found.rand, share),
                *(cluster, int(size), float(jaccard), bool(jaccard >= STABLE)),
            )
            rows.append(dict(zip(RESOLUTION_COLUMNS, values, strict=True)))
    return rows


def _quality(
    embedded: Embedded,
    plan: BatchPlan,
    batches: NDArray[np.int64],
    names: list[str],
    labels: NDArray[np.int64],
    seed: int,
) -> list[dict[str, object]]:
    if len(names) < 2:
        values = ("mixing", "all cells", len(labels), None, None, "not_needed", plan.note)
        return [dict(zip(QUALITY_COLUMNS, values, strict=True))]
    print("measuring the mixing of batches", flush=True)
    rows = quality_rows(embedded.components, embedded.corrected, batches, names, labels, seed)
    rows[0]["note"] = "; ".join(filter(None, (plan.note, str(rows[0]["note"]))))
    return rows


def _codes(values: Any) -> tuple[NDArray[np.int64], list[str]]:
    names, codes = np.unique(np.asarray(values, dtype=str), return_inverse=True)
    return codes.astype(np.int64), [str(name) for name in names]
