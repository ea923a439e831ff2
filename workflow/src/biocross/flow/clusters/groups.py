"""Which clusters make up which population: what is counted of a map."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from biocross.cohort.vocabulary import Vocabulary, counted_parent, within

# The map of all events; the others are named after the population that they look at.
MAIN = "main"
# Sources of the long tables. A cluster that other seeds and patients do not find again has a
# source of its own: it is tested, in a family of its own, and never opens a report.
MERGED, SINGLE = "cluster", "single_cluster"
UNSTABLE = "unstable_"


class Named(NamedTuple):
    """What a cluster was named.

    Parameters
    ----------
    cluster
        Its number.
    population
        Of the vocabulary, or `UNASSIGNED`.
    stable
        Whether reruns find it again.
    zoomed
        Whether it is of the map of one population.
    """

    cluster: int
    population: str
    stable: bool
    zoomed: bool = False


class Group(NamedTuple):
    """What is counted: all clusters of a population, or a single one.

    Parameters
    ----------
    source
        Of the long tables.
    population
        Name in the long tables.
    parent
        The denominator; empty for the root.
    clusters
        Their numbers; None where the population has none, so that it has no count, not zero.
    """

    source: str
    population: str
    parent: str
    clusters: tuple[int, ...] | None


def cluster_name(cluster: int) -> str:
    """Name a cluster as the long tables do."""
    return f"cluster_{cluster:02d}"


def population_groups(
    named: Sequence[Named], sought: Mapping[str, bool], vocabulary: Vocabulary
) -> list[Group]:
    """Merge the clusters of every population.

    Parameters
    ----------
    named
        Every cluster.
    sought
        Populations that the panel can tell, and whether they are stable; one without a cluster is
        unknown rather than zero.
    vocabulary
        Says what lies within what.

    Returns
    -------
    list of Group
        In order of the vocabulary. The root holds all clusters, the unassigned ones too.
    """
    inside: dict[str, list[Named]] = {}
    for one in named:
        for name in within(one.population, vocabulary) if one.population in vocabulary else ():
            inside.setdefault(name, []).append(one)
    root = next(name for name, population in vocabulary.items() if population.parent is None)
    inside[root] = [*named]
    counted = {name for name in vocabulary if name in inside or name in sought}
    groups = []
    for name in vocabulary:
        if name not in counted:
            continue
        members = inside.get(name)
        parent = counted_parent(name, vocabulary, inside) or ""
        clusters = tuple(one.cluster for one in members) if members else None
        source = MERGED if sought.get(name, True) or not members else UNSTABLE + MERGED
        groups.append(Group(source, name, parent, clusters))
    return groups


def single_groups(named: Sequence[Named], vocabulary: Vocabulary) -> list[Group]:
    """Take every cluster by itself, in percent of the parent of its population.

    Parameters
    ----------
    named
        Every cluster.
    vocabulary
        Gives the parents.

    Returns
    -------
    list of Group
        In order of the clusters.
    """
    root = next(name for name, population in vocabulary.items() if population.parent is None)
    held = {
        name
        for one in named
        if one.population in vocabulary
        for name in within(one.population, vocabulary)
    } | {root}
    groups = []
    for one in named:
        known = one.population in vocabulary
        parent = counted_parent(one.population, vocabulary, held) if known else root
        source = SINGLE if one.stable else UNSTABLE + SINGLE
        groups.append(Group(source, cluster_name(one.cluster), parent or root, (one.cluster,)))
    return groups


def named_clusters(rows: Sequence[Mapping[str, str]]) -> list[Named]:
    """Read the rows of ``annotation.tsv``.

    Parameters
    ----------
    rows
        With ``cluster, map, population, stable`` and ``used``.

    Returns
    -------
    list of Named
        The clusters that are used, in order of the rows.
    """
    return [
        Named(
            int(row["cluster"]),
            row["population"],
            row["stable"] == "yes",
            row["map"] != MAIN,
        )
        for row in rows
        if row["used"] == "yes"
    ]
