"""Writing the counts of a library as Cell Ranger does: a filtered feature-barcode matrix."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from biocross.simulate.rna.transcriptomes import SparseCounts
from biocross.tables import written_whole

GENE = "Gene Expression"
ANTIBODY = "Antibody Capture"


class Features(NamedTuple):
    """The rows of a feature-barcode matrix: identifiers, names and types."""

    ids: Sequence[str]
    names: Sequence[str]
    types: Sequence[str]


def write_library(
    path: Path,
    counts: SparseCounts,
    barcodes: Sequence[str],
    features: Features,
    *,
    genome: str,
    chemistry: str = "Single Cell 3' v3",
) -> None:
    """Write a library in the HDF5 layout of Cell Ranger 3 and later, whole or not at all.

    The same counts give the same bytes: nothing in the file tells when it was written.

    Parameters
    ----------
    path
        The file.
    counts
        Counts of barcodes (rows) and features.
    barcodes
        One per row of `counts`.
    features
        One per column of `counts`.
    genome
        Name of the genome; features other than genes have none.
    chemistry
        Description of the chemistry.

    References
    ----------
    10x Genomics, Cell Ranger documentation, "Feature-Barcode Matrices in HDF5 Format".
    """
    genomes = [genome if kind == GENE else "" for kind in features.types]
    with written_whole(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["chemistry_description"] = chemistry
        file.attrs["filetype"] = "matrix"
        file.attrs["library_ids"] = _text([path.stem])
        file.attrs["original_gem_groups"] = np.array([1])
        file.attrs["version"] = 2
        matrix = file.create_group("matrix")
        _put(matrix, "barcodes", _text(barcodes))
        _put(matrix, "data", counts.data)
        _put(matrix, "indices", counts.indices)
        _put(matrix, "indptr", counts.indptr)
        _put(matrix, "shape", np.array([len(features.ids), len(barcodes)], dtype=np.int32))
        table = matrix.create_group("features")
        _put(table, "_all_tag_keys", _text(["genome"]))
        _put(table, "feature_type", _text(features.types))
        _put(table, "genome", _text(genomes))
        _put(table, "id", _text(features.ids))
        _put(table, "name", _text(features.names))


def _text(values: Sequence[str]) -> NDArray[np.bytes_]:
    """Encode as text of fixed length, as Cell Ranger does."""
    return np.array([value.encode() for value in values], dtype=np.bytes_)


def _put(group: h5py.Group, name: str, values: NDArray[np.generic]) -> None:
    # Bytes of like significance together compress better and faster.
    group.create_dataset(
        name, data=values, compression="gzip", compression_opts=1, shuffle=True, track_times=False
    )
