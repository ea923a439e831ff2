"""What the page needs to draw any population of any patient: values and findings, as plain data."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from biocross.report.sources import is_below, is_shown, records
from biocross.report.words import finding, found_by, no_finding, plain

# Readouts that every sample has a value of; composition is told in words.
DRAWN = {"percent_of_parent": "percent", "cells_per_ul": "cells_per_ul"}
KEYS = ["modality", "source", "population", "parent"]
DIGITS = 4


def explorer_data(
    changes: pd.DataFrame,
    counts: pd.DataFrame,
    pairs: pd.DataFrame,
    design: Mapping[str, Any],
    fdr: float,
    primary: Sequence[str],
    declared: Sequence[str],
) -> dict[str, Any]:
    """Gather what the page draws when a reader chooses a population.

    Parameters
    ----------
    changes
        Of `load_changes`.
    counts
        Of `read_long_table`.
    pairs
        Of `read_pair_sheet`.
    design
        ``levels`` and ``contrast`` of the configuration.
    fdr
        False discovery rate of a claim.
    primary
        Names of the primary populations, which come first.
    declared
        Modality and source of the confirmatory family, which lead.

    Returns
    -------
    dict
        ``levels``; ``treatments``, the units of each; ``series``, one per population and way of
        finding it: its names and, by value and level, one number per unit; ``findings`` in words.
        Numbers have `DIGITS` significant digits; None is not measured.
    """
    shown = changes[[is_shown(row, fdr) for row in records(changes)]]
    series_keys = shown[KEYS].fillna("").drop_duplicates()
    series_keys = series_keys.iloc[_order(series_keys, primary, declared)]
    units = sorted(pairs["unit"].unique())
    levels = list(design["levels"])
    by_key = dict(list(counts.fillna({"parent": ""}).groupby(KEYS, sort=False)))
    place = {key: n for n, key in enumerate(series_keys.itertuples(index=False, name=None))}
    sentences = [
        _finding(row, place, str(design["contrast"]), fdr)
        for row in records(shown.fillna({"parent": ""}))
    ]
    return {
        "levels": [plain(level) for level in levels],
        "units": units,
        "treatments": {
            str(treatment): sorted(units.index(unit) for unit in part.unique())
            for treatment, part in pairs.groupby("treatment")["unit"]
        },
        "series": [_series(key, by_key.get(key), units, levels, primary) for key in place],
        "findings": sentences,
    }


def _order(keys: pd.DataFrame, primary: Sequence[str], declared: Sequence[str]) -> list[int]:
    """Put primary populations first, and of each population what the study declared."""
    first = {name: n for n, name in enumerate(keys["population"])}
    return sorted(
        range(len(keys)),
        key=lambda n: (
            keys["population"].iloc[n] not in primary,
            first[keys["population"].iloc[n]],
            (keys["modality"].iloc[n], keys["source"].iloc[n]) != tuple(declared),
        ),
    )


def _series(
    key: tuple[str, ...],
    measured: pd.DataFrame | None,
    units: Sequence[str],
    levels: Sequence[str],
    primary: Sequence[str],
) -> dict[str, Any]:
    modality, source, population, parent = key
    data: dict[str, Any] = {
        "population": plain(population),
        "name": population,
        "parent": plain(parent),
        "how": found_by({"modality": modality, "source": source}),
        "key": f"{modality}/{source}",
        "primary": population in primary,
    }
    for value in ("percent", "cells_per_ul", "count", "parent_count"):
        if measured is None or value not in measured:
            data[value] = None
            continue
        wide = measured.pivot_table(index="unit", columns="level", values=value, aggfunc="first")
        wide = wide.reindex(index=list(units), columns=list(levels))
        data[value] = (
            [[rounded(number) for number in row] for row in wide.to_numpy(dtype=float)]
            if wide.notna().any(axis=None)
            else None
        )
    return data


def rounded(number: float) -> float | int | None:
    """Round to `DIGITS` significant digits; whole numbers stay, what is missing is None."""
    if not np.isfinite(number):
        return None
    if number == int(number):
        return int(number)
    return float(f"{number:.{DIGITS}g}")


def _finding(
    row: Mapping[str, Any], place: Mapping[tuple[str, ...], int], contrast: str, fdr: float
) -> list[Any]:
    """Return series, treatment, contrast, readout, whether it is claimed, and the sentence."""
    key = tuple(str(row[name]) for name in KEYS)
    claimed = is_below(row, fdr)
    words = finding if claimed else no_finding
    return [
        place[key],
        row["treatment"],
        plain(row["contrast"]),
        row["readout"],
        int(claimed),
        f"{words(row, contrast)}.",
    ]
