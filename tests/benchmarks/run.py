"""Measure biocross beside its peers, in one run on one core: ``make bench``."""

import argparse
import os
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

from harness import print_table, use_one_core, write_table

TABLE = Path(__file__).parents[2] / "results" / "benchmarks" / "peers.tsv"
N_EVENTS = 1_000_000


def measure():
    """Measure every subject.

    Returns
    -------
    list of Row
        In the order of a sample's way through the workflow.
    """
    # After the threads are limited, and where nothing large stands in memory yet.
    import clustering
    import gating
    import preparing
    import quality
    import reading
    import transforms
    from sample_files import CHANNELS, write_sample

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        sample = write_sample(Path(folder), N_EVENTS)
        for subject, arguments in (
            (reading, (sample,)),
            (transforms, (sample,)),
            (quality, (sample,)),
            (preparing, (sample, N_EVENTS, len(CHANNELS))),
            (gating, ()),
            (clustering, ()),
        ):
            start = time.perf_counter()
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
                rows += subject.measure(*arguments)
            print(f"{subject.__name__}: {time.perf_counter() - start:.0f} s", flush=True)
    return rows


def main():
    """Measure, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    table = parser.parse_args().table
    use_one_core()
    load = os.getloadavg()[0]
    rows = measure()
    write_table(table, rows)
    print(f"{os.cpu_count()} cores, one used; load when started {load:.1f}")
    print_table(rows)
    print(f"written to {table}")


if __name__ == "__main__":
    main()
