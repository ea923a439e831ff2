"""Normalisation, the genes left out, and the choice of variable genes."""

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData
from named_cells import INTERFERON, make_cells
from scipy import sparse

from biocross.cells import normalise
from biocross.cells.normalise import are_counts, eligible_genes, log_normalise, variable_genes


def some_counts(n_cells=60, n_genes=40, seed=1):
    counts = np.random.default_rng(seed).poisson(0.7, (n_cells, n_genes))
    return sparse.csr_matrix(counts.astype(np.int32))


def test_normalisation_is_scanpys(monkeypatch):
    counts = some_counts()
    theirs = AnnData(counts.astype(np.float32))
    sc.pp.normalize_total(theirs, target_sum=1e4)
    sc.pp.log1p(theirs)
    monkeypatch.setattr(normalise, "ROWS_AT_A_TIME", 7)
    np.testing.assert_allclose(log_normalise(counts).toarray(), theirs.X.toarray(), rtol=1e-6)


def test_a_cell_without_counts_stays_zero():
    counts = sparse.csr_matrix(np.array([[0, 0], [3, 1]], dtype=np.int32))
    assert log_normalise(counts).toarray()[0].tolist() == [0, 0]


def test_logarithms_are_no_counts():
    assert are_counts(some_counts())
    assert not are_counts(log_normalise(some_counts()))
    assert not are_counts(sparse.csr_matrix(np.array([[-1.0, 2.0]])))


@pytest.mark.parametrize(
    "gene",
    ["MT-CO1", "RPL13", "RPS4X", "TRBV7-2", "IGHV3-23", "IGKC", "HBB", "ISG15", "FOS", "XIST"],
)
def test_genes_that_are_no_identity_are_left_out(gene):
    assert eligible_genes([gene, gene.lower()]).tolist() == [False, False]


@pytest.mark.parametrize("gene", ["TRDC", "TRAC", "MS4A1", "CD3D", "PTGDR2", "IL7R", "HDC", "MTOR"])
def test_genes_of_populations_stay(gene):
    assert eligible_genes([gene])[0]


def test_what_a_drug_induces_may_be_named():
    assert eligible_genes(["CCL26", "LYZ"], ["ccl26"]).tolist() == [False, True]


def test_markers_are_variable_and_flat_genes_are_not():
    cells = make_cells(1_500, n_genes=1_000)
    genes = list(cells.var_names)
    values = log_normalise(cells.X)
    found = variable_genes(values, np.zeros(1_500, int), 300, eligible_genes(genes))
    chosen = {gene for gene, yes in zip(genes, found.selected, strict=True) if yes}
    assert found.selected.sum() == 300
    assert {"CD3D", "LYZ", "MS4A1", "LILRA4", "KLRF1", "CD8A"} <= chosen
    assert not chosen & set(INTERFERON)


def test_a_gene_that_only_differs_between_groups_is_not_chosen():
    random = np.random.default_rng(3)
    groups = np.repeat([0, 1], 300)
    means = np.full((600, 200), 2.0)
    means[groups == 1, 0] = 20.0  # differs between the groups only
    means[random.random(600) < 0.3, 1] = 20.0  # varies within them
    values = log_normalise(sparse.csr_matrix(random.poisson(means)))
    everything = np.ones(200, dtype=bool)
    within = variable_genes(values, groups, 5, everything)
    pooled = variable_genes(values, np.zeros(600, int), 5, everything)
    assert not within.selected[0]
    assert within.selected[1]
    assert pooled.selected[0]


def test_genes_that_no_cell_expresses_are_never_chosen():
    values = log_normalise(some_counts())
    empty = sparse.hstack([values, sparse.csr_matrix((60, 5))]).tocsr()
    found = variable_genes(empty, np.zeros(60, int), 45, np.ones(45, dtype=bool))
    assert not found.selected[40:].any()
