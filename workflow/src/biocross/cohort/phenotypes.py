"""Phenotypes in words that a program can judge: ``CD3- CD56+>CD7+ CD14+/CD16+ HLA-DR-?``."""

from collections.abc import Collection
from typing import NamedTuple

from biocross.errors import ConfigError

# Longest first: a marker may end in a level's first letter, never in a level.
LEVELS = ("hi", "lo", "+", "-")


class Sign(NamedTuple):
    """One marker and how much of it the cells bear: ``-``, ``lo``, ``+`` or ``hi``."""

    marker: str
    level: str

    @property
    def is_present(self) -> bool:
        """Whether the cells bear the marker."""
        return self.level in ("+", "hi")

    def __str__(self) -> str:
        """Write it as phenotypes do."""
        return self.marker + self.level


class Word(NamedTuple):
    """One condition of a phenotype.

    Parameters
    ----------
    choices
        Of these the first counts whose markers the panel has; in it any sign may hold.
    optional
        Whether the word is left out where the panel has none of them.
    """

    choices: tuple[tuple[Sign, ...], ...]
    optional: bool = False

    def in_panel(self, markers: Collection[str]) -> tuple[Sign, ...]:
        """Return the signs that a panel can judge, of which any may hold; empty for none."""
        known = (tuple(s for s in choice if s.marker in markers) for choice in self.choices)
        return next((signs for signs in known if signs), ())

    @property
    def markers(self) -> tuple[str, ...]:
        """Every marker that the word may rest on."""
        return tuple(dict.fromkeys(sign.marker for signs in self.choices for sign in signs))


def parse_words(phenotype: str) -> tuple[Word, ...]:
    """Parse a phenotype.

    Parameters
    ----------
    phenotype
        Words separated by blanks, all of which must hold. A word is a marker with its level:
        ``-`` and ``+`` are below and above the border between negative and positive cells, ``hi``
        is above the one between dim and bright cells, ``lo`` is not ``hi``. ``CD14+/CD16+`` asks
        for either, ``CD56+>CD7+`` for the first that the panel has; a word that ends in ``?`` is
        left out where the panel lacks the marker.

    Returns
    -------
    tuple of Word
        In the order written.

    Raises
    ------
    ConfigError
        A word has no marker or no level, or two words contradict each other.
    """
    words = tuple(_parse_word(text) for text in phenotype.split())
    sure = {word.choices[0][0] for word in words if len(word.markers) == 1}
    for sign in sorted(sure):
        others = {"-": ("+", "hi"), "lo": ("hi",)}.get(sign.level, ())
        if clash := [level for level in others if Sign(sign.marker, level) in sure]:
            raise ConfigError(
                f'"{phenotype}" asks for {sign} and {sign.marker}{clash[0]}; no cell is both'
            )
    return words


def _parse_word(text: str) -> Word:
    choices = tuple(
        tuple(_parse_sign(sign, text) for sign in choice.split("/"))
        for choice in text.removesuffix("?").split(">")
    )
    return Word(choices, text.endswith("?"))


def _parse_sign(text: str, word: str) -> Sign:
    for level in LEVELS:
        if text.endswith(level) and len(text) > len(level):
            return Sign(text.removesuffix(level), level)
    raise ConfigError(
        f'"{word}" must be a marker followed by -, lo, + or hi, such as CD3+; markers are joined '
        'by "/" (either) or ">" (the first in the panel)'
    )
