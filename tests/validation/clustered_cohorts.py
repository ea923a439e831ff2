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
from document import document_table, write_between
from validation.gated_cohorts import (
    LOTS_APART,
    PBMC,
    Judged,
    Scenario,
    bias_rows,
    error_rows,
    errors_of,
    judge,
    simulate_cohort,
    true_counts,
)
from validation.whole_run import (
    Run,
    cluster,
    evaluate,
    find_changes,
    gate,
    silence,
)

from biocross.evaluation.events import read_all_labels
from biocross.flow.clusters.groups import MERGED, UNSTABLE
from biocross.flow.clusters.pool import read_pool
from biocross.flow.clusters.stability import N_RERUNS
from biocross.statistics.pairs import read_table

MARKS = ("<!-- clustered cohorts: begin -->", "<!-- clustered cohorts: end -->")
SCENARIOS = {
    "demo": Scenario("the demo", 20_000, 16, 701),
    "pbmc": Scenario("PBMC", 100_000, 8, 702, PBMC),
    "real": Scenario("cells as rare as in blood", 1_000_000, 8, 703, base="biocross"),
    "drift": Scenario("lots 0.1 apart between visits", 60_000, 12, 704, LOTS_APART, True),
}
# Rare populations whose cells in the pool are told.
RARE = ("ILC2", "Tc2")


class Measured(NamedTuple):
    """A cohort that was clustered and gated.

    Parameters
    ----------
    f1
        By population, of `gate` and `cluster`; 0 where clusters did not find it.
    details
        By population, what ``populations.tsv`` of the clusters says.
    pooled
        By population of `RARE`, true cells in the pool that has most of them.
    judged
        Errors and bias of the clusters' frequencies, and their spread beside that of the gates.
    """

    f1: pd.DataFrame
    details: pd.DataFrame
    pooled: Mapping[str, int]
    judged: Judged


def find_populations(scenario: Scenario, folder: Path, n_reruns: int = N_RERUNS) -> Run:
    """Simulate a cohort, gate it, cluster it, and compare both with the truth."""
    with silence():
        run = simulate_cohort(scenario, folder)
        gate(run)
        cluster(run, n_reruns)
        find_changes(run, clusters=True)
        evaluate(run, clusters=True)
    return run


def read_measured(run: Run) -> Measured:
    """Read what was found of the populations that the tissue has."""
    events = read_table(run.path("evaluation", "events.tsv"))
    f1 = events.pivot_table(index="population", columns="source", values="f1", sort=False)
    f1 = f1[f1["gate"].notna()]
    counts = read_table(run.path("counts.tsv"))
    counts = counts[counts["population"].isin(f1.index)]
    by_way = {"clusters": [MERGED, UNSTABLE + MERGED], "gates": ["gate"]}
    errors = {
        way: errors_of(counts[counts["source"].isin(sources)], true_counts(run))
        for way, sources in by_way.items()
    }
    details = read_table(run.path("clusters", "populations.tsv")).set_index("population")
    return Measured(f1, details, pooled_cells(run, RARE), judge(errors))


def pooled_cells(run: Run, populations: Sequence[str]) -> dict[str, int]:
    """Count the true cells of populations in the pool that has most of them."""
    labels = read_all_labels(run.folder, [*run.events()])
    most = dict.fromkeys(populations, 0)
    for path in run.path("clusters").glob("pool_*.arrow"):
        pool = read_pool(path)
        drawn = [
            (labels[meta["sample_id"]], pool.event[pool.sample == position])
            for position, meta in enumerate(pool.meta)
        ]
        for name in populations:
            n_cells = sum(int(truth.of_population(name)[events].sum()) for truth, events in drawn)
            most[name] = max(most[name], n_cells)
    return most


def agreement_rows(scenario: Scenario, one: Measured) -> Iterator[list[str]]:
    """Write how well a cohort's events were told, by clusters and by gates."""
    f1, details = one.f1["cluster"], one.details
    lost = [name for name in f1.index if details.loc[name, "status"] != "found"]
    found = f1.drop(lost).sort_values()
    low = ", ".join(f"{name} {value:.2f}" for name, value in found[found < 0.9].items())
    unsure = [name for name in found.index if details.loc[name, "stable"] != "yes"]
    gates = one.f1.loc[found.index, "gate"].mean()
    yield [
        *(scenario.name, str(len(f1)), f"{f1.mean():.3f}", f"{found.mean():.3f}", f"{gates:.3f}"),
        *(low or "none", ", ".join(lost) or "none", ", ".join(unsure) or "none"),
        ", ".join(f"{name} {n_cells:,}" for name, n_cells in one.pooled.items()),
    ]


def population_rows(measured: Mapping[str, Measured]) -> Iterator[list[str]]:
    """Write the F1 of every population, of the clusters and (of the gates), by cohort."""
    for name in dict.fromkeys(name for one in measured.values() for name in one.f1.index):
        known = [one.f1.loc[name] if name in one.f1.index else None for one in measured.values()]
        cells = ["" if f1 is None else f"{f1['cluster']:.2f} ({f1['gate']:.2f})" for f1 in known]
        yield [name, *cells]


def spread_rows(scenario: Scenario, judged: Judged) -> Iterator[list[str]]:
    """Write what clusters and gates add to the changes."""
    ways = judged.spread[["clusters", "gates"]]
    worst = ways["clusters"].sort_values(ascending=False).head(3)
    yield [
        *(scenario.name, str(len(ways))),
        *(f"{value:.3f}" for value in np.sqrt((ways**2).mean())),
        *(f"{value:.3f}" for value in ways.median()),
        ", ".join(f"{name} {value:.3f}" for name, value in worst.items()),
    ]


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
        *("farthest from 0 by its error", "p < .05", "planted: bias of the true change"),
    ),
    spread_rows: (
        *("cohort", "populations", "SD added to a change, clusters", "gates"),
        *("typical population, clusters", "gates", "largest, clusters"),
    ),
}


def describe_all(measured: Mapping[str, Measured]) -> str:
    """Write the tables of all cohorts."""
    scenarios = {key: SCENARIOS[key] for key in measured}
    agreement = [
        row for key, one in measured.items() for row in agreement_rows(scenarios[key], one)
    ]
    names = [scenario.name for scenario in scenarios.values()]
    parts = [
        document_table(AGREEMENT, agreement),
        document_table(("F1 of clusters (gates)", *names), [*population_rows(measured)]),
    ]
    for rows_of, header in FREQUENCIES.items():
        rows = [row for key, one in measured.items() for row in rows_of(scenarios[key], one.judged)]
        parts.append(document_table(header, rows))
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
            measured[key] = read_measured(find_populations(SCENARIOS[key], Path(folder)))
    tables = describe_all(measured)
    print(tables)
    if options.write:
        write_between(MARKS, tables)


if __name__ == "__main__":
    main()
