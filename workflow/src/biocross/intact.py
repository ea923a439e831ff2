"""Files that the steps pass on to each other: damage to them is noticed, not analysed.

A disk that loses bytes, or a copy that ended early, would otherwise change results in silence.
"""

import mmap
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from biocross.errors import DamagedError
from biocross.tables import written_whole

# Behind the end of an HDF5 file, where its readers do not look.
_TRAILER = re.compile(rb"biocross ([0-9a-f]{8})\n")
_TRAILER_SIZE = len(b"biocross 00000000\n")


def checksum(pieces: Iterable[Any]) -> str:
    """Digest bytes against accidental damage; it is no protection against malice.

    Parameters
    ----------
    pieces
        Whatever has a contiguous buffer: bytes, arrays.

    Returns
    -------
    str
        CRC-32 of all of them in order, eight hexadecimal digits.
    """
    digest = 0
    for piece in pieces:
        digest = zlib.crc32(piece, digest)
    return f"{digest:08x}"


def damaged(path: Path | str, reason: str) -> DamagedError:
    """Return the error of a damaged file that the run has made itself.

    Parameters
    ----------
    path
        The file.
    reason
        What is wrong with it, as in ``its checksum is another``.

    Returns
    -------
    DamagedError
        With the remedy.
    """
    return DamagedError(
        f"{path}: is damaged ({reason}); delete this file and run again, it is then made anew"
    )


def write_h5ad(path: Path | str, cells: Any, compression: str | None = None) -> None:
    """Write an ``.h5ad`` file with a checksum, which other readers do not see.

    Parameters
    ----------
    path
        The file.
    cells
        An AnnData.
    compression
        Of its arrays: ``lzf``, ``gzip`` or none.
    """
    with written_whole(path) as temporary:
        cells.write_h5ad(temporary, compression=compression)
        with temporary.open("r+b") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                digest = checksum([content])
            file.seek(0, 2)
            file.write(f"biocross {digest}\n".encode())


def read_h5ad(path: Path | str) -> Any:
    """Read an ``.h5ad`` file of `write_h5ad`, or one that another program has written over it.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    anndata.AnnData
        All of it, in memory.

    Raises
    ------
    DamagedError
        Its bytes are not those that were written, or are no ``.h5ad``.
    """
    import anndata

    _refuse_other_bytes(Path(path))
    try:
        return anndata.read_h5ad(path)
    except MemoryError:
        raise
    except Exception as error:  # whatever broken HDF5 makes anndata raise
        raise damaged(path, f"{type(error).__name__} while it was read") from None


@contextmanager
def open_h5ad(path: Path | str) -> Iterator[Any]:
    """Open an ``.h5ad`` file of `write_h5ad` to read some of it.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    h5py.File
        Opened for reading.

    Raises
    ------
    DamagedError
        Its bytes are not those that were written, or are no HDF5.
    """
    import h5py

    _refuse_other_bytes(Path(path))
    try:
        file = h5py.File(path)
    except OSError as error:
        raise damaged(path, f"{type(error).__name__} while it was opened") from None
    with file:
        yield file


def _refuse_other_bytes(path: Path) -> None:
    """Compare a file with its checksum; one without is left to the reader of HDF5."""
    size = path.stat().st_size
    if size <= _TRAILER_SIZE:
        raise damaged(path, f"it has {size} bytes")
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        known = _TRAILER.fullmatch(bytes(view[-_TRAILER_SIZE:]))
        with view[:-_TRAILER_SIZE] as written:
            if known and checksum([written]) != known[1].decode():
                raise damaged(path, "its bytes are not those that were written")
