"""One library of single-cell counts, whatever kind of file it came in."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from biocross.cells.anndata_library import read_anndata
from biocross.cells.droplets import EMPTY_COUNTS, LITTLE_RNA, call_cells, is_unfiltered
from biocross.cells.features import (
    GENES,
    FeatureKinds,
    FeatureMatrix,
    select_genome,
    sort_features,
)
from biocross.cells.gene_names import RenamedGene, name_features, name_genes
from biocross.cells.tenx import read_matrix_market, read_tenx_hdf5
from biocross.cohort.sheets import counted
from biocross.errors import LibraryError

_HDF5 = b"\x89HDF\r\n\x1a\n"
# Names that say how a library was processed, not which it is.
_COMMON_NAMES = frozenset(
    (
        *("outs", "count", "raw", "filtered", "matrix", "hg19", "GRCh38", "GRCh38-2020-A"),
        *(
            f"{part}{kind}{form}"
            for part in ("filtered_", "raw_", "sample_filtered_", "sample_raw_")
            for kind in ("feature_bc_matrix", "gene_bc_matrices", "gene_bc_matrix")
            for form in ("", "_h5", "_mex")
        ),
    )
)


class Library(NamedTuple):
    """Counts of one library, its features told apart by what they measure.

    Parameters
    ----------
    name
        Name of the library.
    counts
        Counts of genes, shape (cells, genes); int32, or float32 where `is_integer` is false.
    barcodes
        One per cell, each different.
    gene_ids
        Ensembl ids without their version, or what the file has instead.
    genes
        Symbols, each different.
    proteins, protein_names
        Counts of antibodies (ADT), int32, shape (cells, proteins).
    hashtags, hashtag_names
        Counts of hashtags (HTO), int32, shape (cells, hashtags).
    cell_metadata
        Columns that an ``.h5ad`` has about its cells, each of shape (cells,).
    notes
        What was noticed, chosen or mended, as sentences.
    is_integer
        Whether the values are counts: whole numbers, none negative.
    renamed
        Genes whose name is not the symbol in the file.
    ambient
        Counts of each gene over all droplets without a cell, shape (genes,); None where the file
        holds called cells only.
    """

    name: str
    counts: sparse.csr_matrix
    barcodes: list[str]
    gene_ids: list[str]
    genes: list[str]
    proteins: NDArray[np.int32]
    protein_names: list[str]
    hashtags: NDArray[np.int32]
    hashtag_names: list[str]
    cell_metadata: dict[str, NDArray[Any]]
    notes: list[str]
    is_integer: bool
    renamed: Sequence[RenamedGene] = ()
    ambient: NDArray[np.int64] | None = None


def read_library(
    path: Path | str,
    name: str | None = None,
    genome: str | None = None,
    hashtags: Sequence[str] = (),
    expected_cells: int | None = None,
) -> Library:
    """Read a library of single-cell counts.

    The kind of file is told from its content: HDF5 of Cell Ranger (any version), AnnData, or a
    Matrix Market folder (or the matrix in it). Of an unfiltered matrix, in which most droplets are
    empty, the cells are called (`call_cells`) and the others summed into `Library.ambient`.

    Parameters
    ----------
    path
        File or folder.
    name
        Name of the library; by default that of the file or folder.
    genome
        Genome to analyse; needed where the file has several.
    hashtags
        Names of hashtags in the sheet, for those whose names do not tell.
    expected_cells
        Cells that the library should have, for `call_cells`.

    Returns
    -------
    Library
        Rows and columns in file order.

    Raises
    ------
    LibraryError
        The path is missing, of an unknown kind or damaged; it holds no cells, no genes, no counts
        or values that are no numbers; a barcode stands twice; the genome or a hashtag is not in it.
    """
    path = Path(path)
    where = str(path)
    matrix = select_genome(where, _read_matrix(path, genome), genome)
    kinds = sort_features(where, matrix.ids, matrix.names, matrix.types, hashtags)
    _refuse_empty(where, matrix, kinds)
    is_integer, doubts = _judge_values(where, matrix.counts, kinds.genes)
    ambient = None
    if is_integer:
        matrix, ambient = _without_empty(where, matrix, kinds.genes, expected_cells)
    barcodes = _distinct_barcodes(where, matrix.barcodes)
    genes = name_genes(*_described(matrix, kinds.genes))
    proteins, protein_names, no_proteins = _tag_counts(matrix, kinds.proteins, "antibodies")
    tags, _, no_tags = _tag_counts(matrix, kinds.hashtags, "hashtags")
    return Library(
        name=name or name_library(path),
        counts=_gene_counts(matrix.counts, kinds.genes, is_integer),
        barcodes=barcodes,
        gene_ids=genes.ids,
        genes=genes.genes,
        proteins=proteins,
        protein_names=protein_names,
        hashtags=tags,
        hashtag_names=[] if no_tags else kinds.hashtag_names,
        cell_metadata=matrix.cell_metadata,
        notes=[
            *(*matrix.notes, *doubts, *_several_runs(barcodes), *kinds.notes),
            *(*no_proteins, *no_tags, *genes.notes, *_renaming(genes.renamed)),
        ],
        is_integer=is_integer,
        renamed=genes.renamed,
        ambient=ambient,
    )


def name_library(path: Path | str) -> str:
    """Name a library after its file or folder, or the folder above where that name says nothing.

    Parameters
    ----------
    path
        ``P01/outs/filtered_feature_bc_matrix.h5``, for example, is of the library ``P01``.

    Returns
    -------
    str
        Without endings such as ``.h5`` and ``_matrix.mtx.gz``.
    """
    for part in reversed(Path(path).absolute().parts):
        stem = part
        for ending in (".gz", ".mtx", ".h5ad", ".h5", ".hdf5"):
            stem = stem.removesuffix(ending)
        if stem in _COMMON_NAMES:
            continue
        for ending in sorted(_COMMON_NAMES, key=len, reverse=True):
            stem = stem.removesuffix(f"_{ending}").removesuffix(f".{ending}")
        return stem
    return "library"


def _read_matrix(path: Path, genome: str | None) -> FeatureMatrix:
    """Read a file or folder by what it is, not by how it is called."""
    if not path.exists():
        raise LibraryError(f"{path}: there is no such file or folder")
    if path.is_dir() or ".mtx" in path.suffixes:
        return read_matrix_market(path, genome)
    try:
        with path.open("rb") as file:
            is_hdf5 = file.read(len(_HDF5)) == _HDF5
    except OSError as error:
        raise LibraryError(
            f"{path}: cannot be opened ({error.strerror}); mend its rights"
        ) from None
    if is_hdf5:
        return read_anndata(path) if _is_anndata(path) else read_tenx_hdf5(path, genome)
    if path.suffix in (".h5", ".h5ad", ".hdf5"):
        what = "is empty" if not path.stat().st_size else "is not HDF5, whatever its name says"
        raise LibraryError(f"{path}: {what}; copy it again")
    kind = "".join(path.suffixes[-2:]) or path.name
    raise LibraryError(
        f'{path}: files of the kind "{kind}" are not read; give the .h5 or the matrix folder of '
        "Cell Ranger, or an .h5ad"
    )


def _is_anndata(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path) as file:
            return "obs" in file and "var" in file
    except (OSError, RuntimeError):
        return False  # Damaged: the other reader says so.


def _refuse_empty(where: str, matrix: FeatureMatrix, kinds: FeatureKinds) -> None:
    if not matrix.barcodes.size:
        raise LibraryError(f"{where}: holds no barcodes; give a library with cells")
    if not kinds.genes.size:
        held = ", ".join(sorted(set(matrix.types))) or "none at all"
        raise LibraryError(
            f'{where}: holds no genes, that is no features of the type "{GENES}" ({held}); give '
            "the matrix of gene expression"
        )


def _judge_values(
    where: str, counts: sparse.csr_matrix, genes: NDArray[np.intp]
) -> tuple[bool, list[str]]:
    """Say whether the values of genes are counts, and why not."""
    is_gene = np.zeros(counts.shape[1], dtype=bool)
    is_gene[genes] = True
    values = counts.data if is_gene.all() else counts.data[is_gene[counts.indices]]
    if not np.isfinite(values).all():
        raise LibraryError(
            f"{where}: holds values that are no numbers (NaN or infinite); write it again from the "
            "raw counts"
        )
    if not values.any():
        raise LibraryError(f"{where}: all counts of genes are zero; give a library with cells")
    if values.min() < 0:
        return False, [f"the values are no counts: some are negative, to {values.min():.3g}"]
    if values.dtype.kind == "f" and (values != np.rint(values)).any():
        return False, [
            f"the values are no counts: not whole numbers, at most {values.max():.3g}; they seem "
            "to be normalised already"
        ]
    return True, []


def _without_empty(
    where: str, matrix: FeatureMatrix, genes: NDArray[np.intp], expected_cells: int | None
) -> tuple[FeatureMatrix, NDArray[np.int64] | None]:
    """Keep the cells of an unfiltered matrix, and sum up the genes of the empty droplets."""
    is_gene = np.zeros(matrix.counts.shape[1], dtype=np.int64)
    is_gene[genes] = 1
    totals = np.asarray(matrix.counts @ is_gene).astype(np.int64)
    if not is_unfiltered(totals):
        return matrix, None
    called = call_cells(totals, expected_cells)
    if not called.is_cell.any():
        raise LibraryError(
            f"{where}: none of its {totals.size:,} barcodes has more than {EMPTY_COUNTS} counts; "
            "give a library with cells"
        )
    note = (
        f"unfiltered: {called.is_cell.sum():,} of {totals.size:,} barcodes have at least "
        f"{called.minimum} counts and are taken as cells"
    )
    if called.doubtful:
        note += (
            f"; {called.doubtful:,} more have at least {LITTLE_RNA} and may be cells of little RNA "
            "(Cell Ranger's filtered matrix keeps those that differ from the empty droplets)"
        )
    sums = np.asarray(called.is_empty.astype(np.int64) @ matrix.counts)[genes]
    kept = matrix._replace(
        counts=matrix.counts[called.is_cell],
        barcodes=matrix.barcodes[called.is_cell],
        cell_metadata={key: each[called.is_cell] for key, each in matrix.cell_metadata.items()},
        notes=[*matrix.notes, note],
    )
    return kept, sums.astype(np.int64)


def _distinct_barcodes(where: str, barcodes: NDArray[Any]) -> list[str]:
    words = [
        word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
        for word in barcodes.tolist()
    ]
    if len(set(words)) < len(words):
        twice = [word for word, n in Counter(words).items() if n > 1]
        raise LibraryError(
            f'{where}: barcodes stand more than once ({len(twice):,} do, such as "{twice[0]}"); '
            "give libraries that were put together one by one, or make their barcodes differ"
        )
    return words


def _several_runs(barcodes: Sequence[str]) -> list[str]:
    """Notice barcodes of several runs of the instrument: AAAC-1, AAAC-2."""
    ends = {barcode.rpartition("-")[2] for barcode in barcodes if "-" in barcode}
    numbers = sorted(int(end) for end in ends if end.isdecimal())
    if len(numbers) < 2 or len(numbers) < len(ends):
        return []
    shown = ", ".join(f"-{number}" for number in numbers[:6]) + " ..." * (len(numbers) > 6)
    return [
        f"barcodes end in {shown}: several libraries seem to be put together here; quality and "
        "doublets are judged better one by one"
    ]


def _described(matrix: FeatureMatrix, columns: NDArray[np.intp]) -> tuple[list[str], list[str]]:
    return [matrix.ids[i] for i in columns], [matrix.names[i] for i in columns]


def _gene_counts(
    counts: sparse.csr_matrix, genes: NDArray[np.intp], is_integer: bool
) -> sparse.csr_matrix:
    """Return the columns of genes in canonical form: sorted, each once, no stored zeros."""
    own = counts if genes.size == counts.shape[1] else counts[:, genes]
    own = own.astype(np.int32 if is_integer else np.float32, copy=False)
    own.sum_duplicates()
    own.eliminate_zeros()
    return sparse.csr_matrix(own)


def _tag_counts(
    matrix: FeatureMatrix, columns: NDArray[np.intp], what: str
) -> tuple[NDArray[np.int32], list[str], list[str]]:
    """Return counts of antibodies or hashtags, their names, and why there are none."""
    ids, names = _described(matrix, columns)
    values = matrix.counts[:, columns].toarray()
    if (values != np.rint(values)).any() or values.min(initial=0) < 0:
        nothing = np.zeros((values.shape[0], 0), dtype=np.int32)
        return nothing, [], [f"the values of {what} are no counts and are not used"]
    return values.astype(np.int32), name_features(names, ids), []


def _renaming(renamed: Sequence[RenamedGene]) -> list[str]:
    if not renamed:
        return []
    first = renamed[0]
    return [
        f'{counted(len(renamed), "gene")} renamed, such as "{first.gene}" ({first.gene_id}) to '
        f'"{first.renamed_to}"'
    ]
