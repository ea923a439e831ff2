"""Cluster, name and map simulated cohorts, and compare every event with what it is."""

import contextlib
import functools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from validation.gated_cohorts import (
    DOCUMENT,
    ROOT,
    Prepared,
    Scenario,
    describe,
    gate_cohort,
    prepare_cohort,
)

from biocross.cohort.config import complete_config
from biocross.cohort.vocabulary import load_vocabulary
from biocross.flow.clusters import training
from biocross.flow.clusters.groups import MERGED, UNSTABLE, named_clusters, population_groups
from biocross.flow.clusters.mapping import map_flow_sample
from biocross.flow.clusters.naming import name_clusters
from biocross.flow.clusters.pool import read_pool
from biocross.flow.clusters.stability import N_RERUNS, cluster_stability
from biocross.flow.events import read_columns, read_events
from biocross.flow.gate_membership import Membership, read_membership
from biocross.simulate.flow import cohort as simulation
from biocross.simulate.flow.cells import LIVE, Events
from biocross.simulate.study import read_study
from biocross.statistics.pairs import read_table
from biocross.tables import read_rows

POPULATIONS = ROOT / "config" / "populations.yaml"
# Fewer true cells in all files tell nothing about a population.
LEAST_CELLS = 50


class Cohort(NamedTuple):
    """A cohort of prepared files, and what each of their events is.

    Parameters
    ----------
    prepared
        The files.
    kinds
        By population, which kinds of cells are of it, shape (kinds,); the last kind is none.
    kind_of_event
        By sample, shape (events,).
    """

    prepared: Prepared
    kinds: dict[str, NDArray[np.bool_]]
    kind_of_event: dict[str, NDArray[np.uint8]]


class Result(NamedTuple):
    """What was found in a cohort.

    Parameters
    ----------
    events
        By population, of all events that passed: how many are `true`, `found`, and `both`.
    counts
        As of `gate_patient` and `map_flow_sample`.
    details
        By population, for clusters: what ``populations.tsv`` says, and true cells that were pooled.
    seconds
        Of the processor, for training and naming.
    """

    events: pd.DataFrame
    counts: pd.DataFrame
    details: pd.DataFrame
    seconds: float = 0.0

    @property
    def f1(self) -> pd.Series:
        """F1 of every population of `LEAST_CELLS` cells or more; 0 where it was not found."""
        known = self.events[self.events["true"] >= LEAST_CELLS]
        return 2 * known["both"] / (known["true"] + known["found"])


def simulate(scenario: Scenario, folder: Path) -> Cohort:
    """Simulate and prepare a cohort, and keep what each event is."""
    study = read_study(describe(scenario))
    none, drawn = len(study.leaves), []
    draw = simulation.draw_events

    def drawn_and_kept(*arguments: Any) -> Events:
        events = draw(*arguments)
        drawn.append(np.where(events.fate == LIVE, events.code, none).astype(np.uint8))
        return events

    with mock.patch.object(simulation, "draw_events", drawn_and_kept):
        prepared = prepare_cohort(scenario, folder)
    names = [row["sample_id"] for row in read_rows(folder / "samples.tsv")]
    kinds = {
        name: np.array([*(name in study.lineage_of(leaf) for leaf in study.leaves), False])
        for name in study.reported
    }
    return Cohort(prepared, kinds, dict(zip(names, drawn, strict=True)))


def clustering_defaults() -> dict[str, Any]:
    """Return the settings that a configuration has unless it says otherwise."""
    least = {"inputs": {"patients": "patients.tsv"}, "design": {"levels": ["before", "after"]}}
    return dict(complete_config(least)["flow"]["clusters"])


def train(
    cohort: Cohort,
    folder: Path,
    n_reruns: int = N_RERUNS,
    **changes: Any,
) -> float:
    """Train and name as the workflow does, with its defaults but for some changes.

    Parameters
    ----------
    cohort
        The cohort.
    folder
        Receives the files of the workflow.
    n_reruns
        Of each kind, which measure stability.
    **changes
        Settings of ``flow.clusters`` that are not the defaults.

    Returns
    -------
    float
        Seconds of the processor.
    """
    folder.mkdir(exist_ok=True)
    settings = clustering_defaults() | changes
    prepared, pools = cohort.prepared, pools_of(folder, settings["zoom"])
    named = ("method", "grid", "number", "zoom", "zoom_grid", "zoom_number", "events_per_sample")
    recipe = [settings[name] for name in named]
    maps, clusters, reruns = (folder / n for n in ("map.arrow", "clusters.tsv", "reruns.tsv"))
    start = time.process_time()
    rerun = functools.partial(cluster_stability, n_reruns=n_reruns)
    with mock.patch.object(training, "cluster_stability", rerun):
        training.train_flow_map(
            *([*files_of(cohort).values()], prepared.panel, prepared.transforms, POPULATIONS),
            *(*recipe, settings["seed"], maps, pools[0], pools[1:], clusters),
            *(folder / "numbers.tsv", reruns),
        )
    name_clusters(
        *(maps, pools, clusters, reruns, prepared.transforms, POPULATIONS, None),
        *(folder / "annotation.tsv", folder / "populations.tsv"),
    )
    return time.process_time() - start


def files_of(cohort: Cohort) -> dict[str, Path]:
    """Return the prepared events by sample."""
    return {path.stem: path for paths in cohort.prepared.events.values() for path in paths}


def pools_of(folder: Path, zoom: Sequence[str]) -> list[Path]:
    """Return where the pool of the first map lies, and those of the others."""
    return [folder / f"pool_{name}.arrow" for name in ("main", *zoom)]


def find_clusters(cohort: Cohort, folder: Path, n_reruns: int = N_RERUNS, **changes: Any) -> Result:
    """Train, name, map and count as the workflow does; see `train`."""
    seconds = train(cohort, folder, n_reruns, **changes)
    annotation, found = folder / "annotation.tsv", folder / "populations.tsv"
    counts, labels = [], {}
    for name, path in files_of(cohort).items():
        out = [folder / f"{name}.{kind}" for kind in ("labels", "counts", "expression")]
        map_flow_sample(
            *(path, folder / "map.arrow", annotation, found, cohort.prepared.panel),
            *(POPULATIONS, "", *out),
        )
        labels[name] = read_columns(out[0])[0]["cluster"]
        counts.append(read_table(out[1]))
    table = pd.concat(counts, ignore_index=True)
    merged = table[table["source"].isin([MERGED, UNSTABLE + MERGED])]
    details = pd.DataFrame(read_rows(found)).set_index("population")
    zoom = changes.get("zoom", clustering_defaults()["zoom"])
    details["pooled"] = pd.Series(_pooled(cohort, pools_of(folder, zoom)))
    return Result(compare_clusters(cohort, labels, annotation), merged, details, seconds)


def compare_clusters(
    cohort: Cohort, labels: Mapping[str, NDArray[np.uint16]], annotation: Path
) -> pd.DataFrame:
    """Compare what events are with the populations that their clusters were named; see `Result`."""
    named = named_clusters(read_rows(annotation))
    groups = population_groups(named, {}, load_vocabulary(POPULATIONS))
    members = {group.population: [*(group.clusters or ())] for group in groups}
    return compare_events(cohort, ((name, code, members) for name, code in labels.items()))


def find_gates(cohort: Cohort) -> Result:
    """Gate the cohort with the default strategy; what the tissue does not have is left out."""
    counts = gate_cohort(cohort.prepared, "patient")
    known = counts.loc[counts["count"].notna(), "population"].unique()
    gated = (
        (name, code, _combinations_with(membership))
        for patient in cohort.prepared.events
        for membership in [
            read_membership(cohort.prepared.folder / "patient" / f"{patient}.membership")
        ]
        for name, code in membership.combination.items()
    )
    compared = compare_events(cohort, gated)
    return Result(compared[compared.index.isin(known)], counts, pd.DataFrame())


def _combinations_with(membership: Membership) -> dict[str, list[int]]:
    every = dict.fromkeys(name for names in membership.populations for name in names)
    return {
        name: [i for i, names in enumerate(membership.populations) if name in names]
        for name in every
    }


def compare_events(
    cohort: Cohort, found: Iterable[tuple[str, NDArray[np.uint16], Mapping[str, Sequence[int]]]]
) -> pd.DataFrame:
    """Compare what events are with what they were found to be.

    Parameters
    ----------
    cohort
        Says what they are.
    found
        Per sample its name, a code of every event, and the codes of every population.

    Returns
    -------
    DataFrame
        See `Result`; events that a quality step flagged are left out.
    """
    n_kinds = len(next(iter(cohort.kinds.values())))
    total = np.zeros((len(cohort.kinds), 3), dtype=np.int64)
    paths = files_of(cohort)
    for name, code, members in found:
        passed = read_events(paths[name]).quality == 0
        kind = cohort.kind_of_event[name]
        counted = np.zeros((n_kinds, int(code.max(initial=0)) + 1), dtype=np.int64)
        np.add.at(counted, (kind[passed], code[passed]), 1)
        for row, (population, own) in enumerate(cohort.kinds.items()):
            codes = [one for one in members.get(population, ()) if one < counted.shape[1]]
            inside = counted[:, codes]
            total[row] += [counted[own].sum(), inside.sum(), inside[own].sum()]
    return pd.DataFrame(total, index=[*cohort.kinds], columns=["true", "found", "both"])


def _pooled(cohort: Cohort, pools: Sequence[Path]) -> dict[str, int]:
    """Count a population's true cells in the pool that has most of them."""
    most = dict.fromkeys(cohort.kinds, 0)
    for pool in map(read_pool, pools):
        names = [meta["sample_id"] for meta in pool.meta]
        kinds = [
            cohort.kind_of_event[name][pool.event[pool.sample == position]]
            for position, name in enumerate(names)
        ]
        size = np.bincount(np.concatenate(kinds), minlength=256)
        for population, own in cohort.kinds.items():
            most[population] = max(most[population], int(size[: own.size][own].sum()))
    return most


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send what the steps print to nowhere."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        yield


def write_table(header: Sequence[str], rows: Iterable[str]) -> str:
    """Write a table in Markdown."""
    return "\n".join([f"| {' | '.join(header)} |", "|---" * len(header) + "|", *rows])


def write_between(marks: tuple[str, str], tables: str) -> None:
    """Replace what stands between two marks of the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    start, end = text.index(marks[0]) + len(marks[0]), text.index(marks[1])
    DOCUMENT.write_text(f"{text[:start]}\n{tables}\n{text[end:]}", encoding="utf-8")
