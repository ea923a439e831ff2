"""Write small libraries of single-cell counts in every layout that is read."""

import gzip
from pathlib import Path

import h5py
import numpy as np
from scipy import sparse
from scipy.io import mmwrite

GENES = "Gene Expression"


def example_counts(n_cells=30, n_features=40, seed=1):
    """Counts of which none of the rows is empty, shape (cells, features)."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, (n_cells, n_features)).astype(np.int32)
    counts[:, 0] += 1
    return counts


def barcodes_of(n_cells):
    letters = np.array(list("ACGT"))
    digits = [np.arange(n_cells) // 4**place % 4 for place in range(16)]
    return ["".join(word) + "-1" for word in letters[np.array(digits).T]]


def features_of(n_features, kinds=(), genome="GRCh38"):
    """Ids, symbols, types and genomes; the last features are the `kinds`: (name, type)."""
    n_genes = n_features - len(kinds)
    ids = [f"ENSG{i:011d}" for i in range(n_genes)] + [name for name, _ in kinds]
    names = [f"GENE{i}" for i in range(n_genes)] + [name for name, _ in kinds]
    types = [GENES] * n_genes + [kind for _, kind in kinds]
    genomes = [genome] * n_genes + [""] * len(kinds)
    return ids, names, types, genomes


def write_h5_v3(path, counts, features=None, barcodes=None):
    """Write the HDF5 of Cell Ranger 3 and later; values of each barcode in falling order."""
    ids, names, types, genomes = features or features_of(counts.shape[1])
    matrix = sparse.csr_matrix(counts)
    with h5py.File(path, "w") as file:
        file.attrs["filetype"] = "matrix"
        group = file.create_group("matrix")
        _write_compressed(group, matrix, barcodes)
        described = group.create_group("features")
        for key, words in zip(
            ("id", "name", "feature_type", "genome"), (ids, names, types, genomes), strict=True
        ):
            described[key] = np.array(words, dtype="S")
    return Path(path)


def write_h5_v2(path, counts_by_genome, barcodes=None):
    """Write the HDF5 of Cell Ranger 1 and 2: one group for each genome."""
    with h5py.File(path, "w") as file:
        for genome, counts in counts_by_genome.items():
            ids, names, _, _ = features_of(counts.shape[1])
            group = file.create_group(genome)
            _write_compressed(group, sparse.csr_matrix(counts), barcodes)
            group["genes"] = np.array(ids, dtype="S")
            group["gene_names"] = np.array(names, dtype="S")
    return Path(path)


def _write_compressed(group, matrix, barcodes):
    turned = [slice(a, b) for a, b in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)]
    for key, values in (("data", matrix.data), ("indices", matrix.indices)):
        backwards = [values[each][::-1] for each in turned]
        group[key] = np.concatenate([*backwards, values[:0]])
    group["indptr"] = matrix.indptr.astype(np.int64)
    group["shape"] = np.array(matrix.shape[::-1], dtype=np.int32)
    group["barcodes"] = np.array(barcodes or barcodes_of(matrix.shape[0]), dtype="S")


def write_mtx(
    folder, counts, features=None, barcodes=None, prefix="", version=3, packed=True, field=None
):
    """Write a Matrix Market folder of version 1 (genes.tsv) or 3 (features.tsv)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ids, names, types, _ = features or features_of(counts.shape[1])
    columns = (ids, names) if version == 1 else (ids, names, types)
    text = "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True))
    plain = folder / f"{prefix}matrix.mtx"
    mmwrite(plain, sparse.coo_matrix(counts.T), field=field)
    words = barcodes or barcodes_of(counts.shape[0])
    files = {
        f"{prefix}{'genes' if version == 1 else 'features'}.tsv": text.encode(),
        f"{prefix}barcodes.tsv": "".join(f"{word}\n" for word in words).encode(),
        plain.name: plain.read_bytes(),
    }
    plain.unlink()
    for name, content in files.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, 1, mtime=0))
        else:
            (folder / name).write_bytes(content)
    return folder


def write_h5ad(path, counts, features=None, barcodes=None, **parts):
    """Write an AnnData file; `parts` such as obs, layers, raw_counts and X are its own."""
    import anndata
    import pandas as pd

    ids, names, types, _ = features or features_of(counts.shape[1])
    cells = barcodes or barcodes_of(counts.shape[0])
    obs = pd.DataFrame(parts.pop("obs", {}), index=cells)
    var = parts.pop("var", pd.DataFrame({"gene_ids": ids, "feature_types": types}, index=names))
    raw_counts = parts.pop("raw_counts", None)
    matrix = anndata.AnnData(parts.pop("X", sparse.csr_matrix(counts)), obs=obs, var=var, **parts)
    if raw_counts is not None:
        matrix.raw = anndata.AnnData(raw_counts, obs=obs, var=var)
    matrix.write_h5ad(path)
    return Path(path)
