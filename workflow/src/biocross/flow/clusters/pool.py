"""An equal share of every sample's events, on which the cohort's map is trained."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.events import Events, read_columns, read_events, write_columns

# Events of a sample, and of a cohort: the pool of a large cohort stays as small as that of a
# small one.
MOST_IN_ALL = 400_000

Chosen = Callable[[Events], NDArray[np.bool_]]


class Pool(NamedTuple):
    """Events of many samples.

    Parameters
    ----------
    values
        By marker, transformed values, shape (events,); NaN where a sample lacks the marker.
    sample
        Position of each event's sample in `meta`, shape (events,).
    event
        Position of each event in its sample, shape (events,).
    meta
        Metadata of the samples.
    """

    values: dict[str, NDArray[np.float32]]
    sample: NDArray[np.uint16]
    event: NDArray[np.uint32]
    meta: list[dict[str, str]]

    def matrix(self, markers: Sequence[str]) -> NDArray[np.float32]:
        """Return the values of some markers, shape (events, markers)."""
        return np.column_stack([self.values[marker] for marker in markers])


def pool_events(
    paths: Sequence[Path | str],
    markers: Sequence[str],
    most_each: int,
    seed: int,
    among: Chosen | None = None,
    most_in_all: int = MOST_IN_ALL,
) -> Pool:
    """Draw events of every sample, as many of each.

    Parameters
    ----------
    paths
        Prepared events; samples whose file could not be read are left out.
    markers
        Whose values are taken.
    most_each
        Events per sample; fewer where the cohort is so large that they would exceed the whole.
    seed
        Of the draw. What is drawn of a sample depends on the seed and its name only.
    among
        Which events of a sample may be drawn, shape (events,); None for all.
    most_in_all
        Events of the whole pool.

    Returns
    -------
    Pool
        In order of the samples, and of the events within each. Only events that passed all
        quality steps, and of those only the ones whose values are all numbers. A sample that has
        fewer events gives all of them.
    """
    share = max(1, min(most_each, most_in_all // max(len(paths), 1)))
    drawn: list[tuple[Events, NDArray[np.intp]]] = []
    for path in paths:
        sample = read_events(path)
        if "excluded" not in sample.meta:
            drawn.append((sample, _draw(sample, markers, share, seed, among)))
    return _gather(drawn, markers)


def _draw(
    sample: Events, markers: Sequence[str], share: int, seed: int, among: Chosen | None
) -> NDArray[np.intp]:
    passing = sample.quality == 0
    if among is not None:
        passing &= among(sample)
    events = np.flatnonzero(passing)
    stream = np.random.default_rng([seed, zlib.crc32(sample.meta["sample_id"].encode())])
    if events.size > share:
        events = np.sort(stream.choice(events, share, replace=False, shuffle=False))
    for marker in markers:
        if marker in sample.values:
            events = events[np.isfinite(sample.values[marker][events])]
    return events


def _gather(drawn: Sequence[tuple[Events, NDArray[np.intp]]], markers: Sequence[str]) -> Pool:
    sizes = [events.size for _, events in drawn]
    values = {marker: np.full(sum(sizes), np.nan, dtype=np.float32) for marker in markers}
    start = 0
    for sample, events in drawn:
        for marker in markers:
            if marker in sample.values:
                values[marker][start : start + events.size] = sample.values[marker][events]
        start += events.size
    return Pool(
        values,
        np.repeat(np.arange(len(drawn), dtype=np.uint16), sizes),
        np.concatenate([np.zeros(0, np.intp), *(events for _, events in drawn)]).astype(np.uint32),
        [sample.meta for sample, _ in drawn],
    )


def write_pool(path: Path | str, pool: Pool) -> None:
    """Write a pool with `write_columns`: a column per marker, ``sample`` and ``event``."""
    columns: dict[str, NDArray[Any]] = {**pool.values, "sample": pool.sample, "event": pool.event}
    write_columns(path, columns, {"samples": pool.meta})


def read_pool(path: Path | str) -> Pool:
    """Read a file of `write_pool`."""
    columns, meta = read_columns(path)
    sample, event = columns.pop("sample"), columns.pop("event")
    return Pool(columns, sample, event, meta["samples"])


def shared_markers(
    paths: Sequence[Path | str], markers: Sequence[str]
) -> tuple[list[str], Mapping[str, list[str]]]:
    """Find the markers that every sample has.

    Parameters
    ----------
    paths
        Prepared events.
    markers
        Of the panel.

    Returns
    -------
    list of str
        Those that every readable sample has, in the given order.
    dict
        By marker that is missing somewhere, the samples without it.
    """
    without: dict[str, list[str]] = {}
    for path in paths:
        sample = read_events(path)
        if "excluded" in sample.meta:
            continue
        for marker in markers:
            if marker not in sample.values:
                without.setdefault(marker, []).append(sample.meta["sample_id"])
    return [marker for marker in markers if marker not in without], without
