"""An equal share of the events of every sample: what normalisation learns and is judged from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.events import read_events
from biocross.flow.normalisation.design import BatchSample

Values = NDArray[np.float32]

# In all: 20 markers of 200,000 events are 16 MB, however many samples there are.
MOST_EVENTS = 200_000
MOST_PER_SAMPLE = 50_000


class Share(NamedTuple):
    """Some of a sample's events.

    Parameters
    ----------
    sample
        Whose they are.
    values
        Transformed values, shape (events, markers); NaN where the sample lacks the marker.
    markers
        Those that the sample has.
    """

    sample: BatchSample
    values: Values
    markers: frozenset[str]


def read_shares(samples: Sequence[BatchSample], markers: Sequence[str]) -> list[Share]:
    """Read equally many passing events of every sample, as far as it has so many.

    Parameters
    ----------
    samples
        Samples; those excluded or without passing events give no share.
    markers
        Columns to read.

    Returns
    -------
    list of Share
        In the order of the samples.
    """
    size = min(MOST_PER_SAMPLE, MOST_EVENTS // max(len(samples), 1))
    shares = [_read_share(sample, markers, max(size, 1)) for sample in samples]
    return [share for share in shares if len(share.values)]


def _read_share(sample: BatchSample, markers: Sequence[str], size: int) -> Share:
    events = read_events(Path(sample.events))
    passing = np.flatnonzero(events.quality == 0)
    chosen = spread(passing, size)
    values = np.full((chosen.size, len(markers)), np.nan, dtype=np.float32)
    for place, marker in enumerate(markers):
        if marker in events.values:
            values[:, place] = events.values[marker][chosen]
    return Share(sample, values, frozenset(events.values))


def spread(places: NDArray[np.integer], size: int) -> NDArray[np.integer]:
    """Choose up to so many places, evenly spread over them all.

    Parameters
    ----------
    places
        Shape (places,).
    size
        How many at most.
    """
    if places.size <= size:
        return places
    return places[np.arange(size) * places.size // size]


def columns_of(values: Values, markers: Sequence[str]) -> dict[str, Values]:
    """Part a matrix into columns that lie in one piece, without those that are missing.

    Parameters
    ----------
    values
        Shape (events, markers).
    markers
        Their names.
    """
    return {
        marker: np.ascontiguousarray(values[:, place])
        for place, marker in enumerate(markers)
        if not np.isnan(values[:, place]).all()
    }


def matrix_of(columns: Mapping[str, Values], markers: Sequence[str]) -> Values:
    """Put columns side by side, NaN for those that are missing.

    Parameters
    ----------
    columns
        By marker, shape (events,).
    markers
        In this order.
    """
    size = next((column.size for column in columns.values()), 0)
    missing = np.full(size, np.nan, dtype=np.float32)
    return np.stack([columns.get(marker, missing) for marker in markers], axis=1)
