"""Counts, features and metadata of AnnData files."""

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from cells_files import GENES, barcodes_of, example_counts, features_of, write_h5ad
from scipy import sparse

from biocross.cells.anndata_library import read_anndata
from biocross.errors import LibraryError

COUNTS = example_counts()
LOGS = np.log1p(COUNTS).astype(np.float32)
SCALED = LOGS - LOGS.mean(axis=0)


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("X", {}),
        ("X", {"X": COUNTS.astype(np.float32)}),
        ("X", {"X": sparse.csc_matrix(COUNTS.astype(np.float64))}),
        ("X", {"layers": {"logs": LOGS}}),
        ('layers["counts"]', {"X": LOGS, "layers": {"counts": sparse.csr_matrix(COUNTS)}}),
        ('layers["Counts"]', {"X": SCALED, "layers": {"Counts": COUNTS}}),
        (".raw", {"X": SCALED, "raw_counts": sparse.csr_matrix(COUNTS)}),
        (".raw", {"X": LOGS, "raw_counts": COUNTS, "layers": {"counts": LOGS}}),
        ('layers["counts"]', {"X": COUNTS * 2, "layers": {"counts": COUNTS}}),
    ],
)
def test_counts_are_found(tmp_path, place, parts):
    found = read_anndata(write_h5ad(tmp_path / "a.h5ad", COUNTS, **parts))
    assert np.array_equal(found.counts.toarray(), COUNTS)
    assert found.notes == [f"counts taken from {place}"]
    assert list(found.barcodes) == barcodes_of(len(COUNTS))
    ids, names, types, _ = features_of(COUNTS.shape[1])
    assert (found.ids, found.names, found.types) == (ids, names, types)


def test_without_counts_what_is_not_negative_is_taken(tmp_path):
    path = write_h5ad(tmp_path / "a.h5ad", COUNTS, X=SCALED, raw_counts=LOGS)
    found = read_anndata(path)
    assert np.array_equal(found.counts.toarray(), LOGS)
    assert found.notes == ["counts taken from .raw"]


def test_where_all_are_scaled_x_is_taken(tmp_path):
    path = write_h5ad(tmp_path / "a.h5ad", COUNTS, X=SCALED, raw_counts=SCALED * 2)
    assert np.allclose(read_anndata(path).counts.toarray(), SCALED)


def test_raw_has_genes_of_its_own(tmp_path):
    cells = barcodes_of(len(COUNTS))
    ids, names, _, _ = features_of(COUNTS.shape[1])
    whole = anndata.AnnData(
        sparse.csr_matrix(COUNTS),
        obs=pd.DataFrame(index=cells),
        var=pd.DataFrame({"gene_ids": ids}, index=names),
    )
    part = whole[:, 5:12].copy()
    part.X = LOGS[:, 5:12]
    part.raw = whole
    part.write_h5ad(tmp_path / "a.h5ad")
    found = read_anndata(tmp_path / "a.h5ad")
    assert np.array_equal(found.counts.toarray(), COUNTS)
    assert (found.ids, found.names) == (ids, names)


def test_large_dense_matrix_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("biocross.cells.anndata_library._ROWS_AT_ONCE", 7)
    found = read_anndata(write_h5ad(tmp_path / "a.h5ad", COUNTS, X=COUNTS))
    assert np.array_equal(found.counts.toarray(), COUNTS)


def test_symbols_beside_an_index_of_ids(tmp_path):
    """As in files of CELLxGENE."""
    ids, names, _, _ = features_of(COUNTS.shape[1])
    var = pd.DataFrame({"feature_name": pd.Categorical(names)}, index=ids)
    found = read_anndata(write_h5ad(tmp_path / "a.h5ad", COUNTS, var=var))
    assert (found.ids, found.names) == (ids, names)
    assert set(found.types) == {GENES}


def test_metadata_as_numbers_or_text(tmp_path):
    n = len(COUNTS)
    obs = {
        "donor": pd.Categorical(["P1", None] * (n // 2)),
        "age": np.arange(n),
        "score": np.linspace(0, 1, n, dtype=np.float32),
        "treated": np.arange(n) % 2 == 0,
        "visits": pd.array([1, None] * (n // 2), dtype="Int64"),
    }
    found = read_anndata(write_h5ad(tmp_path / "a.h5ad", COUNTS, obs=obs)).cell_metadata
    assert list(found["donor"][:3]) == ["P1", "", "P1"]
    assert found["age"].dtype.kind == "i"
    assert found["score"].dtype == np.float32
    assert found["treated"].dtype == bool
    assert list(found["visits"][:3]) == ["1", "", "1"]


def test_antibodies_and_hashtags_of_obsm(tmp_path):
    cells = barcodes_of(len(COUNTS))
    proteins = pd.DataFrame(COUNTS[:, :2] * 10, index=cells, columns=["CD3", "CD4"])
    path = write_h5ad(
        tmp_path / "a.h5ad",
        COUNTS,
        obsm={"protein_expression": proteins, "hashtags": COUNTS[:, 3:6]},
        uns={"hashtag_names": np.array(["T1", "T2", "T3"])},
    )
    found = read_anndata(path)
    assert np.array_equal(found.counts.toarray()[:, 40:42], proteins)
    assert np.array_equal(found.counts.toarray()[:, 42:], COUNTS[:, 3:6])
    assert found.names[40:] == ["CD3", "CD4", "T1", "T2", "T3"]
    assert found.types[40:] == ["Antibody Capture"] * 2 + ["Multiplexing Capture"] * 3


@pytest.mark.parametrize(
    ("values", "why"), [(COUNTS[:, :2], "have no names"), (LOGS[:, :2], "holds no counts")]
)
def test_obsm_that_is_no_counts_is_not_used(tmp_path, values, why):
    labels = {} if "names" in why else {"uns": {"proteins_names": np.array(["a", "b"])}}
    found = read_anndata(
        write_h5ad(tmp_path / "a.h5ad", COUNTS, obsm={"proteins": values}, **labels)
    )
    assert found.counts.shape == COUNTS.shape
    assert why in found.notes[-1]


def test_file_without_counts_is_refused(tmp_path):
    path = write_h5ad(tmp_path / "a.h5ad", COUNTS, X=None, layers={"spliced": COUNTS})
    with pytest.raises(LibraryError, match=r"has no counts: .*its layers: spliced"):
        read_anndata(path)


def test_file_that_lacks_a_part(tmp_path):
    path = write_h5ad(tmp_path / "a.h5ad", COUNTS)
    with h5py.File(path, "a") as file:
        del file["X/indptr"]
    with pytest.raises(LibraryError, match="cannot be read as an AnnData file"):
        read_anndata(path)


def test_file_whose_parts_disagree(tmp_path):
    path = write_h5ad(tmp_path / "a.h5ad", COUNTS)
    other = write_h5ad(tmp_path / "b.h5ad", COUNTS[:9])
    with h5py.File(path, "a") as file, h5py.File(other) as source:
        del file["X"]
        source.copy("X", file)
    with pytest.raises(LibraryError, match="X is 9 x 40, but there are 30 cells and 40 features"):
        read_anndata(path)
