"""Time the writing of a large simulated cohort: ``python tests/benchmarks/simulated_cohort.py``.

By default 120 files of a million events in 33 channels, in two processes. Each is removed when it
was written, so that little disk is needed.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from biocross.processes import map_in_processes
from biocross.simulate.flow.cohort import read_cohort, simulate_sample
from biocross.simulate.sheets import write_sheets
from biocross.simulate.study import read_study

STUDY = Path(__file__).parents[2] / "config" / "simulation" / "biocross.yaml"
SEED = 1


def write_and_remove(study, sample, folder):
    """Write a file, return its size in MB, and remove it."""
    simulate_sample(study, sample, folder, SEED)
    path = folder / sample.file
    size = path.stat().st_size / 1e6
    path.unlink()
    return size


def main():
    """Write the cohort, and print how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=120)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    overrides = {"events_per_sample": options.events, "missing_follow_ups": 0, "rna": None}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = read_study(STUDY, overrides)
        write_sheets(STUDY, folder, SEED, overrides)
        cohort = read_cohort(study, folder / "samples.tsv", folder / "patients.tsv")
        tasks = [(study, sample, folder) for sample in cohort[: options.files]]
        start = time.monotonic()
        sizes = map_in_processes(write_and_remove, tasks, options.jobs)
        seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    print(
        f"{len(sizes)} files of {options.events:,} events and {len(study.panel)} channels "
        f"({sum(sizes) / 1e3:.1f} GB): {seconds:.0f} s in {options.jobs} processes, "
        f"at most {peak:.0f} MB each"
    )


if __name__ == "__main__":
    sys.exit(main())
