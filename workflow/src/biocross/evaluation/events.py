"""Do gates and clusters find the events of a population? Event by event, against the labels."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary
from biocross.flow.clusters.groups import named_clusters, population_groups
from biocross.flow.events import read_columns, read_events
from biocross.flow.gate_membership import Membership, read_membership
from biocross.simulate.flow.labels import Labels, labels_path, read_labels
from biocross.tables import read_rows

GATE, CLUSTER = "gate", "cluster"
# Fewer true cells in all files tell nothing about a population.
LEAST_CELLS = 50
EVENT_COLUMNS = ("source", "population", "true", "found", "both", "precision", "recall", "f1")


class Found(NamedTuple):
    """What one sample's events were found to be.

    `code` has a number for every event, `members` the codes of every population.
    """

    sample: str
    code: NDArray[np.uint16]
    members: Mapping[str, Sequence[int]]


def compare_events(
    labels: Mapping[str, Labels],
    passed: Mapping[str, NDArray[np.bool_]],
    found: Iterator[Found],
    source: str,
) -> pd.DataFrame:
    """Count the events of every population that are true, found, and both.

    Parameters
    ----------
    labels
        What the events are, by sample.
    passed
        Which of them passed the quality steps, by sample; the others are left out.
    found
        What they were found to be.
    source
        `GATE` or `CLUSTER`.

    Returns
    -------
    DataFrame
        Columns `EVENT_COLUMNS`, a row for every population with `LEAST_CELLS` true cells that was
        sought in any sample; f1 is 0 where none was found.
    """
    total: dict[str, NDArray[np.int64]] = {}
    for sample, code, members in found:
        truth, kept = labels[sample], passed[sample]
        for population, codes in members.items():
            true = truth.of_population(population) & kept
            is_in = np.isin(code, np.asarray(codes, code.dtype)) & kept
            sums = [true.sum(), is_in.sum(), (true & is_in).sum()]
            total[population] = total.get(population, np.zeros(3, np.int64)) + sums
    rows = [
        _scores(source, population, *sums.tolist())
        for population, sums in total.items()
        if sums[0] >= LEAST_CELLS
    ]
    return pd.DataFrame(rows, columns=[*EVENT_COLUMNS])


def passed_events(events: Path | str) -> NDArray[np.bool_]:
    """Tell which events of a prepared file passed the quality steps, shape (events,)."""
    passed: NDArray[np.bool_] = read_events(events).quality == 0
    return passed


def gated_events(memberships: Sequence[Path | str]) -> Iterator[Found]:
    """Read which gates the events of all samples lie in."""
    for path in memberships:
        membership = read_membership(path)
        for sample, code in membership.combination.items():
            yield Found(sample, code, _combinations_with(membership, sample))


def clustered_events(
    labels: Mapping[str, Path | str], annotation: Path | str, vocabulary: Vocabulary
) -> Iterator[Found]:
    """Read which clusters the events of all samples are in, merged by their names.

    Parameters
    ----------
    labels
        Files of `map_flow_sample`, by sample.
    annotation
        ``annotation.tsv``.
    vocabulary
        Says what lies within what.
    """
    named = named_clusters(read_rows(annotation))
    groups = population_groups(named, dict.fromkeys(vocabulary, True), vocabulary)
    members = {group.population: [*(group.clusters or ())] for group in groups}
    for sample, path in labels.items():
        yield Found(sample, read_columns(path)[0]["cluster"], members)


def read_all_labels(folder: Path, samples: Sequence[str]) -> dict[str, Labels]:
    """Read what the events of samples are, from the folder of the simulated cohort."""
    return {sample: read_labels(labels_path(folder, sample)) for sample in samples}


def _combinations_with(membership: Membership, sample: str) -> dict[str, list[int]]:
    return {
        name: [i for i, names in enumerate(membership.populations) if name in names]
        for name in membership.known[sample]
    }


def _scores(source: str, population: str, true: int, found: int, both: int) -> tuple[object, ...]:
    precision = both / found if found else float("nan")
    return source, population, true, found, both, precision, both / true, 2 * both / (true + found)
