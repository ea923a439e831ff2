"""Reading a YAML mapping key by key, with every mistake worded for the user."""

from collections.abc import Iterable, Mapping
from typing import Any

from biocross.cohort.sheets import did_you_mean
from biocross.errors import ConfigError
from biocross.simulate.model import Stain


class Section:
    """One mapping of a YAML file, whose keys are taken out one by one.

    Parameters
    ----------
    value
        What stands in the file; must be a mapping.
    where
        Its place, such as ``simulation.yaml: populations.Th2``.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a mapping of names to values, not {value!r}")
        self._left = {str(key): entry for key, entry in value.items()}
        self._known: set[str] = set()
        self._where = where

    def place(self, key: str) -> str:
        """Name the place of a key in the file."""
        return f"{self._where}{' ' if self._where.endswith(':') else '.'}{key}"

    def take(self, key: str, default: Any = ...) -> Any:
        """Take a value as it is.

        Parameters
        ----------
        key
            Its key.
        default
            What it is where the key is absent; without it the key is required.

        Returns
        -------
        Any
            The value.
        """
        self._known.add(key)
        if key not in self._left and default is ...:
            raise ConfigError(f"{self.place(key)} is missing; please fill it in")
        return self._left.pop(key, default)

    def section(self, key: str, default: Any = ...) -> "Section":
        """Take a mapping."""
        return Section(self.take(key, default), self.place(key))

    def sections(self, key: str, default: Any = ...) -> "dict[str, Section]":
        """Take a mapping of names to mappings."""
        entries = self.section(key, default)
        return {name: entries.section(name) for name in entries.names()}

    def sections_in_list(self, key: str) -> "list[Section]":
        """Take a list of mappings that is not empty."""
        value = self.take(key)
        if not isinstance(value, list) or not value:
            raise ConfigError(f"{self.place(key)} must be a list, not {value!r}")
        return [Section(row, f"{self.place(key)}[{i}]") for i, row in enumerate(value)]

    def names(self) -> list[str]:
        """List the keys that are still to be taken."""
        return list(self._left)

    def number(
        self, key: str, default: Any = ..., *, low: float = 0.0, high: float = float("inf")
    ) -> float:
        """Take a number between `low` and `high`."""
        return as_number(self.take(key, default), self.place(key), low, high)

    def whole(self, key: str, default: Any = ..., *, low: int = 0) -> int:
        """Take a whole number that is at least `low`."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ConfigError(f"{self.place(key)} must be a whole number from {low}, not {value!r}")
        return value

    def span(
        self, key: str, default: Any = ..., *, low: float = 0.0, high: float = float("inf")
    ) -> tuple[float, float]:
        """Take ``[from, to]``, or one number that stands for both."""
        value = self.take(key, default)
        ends = value if isinstance(value, list) else [value, value]
        if len(ends) != 2:
            raise ConfigError(f"{self.place(key)} must be a number or [from, to], not {value!r}")
        first, last = (as_number(end, self.place(key), low, high) for end in ends)
        if first > last:
            raise ConfigError(f"{self.place(key)} runs from {first:g} down to {last:g}; swap them")
        return first, last

    def text(self, key: str, default: Any = ...) -> str:
        """Take a text."""
        value = self.take(key, default)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{self.place(key)} must be a text, not {value!r}")
        return value

    def choice(self, key: str, known: Iterable[str], default: Any = ...) -> str:
        """Take one of the known names."""
        value = self.text(key, default)
        require_known(value, known, self.place(key))
        return value

    def texts(self, key: str, known: Iterable[str] | None = None) -> tuple[str, ...]:
        """Take a list of texts that is not empty; each one of `known`, where that is given."""
        value = self.take(key)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise ConfigError(f"{self.place(key)} must be a list of names, not {value!r}")
        for entry in value if known is not None else ():
            require_known(entry, known or (), self.place(key))
        return tuple(value)

    def finish(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self._left:
            raise ConfigError(
                f"{self.place(key)} is not a known key{did_you_mean(key, self._known)}"
            )


def as_number(value: Any, where: str, low: float = 0.0, high: float = float("inf")) -> float:
    """Check that a value is a number in its range.

    Parameters
    ----------
    value
        What stands in the file.
    where
        Its place, for the message.
    low, high
        The range, ends included.

    Returns
    -------
    float
        The number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        limits = f"of at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ConfigError(f"{where} must be a number {limits}, not {value!r}")
    return float(value)


def require_known(name: str, known: Iterable[str], where: str) -> None:
    """Refuse a name that was defined nowhere.

    Parameters
    ----------
    name
        The name.
    known
        The names there are.
    where
        Its place, for the message.
    """
    known = list(known)
    if name not in known:
        raise ConfigError(f'{where}: "{name}" is not known{did_you_mean(name, known)}')


def as_stain(value: Any, where: str) -> Stain:
    """Read ``[decades, spread]`` or ``[decades, spread, share of cells]``."""
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise ConfigError(f"{where} must be [decades, spread] or [decades, spread, share]")
    return Stain(*(as_number(v, where, 0, top) for v, top in zip(value, (6, 2, 1), strict=False)))


def read_stains(entry: Section, markers: Iterable[str]) -> dict[str, Stain]:
    """Read ``markers`` of an entry, which may lack it."""
    stains = entry.section("markers", {})
    result = {}
    for marker in stains.names():
        require_known(marker, markers, entry.place("markers"))
        result[marker] = as_stain(stains.take(marker), stains.place(marker))
    return result
