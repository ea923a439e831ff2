"""From the long table to arrays of visits: all samples of the patients under one treatment."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.sheets import did_you_mean
from biocross.errors import ConfigError
from biocross.statistics.kernels.scale import logit_at_depth, logit_of_percent
from biocross.statistics.pairs import read_long_table, value_arrays
from biocross.statistics.readouts import VALUE_COLUMNS, above_zero, rounding_unit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
# Numeric columns of the sheet of samples.
_SAMPLE_COVARIATES = ("hours_to_stain",)


class Visits(NamedTuple):
    """The samples of one modality and source from the patients under one treatment.

    Parameters
    ----------
    asked
        ``modality``, ``source`` and ``treatment``, as the rows of results say them.
    levels
        Values of the contrast in order, the baseline first.
    keys
        Population and parent, one row per column of the arrays.
    samples
        ``sample_id``, ``patient_id``, ``unit``, ``level``, ``batch`` and ``enrichment``, by unit
        and level.
    unit
        Number of each sample's unit (the patient), shape (samples,).
    level
        Position of each sample's level in `levels`, shape (samples,).
    measurements
        By value column, shape (samples, populations); NaN where not measured.
    covariates
        What varies in time, by name; shape (samples,), NaN where missing.
    n_enriched
        Samples that were enriched, whose frequencies are missing.
    """

    asked: dict[str, str]
    levels: Sequence[str]
    keys: pd.DataFrame
    samples: pd.DataFrame
    unit: IntArray
    level: IntArray
    measurements: dict[str, FloatArray]
    covariates: dict[str, FloatArray]
    n_enriched: int = 0

    @property
    def complete(self) -> BoolArray:
        """Whether every covariate of a sample is known, shape (samples,)."""
        known = [~np.isnan(values) for values in self.covariates.values()]
        return np.asarray(np.all([np.ones(len(self.samples), np.bool_), *known], axis=0))

    def adjustable(self, name: str) -> FloatArray:
        """Return one of the values, without the samples that lack a covariate."""
        return np.where(self.complete[:, np.newaxis], self.measurements[name], np.nan)

    def per_unit(self, reduce: np.ufunc, values: NDArray[Any], start: float) -> NDArray[Any]:
        """Reduce over the samples of each unit, from shape (samples, ...) to (units, ...)."""
        n_units = int(self.unit.max(initial=-1)) + 1
        reduced = np.full((n_units, *values.shape[1:]), start, dtype=values.dtype)
        reduce.at(reduced, self.unit, values)
        return reduced


class Reading(NamedTuple):
    """One readout of all visits.

    Parameters
    ----------
    name, effect_scale
        As in ``paired_changes.tsv``.
    values
        Logit of the frequency at the patient's common depth, or log cells per µl, shape (samples,
        populations); NaN where not measured or where a covariate is missing.
    events
        Events at the common depth; NaN where only percentages are known.
    measured
        Whether any sample has the population, its covariates known or not, shape (populations,).
    caveat
        What to say of every row; empty where there is nothing.
    """

    name: str
    effect_scale: str
    values: FloatArray
    events: FloatArray
    measured: BoolArray
    caveat: str = ""


def visit_tables(
    counts: Path | str, samples: Path | str, levels: Sequence[str], covariates: Sequence[str]
) -> Iterator[Visits]:
    """Arrange ``counts.tsv`` by modality, source and history of treatment.

    Parameters
    ----------
    counts, samples, levels, covariates
        As for `find_longitudinal_changes` of `biocross.statistics.visits`.

    Yields
    ------
    Visits
        Of the populations that have a parent; a patient who changes treatment belongs to the
        treatments in their order, such as ``omalizumab → mepolizumab``.

    Raises
    ------
    ConfigError
        A covariate is no column of the clinical sheet.
    """
    sheet = pd.read_csv(samples, sep="\t", dtype=str, keep_default_na=False)
    columns = list(sheet.columns)
    of_samples = [name for name in _SAMPLE_COVARIATES if name in columns]
    clinical = [*columns[columns.index("level") + 1 :], *of_samples]
    for name in covariates:
        if name not in clinical:
            raise ConfigError(
                f'statistics.covariates names "{name}", which is no numeric column of the '
                f"clinical sheet, nor hours_to_stain{did_you_mean(name, clinical)}"
            )
    known = sheet.set_index("sample_id")[list(covariates)].replace("", "nan").astype(np.float64)
    order = {level: position for position, level in enumerate(levels)}
    history = _histories(sheet[sheet["level"].isin(levels)], order)
    table = read_long_table(counts, samples)
    table = table[(table["parent"] != "") & table["level"].isin(levels)]
    for (modality, source), part in table.groupby(["modality", "source"], sort=True):
        keys = part[["population", "parent"]].drop_duplicates().reset_index(drop=True)
        for treatment in sorted(set(history.values())):
            units = [unit for unit in history if history[unit] == treatment]
            asked = {"modality": str(modality), "source": str(source), "treatment": treatment}
            rows = part[part["unit"].isin(units)]
            yield _visits(asked, rows, keys, known, order)


def _histories(sheet: pd.DataFrame, order: dict[str, int]) -> dict[str, str]:
    """Name the treatments of every unit in order of its levels, repetitions left out."""
    at = sheet.assign(position=sheet["level"].map(order)).sort_values(["unit", "position"])
    history: dict[str, list[str]] = {}
    for unit, treatment in zip(at["unit"], at["treatment"], strict=True):
        given = history.setdefault(unit, [])
        if given[-1:] != [treatment]:
            given.append(treatment)
    return {unit: " → ".join(given) for unit, given in history.items()}


def _visits(
    asked: dict[str, str],
    rows: pd.DataFrame,
    keys: pd.DataFrame,
    covariates: pd.DataFrame,
    order: dict[str, int],
) -> Visits:
    about = ["sample_id", "patient_id", "unit", "level", "batch", "enrichment"]
    samples = rows[about].drop_duplicates()
    samples = samples.assign(position=samples["level"].map(order))
    samples = samples.sort_values(["unit", "position", "sample_id"], ignore_index=True)
    names = samples["sample_id"].tolist()
    values = value_arrays(rows.assign(unit=rows["sample_id"]), names, keys, VALUE_COLUMNS)
    known = covariates.loc[names]
    return Visits(
        asked,
        tuple(order),
        keys,
        samples,
        np.unique(samples["unit"].to_numpy(dtype=str), return_inverse=True)[1],
        samples["position"].to_numpy(dtype=np.int64),
        values,
        {str(name): known[name].to_numpy() for name in known.columns},
        int((samples["enrichment"] != "").sum()),
    )


def readings(visits: Visits) -> Iterator[Reading]:
    """Read a table of visits in the two ways that more than two visits have.

    Parameters
    ----------
    visits
        Of `visit_tables`.

    Yields
    ------
    Reading
        ``percent_of_parent``, then ``cells_per_ul``.
    """
    yield _percent_of_parent(visits)
    yield _cells_per_ul(visits)


def _percent_of_parent(visits: Visits) -> Reading:
    count, total, percent = (
        visits.adjustable(name) for name in ("count", "parent_count", "percent")
    )
    values, caveat = logit_at_depth(count, total, _common_depth(visits)), ""
    only_percent = visits.per_unit(np.logical_or, np.isnan(count) & ~np.isnan(percent), False)
    if only_percent.any():
        unit = rounding_unit(percent)
        values = np.where(only_percent[visits.unit], logit_of_percent(percent, unit), values)
        caveat = f"percentages without counts (zero read as {unit / 2:g} %)"
    measured = np.asarray((~np.isnan(visits.measurements["percent"])).any(axis=0))
    events = _events(visits)
    return Reading("percent_of_parent", "odds_ratio", values, events, measured, caveat)


def _cells_per_ul(visits: Visits) -> Reading:
    per_ul = {name: visits.adjustable(name) for name in ("count", "cells_per_ul")}
    measured = np.asarray((~np.isnan(visits.measurements["cells_per_ul"])).any(axis=0))
    values = np.log(above_zero(per_ul))
    return Reading("cells_per_ul", "fold_change", values, _events(visits), measured)


def _common_depth(visits: Visits) -> FloatArray:
    """Return the parent's events at each patient's shallowest visit, (samples, populations)."""
    count, total = visits.adjustable("count"), visits.adjustable("parent_count")
    counted = np.where((total > 0) & ~np.isnan(count), total, np.inf)
    depth = visits.per_unit(np.minimum, counted, np.inf)[visits.unit]
    return np.where(np.isinf(depth), np.nan, depth)


def _events(visits: Visits) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        share = visits.adjustable("count") / visits.adjustable("parent_count")
    return np.asarray(share * _common_depth(visits))
