"""Name the integrated cells by the vocabulary, a reference, and a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biocross.cells.annotation_tables import (
    ANNOTATION_COLUMNS,
    CLUSTER_COLUMNS,
    annotation_rows,
    cluster_rows,
)
from biocross.cells.integrated_cells import cells_of
from biocross.cells.label_transfer import LEAST_VOTES, transfer_labels
from biocross.cells.marker_scores import Markers, load_markers
from biocross.cells.naming import Cells, Naming, name_cells
from biocross.cells.population_tree import UNASSIGNED
from biocross.cells.quality_recheck import RECHECK_COLUMNS
from biocross.cells.rescue import rescue_cells
from biocross.errors import ConfigError
from biocross.intact import read_h5ad, write_h5ad
from biocross.tables import read_rows, write_rows


def annotate_cells(
    integrated: Path | str,
    libraries: Sequence[Path | str],
    samples: Path | str,
    populations: Path | str,
    cells_out: Path | str,
    annotation_out: Path | str,
    clusters_out: Path | str,
    recheck_out: Path | str,
    reference: Path | str | None = None,
    reference_column: str = "population",
    celltypist_model: Path | str | None = None,
    enriched: Sequence[str] = (),
    excluded_genes: Sequence[str] = (),
    seed: int = 1,
) -> None:
    """Name the integrated cells, and judge those that quality flagged again by their names.

    Parameters
    ----------
    integrated
        ``results/cells/integrated.h5ad``.
    libraries
        ``results/cells/libraries/*.h5ad``, which hold the flagged cells.
    samples
        ``results/cohort/samples.tsv``.
    populations
        ``populations.yaml``.
    cells_out
        ``results/cells/cells.h5ad``: the same cells with their names, and those that pass again
        (``rescued``).
    annotation_out
        A row per population, with `ANNOTATION_COLUMNS`.
    clusters_out
        A row per cluster of the chosen resolution, with `CLUSTER_COLUMNS`.
    recheck_out
        What quality took of every population, with `RECHECK_COLUMNS`.
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
    markers = _resolving(load_markers(Path(populations)), enriched)
    adata = read_h5ad(integrated)
    cells = cells_of(adata)
    naming, evidence = name_cells(cells, markers, excluded_genes, seed)
    found = rescue_cells(
        *(adata, cells, naming, markers, libraries, read_rows(samples)), (excluded_genes, seed)
    )
    adata, cells, naming = found.adata, found.cells, found.naming
    write_rows(recheck_out, RECHECK_COLUMNS, found.rows)
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
    write_h5ad(cells_out, adata, compression="lzf")


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
