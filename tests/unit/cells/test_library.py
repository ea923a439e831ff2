"""Libraries of every kind, whole and broken."""

import h5py
import numpy as np
import pytest
from cells_files import (
    barcodes_of,
    example_counts,
    features_of,
    write_h5_v2,
    write_h5_v3,
    write_h5ad,
    write_mtx,
)

from biocross.cells.library import name_library, read_library
from biocross.errors import LibraryError

COUNTS = example_counts()
TAGGED = features_of(
    40,
    [
        *(("CD3_TotalSeqB", "Antibody Capture"), ("CD4_TotalSeqB", "Antibody Capture")),
        *(("HTO_A", "Antibody Capture"), ("HTO_B", "Antibody Capture"), ("g1", "CRISPR")),
    ],
)


def write_each(folder):
    """Write the same library in all layouts."""
    yield write_h5_v3(folder / "a.h5", COUNTS)
    yield write_h5_v2(folder / "old.h5", {"hg19": COUNTS})
    yield write_mtx(folder / "v3", COUNTS)
    yield write_mtx(folder / "v1", COUNTS, version=1, packed=False, prefix="GSM1_")
    yield write_mtx(folder / "real", COUNTS.astype(float), field="real")
    yield write_h5ad(folder / "a.h5ad", COUNTS)
    yield write_h5ad(folder / "b.h5ad", COUNTS, X=COUNTS.astype(np.float64))
    yield write_h5ad(folder / "c.h5", COUNTS)


def test_every_layout_gives_the_same_library(tmp_path):
    for path in write_each(tmp_path):
        found = read_library(path)
        assert np.array_equal(found.counts.toarray(), COUNTS), path
        assert found.counts.dtype == np.int32
        assert found.counts.has_canonical_format
        assert found.barcodes == barcodes_of(len(COUNTS))
        assert (found.gene_ids, found.genes) == features_of(COUNTS.shape[1])[:2]
        assert found.is_integer
        assert found.ambient is None
        assert found.proteins.shape == found.hashtags.shape == (len(COUNTS), 0)


@pytest.mark.parametrize("write", [write_h5_v3, write_mtx, write_h5ad])
def test_features_are_split(tmp_path, write):
    found = read_library(write(tmp_path / "a.h5", COUNTS, features=TAGGED))
    assert np.array_equal(found.counts.toarray(), COUNTS[:, :35])
    assert np.array_equal(found.proteins, COUNTS[:, 35:37])
    assert np.array_equal(found.hashtags, COUNTS[:, 37:39])
    assert found.proteins.dtype == found.hashtags.dtype == np.int32
    assert found.protein_names == ["CD3", "CD4"]
    assert found.hashtag_names == ["HTO_A", "HTO_B"]
    assert '1 feature of type "CRISPR" set aside' in found.notes


def test_hashtags_of_the_sheet(tmp_path):
    path = write_h5_v3(tmp_path / "a.h5", COUNTS, TAGGED)
    found = read_library(path, hashtags=["hto-a", "GENE3"])
    assert found.hashtag_names == ["GENE3", "hto-a", "HTO_B"]
    assert np.array_equal(found.hashtags, COUNTS[:, [3, 37, 38]])
    assert "GENE3" not in found.genes


def test_same_symbol_twice_is_reported(tmp_path):
    ids, names, types, genomes = features_of(40)
    names[7] = "GENE0"
    found = read_library(write_h5_v3(tmp_path / "a.h5", COUNTS, (ids, names, types, genomes)))
    assert found.renamed == [("GENE0", ids[7], f"GENE0_{ids[7]}")]
    assert found.genes[7] == f"GENE0_{ids[7]}"
    assert np.array_equal(found.counts.toarray(), COUNTS)
    assert found.notes[-1].startswith("1 gene renamed")


def test_name_is_given_or_that_of_the_file(tmp_path):
    path = write_h5_v3(tmp_path / "P01.h5", COUNTS)
    assert read_library(path).name == "P01"
    assert read_library(path, "lane 1").name == "lane 1"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/d/P01/outs/filtered_feature_bc_matrix.h5", "P01"),
        ("/d/P01/outs/filtered_gene_bc_matrices/hg19", "P01"),
        ("/d/P01/outs/raw_feature_bc_matrix", "P01"),
        ("/d/GSM1_P01_matrix.mtx.gz", "GSM1_P01"),
        ("/d/GSM1_filtered_feature_bc_matrix.h5", "GSM1"),
        ("/d/pool.1.h5ad", "pool.1"),
    ],
)
def test_names_that_say_which_library(path, name):
    assert name_library(path) == name


@pytest.mark.parametrize("write", [write_h5_v3, write_mtx, write_h5ad])
def test_normalised_values_are_said_not_refused(tmp_path, write):
    logs = np.log1p(COUNTS).astype(np.float32)
    found = read_library(write(tmp_path / "a.h5", logs))
    assert not found.is_integer
    assert found.counts.dtype == np.float32
    assert np.allclose(found.counts.toarray(), logs)
    assert any("not whole numbers, at most" in note for note in found.notes)


def test_negative_values_are_no_counts(tmp_path):
    found = read_library(write_mtx(tmp_path / "m", COUNTS - 5 * (COUNTS == 3)))
    assert not found.is_integer
    assert "the values are no counts: some are negative, to -2" in found.notes


def test_antibodies_normalised_and_genes_not(tmp_path):
    values = COUNTS.astype(float)
    values[:, 35:] = np.log1p(values[:, 35:])
    found = read_library(write_mtx(tmp_path / "m", values, TAGGED))
    assert found.is_integer
    assert np.array_equal(found.counts.toarray(), COUNTS[:, :35])
    assert found.proteins.shape[1] == found.hashtags.shape[1] == 0
    assert found.protein_names == found.hashtag_names == []
    assert "the values of antibodies are no counts and are not used" in found.notes


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, value):
    values = COUNTS.astype(np.float32)
    values[2, 3] = value
    with pytest.raises(LibraryError, match="no numbers"):
        read_library(write_h5_v3(tmp_path / "a.h5", values))


@pytest.mark.parametrize("write", [write_h5_v3, write_mtx, write_h5ad])
def test_empty_libraries_are_refused(tmp_path, write):
    with pytest.raises(LibraryError, match="all counts of genes are zero"):
        read_library(write(tmp_path / "zeros.h5", COUNTS * 0))
    only = features_of(3, [(f"CD{i}", "Antibody Capture") for i in range(3)])
    with pytest.raises(LibraryError, match=r'no features of the type "Gene Exp.*\(Antibody Cap'):
        read_library(write(tmp_path / "adt.h5", COUNTS[:, :3], only))
    if write is not write_mtx:
        with pytest.raises(LibraryError, match="holds no barcodes"):
            read_library(write(tmp_path / "none.h5", COUNTS[:0]))


@pytest.mark.parametrize("write", [write_h5_v3, write_mtx])
def test_barcodes_that_stand_twice_are_refused(tmp_path, write):
    words = barcodes_of(30)
    words[4] = words[2]
    with pytest.raises(LibraryError, match=f'barcodes stand more than once .1 do, .* "{words[2]}"'):
        read_library(write(tmp_path / "a.h5", COUNTS, barcodes=words))


def test_barcodes_of_several_runs_are_noticed(tmp_path):
    words = [f"{word[:-2]}-{1 + i % 2}" for i, word in enumerate(barcodes_of(30))]
    notes = read_library(write_h5_v3(tmp_path / "a.h5", COUNTS, barcodes=words)).notes
    assert any(note.startswith("barcodes end in -1, -2: several libraries") for note in notes)


def test_unfiltered_matrix(tmp_path):
    """Cells are called on counts of genes; the empty droplets tell what floats between cells."""
    rng = np.random.default_rng(3)
    n_cells, n_empty = 50, 21_000
    profile = rng.dirichlet(np.ones(35))
    cells = rng.multinomial(rng.poisson(4000, n_cells), rng.dirichlet(np.ones(35)))
    soup = rng.multinomial(rng.poisson(8, n_empty), profile)
    counts = np.zeros((n_cells + n_empty, 40), dtype=np.int32)
    places = np.sort(rng.choice(n_cells + n_empty, n_cells, replace=False))
    is_cell = np.zeros(len(counts), dtype=bool)
    is_cell[places] = True
    counts[is_cell, :35] = cells
    counts[~is_cell, :35] = soup
    counts[:, 35:39] = 500  # of antibodies, even where there is no cell
    found = read_library(write_h5_v3(tmp_path / "raw.h5", counts, TAGGED))
    words = barcodes_of(len(counts))
    assert found.barcodes == [words[i] for i in places]
    assert np.array_equal(found.counts.toarray(), cells)
    assert np.array_equal(found.ambient, soup.sum(axis=0))
    assert found.proteins.shape == (n_cells, 2)
    assert found.notes[0].startswith("unfiltered: 50 of 21,050 barcodes have at least")


def test_unfiltered_matrix_without_cells(tmp_path):
    counts = np.ones((20_001, 3), dtype=np.int32)
    with pytest.raises(LibraryError, match="none of its 20,001 barcodes has more than 100"):
        read_library(write_h5_v3(tmp_path / "raw.h5", counts))


def test_small_library_of_few_counts_is_not_taken_for_unfiltered(tmp_path):
    found = read_library(write_h5_v3(tmp_path / "a.h5", COUNTS[:20]))
    assert len(found.barcodes) == 20
    assert found.notes == []


def test_genome_of_one_library_of_two_species(tmp_path):
    ids, names, types, genomes = features_of(40)
    genomes[30:] = ["mm10"] * 10
    path = write_h5_v3(tmp_path / "a.h5", COUNTS, (ids, names, types, genomes))
    assert np.array_equal(read_library(path, genome="mm10").counts.toarray(), COUNTS[:, 30:])
    with pytest.raises(LibraryError, match="holds the genomes GRCh38, mm10"):
        read_library(path)


def test_genome_of_a_folder(tmp_path):
    inner = tmp_path / "filtered_gene_bc_matrices"
    write_mtx(inner / "hg19", COUNTS, version=1, packed=False)
    for path in (inner, inner / "hg19"):
        assert read_library(path, genome="hg19").notes == []
        with pytest.raises(LibraryError, match='holds no genome "mm10"'):
            read_library(path, genome="mm10")
    write_mtx(inner / "mm10", COUNTS * 2, version=1, packed=False)
    found = read_library(inner, genome="mm10")
    assert np.array_equal(found.counts.toarray(), COUNTS * 2)


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(LibraryError, match="there is no such file or folder"):
        read_library(tmp_path / "P01.h5")
    for name, content, words in [
        ("text.h5", b"gene,cell\n", "is not HDF5"),
        ("none.h5ad", b"", "is empty"),
        ("seurat.rds", b"RDX3", r'kind "\.rds" are not read; give the \.h5'),
        ("m.tar.gz", b"\x1f\x8b", r'kind "\.tar\.gz" are not read'),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LibraryError, match=words):
            read_library(tmp_path / name)
    whole = write_h5ad(tmp_path / "whole.h5ad", COUNTS).read_bytes()
    (tmp_path / "half.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LibraryError, match=r"half.h5ad: cannot be read as"):
        read_library(tmp_path / "half.h5ad")


def test_stored_zeros_and_order_leave_no_trace(tmp_path):
    path = write_h5_v3(tmp_path / "a.h5", COUNTS)
    with h5py.File(path, "a") as file:
        file["matrix/data"][0] = 0
    found = read_library(path).counts
    assert found.nnz == np.count_nonzero(COUNTS) - 1
    assert (np.diff(found.indices[: found.indptr[1]]) > 0).all()
