"""The functions of all batches: kept in a file, and applied to a sample's columns."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.sheets import did_you_mean
from biocross.errors import ConfigError
from biocross.flow.normalisation.clusters import AnchorClusters, nearest_clusters
from biocross.flow.normalisation.moves import Moves, move_values, tabulate_moves
from biocross.flow.normalisation.quantiles import ALL_EVENTS, Floats
from biocross.tables import written_whole

Column = NDArray[np.float32]
# What a broken archive may raise.
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class Functions(NamedTuple):
    """What every batch's quantiles are and are to become.

    Parameters
    ----------
    method, goal
        As they were asked for.
    batches, markers
        Names along the axes of the quantiles.
    clusters
        Map of the anchors' cells after the functions of all events; None without clusters.
    source, target
        Of `common_quantiles`, shape (batches, groups, markers, knots).
    """

    method: str
    goal: str
    batches: tuple[str, ...]
    markers: tuple[str, ...]
    clusters: AnchorClusters | None
    source: Floats
    target: Floats


def save_functions(path: Path | str, functions: Functions) -> None:
    """Write functions as an ``.npz`` archive, without pickles.

    Parameters
    ----------
    path
        The file.
    functions
        To be kept.
    """
    nothing = np.empty(0, dtype=np.float32)
    clusters = functions.clusters or AnchorClusters(
        (), nothing, nothing[:, None], nothing.astype(np.uint16)
    )
    with written_whole(path) as temporary, temporary.open("wb") as out:
        np.savez_compressed(
            out,
            method=np.array(functions.method),
            goal=np.array(functions.goal),
            batches=np.array(functions.batches),
            markers=np.array(functions.markers),
            source=functions.source,
            target=functions.target,
            map_markers=np.array(clusters.markers, dtype=str),
            ranges=clusters.ranges,
            nodes=clusters.nodes,
            node_cluster=clusters.node_cluster,
        )


def load_functions(path: Path | str) -> Functions:
    """Read the file of `save_functions`.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Functions
        As they were saved.

    Raises
    ------
    ConfigError
        The file is missing or is none of these.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as kept:
            names = tuple(str(name) for name in kept["map_markers"])
            clusters = AnchorClusters(names, kept["ranges"], kept["nodes"], kept["node_cluster"])
            return Functions(
                str(kept["method"]),
                str(kept["goal"]),
                tuple(str(name) for name in kept["batches"]),
                tuple(str(name) for name in kept["markers"]),
                clusters if names else None,
                kept["source"],
                kept["target"],
            )
    except _BROKEN:
        raise ConfigError(
            f"{path}: holds no functions of a normalisation, or is damaged; delete it and run again"
        ) from None


def moves_of_batch(functions: Functions, batch: str) -> Moves:
    """Draw up the functions of one batch as a table.

    Parameters
    ----------
    functions
        Of all batches.
    batch
        One of them.

    Returns
    -------
    Moves
        For `groups_of_columns`.

    Raises
    ------
    ConfigError
        The functions were learned without this batch.
    """
    if batch not in functions.batches:
        hint = did_you_mean(batch, functions.batches)
        raise ConfigError(f'normalisation: no function was learned for batch "{batch}"{hint}')
    place = functions.batches.index(batch)
    return tabulate_moves(functions.source[place], functions.target[place])


def groups_of_columns(
    functions: Functions, moves: Moves, columns: Mapping[str, Column]
) -> NDArray[np.uint16]:
    """Find the anchor's cluster that every event is most like.

    Parameters
    ----------
    functions
        Their clusters are looked up after the batch's function of all events, so that a batch's
        shift does not put its cells among others.
    moves
        The batch's, of `moves_of_batch`.
    columns
        By marker, shape (events,).

    Returns
    -------
    ndarray
        Shape (events,); 0, the function of all events, for an event that lacks a marker of the map.
    """
    size = next((column.size for column in columns.values()), 0)
    everything = np.full(size, ALL_EVENTS, dtype=np.uint16)
    if functions.clusters is None or any(m not in columns for m in functions.clusters.markers):
        return everything
    aligned = [
        move_values(columns[marker], everything, moves, functions.markers.index(marker))
        for marker in functions.clusters.markers
    ]
    return nearest_clusters(functions.clusters, aligned)


def normalise_columns(
    functions: Functions, batch: str, columns: Mapping[str, Column]
) -> tuple[dict[str, Column], NDArray[np.uint16]]:
    """Normalise a sample's columns.

    Parameters
    ----------
    functions
        Of all batches.
    batch
        The sample's.
    columns
        By marker, shape (events,).

    Returns
    -------
    columns : dict
        All of them in their order; those of other markers as they were.
    groups : ndarray
        The cluster of every event, shape (events,); 0 where the function of all events was used.
    """
    moves = moves_of_batch(functions, batch)
    groups = groups_of_columns(functions, moves, columns)
    places = {marker: place for place, marker in enumerate(functions.markers)}
    moved = {
        name: move_values(column, groups, moves, places[name]) if name in places else column
        for name, column in columns.items()
    }
    return moved, groups
