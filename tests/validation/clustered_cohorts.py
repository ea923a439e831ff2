"""Compare clusters, named by the defaults, with the truth of simulated cohorts, event by event.

``python tests/validation/clustered_cohorts.py`` prints the tables; with ``--write`` they replace
their part of docs/validation.md. Cohorts are simulated and prepared as in gated_cohorts.py, and
gated beside. Truth is the population that each event was drawn from; a dead cell or a doublet is
of none.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":  # One thread, before numpy.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from validation.clustering import (
    Result,
    find_clusters,
    find_gates,
    silence,
    simulate,
    write_between,
    write_table,
)
from validation.gated_cohorts import (
    LOTS_APART,
    PBMC,
    Judged,
    Scenario,
    bias_rows,
    error_rows,
    errors_of,
    judge,
)

from biocross.statistics.pairs import read_table

MARKS = ("<!-- clustered cohorts: begin -->", "<!-- clustered cohorts: end -->")
# The sizes of the sources that the demo names: ILC2 are 0.04 % of lymphocytes.
REAL_SIZES = {
    "populations": {"ILC": {"share": 0.001}, "Th2": {"share": 0.021}, "Tc2": {"share": 0.005}}
}
SCENARIOS = {
    "demo": Scenario("the demo", 20_000, 16, {}, False, 701),
    "pbmc": Scenario("PBMC", 100_000, 8, PBMC, False, 702),
    "real": Scenario("rare cells of real size", 500_000, 8, REAL_SIZES, False, 703),
    "drift": Scenario("lots 0.1 apart between visits", 60_000, 12, LOTS_APART, True, 704),
}
PRIMARY = ("eosinophils", "ILC2", "Th2", "Tc2")


class Measured(NamedTuple):
    """A cohort that was clustered and gated.

    Parameters
    ----------
    clusters, gates
        What either found.
    judged
        Errors and bias of the clusters' frequencies; its `spread` has the clusters as `patient`
        and the gates as `sample`.
    """

    clusters: Result
    gates: Result
    judged: Judged


def measure(scenario: Scenario, folder: Path) -> Measured:
    """Simulate a cohort, cluster it, gate it, and judge both."""
    with silence():
        cohort = simulate(scenario, folder)
        clusters, gates = find_clusters(cohort, folder / "clusters"), find_gates(cohort)
    return judge_both(clusters, gates, read_table(cohort.prepared.truth))


def judge_both(clusters: Result, gates: Result, truth: pd.DataFrame) -> Measured:
    """Judge clusters and gates by the populations that the tissue has."""
    counts = clusters.counts[clusters.counts["population"].isin(gates.events.index)]
    events = clusters.events[clusters.events.index.isin(gates.events.index)]
    clusters = clusters._replace(events=events, counts=counts)
    both = {"patient": clusters.counts, "sample": gates.counts}
    judged = judge({way: errors_of(counts, truth) for way, counts in both.items()})
    return Measured(clusters, gates, judged)


def agreement_rows(scenario: Scenario, one: Measured) -> Iterator[str]:
    """Write how well a cohort's events were told, by clusters and by gates."""
    f1, details = one.clusters.f1, one.clusters.details
    lost = [name for name in f1.index if details.loc[name, "status"] != "found"]
    found = f1.drop(lost).sort_values()
    low = ", ".join(f"{name} {value:.2f}" for name, value in found[found < 0.9].items())
    unsure = [name for name in found.index if details.loc[name, "stable"] != "yes"]
    pooled = ", ".join(f"{name} {details.loc[name, 'pooled']:.0f}" for name in ("ILC2", "Tc2"))
    gates = one.gates.f1.reindex(found.index).mean()
    yield (
        f"| {scenario.name} | {len(f1)} | {f1.mean():.3f} | {found.mean():.3f} | {gates:.3f} "
        f"| {low or 'none'} | {', '.join(lost) or 'none'} | {', '.join(unsure) or 'none'} "
        f"| {pooled} |"
    )


def population_rows(measured: Mapping[str, Measured]) -> Iterator[str]:
    """Write the F1 of every population, of the clusters and (of the gates), by cohort."""
    names = dict.fromkeys(name for one in measured.values() for name in one.clusters.f1.index)
    for name in names:
        cells = [
            f"{one.clusters.f1[name]:.2f} ({one.gates.f1[name]:.2f})"
            if name in one.clusters.f1
            else ""
            for one in measured.values()
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def spread_rows(scenario: Scenario, judged: Judged) -> Iterator[str]:
    """Write what clusters and gates add to the changes."""
    table = judged.spread
    clusters, gates = (np.sqrt(np.mean(np.square(table[way]))) for way in ("patient", "sample"))
    worst = table["patient"].sort_values(ascending=False).head(3)
    largest = ", ".join(f"{name} {value:.3f}" for name, value in worst.items())
    yield (
        f"| {scenario.name} | {len(table)} | {clusters:.3f} | {gates:.3f} "
        f"| {table['patient'].median():.3f} | {table['sample'].median():.3f} | {largest} |"
    )


AGREEMENT = (
    *("cohort", "populations", "mean F1", "of those found", "gates, of the same"),
    *("found, F1 below .9", "no cluster", "unstable", "true cells in the pool"),
)
FREQUENCIES = {
    error_rows: (
        *("cohort", "true frequency", "populations", "median error", "largest errors"),
        *("target of gates", "missed"),
    ),
    bias_rows: (
        *("cohort", "populations that nothing was planted in", "mean bias", "largest"),
        *("farthest from 0 by its error", "p < .05", "planted: bias of the true log change"),
    ),
    spread_rows: (
        *("cohort", "populations", "SD added to a change, clusters", "gates"),
        *("typical population, clusters", "gates", "largest, clusters"),
    ),
}


def describe_all(measured: Mapping[str, Measured]) -> str:
    """Write the tables of all cohorts."""
    names = [f"{SCENARIOS[key].name}" for key in measured]
    agreement = [
        row for key, one in measured.items() for row in agreement_rows(SCENARIOS[key], one)
    ]
    parts = [
        write_table(AGREEMENT, agreement),
        write_table(("F1 of clusters (gates)", *names), population_rows(measured)),
    ]
    for rows_of, header in FREQUENCIES.items():
        rows = [row for key, one in measured.items() for row in rows_of(SCENARIOS[key], one.judged)]
        parts.append(write_table(header, rows))
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and write them into the document where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    measured = {}
    for key in options.cohorts:
        with tempfile.TemporaryDirectory() as folder:
            measured[key] = measure(SCENARIOS[key], Path(folder))
    tables = describe_all(measured)
    print(tables)
    if options.write:
        write_between(MARKS, tables)


if __name__ == "__main__":
    main()
