"""Words that users choose from: known ones are taken, others refused with the nearest known."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from biocross.cohort.sheets import did_you_mean
from biocross.errors import BiocrossError


def known_word(what: str, word: str, known: Iterable[str]) -> str:
    """Return a word that is known.

    Parameters
    ----------
    what
        What it names, for the message.
    word
        What the user wrote.
    known
        What there is.

    Returns
    -------
    str
        The word.

    Raises
    ------
    BiocrossError
        It is not known; the message names the nearest.
    """
    known = list(known)
    if word not in known:
        raise BiocrossError(f'no {what} "{word}"{did_you_mean(word, known)}')
    return word


def as_list(words: str | Iterable[str]) -> list[str]:
    """Return one word or several as a list."""
    return [words] if isinstance(words, str) else list(words)


def rows_with(table: pd.DataFrame, **wanted: str | Iterable[str] | None) -> pd.DataFrame:
    """Take the rows of a table that have the values asked for.

    Parameters
    ----------
    table
        A table of results.
    wanted
        By column, one value or several; None takes all.

    Returns
    -------
    DataFrame
        In the table's order.

    Raises
    ------
    BiocrossError
        A value does not occur in its column, or no row has all values.
    """
    chosen = table
    for column, words in wanted.items():
        if words is not None:
            every = as_list(words)
            for word in every:
                known_word(column, word, table[column].dropna().unique())
            chosen = chosen[chosen[column].isin(every)]
    if chosen.empty and len(table):
        asked = ", ".join(f"{k} {', '.join(as_list(v))}" for k, v in wanted.items() if v)
        raise BiocrossError(f"no row has all of: {asked}")
    return chosen


def axes_for(axes: Axes | Sequence[Axes] | Any, n_panels: int, what: str) -> np.ndarray[Any, Any]:
    """Return the axes that a user gave as an array, one per panel.

    Parameters
    ----------
    axes
        One or several.
    n_panels
        How many are needed.
    what
        What the panels are, for the message.

    Returns
    -------
    ndarray of Axes
        Shape (panels,).

    Raises
    ------
    BiocrossError
        There are too few or too many.
    """
    given = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if given.size != n_panels:
        raise BiocrossError(
            f"{given.size} axes were given for {n_panels} panels ({what}); "
            f"give {n_panels}, or choose fewer panels"
        )
    return given
