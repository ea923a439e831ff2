"""Time the RNA half on generated libraries: ``python tests/benchmarks/rna_half.py``.

By default 24 libraries of about 4,200 cells, 100,000 in all, with 5,000 genes, of which 2,000 are
chosen as variable. Every step runs in a process of its own, as its rule does.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUDY = {
    "visits": {"month_12": None},
    "missing_follow_ups": 0,
    "treatments": {"mepolizumab": {"patients": 6}, "dupilumab": {"patients": 6}},
    "rna": {"patients_per_treatment": 6, "pools": [0, 0, 0], "background": {"genes": 4600}},
}
PREPARE = """
import sys
from biocross.cells.prepare import prepare_library
path, name, sample, out = sys.argv[1:]
tables = [f"{out}.{kind}.tsv" for kind in ("ledger", "warnings", "genes")]
prepare_library(path, name, [sample], [""], 1, f"{out}.h5ad", *tables)
"""
INTEGRATE = """
import sys
from biocross.cells.integration import integrate_cells
populations, samples, folder, *libraries = sys.argv[1:]
integrate_cells(libraries, samples, populations, f"{folder}/integrated.h5ad",
                f"{folder}/quality.tsv", f"{folder}/resolutions.tsv")
"""
ANNOTATE = """
import sys
from biocross.cells.annotation import annotate_cells
populations, samples, folder, *libraries = sys.argv[1:]
annotate_cells(f"{folder}/integrated.h5ad", libraries, samples, populations, f"{folder}/cells.h5ad",
               *(f"{folder}/{name}.tsv" for name in ("annotation", "clusters", "recheck")))
"""
SUMMARISE = """
import sys
from biocross.cells.summary import summarise_cells
populations, samples, folder, gene_sets = sys.argv[1:]
names = ("counts.tsv", "expression.tsv", "pseudobulk.h5ad", "per_population.tsv", "sets.tsv")
summarise_cells(f"{folder}/cells.h5ad", f"{folder}/annotation.tsv", samples, populations,
                [gene_sets], *(f"{folder}/{name}" for name in names))
"""


def run(step, script, *arguments):
    """Run a step and print its wall and processor time and the peak memory of all so far."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall = time.perf_counter() - start
    print(
        f"{step}\t{wall:.1f} s\t{cpu:.1f} s of CPU\t{after.ru_maxrss / 1e6:.2f} GB peak", flush=True
    )
    return wall


def simulate(folder, cells):
    """Write the libraries; return their paths with their samples, and the sheet of samples."""
    from biocross.cohort.overview import check_cohort
    from biocross.simulate.rna.libraries import simulate_libraries
    from biocross.simulate.sheets import write_sheets
    from biocross.tables import read_rows

    study, each = ROOT / "config" / "simulation" / "demo.yaml", cells // 24
    overrides = STUDY | {"rna": STUDY["rna"] | {"cells_per_sample": [each - 50, each + 50]}}
    write_sheets(study, folder, 1, overrides, modalities=("rna",))
    sheets = (folder / "samples.tsv", folder / "patients.tsv")
    simulate_libraries(study, *sheets, folder, 1, overrides=overrides)
    config = {
        "inputs": {
            **{"folder": str(folder), "samples": str(sheets[0]), "patients": str(sheets[1])},
            "populations": str(ROOT / "config" / "populations.yaml"),
        },
        "cells": {"gene_sets": []},
        "design": {"levels": ["baseline", "month_4"]},
    }
    check_cohort(config, folder / "checked.tsv", folder / "pairs.tsv")
    rows = read_rows(sheets[0])
    return [(folder / row["path"], row["sample_id"]) for row in rows], folder / "checked.tsv"


def main():
    """Generate, run and time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=100_000)
    cells = parser.parse_args().cells
    populations, sets = ROOT / "config" / "populations.yaml", ROOT / "config" / "gene_sets.yaml"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        libraries, samples = simulate(folder, cells)
        print(f"{cells} cells in {len(libraries)} libraries", flush=True)
        total, prepared = 0.0, []
        for path, sample in libraries:
            prepared.append(folder / f"{sample}.h5ad")
            total += run("prepare", PREPARE, path, sample, sample, folder / sample)
        total += run("integrate", INTEGRATE, populations, samples, folder, *prepared)
        total += run("annotate", ANNOTATE, populations, samples, folder, *prepared)
        total += run("summarise", SUMMARISE, populations, samples, folder, sets)
        print(f"all\t{total:.0f} s")


if __name__ == "__main__":
    main()
