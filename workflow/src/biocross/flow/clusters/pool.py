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
        Of the draw. What is drawn of a sample depends on the seed, its name and the share only.
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
    # No sample stays open: the pages of its file would count as memory.
    every = (_draw(read_events(path), markers, share, seed, among) for path in paths)
    drawn = [one for one in every if one is not None]
    nothing = np.zeros(0, dtype=np.float32)
    return Pool(
        {m: np.concatenate([nothing, *(one.values[m] for one in drawn)]) for m in markers},
        np.repeat(np.arange(len(drawn), dtype=np.uint16), [one.event.size for one in drawn]),
        np.concatenate([np.zeros(0, dtype=np.uint32), *(one.event for one in drawn)]),
        [one.meta for one in drawn],
    )


class _Drawn(NamedTuple):
    """Events of one sample."""

    values: dict[str, NDArray[np.float32]]
    event: NDArray[np.uint32]
    meta: dict[str, str]


def _draw(
    sample: Events, markers: Sequence[str], share: int, seed: int, among: Chosen | None
) -> _Drawn | None:
    """Draw events of a sample; None if its file could not be read."""
    if "excluded" in sample.meta:
        return None
    own = [marker for marker in markers if marker in sample.values]
    may = sample.quality == 0
    for marker in own:
        may &= np.isfinite(sample.values[marker])
    if among is not None:
        may &= among(sample)
    events = np.flatnonzero(may)
    stream = np.random.default_rng([seed, zlib.crc32(sample.meta["sample_id"].encode())])
    if events.size > share:
        events = np.sort(stream.choice(events, share, replace=False, shuffle=False))
    lacking = np.full(events.size, np.nan, dtype=np.float32)
    values = {m: sample.values[m][events] if m in own else lacking for m in markers}
    return _Drawn(values, events.astype(np.uint32), sample.meta)


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
