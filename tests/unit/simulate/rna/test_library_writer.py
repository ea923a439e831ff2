import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

from biocross.simulate.rna.library_writer import ANTIBODY, GENE, Features, write_library
from biocross.simulate.rna.transcriptomes import SparseCounts

FEATURES = Features(
    ids=["SIMG1", "SIMG2", "SIMG3", "CD4"],
    names=["CD3D", "CD4", "MT-CO1", "CD4"],
    types=[GENE, GENE, GENE, ANTIBODY],
)
DENSE = np.array([[3, 0, 1, 20], [0, 0, 0, 0], [0, 7, 2, 0]])
BARCODES = ["AAAC-1", "CCGT-1", "TTGA-1"]


def write(path: Path) -> Path:
    matrix = sparse.csr_matrix(DENSE)
    counts = SparseCounts(
        matrix.data.astype(np.int32),
        matrix.indices.astype(np.int64),
        matrix.indptr.astype(np.int64),
    )
    write_library(path, counts, BARCODES, FEATURES, genome="GRCh38")
    return path


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_scanpy_reads_what_was_written(tmp_path):
    adata = sc.read_10x_h5(write(tmp_path / "lib.h5"), gex_only=False)
    np.testing.assert_array_equal(adata.X.toarray(), DENSE)
    assert list(adata.obs_names) == BARCODES
    assert list(adata.var_names) == list(FEATURES.names)
    assert list(adata.var["gene_ids"]) == list(FEATURES.ids)
    assert list(adata.var["feature_types"]) == list(FEATURES.types)


def test_layout_is_that_of_cell_ranger(tmp_path):
    with h5py.File(write(tmp_path / "lib_01.h5")) as file:
        matrix = file["matrix"]
        kinds = {
            name: matrix[name].dtype.kind for name in ("barcodes", "data", "indices", "indptr")
        }
        assert kinds == {"barcodes": "S", "data": "i", "indices": "i", "indptr": "i"}
        assert matrix["shape"][:].tolist() == [4, 3]  # features first
        assert matrix["features/genome"][:].tolist() == [b"GRCh38"] * 3 + [b""]
        assert matrix["features/_all_tag_keys"][:].tolist() == [b"genome"]
        assert file.attrs["filetype"] == "matrix"
        assert file.attrs["library_ids"].tolist() == [b"lib_01"]


@pytest.mark.data
def test_layout_has_all_that_a_real_file_has(tmp_path, test_data):
    real = test_data / "tenx_formats" / "3.0.0" / "filtered_feature_bc_matrix.h5"

    def names(path):
        found = set()
        with h5py.File(path) as file:
            file.visit(found.add)
            return found | {f"@{name}" for name in file.attrs}

    assert names(write(tmp_path / "lib.h5")) >= names(real)


def test_bytes_do_not_tell_the_time(tmp_path):
    first = write(tmp_path / "a" / "lib.h5").read_bytes()
    time.sleep(1.1)  # HDF5 notes seconds
    assert write(tmp_path / "b" / "lib.h5").read_bytes() == first


def test_nothing_is_left_of_a_file_that_failed(tmp_path):
    broken = SparseCounts(np.array([object()]), np.array([0]), np.array([0, 1]))
    with pytest.raises(TypeError):
        write_library(tmp_path / "lib.h5", broken, ["A-1"], FEATURES, genome="GRCh38")
    assert list(tmp_path.iterdir()) == []
