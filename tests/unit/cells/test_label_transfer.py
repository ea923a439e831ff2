"""Names from the nearest named cells, and from a reference file."""

import anndata as ad
import numpy as np
import pytest
from named_cells import lineage_of, make_cells

from biocross.cells.celltypist_model import celltypist_labels
from biocross.cells.label_transfer import transfer_labels, vote
from biocross.cells.normalise import eligible_genes, log_normalise
from biocross.errors import ConfigError


def test_the_nearer_named_cells_win_and_a_forbidden_label_never_does():
    reference = np.array([[0, 0], [0, 1], [5, 5], [5, 6]], dtype=np.float32)
    codes = np.array([0, 0, 1, 1])
    query = np.array([[0, 0.4], [5, 5.4]], dtype=np.float32)
    votes = vote(reference, codes, query, 2, n_neighbours=3)
    assert votes.codes.tolist() == [0, 1]
    assert np.all(votes.confidence > 0.7)
    forbidden = np.array([[False, True], [True, True]])
    barred = vote(reference, codes, query, 2, forbidden, n_neighbours=2)
    assert barred.confidence[0] == 0


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "reference.h5ad"
    make_cells(1_200, seed=1, n_genes=300).write_h5ad(path)
    return path


def study():
    # Another laboratory: genes are shifted, and cells drawn anew.
    return make_cells(800, seed=1, n_genes=300, batch_sd=0.2)


def test_a_reference_names_the_cells(reference):
    cells = study()
    genes = list(cells.var_names)
    names, votes = transfer_labels(
        log_normalise(cells.X), genes, eligible_genes(genes), reference, "truth", 1
    )
    given = np.array([lineage_of(name) for name in np.array(names)[votes.codes]])
    truth = np.array([lineage_of(name) for name in cells.obs.truth])
    assert (given == truth).mean() > 0.98


def test_a_column_that_the_reference_lacks_is_named(reference):
    cells = study()
    genes = list(cells.var_names)
    with pytest.raises(ConfigError, match='no column "trut" in obs; did you mean "truth"'):
        transfer_labels(log_normalise(cells.X), genes, eligible_genes(genes), reference, "trut", 1)


def test_a_reference_of_other_genes_is_refused(reference):
    cells = study()
    genes = [f"ENSG{i:011d}" for i in range(cells.n_vars)]
    with pytest.raises(ConfigError, match="shares 0 of the variable genes"):
        transfer_labels(log_normalise(cells.X), genes, eligible_genes(genes), reference, "truth", 1)


def test_a_missing_and_a_broken_reference_are_named(tmp_path):
    cells = study()
    genes = list(cells.var_names)
    values, variable = log_normalise(cells.X), eligible_genes(genes)
    with pytest.raises(ConfigError, match="there is no such reference"):
        transfer_labels(values, genes, variable, tmp_path / "none.h5ad", "truth", 1)
    (tmp_path / "broken.h5ad").write_text("no HDF5")
    with pytest.raises(ConfigError, match=r"cannot be read as \.h5ad"):
        transfer_labels(values, genes, variable, tmp_path / "broken.h5ad", "truth", 1)


def test_scaled_values_are_no_reference(tmp_path):
    cells = ad.AnnData(np.random.default_rng(1).normal(size=(50, 20)).astype(np.float32))
    cells.obs["truth"] = "T_cells"
    cells.write_h5ad(tmp_path / "scaled.h5ad")
    with pytest.raises(ConfigError, match="values are negative"):
        transfer_labels(
            log_normalise(study().X), [], np.ones(0, bool), tmp_path / "scaled.h5ad", "truth", 1
        )


def test_celltypist_is_asked_for_where_it_is_not_installed(tmp_path, monkeypatch):
    import sys

    cells = study()
    values, genes = log_normalise(cells.X), list(cells.var_names)
    with pytest.raises(ConfigError, match="there is no such CellTypist model"):
        celltypist_labels(values, genes, tmp_path / "none.pkl")
    (tmp_path / "model.pkl").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "celltypist", None)
    with pytest.raises(ConfigError, match="CellTypist is not installed"):
        celltypist_labels(values, genes, tmp_path / "model.pkl")
