"""Agreement of our names of cells with those that public data sets give; prints tables.

Run it by ``python tests/benchmarks/cell_annotation.py [folder of the public data]``.
"""

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc

from biocross.cells.integration import embed
from biocross.cells.marker_scores import load_markers
from biocross.cells.naming import Cells, name_cells
from biocross.cells.normalise import eligible_genes, log_normalise
from biocross.cells.resolutions import leiden

ROOT = Path(__file__).parents[2]
MYELOID = ("monocytes", "dendritic_cells")
PBMC68K = {
    "CD14+ Monocyte": "monocytes",
    "Dendritic": "dendritic_cells",
    "CD19+ B": "B_cells",
    "CD34+": "progenitors",
    "CD56+ NK": "NK_cells",
    "CD4+/CD25 T Reg": "T_cells",
    "CD4+/CD45RA+/CD25- Naive T": "T_cells",
    "CD4+/CD45RO+ Memory": "T_cells",
    "CD8+ Cytotoxic T": "T_cells",
    "CD8+/CD45RA+ Naive Cytotoxic": "T_cells",
}
KANG = {
    "CD14+ Monocytes": "monocytes",
    "FCGR3A+ Monocytes": "monocytes",
    "B cells": "B_cells",
    "CD4 T cells": "T_cells",
    "CD8 T cells": "T_cells",
}


def pbmc68k():
    """Values, genes, labels and libraries of the data set that scanpy ships."""
    cells = sc.datasets.pbmc68k_reduced()
    labels = cells.obs["bulk_labels"].astype(str).to_numpy()
    return cells.raw.X.tocsr(), list(cells.raw.var_names), labels, np.zeros(len(labels), int)


def kang(folder):
    """Values, genes, labels and libraries of the two donors, control and stimulated."""
    cells = ad.read_h5ad(Path(folder) / "kang_paired" / "kang_paired_2donors.h5ad")
    libraries = np.unique(cells.obs["sample_id"].astype(str), return_inverse=True)[1]
    labels = cells.obs["cluster_id"].astype(str).to_numpy()
    return log_normalise(cells.X.tocsr()), list(cells.var_names), labels, libraries


def lineages(values, genes, libraries, seed=1):
    """Name cells as the workflow does; without batches."""
    markers = load_markers(ROOT / "config" / "populations.yaml")
    wanted = {gene for each in markers.values() for gene in each.present}
    sizes = (2_000, 40, 15)
    with redirect_stdout(sys.stderr):
        embedded = embed(values, genes, libraries, None, eligible_genes(genes), wanted, sizes, seed)
        clusters = leiden(embedded.connectivities, 1.0, seed)
        none = np.empty((len(libraries), 0))
        points, graph = embedded.corrected, embedded.distances
        cells = Cells(values, genes, none, [], points, graph, clusters, libraries, None)
        naming, _ = name_cells(cells, markers, (), seed)
    return naming.lineage.astype(str)


def agreement(given, truth):
    """Share of the same names: monocytes and dendritic cells as one, and apart."""
    merged = [np.where(np.isin(names, MYELOID), "myeloid", names) for names in (given, truth)]
    return float((merged[0] == merged[1]).mean()), float((given == truth).mean())


def main():
    """Print the agreement and confusion of both data sets."""
    default = ROOT / ".." / "shared" / "data"
    folder = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("BIOCROSS_TEST_DATA", default)
    for name, data, words in (
        ("pbmc68k_reduced", pbmc68k(), PBMC68K),
        ("kang_paired", kang(folder), KANG),
    ):
        values, genes, labels, libraries = data
        given = lineages(values, genes, libraries)
        truth = np.array([words[label] for label in labels])
        merged, apart = agreement(given, truth)
        print(f"\n{name}: lineages {merged:.1%} (>= 95 %), dendritic cells apart {apart:.1%}")
        print(pd.crosstab(labels, given, rownames=["given label"], colnames=["ours"]).to_string())


if __name__ == "__main__":
    main()
