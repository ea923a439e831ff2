"""The variation that a plan takes from the results of an earlier study."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.sheets import load_yaml
from biocross.errors import ConfigError
from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.kernels.counting_noise import counting_variance
from biocross.statistics.kernels.power import deviation_behind
from biocross.statistics.paired_changes import load_changes, population_pairs
from biocross.statistics.pairs import PairTable
from biocross.statistics.planning import Basis, Variation

FloatArray = NDArray[np.float64]
READOUTS = ("percent_of_parent", "cells_per_ul")
_ASKED = ("modality", "source", "readout")
_NEEDED = ("n_pairs", "df", "detectable_fold", "baseline_median", "family", "status", "note")


class _Counted(NamedTuple):
    """What was counted of one population under one treatment and contrast.

    `variance` is what counting adds to the variance of its changes, NaN where nothing was counted;
    `events` has those of population and parent before treatment, by patient.
    """

    variance: float
    events: Mapping[str, tuple[float, float]]


def pilot_variation(
    results: Path,
    primary: Collection[str],
    source: str | None = None,
    readout: str | None = None,
) -> Basis:
    """Take the variation of every population from the results of a run.

    Parameters
    ----------
    results
        The folder of the results.
    primary
        Names of the primary populations.
    source
        What found the cells, such as ``gate``; None for what the run declared for its
        confirmatory family, as the modality always is.
    readout
        ``percent_of_parent`` or ``cells_per_ul``; None for the declared one.

    Returns
    -------
    Basis
        Treatments and contrasts pooled.

    Raises
    ------
    ConfigError
        The folder holds no results, or none of such a question.
    """
    changes = results / "statistics" / "paired_changes.tsv"
    table = _changes(results, changes)
    modality, declared_source, declared_readout = _declared(results, table)
    asked = (modality, source or declared_source, readout or declared_readout)
    if asked[2] not in READOUTS:
        raise ConfigError(
            f"--readout {asked[2]}: has no percentage to plan for; use {' or '.join(READOUTS)}"
        )
    wanted = np.logical_and.reduce(
        [table[name] == value for name, value in zip(_ASKED, asked, strict=True)]
    )
    chosen = table[wanted]
    if chosen.empty:
        raise ConfigError(
            f"{changes}: holds no row of {', '.join(asked)}; it has the sources "
            f"{', '.join(sorted(set(table['source'].astype(str))))}"
        )
    counted, events = _counts(results, asked[0], asked[1])
    variations = [
        _variation(rows, str(name), str(name) in primary, counted)
        for name, rows in chosen.groupby("population", sort=False)
        if pd.notna(rows["parent"].iloc[0])
    ]
    return Basis(
        "pilot",
        f"{changes}: {', '.join(asked)}; {_who(chosen)}",
        asked[2],
        events,
        _family(table, primary),
        tuple(variations),
    )


def _changes(results: Path, changes: Path) -> pd.DataFrame:
    if not results.is_dir():
        raise ConfigError(f"{results}: there is no such folder; give the results of a run")
    if not changes.is_file():
        raise ConfigError(f"{changes}: there is no such file; are these the results of a run?")
    try:
        table = load_changes(changes)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{changes}: cannot be read as a table of changes ({error})") from None
    if missing := [name for name in _NEEDED if name not in table]:
        raise ConfigError(f"{changes}: lacks the column {missing[0]}; run the workflow again")
    return table


def _declared(results: Path, table: pd.DataFrame) -> tuple[str, str, str]:
    """Modality, source and readout of the confirmatory family."""
    kept = results / "provenance" / "config.yaml"
    if kept.is_file():
        declared = load_yaml(kept)["statistics"]["confirmatory"]
        return declared["modality"], declared["source"], declared["readout"]
    if table.empty:
        return "flow", "gate", READOUTS[0]
    first = (
        table[table["family"] == CONFIRMATORY] if CONFIRMATORY in set(table["family"]) else table
    )
    return first["modality"].iloc[0], first["source"].iloc[0], READOUTS[0]


def _who(chosen: pd.DataFrame) -> str:
    """Say how many pairs each treatment and contrast had."""
    pairs = chosen.groupby(["treatment", "contrast"], sort=False)["n_pairs"].max().reset_index()
    rows = pairs.itertuples(index=False)
    return ", ".join(f"{row.n_pairs:.0f} pairs of {row.treatment} ({row.contrast})" for row in rows)


def _family(table: pd.DataFrame, primary: Collection[str]) -> int:
    """Tests in the run's confirmatory family; what they would be, where it had too few pairs."""
    tested = table[(table["family"] == CONFIRMATORY) & (table["status"] == "tested")]
    if len(tested):
        return len(tested)
    questions = table[["treatment", "contrast"]].drop_duplicates()
    here = set(primary) & set(table["population"])
    return max(1, len(here) * len(questions))


def _counts(
    results: Path, modality: str, source: str
) -> tuple[dict[tuple[str, str, str], _Counted], float]:
    """What was counted by treatment, contrast and population; events of the median sample."""
    paths = [
        results / "populations" / "counts.tsv",
        *(results / "cohort" / f"{name}.tsv" for name in ("samples", "pairs")),
    ]
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file; run the workflow again")
    found: dict[tuple[str, str, str], _Counted] = {}
    samples: dict[str, float] = {}
    for pairs in population_pairs(*paths):
        question = pairs.question
        if (question.modality, question.source) != (modality, source) or not pairs.units:
            continue
        depth = np.fmax.reduce(pairs.baseline["parent_count"], axis=1, initial=np.nan)
        samples |= dict(zip(pairs.units, depth.tolist(), strict=True))
        for column, name in enumerate(pairs.keys["population"]):
            key = (question.treatment, question.contrast, str(name))
            found[key] = _counted(pairs, column)
    known = [events for events in samples.values() if events > 0]
    return found, float(np.median(known)) if known else np.nan


def _counted(pairs: PairTable, column: int) -> _Counted:
    x, n = (
        np.stack([visit[what][:, column] for visit in (pairs.baseline, pairs.followup)])
        for what in ("count", "parent_count")
    )
    complete = ~np.isnan(x + n).any(axis=0)
    if not complete.any():
        return _Counted(np.nan, {})
    noise = counting_variance(x[:, complete], n[:, complete]).sum(axis=0)
    known = np.flatnonzero(complete & (n[0] > 0))
    events = {pairs.units[i]: (float(x[0, i]), float(n[0, i])) for i in known}
    return _Counted(float(noise.mean()), events)


def _variation(
    rows: pd.DataFrame,
    name: str,
    primary: bool,
    counted: Mapping[tuple[str, str, str], _Counted],
) -> Variation:
    """Pool what the treatments and contrasts say of one population."""
    keys = zip(rows["treatment"], rows["contrast"], strict=True)
    here = [counted.get((*key, name), _Counted(np.nan, {})) for key in keys]
    patients = {unit: each for one in here for unit, each in one.events.items()}
    counts = np.array(list(patients.values())).reshape(-1, 2)
    baseline, pairs = _numbers(rows, "baseline_median"), _numbers(rows, "n_pairs")
    in_percent = rows["readout"].iloc[0] == READOUTS[0]
    change_sd, counting, df, prior_df = _pooled(rows, np.array([one.variance for one in here]))
    notes = [] if len(counts) else ["percentages without counts: for as many events as then"]
    if np.isnan(change_sd):
        notes = ["no variation to learn from in the pilot", *map(str, rows["note"].dropna())]
    return Variation(
        population=name,
        parent=str(rows["parent"].iloc[0]),
        primary=primary,
        change_sd=change_sd,
        counted=counting,
        df=df,
        prior_df=prior_df,
        share=_mean(baseline / 100, pairs) if in_percent else np.nan,
        counts=counts[:, 0],
        totals=counts[:, 1],
        note="; ".join(dict.fromkeys(notes)),
    )


def _pooled(rows: pd.DataFrame, counting: FloatArray) -> tuple[float, float, float, float]:
    """SD of the change, its counting variance, its df, and the df borrowed; NaN without any."""
    df, pairs = _numbers(rows, "df"), _numbers(rows, "n_pairs")
    sd = deviation_behind(_numbers(rows, "detectable_fold"), pairs, df)
    known = np.isfinite(sd)
    if not known.any():
        return (np.nan,) * 4
    # Contrasts of one treatment share their patients: they count once.
    of_treatments = rows[known].groupby("treatment")["df"].mean().sum()
    sd, counting, df, pairs = sd[known], np.nan_to_num(counting[known]), df[known], pairs[known]
    return (
        float(np.sqrt(_mean(np.square(sd), df))),
        _mean(counting, df),
        float(of_treatments),
        _mean(df - (pairs - 1), df),
    )


def _numbers(rows: pd.DataFrame, column: str) -> FloatArray:
    return np.asarray(rows[column], dtype=np.float64)


def _mean(values: FloatArray, weights: FloatArray) -> float:
    """Weighted mean of the known values; NaN where there is none."""
    known = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else np.nan
