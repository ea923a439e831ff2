"""Libraries in AnnData files: which of its matrices holds the counts, and of which features."""

import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.features import ANTIBODIES, GENES, FeatureMatrix
from biocross.cohort.sheets import counted
from biocross.errors import LibraryError

if TYPE_CHECKING:
    import pandas as pd

_COUNT_LAYERS = ("counts", "raw_counts", "raw", "umi", "umis", "count")
_IDS = ("gene_ids", "gene_id", "ensembl_id", "ensembl_ids", "ensembl", "feature_id", "ensg")
_SYMBOLS = ("feature_name", "gene_name", "gene_names", "gene_symbol", "gene_symbols", "symbol")
_TYPES = ("feature_types", "feature_type")
_ENSEMBL = re.compile(r"ENS[A-Z]{0,6}G\d{6,}")
_PROTEINS = ("proteins", "protein_counts", "protein_expression", "adt", "antibody_capture")
_HASHTAGS = ("hashtags", "hto", "hashtag_counts")
_LOOKED_AT = 100_000
_ROWS_AT_ONCE = 2_000


class _Place(NamedTuple):
    """Where a matrix lies in the file, and where its features are described."""

    matrix: str
    features: str
    words: str


def read_anndata(path: Path) -> FeatureMatrix:
    """Read counts, features and metadata of an AnnData file.

    Counts are taken from the first of ``layers["counts"]`` (or a layer named alike), ``.raw`` and
    ``X`` that holds whole numbers, none negative; without any from the first of ``.raw`` and ``X``
    that has no negative values, else from ``X``. Antibodies and hashtags are features of the type
    ``Antibody Capture`` or matrices of ``obsm`` such as ``proteins`` and ``hashtags``.

    Parameters
    ----------
    path
        An ``.h5ad`` of any version.

    Returns
    -------
    FeatureMatrix
        Its first note says which matrix was taken.

    Raises
    ------
    LibraryError
        The file is damaged or has no matrix.
    """
    import h5py

    try:
        with h5py.File(path) as file, _quiet():
            if hasattr(file["obs"], "keys"):
                return _read_open(path, file)
        return _read_old(path)
    except LibraryError:
        raise
    except Exception as error:  # HDF5 that is damaged inside fails in every way there is.
        reason = str(error).strip("'\"").partition("\n")[0]
        raise LibraryError(
            f"{path}: cannot be read as an AnnData file ({reason}); is its copy incomplete? Write "
            "it again with anndata"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what anndata says of how files were once written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read_old(path: Path) -> FeatureMatrix:
    """Read a file of an anndata before 0.7: write it as it would be written today, then read."""
    import anndata
    import h5py

    with tempfile.TemporaryDirectory() as folder, _quiet():
        renewed = Path(folder) / path.name
        anndata.read_h5ad(path).write_h5ad(renewed)
        with h5py.File(renewed) as file:
            return _read_open(path, file)


def _read_open(path: Path, file: Any) -> FeatureMatrix:
    from anndata.io import read_elem

    place = _counts_place(path, file)
    cells, features = read_elem(file["obs"]), read_elem(file[place.features])
    counts = _matrix(file[place.matrix])
    if counts.shape != (len(cells), len(features)):
        raise LibraryError(
            f"{path}: {place.words} is {counts.shape[0]} x {counts.shape[1]}, but there are "
            f"{counted(len(cells), 'cell')} and {counted(len(features), 'feature')}; the file is "
            "damaged"
        )
    ids, names = _gene_columns(features)
    types = _column(features, _TYPES) or [GENES] * len(names)
    genomes = _column(features, ("genome",)) or [""] * len(names)
    metadata = {str(name): _plain(cells[name]) for name in cells}
    barcodes = np.array(cells.index.astype(str), dtype=np.str_)
    notes = [f"counts taken from {place.words}"]
    matrix = FeatureMatrix(counts, barcodes, ids, names, types, genomes, metadata, notes)
    return _with_obsm(matrix, file, read_elem)


def _counts_place(path: Path, file: Any) -> _Place:
    """Choose the matrix that holds counts."""
    layers = list(file["layers"]) if "layers" in file else []
    named = [name for wanted in _COUNT_LAYERS for name in layers if name.casefold() == wanted]
    places = [_Place(f"layers/{name}", "var", f'layers["{name}"]') for name in named]
    if "raw" in file and "X" in file["raw"]:
        places.append(_Place("raw/X", "raw/var", ".raw"))
    if "X" in file and not _is_nothing(file["X"]):
        places.append(_Place("X", "var", "X"))
    if not places:
        raise LibraryError(
            f'{path}: has no counts: neither X nor .raw nor layers["counts"]'
            f"{_other_layers(layers)}; write the counts into X"
        )
    samples = {place: _some_values(file[place.matrix]) for place in places}
    for place, values in samples.items():
        if values.min(initial=0) >= 0 and (values == np.rint(values)).all():
            return place
    for place, values in samples.items():
        if values.min(initial=0) >= 0:
            return place
    return places[-1]


def _other_layers(layers: Sequence[str]) -> str:
    return f" (its layers: {', '.join(layers)})" if layers else ""


def _is_nothing(element: Any) -> bool:
    return element.attrs.get("encoding-type", "") == "null" or getattr(element, "shape", 1) == ()


def _some_values(element: Any) -> NDArray[Any]:
    """Return the first values of a matrix, without those that are not stored."""
    if hasattr(element, "keys"):
        return np.asarray(element["data"][:_LOOKED_AT])
    rows = max(1, _LOOKED_AT // max(1, element.shape[1]))
    return np.asarray(element[:rows])


def _matrix(element: Any) -> sparse.csr_matrix:
    """Read a matrix, sparse or dense; a dense one in pieces."""
    from anndata.io import read_elem

    if hasattr(element, "keys"):
        return sparse.csr_matrix(read_elem(element))
    pieces = [
        sparse.csr_matrix(element[start : start + _ROWS_AT_ONCE])
        for start in range(0, max(1, element.shape[0]), _ROWS_AT_ONCE)
    ]
    return sparse.csr_matrix(sparse.vstack(pieces, format="csr"))


def _gene_columns(features: "pd.DataFrame") -> tuple[list[str], list[str]]:
    """Return ids and symbols; either may be the index."""
    index = [str(name) for name in features.index]
    coded = sum(1 for name in index if _ENSEMBL.match(name)) > len(index) / 2
    if coded:
        return index, _column(features, _SYMBOLS) or index
    return _column(features, _IDS) or index, index


def _column(features: "pd.DataFrame", names: Sequence[str]) -> list[str]:
    """Return the first column that has one of the names, or nothing."""
    spelled = {str(column).casefold(): column for column in features}
    found = next((spelled[name] for name in names if name in spelled), None)
    return [] if found is None else [str(value) for value in _plain(features[found])]


def _plain(column: "pd.Series[Any]") -> NDArray[Any]:
    """Return numbers and truths as they are, and all else as text, empty where it is missing."""
    if column.dtype.kind in "biuf" and isinstance(column.dtype, np.dtype):
        return np.asarray(column)
    missing = np.asarray(column.isna())
    text = np.asarray(column.astype(str), dtype=object)
    return np.where(missing, "", text)


def _with_obsm(matrix: FeatureMatrix, file: Any, read: Any) -> FeatureMatrix:
    """Add antibodies and hashtags that are kept beside the genes."""
    for names, kind in ((_PROTEINS, ANTIBODIES), (_HASHTAGS, "Multiplexing Capture")):
        keys = [key for key in file.get("obsm", ()) if key.casefold() in names]
        for key in keys[:1]:
            values = read(file["obsm"][key])
            labels = _labels(values, file, key, read)
            table = sparse.csr_matrix(np.asarray(values, dtype=np.float64))
            if labels is None or (table.data != np.rint(table.data)).any():
                why = "its columns have no names" if labels is None else "it holds no counts"
                matrix.notes.append(f'obsm["{key}"] is not used: {why}')
                continue
            n = len(labels)
            matrix.notes.append(f'{counted(n, "feature")} of type "{kind}" from obsm["{key}"]')
            matrix = matrix._replace(
                counts=sparse.csr_matrix(sparse.hstack([matrix.counts, table], format="csr")),
                ids=matrix.ids + labels,
                names=matrix.names + labels,
                types=matrix.types + [kind] * n,
                genomes=matrix.genomes + [""] * n,
            )
    return matrix


def _labels(values: Any, file: Any, key: str, read: Any) -> list[str] | None:
    """Return the names of the columns of a matrix of ``obsm``."""
    if hasattr(values, "columns"):
        return [str(name) for name in values.columns]
    known = file.get("uns", {})
    for place in (f"{key}_names", f"{key.rstrip('s')}_names"):
        if place in known and len(names := read(known[place])) == values.shape[1]:
            return [str(name) for name in names]
    return None
