"""Whether gates and clusters call the same cells by the same name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.vocabulary import depths, load_vocabulary
from biocross.flow.clusters.groups import Group, named_clusters, population_groups
from biocross.flow.events import read_columns
from biocross.flow.gate_membership import Membership, deepest_gates, read_membership
from biocross.tables import read_rows, write_rows

AGREEMENT_COLUMNS = (
    *("sample_id", "population", "n_gate", "n_cluster", "n_both", "precision", "recall", "f1"),
)
SUMMARY_COLUMNS = (
    *("population", "n_samples", "n_gate", "n_cluster", "n_both", "f1", "f1_median", "f1_low"),
    *("f1_high", "status", "note"),
)
CONFUSION_COLUMNS = ("gate", "cluster", "population", "n", "share_of_gate", "share_of_cluster")
# A sample's F1 of fewer cells than this is left out of the median.
FEW_CELLS = 5


class Overlap(NamedTuple):
    """Events of one population by two ways of finding it."""

    gate: int
    cluster: int
    both: int

    @property
    def precision(self) -> float:
        """The share of the cluster's events that lie in the gate."""
        return self.both / self.cluster if self.cluster else float("nan")

    @property
    def recall(self) -> float:
        """The share of the gate's events that the clusters have."""
        return self.both / self.gate if self.gate else float("nan")

    @property
    def f1(self) -> float:
        """Twice the shared events over the sum of both; NaN where neither has any."""
        both = self.gate + self.cluster
        return 2 * self.both / both if both else float("nan")


def contingency(
    combination: NDArray[np.uint16],
    n_combinations: int,
    cluster: NDArray[np.uint16],
    n_clusters: int,
) -> NDArray[np.int64]:
    """Count the events of a sample by combination of gates and cluster.

    Parameters
    ----------
    combination
        Of gates, shape (events,).
    n_combinations
        How many there are.
    cluster
        Shape (events,); 0 for events that were not mapped.
    n_clusters
        Highest number of a cluster.

    Returns
    -------
    ndarray
        Shape (combinations, 1 + clusters).
    """
    code = combination.astype(np.intp) * (n_clusters + 1) + cluster
    counted = np.bincount(code, minlength=n_combinations * (n_clusters + 1))
    return counted.reshape(n_combinations, n_clusters + 1)


def overlap(
    counted: NDArray[np.int64], populations: Sequence[Sequence[str]], group: Group
) -> Overlap:
    """Compare the gate of a population with its clusters in one sample.

    Parameters
    ----------
    counted
        Of `contingency`.
    populations
        By combination, the gates in it.
    group
        The population's clusters.

    Returns
    -------
    Overlap
        Events that were not mapped are in neither.
    """
    mapped = counted[:, 1:]
    inside = np.array([group.population in names for names in populations])
    columns = np.array(group.clusters or (), dtype=np.intp) - 1
    return Overlap(
        int(mapped[inside].sum()),
        int(mapped[:, columns].sum()),
        int(mapped[np.ix_(inside, columns)].sum()),
    )


def compare_clusters_with_gates(
    labels: Sequence[Path | str],
    memberships: Sequence[Path | str],
    annotation: Path | str,
    populations: Path | str,
    least_f1: float,
    agreement_out: Path | str,
    summary_out: Path | str,
    confusion_out: Path | str,
) -> None:
    """Compare gates and clusters, event by event.

    Parameters
    ----------
    labels
        Clusters of the events of every sample, of `map_flow_sample`.
    memberships
        Gates of the events of every patient, of `gate_patient`.
    annotation
        ``annotation.tsv``.
    populations
        ``populations.yaml``.
    least_f1
        A population whose F1 over all samples is lower gets a warning.
    agreement_out
        A row per sample and population that both ways found.
    summary_out
        A row per population, with a warning in words.
    confusion_out
        Events by deepest gate and cluster, over all samples.
    """
    vocabulary = load_vocabulary(Path(populations))
    named = named_clusters(read_rows(annotation))
    groups = {g.population: g for g in population_groups(named, {}, vocabulary) if g.parent}
    n_clusters = max((one.cluster for one in named), default=0)
    membership_of = {
        sample: membership
        for membership in map(read_membership, memberships)
        for sample in membership.combination
    }
    found: list[tuple[str, str, Overlap]] = []
    confusion: dict[str, NDArray[np.int64]] = {}
    depth = depths(vocabulary)
    for path in labels:
        columns, meta = read_columns(path)
        membership, sample = membership_of[meta["sample_id"]], meta["sample_id"]
        if not columns["cluster"].any():
            continue
        counted = contingency(
            membership.combination[sample],
            len(membership.populations),
            columns["cluster"],
            n_clusters,
        )
        found += _overlaps(sample, counted, membership, groups)
        for name, row in zip(
            deepest_gates(membership.populations, depth), counted[:, 1:], strict=True
        ):
            confusion[name] = confusion.get(name, 0) + row
    population_of = {one.cluster: one.population for one in named}
    write_rows(agreement_out, AGREEMENT_COLUMNS, _agreement_rows(found))
    write_rows(summary_out, SUMMARY_COLUMNS, summary_rows(found, [*groups], least_f1))
    write_rows(confusion_out, CONFUSION_COLUMNS, _confusion_rows(confusion, population_of))


def _overlaps(
    sample: str,
    counted: NDArray[np.int64],
    membership: Membership,
    groups: Mapping[str, Group],
) -> Iterator[tuple[str, str, Overlap]]:
    for name in membership.known[sample]:
        if name in groups:
            yield sample, name, overlap(counted, membership.populations, groups[name])


def _agreement_rows(
    found: Iterable[tuple[str, str, Overlap]],
) -> Iterator[dict[str, object]]:
    for sample, population, one in found:
        yield {
            "sample_id": sample,
            "population": population,
            "n_gate": one.gate,
            "n_cluster": one.cluster,
            "n_both": one.both,
            "precision": one.precision,
            "recall": one.recall,
            "f1": one.f1,
        }


def summary_rows(
    found: Sequence[tuple[str, str, Overlap]], populations: Sequence[str], least_f1: float
) -> Iterator[dict[str, object]]:
    """Summarise the agreement on every population.

    Parameters
    ----------
    found
        Sample, population and overlap.
    populations
        In the order of the table.
    least_f1
        Below it the row says what differs.

    Yields
    ------
    dict
        Rows with `SUMMARY_COLUMNS`: events over all samples and their F1, median and quartiles of
        the samples' F1 (of samples with at least `FEW_CELLS` cells by either way).
    """
    for population in populations:
        own = [one for _, name, one in found if name == population]
        if not own:
            continue
        whole = Overlap(*(sum(part) for part in zip(*own, strict=True)))
        each = [one.f1 for one in own if max(one.gate, one.cluster) >= FEW_CELLS]
        low, middle, high = np.quantile(each, [0.25, 0.5, 0.75]) if each else [float("nan")] * 3
        disagree = whole.f1 < least_f1
        yield {
            "population": population,
            "n_samples": len(own),
            "n_gate": whole.gate,
            "n_cluster": whole.cluster,
            "n_both": whole.both,
            "f1": whole.f1,
            "f1_median": float(middle),
            "f1_low": float(low),
            "f1_high": float(high),
            "status": "disagree" if disagree else "agree",
            "note": _what_differs(population, whole) if disagree else "",
        }


def _what_differs(population: str, whole: Overlap) -> str:
    return (
        f"gates and clusters mean different cells by {population}: {whole.gate} in the gate, "
        f"{whole.cluster} in the clusters, {whole.both} in both; look at their markers before "
        "believing either"
    )


def _confusion_rows(
    confusion: Mapping[str, NDArray[np.int64]], population_of: Mapping[int, str]
) -> Iterator[dict[str, object]]:
    if not confusion:
        return
    of_cluster = np.sum([*confusion.values()], axis=0)
    for gate, row in sorted(confusion.items()):
        for position in np.flatnonzero(row):
            n = int(row[position])
            yield {
                "gate": gate or "none",
                "cluster": int(position) + 1,
                "population": population_of.get(int(position) + 1, ""),
                "n": n,
                "share_of_gate": n / int(row.sum()),
                "share_of_cluster": n / int(of_cluster[position]),
            }
