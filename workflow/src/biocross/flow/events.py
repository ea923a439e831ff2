"""Prepared events on disk: one float32 column per marker, in Arrow's IPC format."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import feather

from biocross.tables import written_whole

QUALITY_COLUMN = "quality"


class Events(NamedTuple):
    """The prepared events of one sample.

    Parameters
    ----------
    values
        By marker, transformed values, shape (events,).
    quality
        0 where an event passed, else the number of the step that flagged it, shape (events,).
    meta
        Sample metadata, all text.
    """

    values: dict[str, NDArray[np.float32]]
    quality: NDArray[np.uint8]
    meta: dict[str, str]


def write_events(
    path: Path | str,
    values: Mapping[str, NDArray[np.float32]],
    quality: NDArray[np.uint8],
    meta: Mapping[str, str],
) -> None:
    """Write prepared events; ``pandas.read_feather`` and R's arrow can read the file.

    Parameters
    ----------
    path
        The file, ending in ``.arrow``.
    values
        By marker, shape (events,) each.
    quality
        Flags, shape (events,); 0 is a pass.
    meta
        Sample metadata.
    """
    columns = {name: np.ascontiguousarray(column) for name, column in values.items()}
    table = pa.table({**columns, QUALITY_COLUMN: quality})
    table = table.replace_schema_metadata({"biocross": json.dumps(dict(meta), sort_keys=True)})
    with written_whole(path) as temporary:
        feather.write_feather(
            table, str(temporary), compression="uncompressed", chunksize=max(quality.size, 1)
        )


def read_events(path: Path | str) -> Events:
    """Map prepared events into memory without copying them.

    Parameters
    ----------
    path
        A file of `write_events`.

    Returns
    -------
    Events
        Values and flags, and the sample's metadata.
    """
    table = feather.read_table(str(path), memory_map=True)
    values = {name: table.column(name).combine_chunks().to_numpy() for name in table.column_names}
    quality = values.pop(QUALITY_COLUMN)
    return Events(values, quality, json.loads(table.schema.metadata[b"biocross"]))
