"""Events that lack every lineage marker: what rare innate lymphoid cells are looked for among."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary
from biocross.errors import ConfigError
from biocross.flow.clusters.levels import find_levels
from biocross.flow.clusters.phenotypes import phenotype_tree

RARE = "ILC"
# Events that show where borders lie; more do not move them.
MAX_EVENTS = 100_000

Reals = NDArray[np.float32]


class LineageBorder(NamedTuple):
    """On which side of a marker's border lineage-negative events lie.

    Parameters
    ----------
    marker
        Its name.
    value
        The border on the transformed scale.
    above
        Whether the events lie above it, as leukocytes do for CD45.
    source
        How the border was found (see `Levels`).
    """

    marker: str
    value: float
    above: bool
    source: str


def lineage_signs(
    vocabulary: Vocabulary, markers: Sequence[str], population: str = RARE
) -> dict[str, bool]:
    """List the markers that a population lacks, and those of the populations that hold it.

    Parameters
    ----------
    vocabulary
        The populations.
    markers
        What the panel measures.
    population
        What is looked for.

    Returns
    -------
    dict of str to bool
        By marker, whether the events bear it: False for what the population lacks, True for what
        the populations that hold it bear. What the population itself bears is not asked for, so
        that its neighbours stay visible.

    Raises
    ------
    ConfigError
        The vocabulary does not know the population, or the panel cannot tell it.
    """
    tree = phenotype_tree(vocabulary, markers)
    if population not in tree.words:
        reason = tree.skipped.get(population, "the vocabulary gives it no phenotype")
        raise ConfigError(f"{population} cannot be looked for: {reason}")
    signs: dict[str, bool] = {}
    for name in tree.path(population):
        for word in tree.words[name]:
            sign = word[0]
            # Either-or words and dim cells draw no line around a lineage.
            if len(word) > 1 or sign.level == "lo" or (name == population and sign.is_present):
                continue
            signs[sign.marker] = sign.is_present
    return signs


def lineage_borders(
    columns: Mapping[str, Reals],
    signs: Mapping[str, bool],
    zeros: Mapping[str, float] | None = None,
) -> list[LineageBorder]:
    """Find the borders of the lineage markers on pooled events, once for a study.

    Parameters
    ----------
    columns
        By marker, transformed values of the pooled events, shape (events,).
    signs
        By marker, whether the events wanted bear it (`lineage_signs`).
    zeros
        By marker, the transformed value of no light; see `find_levels`.

    Returns
    -------
    list of LineageBorder
        Markers that all or none of the events bear, and that hence divide nothing, are left out.
    """
    borders = []
    for marker, above in signs.items():
        values = columns[marker]
        found = find_levels(
            values[:: -(-values.size // MAX_EVENTS)], (zeros or {}).get(marker, np.nan)
        )
        if np.isfinite(found.low):
            borders.append(LineageBorder(marker, found.low, above, found.source))
    return borders


def is_lineage_negative(
    columns: Mapping[str, Reals], borders: Sequence[LineageBorder]
) -> NDArray[np.bool_]:
    """Tell which events lie on the right side of every border.

    Parameters
    ----------
    columns
        By marker, transformed values of a sample's events, shape (events,). A marker that the
        sample lacks, or its NaN, excludes nothing.
    borders
        Those of `lineage_borders`.

    Returns
    -------
    numpy.ndarray
        Shape (events,).
    """
    keep = np.ones(next(iter(columns.values())).size, dtype=bool)
    for border in borders:
        if border.marker in columns:
            values, limit = columns[border.marker], np.float32(border.value)
            # Asked the other way round, so that NaN is kept.
            keep &= ~(values <= limit) if border.above else ~(values > limit)
    return keep
