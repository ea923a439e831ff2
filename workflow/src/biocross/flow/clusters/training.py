"""Make the cohort's map: nodes, clusters of nodes, and how far these can be relied on."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import Channel, load_panel
from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.errors import ConfigError, DesignError
from biocross.flow.clusters.consensus import Candidate, join_nodes
from biocross.flow.clusters.flow_map import FlowMap, Maps, Zoom, write_maps
from biocross.flow.clusters.groups import MAIN
from biocross.flow.clusters.leiden import find_communities
from biocross.flow.clusters.lineage_negative import (
    LineageBorder,
    is_lineage_negative,
    lineage_borders,
    lineage_signs,
)
from biocross.flow.clusters.pool import Pool, pool_events, shared_markers, write_pool
from biocross.flow.clusters.stability import N_RERUNS, STABLE, Stability, cluster_stability
from biocross.flow.evenly import evenly
from biocross.flow.som import SelfOrganisingMap, marker_ranges
from biocross.flow.transform_table import zeros_by_marker
from biocross.tables import write_rows

CLUSTER_COLUMNS = (
    *("cluster", "map", "n_pool", "percent", "stability", "over_seeds", "over_patients", "stable"),
)
RERUN_COLUMNS = ("map", "kind", "rerun", "cluster", "other", "n")
NUMBER_COLUMNS = ("map", *Candidate._fields)
# Numbers of clusters to choose from, as shares of the nodes.
CANDIDATES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
# Below this many events a second map could not tell anything.
LEAST_ZOOM_EVENTS = 500
# A sample that gives less than this share of what others give is named.
SMALL_SHARE = 0.1
# Reruns that measure stability read so many events.
RERUN_EVENTS = 30_000


class Recipe(NamedTuple):
    """How events become clusters.

    Parameters
    ----------
    method
        ``som`` or ``leiden``.
    grid
        Nodes along each side of the map.
    number
        Clusters; None for as many as hold.
    seed
        Of everything that is drawn.
    reruns
        Of each kind, by which stability is judged.
    """

    method: str
    grid: int
    number: int | None
    seed: int
    reruns: int = N_RERUNS


class Trained(NamedTuple):
    """A map, what it was chosen from, and how its clusters come back."""

    map: FlowMap
    curve: tuple[Candidate, ...]
    cluster: NDArray[np.uint16]
    stability: Stability


class Layer(NamedTuple):
    """A trained map and where it belongs.

    Parameters
    ----------
    name
        ``main``, or the population it looks at.
    trained
        The map.
    pool
        The events it was made of.
    percent
        Of the cohort's events that it looks at.
    """

    name: str
    trained: Trained
    pool: Pool
    percent: float

    def numbered_on(self, before: "Layer") -> "Layer":
        """Number the clusters on from those of the layer before."""
        first = before.trained.map.cluster_of_node.max()
        own = self.trained.map
        numbered = own._replace(cluster_of_node=own.cluster_of_node + first)
        cluster = self.trained.cluster + first
        return self._replace(trained=self.trained._replace(map=numbered, cluster=cluster))


def train_flow_map(
    events: Sequence[Path | str],
    panel: Path | str,
    transforms: Path | str,
    populations: Path | str,
    method: str,
    grid: int,
    number: int | None,
    zoom: Sequence[str],
    zoom_grid: int,
    zoom_number: int | None,
    events_per_sample: int,
    seed: int,
    map_out: Path | str,
    pool_out: Path | str,
    zoom_pools_out: Sequence[Path | str],
    clusters_out: Path | str,
    numbers_out: Path | str,
    reruns_out: Path | str,
    n_reruns: int = N_RERUNS,
) -> None:
    """Find the clusters of a cohort.

    Parameters
    ----------
    events
        Prepared events of all samples that are not stimulated.
    panel, transforms, populations
        ``panel.tsv``, the cohort's transforms, and ``populations.yaml``.
    method, grid, number, seed
        See `Recipe`.
    zoom, zoom_grid, zoom_number
        Populations that get maps of their own, and nodes and clusters of these.
    events_per_sample
        How many events of each sample the map is made of.
    map_out
        The map; see `write_maps`.
    pool_out, zoom_pools_out
        The events that the first map was made of, and those of each population's own; empty
        where it could not be had.
    clusters_out
        A row per cluster: its size and stability.
    numbers_out
        A row per number of clusters that was tried.
    reruns_out
        Events that the clusters share with those of every rerun, so that the stability of what is
        merged from them can be told too.
    n_reruns
        How often the clusters are sought again with other seeds, and with resampled patients.

    Raises
    ------
    DesignError
        The samples have no lineage marker in common, or no events.
    """
    pool, axes = _pooled(events, load_panel(Path(panel)), events_per_sample, seed)
    layers = [
        Layer(MAIN, train(pool, axes, Recipe(method, grid, number, seed, n_reruns)), pool, 100.0)
    ]
    closer_recipe = Recipe(method, zoom_grid, zoom_number, seed, n_reruns)
    zooms: list[Zoom] = []
    vocabulary, zeros = load_vocabulary(Path(populations)), zeros_by_marker(transforms)
    for population, path in zip(zoom, zoom_pools_out, strict=True):
        borders = _borders_of(population, pool, axes, vocabulary, zeros)
        closer = (
            _look_closer(events, pool, axes, population, borders, closer_recipe)
            if borders
            else None
        )
        if closer is not None:
            layers.append(closer.numbered_on(layers[-1]))
            zooms.append(Zoom(population, tuple(borders), layers[-1].trained.map))
        write_pool(path, closer.pool if closer else pool_events([], [*pool.values], 1, seed))
    write_maps(map_out, Maps(layers[0].trained.map, tuple(zooms)))
    write_pool(pool_out, pool)
    write_rows(clusters_out, CLUSTER_COLUMNS, _cluster_rows(layers))
    tried = ({"map": layer.name} | one._asdict() for layer in layers for one in layer.trained.curve)
    write_rows(numbers_out, NUMBER_COLUMNS, tried)
    write_rows(reruns_out, RERUN_COLUMNS, _rerun_rows(layers))


def _pooled(
    events: Sequence[Path | str], channels: Sequence[Channel], events_per_sample: int, seed: int
) -> tuple[Pool, list[str]]:
    """Draw the events that the map of all is made of, and say which markers span it."""
    lineage = [c.marker for c in channels if c.kind == "lineage"]
    measured = [c.marker for c in channels if c.kind in ("scatter", "lineage", "state")]
    shared, without = shared_markers(events, lineage)
    for marker, samples in without.items():
        print(f"{marker} is no axis of the map: {', '.join(samples)} lack it")
    pool = pool_events(events, measured, events_per_sample, seed)
    axes = _varying(pool, shared)
    if not axes or not pool.sample.size:
        raise DesignError(
            "no clusters can be found: the samples have no varying lineage marker in common "
            "(kind lineage in the panel), or no events that pass; set flow.clusters.method to none"
        )
    print(f"{pool.sample.size} events of {len(pool.meta)} samples, {len(axes)} markers")
    _tell_of_small_samples(pool)
    return pool, axes


def _tell_of_small_samples(pool: Pool) -> None:
    """Say which samples have far fewer events than the others, and so hardly shape the map."""
    sizes = np.bincount(pool.sample, minlength=len(pool.meta))
    for meta, size in zip(pool.meta, sizes.tolist(), strict=True):
        if size < SMALL_SHARE * sizes.max():
            print(f"{meta['sample_id']} gives {size} events, others {sizes.max()}")


def _varying(pool: Pool, markers: Sequence[str]) -> list[str]:
    """Leave out markers that have one value: they say nothing, and have no range."""
    constant = [m for m in markers if pool.values[m].size and np.ptp(pool.values[m]) == 0]
    if constant:
        print(f"{', '.join(constant)} are no axes of the map: they have one value throughout")
    return [marker for marker in markers if marker not in constant]


def train(pool: Pool, axes: Sequence[str], recipe: Recipe) -> Trained:
    """Cluster pooled events, and cluster parts of them again to see which clusters come back.

    Parameters
    ----------
    pool
        The events.
    axes
        Markers that span the map.
    recipe
        How.

    Returns
    -------
    Trained
        Clusters from 1, the largest first.
    """
    values = pool.matrix(axes)
    scale = marker_ranges(values)
    values = values / scale
    nodes, cluster_of_node, curve = _cluster(values, recipe)
    one = FlowMap(tuple(axes), scale, nodes, cluster_of_node)
    cluster = one.clusters_of(pool.values)
    patients = np.unique([m["patient_id"] for m in pool.meta], return_inverse=True)[1]
    some = evenly(np.arange(len(values)), RERUN_EVENTS)
    number = int(cluster_of_node.max())

    def again(events: NDArray[np.intp], seed: int) -> NDArray[np.uint16]:
        part = values[some[events]]
        fresh = recipe._replace(number=number, seed=seed)
        other_nodes, other_clusters, _ = _cluster(part, fresh)
        return FlowMap(tuple(axes), np.ones_like(scale), other_nodes, other_clusters).clusters_of(
            dict(zip(axes, part.T, strict=True))
        )

    found = cluster_stability(
        *(cluster[some], again, patients[pool.sample[some]], recipe.reruns, recipe.seed)
    )
    return Trained(one, curve, cluster, found)


def _cluster(
    values: NDArray[np.float32], recipe: Recipe
) -> tuple[NDArray[np.float32], NDArray[np.uint16], tuple[Candidate, ...]]:
    """Return nodes, the cluster of each, and the numbers that were tried."""
    if recipe.method == "leiden":
        found = find_communities(values, seed=recipe.seed)
        return found.nodes, found.node_clusters, ()
    som = SelfOrganisingMap(recipe.grid, recipe.grid, seed=recipe.seed).fit(values)
    n_nodes = recipe.grid**2
    numbers = [max(2, round(share * n_nodes)) for share in CANDIDATES]
    chosen = recipe.number or numbers
    joined = join_nodes(som.nodes_, chosen, som.sizes_, seed=recipe.seed)
    return som.nodes_, joined.clusters, joined.curve


def _borders_of(
    population: str,
    pool: Pool,
    axes: Sequence[str],
    vocabulary: Vocabulary,
    zeros: Mapping[str, float],
) -> list[LineageBorder]:
    """Find what an event must have and lack to be looked at; nothing where that is not known."""
    try:
        signs = lineage_signs(vocabulary, axes, population)
    except ConfigError as error:
        print(f"no map of {population}: {error}")
        return []
    return lineage_borders(pool.values, signs, zeros)


def _look_closer(
    events: Sequence[Path | str],
    pool: Pool,
    axes: Sequence[str],
    population: str,
    borders: Sequence[LineageBorder],
    recipe: Recipe,
) -> Layer | None:
    """Make the map of one population; None where there are too few events."""
    percent = 100 * float(is_lineage_negative(pool.values, borders).mean())
    each = max(1, pool.sample.size // max(len(pool.meta), 1))
    close = pool_events(
        events,
        [*pool.values],
        each,
        recipe.seed,
        among=lambda sample: is_lineage_negative(sample.values, borders),
    )
    # What all of them have or lack tells them apart no more.
    divided = {border.marker for border in borders}
    rest = _varying(close, [marker for marker in axes if marker not in divided])
    print(f"map of {population}: {close.sample.size} events that may be such")
    if close.sample.size < LEAST_ZOOM_EVENTS:
        print(f"no map of {population}: fewer than {LEAST_ZOOM_EVENTS} events")
        return None
    if not rest:
        print(f"no map of {population}: no marker is left that could tell its parts")
        return None
    found = train(close, rest, recipe)
    return Layer(population, found, close, percent)


def _cluster_rows(layers: Sequence[Layer]) -> Iterator[dict[str, Any]]:
    for name, one, pool, percent in layers:
        size, found = np.bincount(one.cluster), one.stability
        for position, cluster in enumerate(np.unique(one.map.cluster_of_node).tolist()):
            n_pool = int(size[cluster]) if cluster < size.size else 0
            # The last clusters may be too small to have an event among those of the reruns.
            seen = position < len(found.stability)
            stability, seeds, patients = (
                float(values[position]) if seen else float("nan")
                for values in (found.stability, found.over_seeds, found.over_patients)
            )
            yield {
                "cluster": cluster,
                "map": name,
                "n_pool": n_pool,
                "percent": percent * n_pool / max(pool.sample.size, 1),
                "stability": stability,
                "over_seeds": seeds,
                "over_patients": patients,
                "stable": stability >= STABLE,
            }


def _rerun_rows(layers: Sequence[Layer]) -> Iterator[dict[str, Any]]:
    for name, one, _, _ in layers:
        numbers = np.unique(one.map.cluster_of_node).tolist()
        for kind in ("seeds", "patients"):
            for rerun, both in enumerate(getattr(one.stability, kind)):
                for position, other in zip(*np.nonzero(both), strict=True):
                    yield {
                        "map": name,
                        "kind": kind,
                        "rerun": rerun,
                        "cluster": numbers[position],
                        "other": int(other),
                        "n": int(both[position, other]),
                    }
