"""Time the flow half of a large cohort: ``python tests/benchmarks/flow_half.py --folder BIG``.

By default 40 patients at three visits, a million events in 33 channels each, two cores: from the
FCS files to ``populations/counts.tsv``, gates and clusters. The files are simulated first and kept
in the folder (16 GB), so that another run need not; so are the results (as much again).
"""

import argparse
import csv
import os
import resource
import shutil
import sys
from collections import defaultdict
from pathlib import Path

from cohort_project import VISITS, make_project, snakemake

TARGETS = ("results/populations/counts.tsv", "results/populations/expression.tsv")


def rule_rows(folder):
    """Gather Snakemake's own measurements: jobs, seconds and peak memory of every rule."""
    found = defaultdict(list)
    benchmarks = folder / "results" / "benchmarks"
    for path in benchmarks.rglob("*.tsv"):
        with path.open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file, delimiter="\t")
        found[path.relative_to(benchmarks).parts[0].removesuffix(".tsv")].append(row)
    for rule, rows in found.items():
        seconds = [float(row["s"]) for row in rows]
        memory = [float(row["max_rss"]) for row in rows if row["max_rss"] not in ("-", "NA")]
        yield rule, len(rows), sum(seconds), max(memory, default=0.0)


def processor_seconds():
    """Return the seconds that the processes which this one started, and theirs, have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def size_of(folder):
    """Return the gigabytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def main():
    """Make the cohort where it is missing, run the flow half anew, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    folder = options.folder.resolve()
    if not folder.exists():
        folder.mkdir(parents=True)
        make_project(folder, options.patients, options.events)
        snakemake(folder, "--until", "simulate_cohort", cores=options.cores)
    for name in ("flow", "populations", "benchmarks"):
        shutil.rmtree(folder / "results" / name, ignore_errors=True)
    load = os.getloadavg()[0]
    before = processor_seconds()
    seconds = snakemake(folder, *TARGETS, cores=options.cores)
    processor = processor_seconds() - before
    rows = sorted(rule_rows(folder), key=lambda row: -row[2])
    for rule, jobs, total, memory in rows:
        print(f"{rule:28} {jobs:4} jobs {total:8.1f} s {memory:8.0f} MB")
    print(
        f"{options.patients} patients, {options.events:,} events: {seconds:.0f} s on "
        f"{options.cores} cores (load {load:.1f} before), {processor:.0f} s of the processor, "
        f"{processor / (VISITS * options.patients):.2f} s a sample, "
        f"at most {max(row[3] for row in rows):.0f} MB a job, "
        f"{size_of(folder / 'results' / 'flow'):.1f} GB below results/flow"
    )


if __name__ == "__main__":
    sys.exit(main())
