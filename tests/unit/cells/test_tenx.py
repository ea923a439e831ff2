"""Every layout of Cell Ranger, and what is said of broken ones."""

import gzip
import shutil

import h5py
import numpy as np
import pytest
from cells_files import (
    barcodes_of,
    example_counts,
    features_of,
    write_h5_v2,
    write_h5_v3,
    write_mtx,
)

from biocross.cells.tenx import find_matrix_files, read_matrix_market, read_tenx_hdf5
from biocross.errors import LibraryError

COUNTS = example_counts()


def test_new_hdf5(tmp_path):
    found = read_tenx_hdf5(write_h5_v3(tmp_path / "a.h5", COUNTS))
    assert np.array_equal(found.counts.toarray(), COUNTS)
    assert found.barcodes[1].decode() == barcodes_of(2)[1]
    assert (found.ids, found.names, found.types, found.genomes) == features_of(COUNTS.shape[1])


def test_old_hdf5_of_one_genome(tmp_path):
    found = read_tenx_hdf5(write_h5_v2(tmp_path / "a.h5", {"hg19": COUNTS}))
    assert np.array_equal(found.counts.toarray(), COUNTS)
    assert set(found.genomes) == {"hg19"}


def test_old_hdf5_of_several_genomes(tmp_path):
    path = write_h5_v2(tmp_path / "a.h5", {"hg19": COUNTS, "mm10": COUNTS[:5] * 2})
    assert np.array_equal(read_tenx_hdf5(path, "mm10").counts.toarray(), COUNTS[:5] * 2)
    with pytest.raises(LibraryError, match=r"holds the genomes hg19, mm10; set cells\.genome"):
        read_tenx_hdf5(path)
    with pytest.raises(LibraryError, match='holds no genome "mm11"; did you mean "mm10"'):
        read_tenx_hdf5(path, "mm11")


def test_hdf5_without_a_matrix(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["values"] = np.arange(3)
    with pytest.raises(LibraryError, match="no matrix of Cell Ranger"):
        read_tenx_hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize("part", ["data", "indptr", "barcodes", "features", "features/id"])
def test_hdf5_without_a_part(tmp_path, part):
    path = write_h5_v3(tmp_path / "a.h5", COUNTS)
    with h5py.File(path, "a") as file:
        del file[f"matrix/{part}"]
    with pytest.raises(LibraryError, match="no complete matrix of Cell Ranger"):
        read_tenx_hdf5(path)


def test_hdf5_cut_short(tmp_path):
    path = write_h5_v3(tmp_path / "a.h5", COUNTS)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(LibraryError, match=r"cannot be read as HDF5.*copy it again"):
        read_tenx_hdf5(path)


def test_hdf5_whose_parts_disagree(tmp_path):
    path = write_h5_v3(tmp_path / "a.h5", COUNTS)
    with h5py.File(path, "a") as file:
        words = file["matrix/barcodes"][:-1]
        del file["matrix/barcodes"]
        file["matrix/barcodes"] = words
    with pytest.raises(LibraryError, match=r"says 40 x 30 .* 40 features and 29 barcodes"):
        read_tenx_hdf5(path)


@pytest.mark.parametrize("value", [-1, 40])
def test_hdf5_that_points_outside(tmp_path, value):
    path = write_h5_v3(tmp_path / "a.h5", COUNTS)
    with h5py.File(path, "a") as file:
        file["matrix/indices"][3] = value
    with pytest.raises(LibraryError, match="point to no feature"):
        read_tenx_hdf5(path)


@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("prefix", ["", "GSM123_", "GSM123.P01-"])
def test_matrix_market(tmp_path, version, packed, prefix):
    folder = write_mtx(tmp_path / "m", COUNTS, version=version, packed=packed, prefix=prefix)
    found = read_matrix_market(folder)
    assert np.array_equal(found.counts.toarray(), COUNTS)
    ids, names, types, _ = features_of(COUNTS.shape[1])
    assert (found.ids, found.names, found.types) == (ids, names, types)
    assert list(found.barcodes) == barcodes_of(len(COUNTS))


def test_matrix_named_as_a_file_among_others(tmp_path):
    write_mtx(tmp_path, COUNTS, prefix="GSM1_")
    write_mtx(tmp_path, COUNTS * 3, prefix="GSM2_")
    found = read_matrix_market(tmp_path / "GSM2_matrix.mtx.gz")
    assert np.array_equal(found.counts.toarray(), COUNTS * 3)
    with pytest.raises(LibraryError, match=r"holds 2 matrices .GSM1_matrix.mtx.gz, GSM2_"):
        read_matrix_market(tmp_path)
    (tmp_path / "GSM2_barcodes.tsv.gz").unlink()
    with pytest.raises(LibraryError, match=r"lacks GSM2_barcodes\.tsv"):
        read_matrix_market(tmp_path / "GSM2_matrix.mtx.gz")


def test_matrix_both_packed_and_not_is_one(tmp_path):
    folder = write_mtx(tmp_path / "m", COUNTS)
    write_mtx(folder, COUNTS, packed=False)
    assert find_matrix_files(folder).matrix.name == "matrix.mtx"
    assert np.array_equal(read_matrix_market(folder).counts.toarray(), COUNTS)


def test_folder_of_genomes(tmp_path):
    write_mtx(tmp_path / "f" / "hg19", COUNTS, version=1)
    assert find_matrix_files(tmp_path / "f").matrix.parent.name == "hg19"
    write_mtx(tmp_path / "f" / "mm10", COUNTS * 2, version=1)
    assert find_matrix_files(tmp_path / "f", "mm10").matrix.parent.name == "mm10"
    with pytest.raises(LibraryError, match="but the folders hg19, mm10"):
        find_matrix_files(tmp_path / "f")


@pytest.mark.parametrize(
    ("name", "missing"),
    [("features.tsv.gz", "features.tsv or genes.tsv"), ("barcodes.tsv.gz", "barcodes.tsv")],
)
def test_file_missing_in_the_folder(tmp_path, name, missing):
    folder = write_mtx(tmp_path / "m", COUNTS)
    (folder / name).unlink()
    with pytest.raises(LibraryError, match=f"lacks {missing}.*copy all three"):
        read_matrix_market(folder)


def test_folder_without_a_matrix_names_what_it_has(tmp_path):
    write_h5_v3(tmp_path / "filtered.h5", COUNTS)
    with pytest.raises(LibraryError, match=r"no matrix\.mtx.*give one of filtered\.h5"):
        read_matrix_market(tmp_path)


@pytest.mark.parametrize("name", ["matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz"])
def test_packed_file_cut_short(tmp_path, name):
    folder = write_mtx(tmp_path / "m", COUNTS)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(LibraryError, match=f"{name}: cannot be read to its end"):
        read_matrix_market(folder)


def test_matrix_cut_short(tmp_path):
    folder = write_mtx(tmp_path / "m", COUNTS, packed=False)
    text = (folder / "matrix.mtx").read_text()
    (folder / "matrix.mtx").write_text(text[: len(text) * 2 // 3])
    with pytest.raises(LibraryError, match="cannot be read to its end"):
        read_matrix_market(folder)


def test_text_that_is_no_matrix(tmp_path):
    folder = write_mtx(tmp_path / "m", COUNTS, packed=False)
    (folder / "matrix.mtx").write_text("gene,cell\n1,2\n")
    with pytest.raises(LibraryError, match="cannot be read to its end"):
        read_matrix_market(folder)


def test_packed_or_not_is_seen_in_the_content(tmp_path):
    """A browser unpacks what it downloads, and the name still ends in .gz."""
    folder = write_mtx(tmp_path / "m", COUNTS)
    for path in list(folder.iterdir()):
        path.write_bytes(gzip.decompress(path.read_bytes()))
    assert np.array_equal(read_matrix_market(folder).counts.toarray(), COUNTS)


def test_sizes_that_disagree(tmp_path):
    folder = write_mtx(tmp_path / "m", COUNTS)
    other = write_mtx(tmp_path / "other", COUNTS[:7])
    shutil.copy(other / "barcodes.tsv.gz", folder)
    with pytest.raises(LibraryError, match=r"matrix of 40 x 30, but features.* 40 lines .* 7; do"):
        read_matrix_market(folder)


def test_matrix_with_cells_in_rows_is_turned(tmp_path):
    folder = write_mtx(tmp_path / "m", COUNTS)
    turned = write_mtx(tmp_path / "t", COUNTS.T)
    shutil.copy(turned / "matrix.mtx.gz", folder)
    found = read_matrix_market(folder)
    assert np.array_equal(found.counts.toarray(), COUNTS)
    assert found.notes == ["the matrix holds cells in rows, not in columns, and was turned"]


def test_square_matrix_is_not_turned(tmp_path):
    counts = example_counts(12, 12)
    found = read_matrix_market(write_mtx(tmp_path / "m", counts))
    assert np.array_equal(found.counts.toarray(), counts)
    assert found.notes == []


def test_features_of_one_column_and_quoted(tmp_path):
    folder = write_mtx(tmp_path / "m", COUNTS, packed=False)
    (folder / "features.tsv").write_text("".join(f'"GENE{i}"\n' for i in range(40)))
    found = read_matrix_market(folder)
    assert found.names[:2] == found.ids[:2] == ["GENE0", "GENE1"]
    assert set(found.types) == {"Gene Expression"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("41 3 2", "values outside of its 40 rows"),
        ("0 3 2", "values outside of its 40 rows"),
        ("3 three 2", "cannot be read to its end"),
        ("3 2", "cannot be read to its end"),
        ("3 2 1\n4 4 1", r"of [0-9,]+ values"),
    ],
)
def test_broken_line_of_a_matrix(tmp_path, line, words):
    folder = write_mtx(tmp_path / "m", COUNTS, packed=False)
    lines = (folder / "matrix.mtx").read_text().splitlines()
    lines[100] = line
    (folder / "matrix.mtx").write_text("\n".join(lines) + "\n")
    with pytest.raises(LibraryError, match=words):
        read_matrix_market(folder)


def test_large_matrix_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("biocross.cells.tenx._BYTES_AT_ONCE", 50)
    folder = write_mtx(tmp_path / "m", COUNTS)
    assert np.array_equal(read_matrix_market(folder).counts.toarray(), COUNTS)


def test_value_stored_twice_is_the_sum(tmp_path):
    folder = write_mtx(tmp_path / "m", COUNTS[:1, :2], packed=False)
    header = "%%MatrixMarket matrix coordinate integer general\n"
    (folder / "matrix.mtx").write_text(f"{header}2 1 3\n1 1 4\n2 1 1\n1 1 3\n")
    assert read_matrix_market(folder).counts.toarray().tolist() == [[7, 1]]
