"""Results that cannot be written: noticed before the first step, and told in a sentence."""

import errno
import os
import re
from pathlib import Path

from biocross.errors import StorageError

_FULL = "there is no room left on its disk; make room and run again, what is finished is kept"
_PROTECTED = 'is read-only; name another folder as "results" in the configuration'
_DENIED = (
    "access is denied; change its permissions, or if it is a result, name another folder as "
    '"results" in the configuration'
)
_SENTENCES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL.replace("no room left on its disk", "nothing left of your quota"),
    errno.EROFS: _PROTECTED,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
}
# HDF5 tells the number in its words alone.
_NUMBER = re.compile(r"\berrno = (\d+)")
# What a file system needs to say whether it has room.
_PROBE_BYTES = 65536


def as_sentence(error: BaseException, place: Path | str | None = None) -> str | None:
    """Say what keeps a file from being written.

    Parameters
    ----------
    error
        Whatever was raised, with its causes.
    place
        What to name where the error names no file.

    Returns
    -------
    str or None
        A sentence with a remedy; None where the error is about something else.
    """
    cause: BaseException | None = error
    while cause is not None:
        number = _number(cause)
        if number in _SENTENCES:
            name = getattr(cause, "filename", None) or place
            return f"{name or 'the folder of the results'}: {_SENTENCES[number]}"
        cause = cause.__cause__ or cause.__context__
    return None


def _number(error: BaseException) -> int | None:
    if number := getattr(error, "errno", None):
        return int(number)
    found = _NUMBER.search(str(error))
    return int(found[1]) if found else None


def refuse_unwritable(folder: Path | str) -> None:
    """Refuse a folder of results in which nothing can be written.

    Parameters
    ----------
    folder
        Or, where it is missing, the folder in which it would be made.

    Raises
    ------
    StorageError
        It is protected or no folder, or its disk is full.
    """
    existing = Path(folder).absolute()
    while not existing.exists():
        existing = existing.parent
    probe = existing / f".biocross.{os.getpid()}.part"
    try:
        try:
            probe.write_bytes(bytes(_PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        words = as_sentence(OSError(error.errno, error.strerror), folder)
        raise StorageError(words or f"{folder}: cannot be written to ({error.strerror})") from None
