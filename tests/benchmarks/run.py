"""Measure biocross beside its peers, and how cost grows, on one core: ``make bench``.

Writes ``results/benchmarks/peers.tsv``, ``growth.tsv`` and the figure of the latter; with
``--document`` also the tables and the figure of docs/benchmarks.md.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path

from harness import COLUMNS, cells_of, print_table, use_one_core, verdict, write_table

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "results" / "benchmarks"
N_EVENTS = 1_000_000
PEERS_MARKS = ("<!-- peers: begin -->", "<!-- peers: end -->")
GROWTH_MARKS = ("<!-- growth: begin -->", "<!-- growth: end -->")
PACKAGES = ("numpy", "FlowIO", "FlowKit", "flowsom", "scanpy", "scipy", "statsmodels", "snakemake")


def measure_peers():
    """Measure every subject.

    Returns
    -------
    list of Row
        In the order of a sample's way through the workflow.
    """
    # After the threads are limited, and where nothing large stands in memory yet.
    import clustering
    import gating
    import libraries
    import paired_tests
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
            (libraries, ()),
            (paired_tests, ()),
        ):
            start = time.perf_counter()
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
                rows += subject.measure(*arguments)
            print(f"{subject.__name__}: {time.perf_counter() - start:.0f} s", flush=True)
    return rows


def machine(load):
    """Say on what was measured.

    Parameters
    ----------
    load
        When measuring began.

    Returns
    -------
    str
        A sentence.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"One of {os.cpu_count()} cores, load {load:.1f} when started; {platform.system()}, "
        f"Python {platform.python_version()}, {versions}."
    )


def document(rows, points, sentence):
    """Write the tables and the figure of docs/benchmarks.md.

    Parameters
    ----------
    rows
        Of `measure_peers`.
    points
        Of `growth.measure`.
    sentence
        Of `machine`.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from document import BENCHMARKS, DOCS, document_table, write_between
    from growth_figure import plot_growth
    from growth_table import growth_tables

    peers = document_table((*COLUMNS, ""), [(*cells_of(row), verdict(row)) for row in rows])
    write_between(PEERS_MARKS, f"{sentence}\n\n{peers}", BENCHMARKS)
    write_between(GROWTH_MARKS, growth_tables(points, document_table), BENCHMARKS)
    plot_growth(points, DOCS / "figures" / "growth.svg")


def main():
    """Measure, write the tables and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--document", action="store_true")
    options = parser.parse_args()
    use_one_core()
    sentence = machine(os.getloadavg()[0])
    rows = measure_peers()
    write_table(options.folder / "peers.tsv", rows)
    print(sentence)
    print_table(rows)

    import growth
    from growth_figure import plot_growth

    points = growth.measure()
    plot_growth(
        points, *(options.folder / f"growth.{kind}" for kind in ("pdf", "svg", "png", "tsv"))
    )
    print(f"written to {options.folder}")
    if options.document:
        document(rows, points, sentence)


if __name__ == "__main__":
    main()
