"""Prepared events on disk: one float32 column per marker, in Arrow's IPC format."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from biocross.intact import checksum, damaged
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
    write_columns(path, {**values, QUALITY_COLUMN: quality}, meta)


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
    values, meta = read_columns(path)
    quality = values.pop(QUALITY_COLUMN)
    return Events(values, quality, meta)


def write_columns(
    path: Path | str, columns: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
) -> None:
    """Write columns with a value per event, whatever they are.

    Parameters
    ----------
    path
        The file, ending in ``.arrow``.
    columns
        By name, shape (events,) each, of any numeric type.
    meta
        What belongs to all of them; anything that JSON can hold.
    """
    values = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    table = pa.Table.from_arrays([_as_arrow(column) for column in values.values()], [*values])
    about = json.dumps(dict(meta), sort_keys=True)
    digest = _digest(values, about.encode())
    table = table.replace_schema_metadata({"biocross": about, "checksum": digest})
    with (
        written_whole(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=max(table.num_rows, 1))


def read_columns(path: Path | str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Map the columns of a file of `write_columns` into memory without copying them.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict of str to ndarray
        The columns, shape (events,) each.
    dict
        What belongs to all of them.

    Raises
    ------
    DamagedError
        It is no such file, is not whole, or has other bytes than were written.
    """
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        columns = {name: _as_numpy(table.column(name)) for name in table.column_names}
        known = table.schema.metadata
        about, digest = known[b"biocross"], known[b"checksum"].decode()
    except FileNotFoundError:
        raise
    except (OSError, LookupError, ValueError, TypeError, NotImplementedError) as error:
        # What pyarrow raises where its format is broken is one of these.
        raise damaged(path, f"{type(error).__name__} while it was read") from None
    if _digest(columns, about) != digest:
        raise damaged(path, "its bytes are not those that were written")
    return columns, json.loads(about)


def _digest(columns: Mapping[str, NDArray[Any]], about: bytes) -> str:
    names = json.dumps([(name, column.dtype.str) for name, column in columns.items()])
    return checksum([names.encode(), about, *columns.values()])


# By their buffers, without copying: pyarrow's own conversions import pandas, which costs every
# job a quarter of a second.
def _as_arrow(values: NDArray[Any]) -> Any:
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, values.size, [None, pa.py_buffer(values)])


def _as_numpy(column: Any) -> NDArray[Any]:
    kind = np.dtype(column.type.to_pandas_dtype())
    parts = [
        np.frombuffer(part.buffers()[1], kind, len(part), part.offset * kind.itemsize)
        for part in column.chunks
        if len(part)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, kind), *parts])
