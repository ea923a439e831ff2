"""Name the clusters of a cohort's map, and say which populations have none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.vocabulary import UNASSIGNED, Vocabulary, load_vocabulary, within
from biocross.flow.clusters.annotation import (
    AnnotatedClusters,
    Annotation,
    annotate_clusters,
)
from biocross.flow.clusters.flow_map import Maps, read_maps
from biocross.flow.clusters.groups import MAIN
from biocross.flow.clusters.label_sheet import apply_labels, read_cluster_labels
from biocross.flow.clusters.pool import Pool, read_pool
from biocross.flow.clusters.stability import STABLE, union_stability
from biocross.flow.transform_table import zeros_by_marker
from biocross.tables import read_rows, write_rows

ANNOTATION_COLUMNS = (
    *("map_id", "cluster", "map", "population", "score", "margin", "runner_up", "words"),
    *("given_by", "percent", "n_pool", "stability", "stable", "used", "note"),
)
POPULATION_COLUMNS = (
    "population",
    "status",
    "n_clusters",
    "percent",
    "stability",
    "stable",
    "note",
)


def name_clusters(
    maps: Path | str,
    pools: Sequence[Path | str],
    clusters: Path | str,
    reruns: Path | str,
    transforms: Path | str,
    populations: Path | str,
    labels: Path | str | None,
    annotation_out: Path | str,
    populations_out: Path | str,
) -> None:
    """Name every cluster by its markers, or as people say it is.

    Parameters
    ----------
    maps, clusters, reruns
        Of `train_flow_map`.
    pools
        The events of the first map, and those of the other maps.
    transforms
        The cohort's transforms.
    populations
        ``populations.yaml``.
    labels
        ``cluster_labels.tsv``, or None.
    annotation_out
        A row per cluster.
    populations_out
        A row per population of the vocabulary that has a phenotype: ``found``, ``no_cluster``
        (the panel could tell it, but no cluster is of its kind) or ``not_in_panel``.

    Raises
    ------
    ConfigError
        The sheet of labels names what is not there, or is of another map.
    """
    vocabulary = load_vocabulary(Path(populations))
    cohort_maps = read_maps(maps)
    # A population whose map could not be had has an empty pool.
    first, *others = map(read_pool, pools)
    kept = [first, *(pool for pool in others if pool.sample.size)]
    found = _annotate(cohort_maps, kept, vocabulary, zeros_by_marker(transforms))
    sizes = {int(row["cluster"]): row for row in read_rows(clusters)}
    annotations = _with_empty(found.annotations, sizes)
    if labels:
        map_of = {number: row["map"] for number, row in sizes.items()}
        given, cautions = read_cluster_labels(
            Path(labels), cohort_maps.fingerprint, map_of, vocabulary
        )
        for caution in cautions:
            print(caution)
        annotations = apply_labels(annotations, given)
    rows = list(_annotation_rows(annotations, sizes, cohort_maps, vocabulary))
    write_rows(annotation_out, ANNOTATION_COLUMNS, rows)
    stability = _PopulationStability(rows, read_rows(reruns), vocabulary)
    write_rows(
        populations_out, POPULATION_COLUMNS, _population_rows(rows, found, vocabulary, stability)
    )


def _annotate(
    maps: Maps, pools: Sequence[Pool], vocabulary: Vocabulary, zeros: Mapping[str, float]
) -> AnnotatedClusters:
    """Name the clusters of all maps at once, so that all have the same borders."""
    layers = [maps.main, *(zoom.map for zoom in maps.zooms)]
    markers = [*pools[0].values]
    return annotate_clusters(
        np.concatenate([pool.matrix(markers) for pool in pools]),
        np.concatenate([one.clusters_of(p.values) for one, p in zip(layers, pools, strict=True)]),
        markers,
        vocabulary,
        zeros,
    )


def _with_empty(annotations: Sequence[Annotation], numbers: Iterable[int]) -> list[Annotation]:
    """Add the clusters that no pooled event is nearest to, though those of a sample may be."""
    named = {one.cluster: one for one in annotations}
    nothing = Annotation(0, UNASSIGNED, float("nan"), float("nan"))
    return [named.get(number, nothing._replace(cluster=number)) for number in numbers]


def _annotation_rows(
    annotations: Sequence[Annotation],
    sizes: Mapping[int, Mapping[str, str]],
    maps: Maps,
    vocabulary: Vocabulary,
) -> Iterator[dict[str, Any]]:
    for one in annotations:
        size = sizes[one.cluster]
        used, note, zoom = True, "", size["map"]
        if zoom != MAIN:
            used = one.population in vocabulary and zoom in within(one.population, vocabulary)
            note = "" if used else f"not {zoom}: its events stay in the clusters of the first map"
        if used and size["stable"] != "yes":
            note = "unstable: other seeds or patients do not give this cluster again"
        yield {
            "map_id": maps.fingerprint,
            **{name: getattr(one, name) for name in ("cluster", "population", "score", "margin")},
            **{name: getattr(one, name) for name in ("runner_up", "words", "given_by")},
            **{name: size[name] for name in ("map", "percent", "n_pool", "stability", "stable")},
            "used": used,
            "note": note,
        }


def _population_rows(
    rows: Sequence[Mapping[str, Any]],
    found: AnnotatedClusters,
    vocabulary: Vocabulary,
    stability: "_PopulationStability",
) -> Iterator[dict[str, Any]]:
    used = [row for row in rows if row["used"]]
    for name, population in vocabulary.items():
        # The root holds the unassigned clusters too.
        is_root = population.parent is None
        own = [row for row in used if is_root or name in within(row["population"], vocabulary)]
        zoom = stability.map_of(name)
        if name in found.skipped:
            yield {"population": name, "status": "not_in_panel", "note": found.skipped[name]}
        elif own:
            together = stability.of(name)
            yield {
                "population": name,
                "status": "found",
                "n_clusters": len(own),
                "percent": sum(float(row["percent"]) for row in own if row["map"] == zoom),
                "stability": together,
                "stable": together >= STABLE,
                "note": "" if together >= STABLE else "unstable: reruns do not give it again",
            }
        elif population.phenotype:
            note = "the clusters do not tell it apart: use its gate"
            yield {"population": name, "status": "no_cluster", "note": note}


class _PopulationStability:
    """How well the clusters of a population come back together in the reruns of a map."""

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        reruns: Sequence[Mapping[str, str]],
        vocabulary: Vocabulary,
    ) -> None:
        self.rows, self.vocabulary = rows, vocabulary
        self.clusters: dict[str, list[int]] = {}
        for row in rows:
            self.clusters.setdefault(row["map"], []).append(int(row["cluster"]))
        shared: dict[tuple[str, str], dict[int, list[tuple[int, int, int]]]] = {}
        for row in reruns:
            entry = (int(row["cluster"]), int(row["other"]), int(row["n"]))
            shared.setdefault((row["map"], row["kind"]), {}).setdefault(
                int(row["rerun"]), []
            ).append(entry)
        self.overlaps = {
            key: [self._table(key[0], entries) for entries in of_rerun.values()]
            for key, of_rerun in shared.items()
        }

    def _table(self, name: str, entries: Sequence[tuple[int, int, int]]) -> NDArray[np.int64]:
        numbers = self.clusters[name]
        table = np.zeros((len(numbers), 1 + max(other for _, other, _ in entries)), dtype=np.int64)
        for cluster, other, n in entries:
            table[numbers.index(cluster), other] = n
        return table

    def map_of(self, population: str) -> str:
        """Name the map that tells a population best: its own, that of what holds it, the first."""
        held = within(population, self.vocabulary)
        return next((name for name in held if name in self.clusters), MAIN)

    def of(self, population: str) -> float:
        """Return the smaller of the means over reruns with other seeds and other patients."""
        name = self.map_of(population)
        members = [
            self.clusters[name].index(int(row["cluster"]))
            for row in self.rows
            if row["map"] == name
            and row["population"] in self.vocabulary
            and population in within(row["population"], self.vocabulary)
        ]
        if not members:
            return float("nan")
        return union_stability(
            self.overlaps.get((name, "seeds"), ()),
            self.overlaps.get((name, "patients"), ()),
            np.array(members),
        )
