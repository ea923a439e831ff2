"""Name the integrated cells by the vocabulary, a reference, and a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocross.cells.annotation_tables import (
    ANNOTATION_COLUMNS,
    CLUSTER_COLUMNS,
    annotation_rows,
    cluster_rows,
)
from biocross.cells.label_transfer import LEAST_VOTES, transfer_labels
from biocross.cells.marker_scores import Markers, load_markers
from biocross.cells.naming import Cells, Naming, name_cells
from biocross.cells.population_tree import UNASSIGNED
from biocross.cells.proteins import centred_log_ratio
from biocross.errors import ConfigError
from biocross.tables import write_rows, written_whole


def annotate_cells(
    integrated: Path | str,
    populations: Path | str,
    cells_out: Path | str,
    annotation_out: Path | str,
    clusters_out: Path | str,
    reference: Path | str | None = None,
    reference_column: str = "population",
    celltypist_model: Path | str | None = None,
    enriched: Sequence[str] = (),
    excluded_genes: Sequence[str] = (),
    seed: int = 1,
) -> None:
    """Name the integrated cells.

    Parameters
    ----------
    integrated
        ``results/cells/integrated.h5ad``.
    populations
        ``populations.yaml``.
    cells_out
        ``results/cells/cells.h5ad``: the same cells with their names.
    annotation_out
        A row per population, with `ANNOTATION_COLUMNS`.
    clusters_out
        A row per cluster of the chosen resolution, with `CLUSTER_COLUMNS`.
    reference, reference_column
        An ``.h5ad`` of named cells and the column of its ``obs``; None for none.
    celltypist_model
        A CellTypist model; None for none.
    enriched
        Populations that the libraries were enriched for, which RNA resolves there.
    excluded_genes
        Genes that must not shape the finer embedding.
    seed
        Of the steps that draw.

    Raises
    ------
    ConfigError
        The reference or the model cannot be used, or an enriched population is unknown.
    """
    import anndata as ad

    markers = _resolving(load_markers(Path(populations)), enriched)
    adata = ad.read_h5ad(integrated)
    cells = _cells_of(adata)
    naming, evidence = name_cells(cells, markers, excluded_genes, seed)
    _add_others(adata, cells, naming, markers, reference, reference_column, celltypist_model, seed)
    for field in ("population", "lineage", "candidate", "assigned_by"):
        adata.obs[field] = getattr(naming, field).astype(str)
        adata.obs[field] = adata.obs[field].astype("category")
    adata.obs["confidence"] = naming.confidence.astype(np.float32)
    tissues = sorted(set(adata.obs["tissue"].astype(str)))
    write_rows(
        annotation_out, ANNOTATION_COLUMNS, annotation_rows(naming, markers, evidence, tissues)
    )
    write_rows(clusters_out, CLUSTER_COLUMNS, cluster_rows(cells.clusters, naming))
    if cells.proteins.shape[1]:
        adata.obsm["proteins_clr"] = cells.proteins.astype(np.float32)
        adata.uns["protein_names"] = list(cells.protein_names)
    print("writing the named cells", flush=True)
    with written_whole(cells_out) as temporary:
        adata.write_h5ad(temporary, compression="lzf")


def _resolving(markers: dict[str, Markers], enriched: Sequence[str]) -> dict[str, Markers]:
    """Count what the libraries were enriched for as resolved."""
    from biocross.cohort.sheets import did_you_mean

    for name in enriched:
        if name not in markers:
            hint = did_you_mean(name, markers)
            raise ConfigError(f'cells.enriched names "{name}", which is no population{hint}')
    return {
        name: each._replace(resolves="yes") if name in enriched else each
        for name, each in markers.items()
    }


def _cells_of(adata: Any) -> Cells:
    """Take from an integrated file what naming needs."""
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
        np.asarray(adata.obsm["X_pca_harmony" if integrated else "X_pca"]),
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


def _add_others(
    adata: Any,
    cells: Cells,
    naming: Naming,
    markers: Mapping[str, Markers],
    reference: Path | str | None,
    column: str,
    model: Path | str | None,
    seed: int,
) -> None:
    """Write what a reference and a model say beside the names; fill gaps from the reference."""
    if reference is not None:
        print(f"transferring labels from {Path(reference).name}", flush=True)
        variable = adata.var["highly_variable"].to_numpy()
        names, votes = transfer_labels(
            cells.values, cells.genes, variable, Path(reference), column, seed
        )
        labels = np.array(names, dtype=object)[votes.codes]
        adata.obs["reference_label"] = labels.astype(str)
        adata.obs["reference_confidence"] = votes.confidence.astype(np.float32)
        known = np.array([name in markers for name in names])[votes.codes]
        open_cells = (naming.population == UNASSIGNED) & known & (votes.confidence >= LEAST_VOTES)
        naming.population[open_cells] = naming.lineage[open_cells] = labels[open_cells]
        naming.confidence[open_cells] = 0.1 * votes.confidence[open_cells]
        naming.assigned_by[open_cells] = "reference"
    if model is not None:
        from biocross.cells.celltypist_model import celltypist_labels

        print(f"naming by {Path(model).name}", flush=True)
        found, probability = celltypist_labels(cells.values, cells.genes, Path(model))
        adata.obs["celltypist_label"] = found.astype(str)
        adata.obs["celltypist_confidence"] = probability.astype(np.float32)
