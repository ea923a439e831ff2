"""Compare settings of the clusters on the cohorts of clustered_cohorts.py.

``python tests/validation/cluster_settings.py`` prints the table; with ``--write`` it replaces its
part of docs/validation.md.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # One thread, before numpy.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from document import document_table, write_between
from validation.clustered_cohorts import SCENARIOS
from validation.gated_cohorts import simulate_cohort
from validation.whole_run import Run, map_samples, silence, train

from biocross.cohort.vocabulary import load_vocabulary
from biocross.evaluation.events import (
    CLUSTER,
    clustered_events,
    compare_events,
    passed_events,
    read_all_labels,
)

MARKS = ("<!-- settings of clusters: begin -->", "<!-- settings of clusters: end -->")
# What the defaults are compared with.
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults (20 x 20 nodes and 100 clusters where a map zooms in)": {},
    **{
        name: {"zoom_grid": 10, "zoom_number": changes.get("number", 40)} | changes
        for name, changes in {
            "10 x 10 nodes, 40 clusters on every map": {},
            "30 clusters": {"number": 30},
            "60 clusters": {"number": 60},
            "14 x 14 nodes": {"grid": 14},
            "20 x 20 nodes": {"grid": 20},
            "14 x 14 nodes, 80 clusters": {"grid": 14, "number": 80},
            "20 x 20 nodes, 60 clusters": {"grid": 20, "number": 60},
            "20 x 20 nodes, 100 clusters": {"grid": 20, "number": 100},
            "14 x 14 nodes on every map, 100 clusters": {
                **{"grid": 14, "number": 100, "zoom_grid": 14}
            },
            "20 x 20, zoom 14 x 14, 100 clusters": {"grid": 20, "number": 100, "zoom_grid": 14},
            "20 x 20 nodes on every map, 100 clusters": {
                **{"grid": 20, "number": 100, "zoom_grid": 20}
            },
            "20 x 20 nodes on every map, 200 clusters": {
                **{"grid": 20, "number": 200, "zoom_grid": 20}
            },
            "no zoom": {"zoom": []},
            "5,000 events a sample": {"events_per_sample": 5_000},
            "20,000 events a sample": {"events_per_sample": 20_000},
        }.items()
    },
}
SEED = 1
PRIMARY = ("eosinophils", "ILC2", "Th2", "Tc2")


def try_settings(run: Run, **changes: Any) -> tuple[pd.DataFrame, float]:
    """Cluster a cohort, with one rerun of each kind in place of ten.

    Parameters
    ----------
    run
        Its files are prepared.
    **changes
        Settings of ``flow.clusters`` that are not the defaults.

    Returns
    -------
    events
        Of `compare_events`.
    seconds
        Of the processor, for training and naming.
    """
    start = time.process_time()
    train(run, n_reruns=1, **changes)
    seconds = time.process_time() - start
    map_samples(run)
    mapped = {name: run.path("clusters", f"{name}.labels") for name in run.events()}
    vocabulary = load_vocabulary(Path(run.inputs["populations"]))
    found = clustered_events(mapped, run.path("clusters", "annotation.tsv"), vocabulary)
    passed = {name: passed_events(path) for name, path in run.events().items()}
    return compare_events(read_all_labels(run.folder, [*mapped]), passed, found, CLUSTER), seconds


def compare_settings(keys: Sequence[str]) -> list[dict[str, Any]]:
    """Measure every one of `SETTINGS` on some cohorts."""
    found: list[dict[str, Any]] = []
    for key in keys:
        with tempfile.TemporaryDirectory() as name, silence():
            run = simulate_cohort(SCENARIOS[key], Path(name))
            for setting, changes in SETTINGS.items():
                events, seconds = try_settings(run, seed=SEED, **changes)
                scores = settings_scores(events) | {"seconds": seconds}
                found.append({"setting": setting, "cohort": key, **scores})
    return found


def settings_scores(events: pd.DataFrame) -> dict[str, Any]:
    """Summarise a run: mean F1, the least of the primary populations, how many were not found."""
    primary = events["population"].isin(PRIMARY)
    return {
        "mean": events["f1"].mean(),
        "primary": events.loc[primary, "f1"].min(),
        "lost": int((events["found"] == 0).sum()),
    }


def settings_rows(found: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Iterator[list[str]]:
    """Write a row per setting: by cohort the mean F1, and the least of the primary populations."""
    for setting in dict.fromkeys(one["setting"] for one in found):
        of_cohort = {one["cohort"]: one for one in found if one["setting"] == setting}
        cells = [
            f"{of_cohort[key]['mean']:.3f} ({of_cohort[key]['primary']:.2f})"
            if key in of_cohort
            else ""
            for key in keys
        ]
        lost = " + ".join(str(of_cohort[key]["lost"]) for key in keys if key in of_cohort)
        seconds = np.mean([one["seconds"] for one in of_cohort.values()])
        yield [setting, *cells, lost, f"{seconds:.0f}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it into the document where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    names = [SCENARIOS[key].name for key in options.cohorts]
    rows = settings_rows(compare_settings(options.cohorts), options.cohorts)
    table = document_table(("settings", *names, "not found", "seconds"), [*rows])
    print(table)
    if options.write:
        write_between(MARKS, table)


if __name__ == "__main__":
    main()
