"""Matrices as Cell Ranger writes them: HDF5 and Matrix Market, every version."""

import gzip
import re
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.features import GENES, FeatureMatrix, choose_genome
from biocross.cohort.sheets import counted
from biocross.errors import LibraryError

_MATRIX = re.compile(r"(?P<prefix>.*?)matrix\.mtx(\.gz)?$|(?P<other>.*?)\.mtx(\.gz)?$")
_COMPANIONS = {
    "features": re.compile(r"(?P<prefix>.*?)(features|genes)\.(tsv|txt)(\.gz)?$"),
    "barcodes": re.compile(r"(?P<prefix>.*?)barcodes\.(tsv|txt)(\.gz)?$"),
}
_SPARSE = [b"%%MatrixMarket", b"matrix", b"coordinate"]
_BYTES_AT_ONCE = 1 << 24
_VECTORS = ("data", "indices", "indptr", "barcodes")


class MatrixFiles(NamedTuple):
    """The three files of a Matrix Market folder."""

    matrix: Path
    features: Path
    barcodes: Path


def read_tenx_hdf5(path: Path, genome: str | None = None) -> FeatureMatrix:
    """Read a matrix of Cell Ranger in HDF5.

    Version 3 on has one group ``matrix`` with all features; before, each genome had its group.

    Parameters
    ----------
    path
        The file.
    genome
        Group to read of an old file; needed where there are several.

    Returns
    -------
    FeatureMatrix
        All features of a new file; the genes of one genome of an old one.

    Raises
    ------
    LibraryError
        The file is damaged or no such matrix, its parts disagree, or it has several genomes and
        none, or another, is chosen.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            if "matrix" in file:
                group = file["matrix"]
                ids, names, types, genomes = _new_features(group["features"])
            else:
                present = [name for name, each in file.items() if "barcodes" in each]
                if not present:
                    raise LibraryError(
                        f"{path}: is HDF5, but no matrix of Cell Ranger: it has no group "
                        '"matrix" and none of a genome; give a feature-barcode matrix'
                    )
                chosen = choose_genome(str(path), present, genome)
                group = file[chosen]
                ids, names = _words(group["genes"]), _words(group["gene_names"])
                types, genomes = [GENES] * len(ids), [chosen] * len(ids)
            counts = _compressed(path, group, len(ids))
            barcodes = np.asarray(group["barcodes"][:])
    except KeyError as error:
        reason = str(error).strip("'\"")
        raise LibraryError(
            f"{path}: is no complete matrix of Cell Ranger ({reason}); copy it again"
        ) from None
    except LibraryError:
        raise
    except Exception as error:  # HDF5 that is damaged inside fails in every way there is.
        raise LibraryError(
            f"{path}: cannot be read as HDF5, perhaps because its copy is incomplete ({error}); "
            "copy it again"
        ) from error
    return FeatureMatrix(counts, barcodes, ids, names, types, genomes, {}, [])


def _new_features(group: Any) -> tuple[list[str], list[str], list[str], list[str]]:
    ids, names = _words(group["id"]), _words(group["name"])
    types = _words(group["feature_type"]) if "feature_type" in group else [GENES] * len(ids)
    genomes = _words(group["genome"]) if "genome" in group else [""] * len(ids)
    return ids, names, types, genomes


def _words(dataset: Any) -> list[str]:
    return [word.decode("utf-8", "replace") for word in dataset[:].astype("S").tolist()]


def _compressed(path: Path, group: Any, n_features: int) -> sparse.csr_matrix:
    """Read features x barcodes, stored by barcode, as barcodes x features."""
    data, indices, indptr, barcodes = (group[name] for name in _VECTORS)
    shape = tuple(int(n) for n in group["shape"][:])
    if shape != (n_features, barcodes.size) or indptr.size != barcodes.size + 1:
        raise LibraryError(
            f"{path}: says {' x '.join(map(str, shape))} features x barcodes, but holds "
            f"{counted(n_features, 'feature')} and {counted(barcodes.size, 'barcode')}; "
            "the file is damaged"
        )
    starts = indptr[:]
    small = np.int32 if data.size < 2**31 else np.int64
    columns = indices[:].astype(small, copy=False)
    if not _consistent(starts, columns, data.size, n_features):
        raise LibraryError(f"{path}: its counts point to no feature; the file is damaged")
    arrays = (data[:], columns, starts.astype(small, copy=False))
    return sparse.csr_matrix(arrays, shape=(barcodes.size, n_features))


def _consistent(
    starts: NDArray[Any], columns: NDArray[Any], n_values: int, n_features: int
) -> bool:
    whole = starts[0] == 0 and starts[-1] == n_values == columns.size
    rising = bool((np.diff(starts) >= 0).all())
    within = not columns.size or (columns.min() >= 0 and columns.max() < n_features)
    return bool(whole and rising and within)


def find_matrix_files(path: Path, genome: str | None = None) -> MatrixFiles:
    """Find matrix, features (or genes) and barcodes of a Matrix Market library.

    File names may have a prefix, as in GEO, and end in ``.gz`` or not.

    Parameters
    ----------
    path
        A folder with one matrix, or with one folder per genome; or the matrix's file.
    genome
        Folder to take of several.

    Returns
    -------
    MatrixFiles
        All three exist.

    Raises
    ------
    LibraryError
        One is missing, or there are several matrices.
    """
    if path.is_dir():
        matrices = _matrices(path)
        if not matrices:
            return find_matrix_files(_subfolder(path, genome), genome)
        if len(matrices) > 1:
            raise LibraryError(
                f"{path}: holds {len(matrices)} matrices ({_listed(matrices)}); give the path of "
                "one of these files"
            )
        path = matrices[0]
    match = _MATRIX.match(path.name)
    prefix = (match["prefix"] or match["other"] or "") if match else ""
    alone = len(_matrices(path.parent)) == 1
    found = {what: _companion(path.parent, what, prefix, alone) for what in _COMPANIONS}
    return MatrixFiles(path, found["features"], found["barcodes"])


def _matrices(folder: Path) -> list[Path]:
    """Return the matrices of a folder; of one both packed and not, the latter."""
    found = sorted(each for each in folder.iterdir() if _MATRIX.match(each.name))
    return [each for each in found if each.suffix != ".gz" or each.with_suffix("") not in found]


def _subfolder(folder: Path, genome: str | None) -> Path:
    inner = sorted(each for each in folder.iterdir() if each.is_dir() and _matrices(each))
    named = [each for each in inner if each.name == genome]
    if len(named or inner) == 1:
        return (named or inner)[0]
    if inner:
        raise LibraryError(
            f"{folder}: holds no matrix itself but the folders {_listed(inner)}; give the path of "
            "one of these, or set cells.genome in the configuration where they are genomes"
        )
    files = sorted(each for each in folder.iterdir() if each.suffix in (".h5", ".h5ad"))
    remedy = f"give one of {_listed(files)}" if files else "give a folder of Cell Ranger"
    raise LibraryError(f"{folder}: holds no matrix.mtx or matrix.mtx.gz; {remedy}")


def _companion(folder: Path, what: str, prefix: str, alone: bool) -> Path:
    fits = sorted(folder.iterdir())
    matched = [(each, m) for each in fits if (m := _COMPANIONS[what].match(each.name))]
    own = [each for each, m in matched if m["prefix"].rstrip("._-") == prefix.rstrip("._-")]
    if not own and alone and len(matched) == 1:
        own = [matched[0][0]]
    if not own:
        missing = "features.tsv or genes.tsv" if what == "features" else "barcodes.tsv"
        raise LibraryError(
            f"{folder}: lacks {prefix}{missing} (or .gz) beside the matrix; copy all three files "
            "of the library"
        )
    return own[0]


def _listed(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths]
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")


def read_matrix_market(path: Path, genome: str | None = None) -> FeatureMatrix:
    """Read a Matrix Market library: matrix, features or genes, and barcodes.

    Parameters
    ----------
    path
        As `find_matrix_files` takes it.
    genome
        Folder to take of several.

    Returns
    -------
    FeatureMatrix
        All features. A matrix that holds cells in rows is turned, with a note.

    Raises
    ------
    LibraryError
        A file is missing or damaged, or their sizes disagree.
    """
    files = find_matrix_files(path, genome)
    rows = [line.split("\t") for line in _lines(files.features)]
    barcodes = [line.split("\t")[0] for line in _lines(files.barcodes)]
    stored = _market_values(files.matrix)
    notes = []
    if stored.shape == (len(barcodes), len(rows)) != (len(rows), len(barcodes)):
        notes.append("the matrix holds cells in rows, not in columns, and was turned")
        stored = stored.T
    if stored.shape != (len(rows), len(barcodes)):
        raise LibraryError(
            f"{files.matrix}: is a matrix of {stored.shape[0]} x {stored.shape[1]}, but "
            f"{files.features.name} has {counted(len(rows), 'line')} and {files.barcodes.name} "
            f"{len(barcodes)}; do the three files belong together, and has none a header?"
        )
    ids = [row[0] for row in rows]
    names = [row[1] if len(row) > 1 else row[0] for row in rows]
    types = [row[2] if len(row) > 2 and row[2] else GENES for row in rows]
    counts = sparse.csr_matrix(stored.T)
    keys = np.array(barcodes, dtype=np.str_)
    # Cell Ranger 1 and 2 state the genome as the name of the folder.
    folder = files.matrix.absolute().parent
    states = folder.parent.name.endswith("gene_bc_matrices") or folder.name == genome
    genomes = [folder.name if states else ""] * len(ids)
    return FeatureMatrix(counts, keys, ids, names, types, genomes, {}, notes)


def _open(path: Path) -> Any:
    """Open a file for reading, unpacking it if it is packed, whatever its name says."""
    with path.open("rb") as start:
        packed = start.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")


def _lines(path: Path) -> list[str]:
    try:
        with _open(path) as file:
            text = file.read().decode("utf-8-sig", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from None
    return [line for line in text.replace('"', "").splitlines() if line.strip()]


def _market_values(path: Path) -> sparse.coo_matrix:
    """Read a sparse Matrix Market file as it is."""
    # SciPy's reader ends the whole process at some broken files; this one says what is wrong.
    try:
        with _open(path) as file:
            words = file.readline().split()
            if words[:3] != _SPARSE or words[3] not in (b"integer", b"real"):
                raise ValueError("its first line is not that of a sparse Matrix Market file")
            line = file.readline()
            while line.startswith(b"%") or line.isspace():
                line = file.readline()
            n_rows, n_columns, n_values = (int(word) for word in line.split())
            rows, columns, values = _triplets(file, words[3] == b"integer")
    except (OSError, EOFError, zlib.error, ValueError, IndexError, DeprecationWarning) as error:
        raise _damaged(path, error) from None
    if values.size != n_values:
        raise _damaged(path, f"{values.size:,} of {n_values:,} values")
    if values.size and (
        min(rows.min(), columns.min()) < 0 or rows.max() >= n_rows or columns.max() >= n_columns
    ):
        raise _damaged(path, f"values outside of its {n_rows} rows and {n_columns} columns")
    return sparse.coo_matrix((values, (rows, columns)), shape=(n_rows, n_columns))


def _triplets(file: Any, is_integer: bool) -> list[NDArray[Any]]:
    """Read rows and columns, from 0, and values; piece by piece, for the text is large."""
    kinds = (np.int32, np.int32, np.int32 if is_integer else np.float64)
    pieces: list[list[NDArray[Any]]] = [[np.empty(0, dtype=kind)] for kind in kinds]
    with warnings.catch_warnings():
        # NumPy only warns of text that is no number.
        warnings.simplefilter("error", DeprecationWarning)
        while text := file.read(_BYTES_AT_ONCE):
            text += file.readline()
            numbers = np.fromstring(text, np.int64 if is_integer else np.float64, sep=" ")
            triplets = numbers.reshape(-1, 3) - [1, 1, 0]
            for piece, column, kind in zip(pieces, triplets.T, kinds, strict=True):
                piece.append(column.astype(kind))
    return [np.concatenate(piece) for piece in pieces]


def _damaged(path: Path, error: Exception | str) -> LibraryError:
    return LibraryError(
        f"{path}: cannot be read to its end ({error}); it is damaged or its copy is incomplete: "
        "copy it again"
    )
