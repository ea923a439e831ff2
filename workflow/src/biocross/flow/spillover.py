"""Spillover matrices: what an FCS header says of them, and whether they can be right."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.markers import channel_kind
from biocross.errors import FcsError

# Above it, float32 events carry no information that the inversion would not drown.
MAX_CONDITION = 1e8
# Two dyes this similar (cosine of their rows) cannot be told apart well: the limit that panel
# design tools for spectral cytometry use.
MAX_SIMILARITY = 0.98
# Light is never negative; what regression noise leaves is some thousandths.
MIN_SPILL = -0.05
_DIAGONAL_TOLERANCE = 1e-3
NO_SPILL = 1e-4
_ODDITY = "give the matrix as a table, or export the file again"


class Spillover(NamedTuple):
    """Share of each fluorochrome's signal that every detector sees.

    Parameters
    ----------
    channels
        Detectors, in matrix order.
    matrix
        Shape (channels, channels); row = fluorochrome, column = detector, diagonal 1.
    source
        Where it comes from: a keyword such as ``$SPILLOVER``, or the name of a table.
    """

    channels: tuple[str, ...]
    matrix: NDArray[np.float64]
    source: str = ""


def parse_spillover(keywords: Mapping[str, str], path: Path) -> Spillover | None:
    """Parse the spillover matrix of an FCS header.

    ``$SPILLOVER`` (FCS 3.1) and ``SPILL`` name their detectors. ``$COMP`` (FCS 3.0) has numbers
    alone: it is read where they are as many as the file has channels or fluorescence channels,
    and where they are spill, not subtractions; see `unread_compensation` for the others.

    Parameters
    ----------
    keywords
        TEXT keywords in lower case without ``$``.
    path
        The file, for messages.

    Returns
    -------
    Spillover or None
        None where the header has no matrix.

    Raises
    ------
    FcsError
        The matrix is not of the form ``n,name1..namen,value1..valuen*n``.

    References
    ----------
    Spidlen et al. 2010, Cytometry A 77:97 (FCS 3.1, ``$SPILLOVER``); Seamer et al. 1997,
    Cytometry 28:118 (FCS 3.0, ``$COMP``).
    """
    for key, name in (("spillover", "$SPILLOVER"), ("spill", "SPILL")):
        if text := keywords.get(key, "").strip():
            return _parse_named(text, name, keywords, path)
    return _parse_comp(keywords)


def unread_compensation(keywords: Mapping[str, str]) -> str:
    """Say what a header tells of compensation that is not applied.

    Parameters
    ----------
    keywords
        TEXT keywords in lower case without ``$``.

    Returns
    -------
    str
        A sentence, or nothing. ``$DFCmTOn`` (FCS 2.0) numbers the detectors of an instrument
        and not the channels of the file, and a ``$COMP`` may hold subtractions; no reader in use
        (flowCore, FlowKit) applies either.
    """
    deferred = [key for key in keywords if re.fullmatch(r"dfc\d+to\d+", key)]
    applied = sorted(key for key in deferred if _number(keywords[key]) not in (0.0, None))
    if applied:
        return (
            f"the header asks for deferred compensation (${applied[0].upper()} = "
            f"{keywords[applied[0]].strip()} %), which is not applied, because it names no "
            "channels; give a spillover matrix as a table if the values are not compensated"
        )
    if keywords.get("comp", "").strip(" ,") not in ("", "0") and _parse_comp(keywords) is None:
        return (
            "the matrix in $COMP is not applied, because it cannot be told which channels or which "
            "direction it means; give a spillover matrix as a table"
        )
    return ""


def _parse_named(text: str, name: str, keywords: Mapping[str, str], path: Path) -> Spillover | None:
    fields = [field.strip() for field in text.rstrip(", ").split(",")]
    size = int(fields[0]) if fields[0].isdigit() and len(fields[0]) < 5 else -1
    if size == 0:
        return None
    known = _file_channels(keywords)
    start = len(fields) - size**2
    names = _join_names(fields[1:start], size, known) if size > 0 and start > size else None
    values = [_number(field) for field in fields[start:]] if names else []
    if names is None or None in values or not np.isfinite(np.array(values, dtype=float)).all():
        raise FcsError(f"{path}: its spillover matrix cannot be parsed{_why(fields)}; {_ODDITY}")
    if len(set(names)) < size:
        raise FcsError(f"{path}: its spillover matrix names a channel twice; {_ODDITY}")
    if all(word.isdigit() and 0 < int(word) <= len(known) for word in names):
        names = [word if word in known else known[int(word) - 1] for word in names]
    return Spillover(tuple(names), np.array(values, dtype=float).reshape(size, size), name)


def _why(fields: Sequence[str]) -> str:
    """Recognise numbers with decimal commas, as instruments with German settings write them."""
    size = int(fields[0]) if fields[0].isdigit() else 0
    numbers = fields[1 + size :]
    commas = len(numbers) > size**2 > 0 and all(number.isdigit() for number in numbers)
    return " (its numbers are written with decimal commas)" if commas else ""


def _join_names(fields: Sequence[str], size: int, known: Sequence[str]) -> list[str] | None:
    """Return `size` names, putting those together again that hold commas."""
    if len(fields) == size:
        return list(fields)
    names: list[str] = []
    rest = list(fields)
    while rest:
        options = [",".join(rest[:count]) for count in range(len(rest), 0, -1)]
        names.append(next((option for option in options if option in known), rest[0]))
        rest = rest[names[-1].count(",") + 1 :]
    return names if len(names) == size else None


def _parse_comp(keywords: Mapping[str, str]) -> Spillover | None:
    values = [_number(field) for field in keywords.get("comp", "").rstrip(", ").split(",")]
    if None in values or values[0] not in range(1, 1000):
        return None
    size = int(values[0] or 0)
    channels = _file_channels(keywords)
    if size != len(channels):
        channels = [name for name in channels if channel_kind(name) is None]
    if size != len(channels) or len(values) != 1 + size**2 or len(set(channels)) < size:
        return None
    matrix = as_fractions(np.array(values[1:], dtype=float).reshape(size, size))
    plausible = np.isfinite(matrix).all() and (matrix >= MIN_SPILL).all()
    if not plausible or not np.allclose(np.diag(matrix), 1, atol=_DIAGONAL_TOLERANCE):
        return None
    return Spillover(tuple(channels), matrix, "$COMP")


def _file_channels(keywords: Mapping[str, str]) -> list[str]:
    count = keywords.get("par", "").strip()
    numbers = range(1, min(int(count), 100_000) + 1) if count.isdigit() else range(0)
    return [keywords.get(f"p{number}n", "").strip() or f"P{number}" for number in numbers]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def as_fractions(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide a matrix in percent, whose diagonal is 100."""
    return matrix / 100 if np.allclose(np.diag(matrix), 100, atol=0.5) else matrix


def normalise_spillover(spillover: Spillover) -> Spillover:
    """Divide every row by its diagonal, so that a dye's own detector keeps its units.

    Parameters
    ----------
    spillover
        A matrix with a positive diagonal.

    Returns
    -------
    Spillover
        With a diagonal of 1.
    """
    matrix = spillover.matrix / np.diag(spillover.matrix)[:, None]
    return spillover._replace(matrix=matrix)


def match_channels(spillover: Spillover, channels: Sequence[str]) -> Spillover:
    """Call the detectors of a matrix as a file calls them.

    Parameters
    ----------
    spillover
        Perhaps from a table, whose names differ in case, blanks or punctuation.
    channels
        Names of the file's channels.

    Returns
    -------
    Spillover
        With the file's names where exactly one channel fits; others as they were.
    """
    folded: dict[str, list[str]] = {}
    for channel in channels:
        folded.setdefault(_fold(channel), []).append(channel)

    def name_in_file(name: str) -> str:
        fitting = folded.get(_fold(name), [])
        return fitting[0] if name not in channels and len(fitting) == 1 else name

    return spillover._replace(channels=tuple(map(name_in_file, spillover.channels)))


def spillover_problems(
    spillover: Spillover, channels: Sequence[str] | None = None
) -> list[tuple[str, str]]:
    """Check whether a matrix can be what it is said to be.

    Parameters
    ----------
    spillover
        The matrix.
    channels
        Names of the channels of the file it is meant for; None checks the matrix alone.

    Returns
    -------
    list of (severity, sentence)
        ``error``: it cannot be used. ``warning``: it can, but somebody should look. ``note``.

    Notes
    -----
    A coefficient above 1 says that a dye is brighter in another detector than in its own, one
    below -0.05 that light is negative. Rows may be rescaled, because brightness is arbitrary:
    a positive diagonal other than 1 is a warning, and `normalise_spillover` mends it.

    References
    ----------
    Roca et al. 2021, Nat Commun 12:2890; Nguyen et al. 2013, Cytometry A 83:306.
    """
    names, matrix = spillover.channels, spillover.matrix
    size = len(names)
    if matrix.shape != (size, size) or size == 0:
        return [("error", f"the spillover matrix is not square over its {size} channels")]
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        return [("error", f"the spill of {names[row]} into {names[column]} is not a number")]
    diagonal = np.diag(matrix)
    if diagonal.min() <= 0:
        worst = int(diagonal.argmin())
        sentence = f"the diagonal of {names[worst]} is {diagonal[worst]:.3g} instead of 1"
        return [("error", f"{sentence}; export the spillover matrix again")]
    problems = []
    if (off := np.abs(diagonal - 1)).max() > _DIAGONAL_TOLERANCE:
        worst = int(off.argmax())
        sentence = f"the diagonal of {names[worst]} is {diagonal[worst]:.4g} instead of 1"
        problems.append(("warning", f"{sentence}; rows are divided by their diagonal"))
    matrix = normalise_spillover(spillover).matrix
    problems += _similarity_problems(names, matrix) + _spill_problems(names, matrix)
    return problems + (_channel_problems(names, channels) if channels is not None else [])


def most_similar(matrix: NDArray[np.float64]) -> tuple[int, int, float]:
    """Return the two dyes that spill most alike, and the cosine of their rows."""
    rows = matrix / np.maximum(np.linalg.norm(matrix, axis=1), 1e-300)[:, None]
    cosines = np.triu(rows @ rows.T, 1)
    first, second = divmod(int(cosines.argmax()), len(matrix))
    return first, second, float(cosines[first, second])


def _similarity_problems(
    names: Sequence[str], matrix: NDArray[np.float64]
) -> list[tuple[str, str]]:
    first, second, cosine = most_similar(matrix)
    if not np.linalg.cond(matrix) <= MAX_CONDITION:
        alike = f"; {names[first]} and {names[second]} are most alike" if cosine > 0 else ""
        return [("error", f"the spillover matrix is singular{alike}; correct or remove one")]
    if cosine <= MAX_SIMILARITY:
        return []
    sentence = f"{names[first]} and {names[second]} spill nearly alike (similarity {cosine:.3f})"
    return [("warning", f"{sentence}: compensation will spread both widely")]


def _spill_problems(names: Sequence[str], matrix: NDArray[np.float64]) -> list[tuple[str, str]]:
    spill = matrix - np.eye(len(names))
    if np.abs(spill).max() < NO_SPILL:
        return [("warning", "the spillover matrix holds no spill: nothing is compensated")]
    problems = []
    for found, extreme, meaning in (
        (spill > 1, spill.argmax(), "the dye would be brighter there than in its own detector"),
        (spill < MIN_SPILL, spill.argmin(), "light cannot be negative"),
    ):
        if count := int(found.sum()):
            row, column = divmod(int(extreme), len(names))
            more = f" ({count} such coefficients)" if count > 1 else ""
            sentence = f"{names[row]} spills {spill[row, column]:.3g} into {names[column]}{more}"
            problems.append(("warning", f"{sentence}: {meaning}"))
    return problems


def _channel_problems(names: Sequence[str], channels: Sequence[str]) -> list[tuple[str, str]]:
    problems = [
        (
            "error",
            f'the spillover matrix names "{name}", which is no channel of the file'
            f"{did_you_mean(name, channels)}",
        )
        for name in names
        if name not in channels
    ]
    # Where the matrix is of areas, heights and widths are not expected in it.
    endings = {_ending(name) for name in names}
    left = [
        name
        for name in channels
        if name not in names and channel_kind(name) is None and _ending(name) in endings
    ]
    if left:
        listed = ", ".join(left[:8]) + (" ..." if len(left) > 8 else "")
        problems.append(("note", f"not in the spillover matrix, so left as measured: {listed}"))
    return problems


def _fold(name: str) -> str:
    return "".join(filter(str.isalnum, clean_channel(name).casefold()))


def _ending(name: str) -> str:
    found = re.search(r"[-_ ]([AHW])$", name, re.IGNORECASE)
    return found[1].upper() if found else ""


def clean_channel(name: str) -> str:
    """Return a detector's name without what software adds to it.

    Parameters
    ----------
    name
        Such as ``Comp-PE-A``, ``PE-A :: CD4`` or ``<PE-A>``.

    Returns
    -------
    str
        ``PE-A``.
    """
    name = name.split(" :: ")[0].strip()
    name = re.sub(r"^(FJ-?)?Comp-", "", name, flags=re.IGNORECASE)
    return name[1:-1] if len(name) > 2 and name[0] == "<" and name[-1] == ">" else name


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Suggest the nearest channel name, as part of a sentence; empty where nothing is near."""
    folded = {word.casefold(): word for word in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f' (did you mean "{folded[near[0]]}"?)' if near else ""
