"""Every layout of Cell Ranger, read as scanpy reads it."""

import gzip
import warnings
from pathlib import Path

import pytest

from biocross.cells.library import read_library

pytestmark = pytest.mark.data


def scanpy_reads(read, *arguments, **options):
    """Scanpy's result, cells and genes in file order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read(*arguments, **options)


def assert_same(library, expected):
    assert library.barcodes == list(expected.obs_names)
    assert library.counts.shape == expected.shape
    assert (library.counts != expected.X).nnz == 0
    assert library.gene_ids == list(expected.var["gene_ids"].astype(str))
    assert library.genes == list(expected.var_names)
    assert library.is_integer


@pytest.mark.parametrize(
    ("file", "genome"),
    [
        ("1.2.0/filtered_gene_bc_matrices_h5.h5", None),
        ("1.2.0/multiple_genomes.h5", "hg19_chr21"),
        ("1.2.0/multiple_genomes.h5", "another_genome"),
        ("3.0.0/filtered_feature_bc_matrix.h5", None),
        ("3.0.0/filtered_feature_bc_matrix.h5", "GRCh38_chr21"),
    ],
)
def test_hdf5_as_scanpy(test_data, file, genome):
    import scanpy as sc

    path = test_data / "tenx_formats" / file
    expected = scanpy_reads(sc.read_10x_h5, path, genome=genome)
    assert_same(read_library(path, genome=genome), expected)


@pytest.mark.parametrize(
    "folder",
    ["1.2.0/filtered_gene_bc_matrices/hg19_chr21", "3.0.0/filtered_feature_bc_matrix", "int-ids"],
)
def test_matrix_market_as_scanpy(test_data, tmp_path, folder):
    import scanpy as sc

    path = test_data / "tenx_formats" / folder
    readable = path
    if folder == "int-ids":  # Not packed, which scanpy does not expect of version 3.
        readable = tmp_path
        for file in path.iterdir():
            (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    assert_same(read_library(path), scanpy_reads(sc.read_10x_mtx, readable))


def test_folder_and_hdf5_of_one_library_agree(test_data):
    folder = test_data / "tenx_formats" / "3.0.0"
    one = read_library(folder / "filtered_feature_bc_matrix")
    other = read_library(folder / "filtered_feature_bc_matrix.h5")
    assert one.barcodes == other.barcodes
    assert one.genes == other.genes
    assert (one.counts != other.counts).nnz == 0


def test_kang_counts_metadata_and_markers(test_data):
    import anndata

    path = test_data / "kang_paired" / "kang_paired_2donors.h5ad"
    found = read_library(path)
    expected = anndata.read_h5ad(path)
    assert found.is_integer
    assert found.counts.dtype == "int32"
    assert (found.counts != expected.X).nnz == 0
    assert set(found.cell_metadata["sample_id"]) == set(expected.obs["sample_id"])
    # Stands as CCL5_ENSG00000161570 in the file.
    assert {"CCL5", "HLA-DRA", "CD79A", "PTPRC", "ISG15"} <= set(found.genes)


def test_file_of_an_old_anndata():
    """Its genes are scaled in X and normalised in .raw: nothing is a count."""
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sc.datasets.pbmc68k_reduced()
    found = read_library(Path(sc.datasets.__file__).with_name("10x_pbmc68k_reduced.h5ad"))
    assert not found.is_integer
    assert (found.counts != expected.raw.X).nnz == 0
    assert list(found.cell_metadata["bulk_labels"]) == list(expected.obs["bulk_labels"])
