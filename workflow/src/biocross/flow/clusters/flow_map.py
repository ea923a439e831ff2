"""The cohort's map: nodes in marker space, their clusters, and how events find them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.clusters.lineage_negative import LineageBorder, is_lineage_negative
from biocross.flow.events import read_columns, write_columns
from biocross.flow.som import nearest_nodes_of_columns

Columns = Mapping[str, NDArray[np.float32]]
# Events of a block that is brought onto the map at once.
BLOCK = 1 << 16


class FlowMap(NamedTuple):
    """Nodes in the space of some markers.

    Parameters
    ----------
    markers
        The axes.
    scale
        What values are divided by, shape (markers,).
    nodes
        Where the nodes lie, shape (nodes, markers).
    cluster_of_node
        From 1, shape (nodes,).
    """

    markers: tuple[str, ...]
    scale: NDArray[np.float32]
    nodes: NDArray[np.float32]
    cluster_of_node: NDArray[np.uint16]

    def clusters_of(self, values: Columns) -> NDArray[np.uint16]:
        """Put events into the cluster of their nearest node, some thousand at a time.

        Parameters
        ----------
        values
            By marker, shape (events,).

        Returns
        -------
        ndarray
            From 1, shape (events,); 0 for an event with a value that is no number.
        """
        columns = [values[marker] for marker in self.markers]
        cluster = np.zeros(columns[0].size, dtype=np.uint16)
        for start in range(0, cluster.size, BLOCK):
            place = slice(start, start + BLOCK)
            block = [
                column[place] / scale for column, scale in zip(columns, self.scale, strict=True)
            ]
            number = np.ones(block[0].size, dtype=np.bool_)
            for column in block:
                number &= np.isfinite(column)
            if not number.all():
                block = [np.where(number, column, 0) for column in block]
            node, _ = nearest_nodes_of_columns(block, self.nodes)
            cluster[place] = np.where(number, self.cluster_of_node[node], 0)
        return cluster


class Zoom(NamedTuple):
    """A map of one population, on the events that have what holds it and lack what it lacks.

    Parameters
    ----------
    population
        Whose parts it shall tell apart.
    borders
        On which side of these an event must lie to be looked at.
    map
        Its clusters are numbered on from those of the maps before.
    """

    population: str
    borders: tuple[LineageBorder, ...]
    map: FlowMap


class Maps(NamedTuple):
    """The map of all events, and those of populations that are looked at more closely."""

    main: FlowMap
    zooms: tuple[Zoom, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A short text that changes whenever the map does, and with it the clusters' numbers."""
        digest = hashlib.sha256()
        for one in self._layers():
            digest.update(repr(one.markers).encode())
            for array in one[1:]:
                digest.update(np.ascontiguousarray(array).tobytes())
        for zoom in self.zooms:
            digest.update(repr((zoom.population, zoom.borders)).encode())
        # No spreadsheet takes it for a number.
        return "m" + digest.hexdigest()[:12]

    def _layers(self) -> list[FlowMap]:
        return [self.main, *(zoom.map for zoom in self.zooms)]


def write_maps(path: Path | str, maps: Maps) -> None:
    """Write maps with `write_columns`: a row per node, the markers' scales beside them.

    Parameters
    ----------
    path
        The file, ending in ``.arrow``.
    maps
        What to write.
    """
    layers = maps._layers()
    markers = dict.fromkeys(marker for one in layers for marker in one.markers)
    columns: dict[str, NDArray[Any]] = {}
    for marker in markers:
        columns[marker] = np.concatenate([_axis(one, marker) for one in layers])
    columns["cluster"] = np.concatenate([one.cluster_of_node for one in layers])
    meta: dict[str, Any] = {
        "sizes": [len(one.nodes) for one in layers],
        "markers": [one.markers for one in layers],
        "scale": [one.scale.tolist() for one in layers],
        "zooms": [(zoom.population, zoom.borders) for zoom in maps.zooms],
    }
    write_columns(path, columns, meta)


def read_maps(path: Path | str) -> Maps:
    """Read a file of `write_maps`."""
    columns, meta = read_columns(path)
    layers, start = [], 0
    for place, size in enumerate(meta["sizes"]):
        markers, rows = tuple(meta["markers"][place]), slice(start, start + size)
        start += size
        layers.append(
            FlowMap(
                markers,
                np.array(meta["scale"][place], dtype=np.float32),
                np.column_stack([columns[marker][rows] for marker in markers]),
                columns["cluster"][rows].copy(),
            )
        )
    zooms = (
        Zoom(population, tuple(LineageBorder(*border) for border in borders), layer)
        for (population, borders), layer in zip(meta["zooms"], layers[1:], strict=True)
    )
    return Maps(layers[0], tuple(zooms))


def _axis(one: FlowMap, marker: str) -> NDArray[np.float32]:
    if marker not in one.markers:
        return np.full(len(one.nodes), np.nan, dtype=np.float32)
    return one.nodes[:, one.markers.index(marker)]


def main_clusters(maps: Maps, values: Columns, quality: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Put every event of a sample into its cluster of the map of all events.

    Parameters
    ----------
    maps
        The cohort's maps.
    values
        By marker, shape (events,).
    quality
        0 where an event passed, shape (events,); others are in no cluster.

    Returns
    -------
    ndarray
        From 1, shape (events,); 0 for events that are in none.
    """
    cluster = maps.main.clusters_of(values)
    cluster[quality != 0] = 0
    return cluster


def look_closer(
    zooms: Sequence[Zoom], values: Columns, main: NDArray[np.uint16], zoomed: Sequence[int]
) -> NDArray[np.uint16]:
    """Move events from the map of all events into the clusters of the zooms.

    Parameters
    ----------
    zooms
        The maps of single populations.
    values
        By marker, shape (events,).
    main
        Of `main_clusters`; it is left as it is.
    zoomed
        Clusters of the zooms that were named as the zoom's population or a part of it: these take
        their events from the first map, the others do not.

    Returns
    -------
    ndarray
        Shape (events,).
    """
    cluster = main.copy()
    # An event that lacks a value may be anything; the borders would let it through.
    whole = main > 0
    for zoom in zooms:
        if not set(zoom.map.markers) <= set(values):
            continue
        looked_at = np.flatnonzero(whole & is_lineage_negative(values, zoom.borders))
        within = {marker: values[marker][looked_at] for marker in zoom.map.markers}
        found = zoom.map.clusters_of(within)
        taken = np.isin(found, np.array(zoomed, dtype=np.uint16))
        cluster[looked_at[taken]] = found[taken]
    return cluster
