"""A library of single-cell RNA, beside scanpy: ``libraries.py biocross|scanpy FOLDER``."""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from harness import beside, fresh, medians, peak_memory, within
from scipy.sparse import csr_matrix

N_CELLS, N_GENES, N_KINDS = 4_200, 5_000, 8
SEED = 1
# Processes of each; what scanpy calls is compiled anew in every one.
RUNS = {"biocross": 3, "scanpy": 1}
# Of the 12 GB that the half of the design may use with 24 libraries.
MEMORY_MB = 1_000


def simulate(seed=SEED):
    """Draw counts of kinds of cells that differ in a tenth of their genes.

    Returns
    -------
    AnnData
        Cells x genes, about 4,000 molecules a cell.
    """
    from anndata import AnnData

    random = np.random.default_rng(seed)
    level = random.lognormal(-1.5, 1.2, (1, N_GENES))
    marked = random.random((N_KINDS, N_GENES)) < 0.1
    rate = level * np.where(marked, random.lognormal(1.5, 0.5, marked.shape), 1.0)
    kind = random.integers(N_KINDS, size=N_CELLS)
    depth = random.lognormal(0, 0.25, (N_CELLS, 1))
    counts = csr_matrix(random.poisson(depth * rate[kind]).astype(np.float32))
    cells = AnnData(counts)
    cells.obs_names = [f"CELL{n}-1" for n in range(N_CELLS)]
    cells.var_names = [f"MT-{n}" if n < 13 else f"GENE{n}" for n in range(N_GENES)]
    return cells


def measure():
    """Time doublets and sums by function, and processes that prepare a library.

    Returns
    -------
    list of Row
        Beside scanpy.
    """
    cells = simulate()
    size, scanpy = f"{N_CELLS:,} cells x {N_GENES:,} genes", "scanpy.get.aggregate"
    kind = np.arange(N_CELLS) % 40
    cells.obs["population"] = [f"population {n}" for n in kind]
    seconds = medians(
        {
            "doublets": lambda: our_doublets(cells.X),
            "scrublet": lambda: their_doublets(cells),
            "sums": lambda: our_sums(cells.X, kind),
            "aggregate": lambda: their_sums(cells),
        },
    )
    check_equal(cells, kind)
    with tempfile.TemporaryDirectory() as name:
        cells.write_h5ad(Path(name) / "library.h5ad")
        processes = {
            program: [fresh("libraries.py", program, name)[1] for _ in range(runs)]
            for program, runs in RUNS.items()
        }
    ours, theirs = (median(s for _, s in processes[p]) for p in RUNS)
    used = max(memory for memory, _ in processes["biocross"])
    prepared = f"prepare_library, {size}, with process start"
    peer = "scanpy: quality measures, scrublet"
    return [
        beside(f"doublets, {size}", seconds["doublets"], "scanpy.pp.scrublet", seconds["scrublet"]),
        beside(f"pseudobulk, {size}", seconds["sums"], scanpy, seconds["aggregate"]),
        beside(f"{prepared}: of the processor", ours, peer, theirs),
        within(f"{prepared}: peak memory", used, MEMORY_MB),
    ]


def our_doublets(counts):
    """Score doublets as `biocross.cells` does."""
    from biocross.cells.doublets import expected_rate, score_doublets

    return score_doublets(counts, expected_rate(N_CELLS), SEED)


def their_doublets(cells):
    """Score doublets as scanpy does; it compares as many simulated doublets with the cells."""
    import scanpy

    scanpy.pp.scrublet(cells, random_state=SEED, verbose=False)


def our_sums(counts, group):
    """Add the counts of the cells of every population."""
    from biocross.cells.pseudobulk import sum_counts

    return sum_counts(counts, group, group.max() + 1)


def their_sums(cells):
    """Add the same with scanpy."""
    import scanpy

    return scanpy.get.aggregate(cells, by="population", func="sum")


def check_equal(cells, group):
    """Make sure that both give the same sums."""
    theirs = their_sums(cells)
    place = [int(name.split()[1]) for name in theirs.obs_names]
    summed = theirs.layers["sum"]
    summed = summed.toarray() if hasattr(summed, "toarray") else summed
    np.testing.assert_array_equal(np.asarray(our_sums(cells.X, group).sums)[place], summed)


def prepare_as_biocross(folder):
    """Do what ``workflow/scripts/prepare_library.py`` does."""
    from biocross.cells.prepare import prepare_library

    tables = [folder / f"{name}.tsv" for name in ("ledger", "warnings", "genes")]
    path = folder / "library.h5ad"
    prepare_library(path, "L1", ["S1"], [""], SEED, folder / "prepared.h5ad", *tables)


def prepare_as_scanpy(folder):
    """Read, measure quality, score doublets, write: what scanpy has of the same."""
    import scanpy

    cells = scanpy.read_h5ad(folder / "library.h5ad")
    cells.var["mt"] = cells.var_names.str.startswith("MT-")
    scanpy.pp.calculate_qc_metrics(cells, qc_vars=["mt"], inplace=True)
    their_doublets(cells)
    cells.write_h5ad(folder / "theirs.h5ad", compression="lzf")


if __name__ == "__main__":
    prepare = {"biocross": prepare_as_biocross, "scanpy": prepare_as_scanpy}[sys.argv[1]]
    prepare(Path(sys.argv[2]))
    print(json.dumps([peak_memory(), time.process_time()]))
