"""How did populations change over all visits? One model per population, patients held fixed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from biocross.errors import DesignError
from biocross.statistics.families import correct_families, exploratory
from biocross.statistics.kernels.longitudinal import Coefficients, VisitEffects, fit_visits
from biocross.statistics.kernels.moderation import MIN_PAIRS
from biocross.statistics.paired_changes import MIN_EVENTS, batch_caveat
from biocross.statistics.visit_tables import (
    BoolArray,
    FloatArray,
    IntArray,
    Reading,
    Visits,
    readings,
    visit_tables,
)
from biocross.tables import write_rows

LONGITUDINAL_COLUMNS = (
    *("modality", "source", "treatment", "population", "parent", "readout", "term"),
    *("n_patients", "n_single_visit", "n_samples", "effect", "effect_low", "effect_high"),
    *("effect_scale", "statistic", "df", "p_value", "q_value", "family", "status", "note"),
)
FAMILY = ("modality", "source", "treatment", "readout", "term")
ANY_VISIT = "any_visit"
SHOWN = ("tested", "too_few_events")
NOT_MEASURED = {
    "percent_of_parent": "not measured in these samples",
    "cells_per_ul": "neither counting beads nor a blood count of its anchor",
}


class _Tally(NamedTuple):
    """Who contributes to each population; shape (populations,), or (levels, populations)."""

    n_patients: IntArray
    n_single_visit: IntArray
    n_samples: IntArray
    at_level: IntArray  # patients with two or more visits, one of them this
    events_median: FloatArray  # median over patients of their visit with most events
    all_zero: BoolArray


class _Fit(NamedTuple):
    """The model of one reading, or the sentence that says why there is none."""

    terms: dict[str, Coefficients]  # by term, fields of shape (populations,)
    constant: BoolArray  # (populations,): no change differs between patients
    fixed: tuple[str, ...] = ()  # covariates that never vary within a patient: left out
    refusal: str = ""


def find_longitudinal_changes(
    counts: Path | str,
    samples: Path | str,
    levels: Sequence[str],
    covariates: Sequence[str],
    changes_out: Path | str,
) -> None:
    """Model every population over all visits at once, patients held fixed.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples
        ``results/cohort/samples.tsv``, with the numeric columns of the clinical sheet.
    levels
        Values of the contrast in order (``design.levels``), the baseline first.
    covariates
        Clinical columns that vary in time and are adjusted for (``statistics.covariates``).
    changes_out
        One row per modality, source, treatment, population, readout and term: every later level
        against the first, every covariate, and ``any_visit``.

    Raises
    ------
    ConfigError
        A covariate is no column of the clinical sheet.
    """
    rows = [
        row
        for visits in visit_tables(counts, samples, levels, covariates)
        for row in longitudinal_rows(visits)
    ]
    correct_families(rows)
    write_rows(changes_out, LONGITUDINAL_COLUMNS, rows)


def longitudinal_rows(visits: Visits) -> list[dict[str, Any]]:
    """Model one table of visits in both readouts.

    Parameters
    ----------
    visits
        Of `visit_tables`.

    Returns
    -------
    list of dict
        Rows of ``longitudinal.tsv`` without their q values.
    """
    rows = []
    for reading in readings(visits):
        tally, fit = _tally(visits, reading), _fit(visits, reading.values)
        terms = (*visits.levels[1:], *visits.covariates, ANY_VISIT)
        caveats = {term: _caveats(visits, reading, fit, term) for term in terms}
        for column, key in enumerate(visits.keys.to_dict("records")):
            for term in terms:
                status, note = _judge(visits, reading, tally, fit, term, column)
                said = [note, *caveats[term]] if tally.n_patients[column] else [note]
                row = {
                    **visits.asked,
                    **{str(name): value for name, value in key.items()},
                    "readout": reading.name,
                    "term": term,
                    "n_patients": int(tally.n_patients[column]),
                    "n_single_visit": int(tally.n_single_visit[column]),
                    "n_samples": int(tally.n_samples[column]),
                    "effect_scale": reading.effect_scale,
                    "status": status,
                    "note": "; ".join(filter(None, [*said, _left_out(visits)])),
                    **_numbers(fit, term, column, status),
                }
                rows.append(row | {"family": exploratory(row, *FAMILY)})
    return rows


def _tally(visits: Visits, reading: Reading) -> _Tally:
    present = ~np.isnan(reading.values)
    n_visits = visits.per_unit(np.add, present.astype(np.int64), 0)
    several = n_visits >= 2
    contributes = present & several[visits.unit]
    at_level = [
        contributes[visits.level == position].sum(axis=0) for position in range(len(visits.levels))
    ]
    most = visits.per_unit(np.fmax, np.where(contributes, reading.events, np.nan), np.nan)
    columns = [events[kept] for events, kept in zip(most.T, several.T, strict=True)]
    return _Tally(
        several.sum(axis=0),
        (n_visits == 1).sum(axis=0),
        np.where(several, n_visits, 0).sum(axis=0),
        np.array(at_level),
        np.array([np.median(events) if events.size else np.nan for events in columns]),
        np.array([bool(events.size) and not events.any() for events in columns]),
    )


def _fit(visits: Visits, values: FloatArray) -> _Fit:
    known = np.asarray((~np.isnan(values)).any(axis=1))
    blank = _Fit({}, np.zeros(values.shape[1], dtype=np.bool_))
    if not (np.bincount(visits.unit[known]) >= 2).any():
        return blank
    if refusal := _not_replicates(visits.samples[known]):
        return blank._replace(refusal=refusal)
    sample = (values[known], visits.unit[known], visits.level[known])
    slopes = {name: x[known] for name, x in visits.covariates.items()}
    fixed = tuple(name for name, x in slopes.items() if not _varies(x, sample[1]))
    slopes = {name: x for name, x in slopes.items() if name not in fixed}
    try:
        alone = fit_visits(*sample)
    except DesignError:
        linked = f"no chain of patients with two visits links {visits.levels[0]} to later visits"
        return blank._replace(fixed=fixed, refusal=linked)
    if aliased := _aliased(sample, slopes):
        return blank._replace(fixed=fixed, refusal=_aliased_words(aliased))
    effects = fit_visits(*sample, _columns(slopes)) if slopes else alone
    names = [visits.levels[code] for code in effects.visit]
    # As many visits as changes, or one patient alone behind a visit, is no constant change.
    estimable = np.isfinite(alone.visits.estimate)
    spare = alone.n_samples - alone.n_patients - estimable.sum(axis=0)
    constant = np.isnan(alone.visits.p).all(axis=0) & (spare > 0) & estimable.any(axis=0)
    return _Fit(_terms(effects, names, list(slopes)), constant, fixed)


def _columns(covariates: Mapping[str, FloatArray]) -> FloatArray:
    return np.column_stack(list(covariates.values()))


def _varies(x: FloatArray, unit: IntArray) -> bool:
    """Return whether a covariate takes two values in any patient."""
    return len(np.unique(np.column_stack([unit, x]), axis=0)) > len(np.unique(unit))


def _aliased(
    sample: tuple[FloatArray, IntArray, IntArray], covariates: Mapping[str, FloatArray]
) -> list[str]:
    """Name the covariates that follow from the visits and the covariates before them."""
    kept: dict[str, FloatArray] = {}
    aliased = []
    for name, x in covariates.items():
        try:
            fit_visits(*sample, _columns({**kept, name: x}))
            kept[name] = x
        except DesignError:
            aliased.append(name)
    return aliased


def _aliased_words(names: Sequence[str]) -> str:
    return (
        f"in these patients {' and '.join(names)} cannot be told from the visits and the other "
        "covariates; leave out of statistics.covariates what moves with them"
    )


def _not_replicates(samples: pd.DataFrame) -> str:
    """Say which samples of one patient would be taken for independent ones."""
    twice = samples[samples.duplicated(["unit", "level"])]
    for unit, level in zip(twice["unit"], twice["level"], strict=True):
        return f"{unit} has more than one sample at {level}; combine them first"
    units = samples[["patient_id", "unit"]].drop_duplicates()
    for patient in units.loc[units["patient_id"].duplicated(), "patient_id"]:
        return f"{patient} takes part several times, and a patient's visits are not replicates"
    return ""


def _terms(
    effects: VisitEffects, visits: Sequence[str], covariates: Sequence[str]
) -> dict[str, Coefficients]:
    """Take the fit apart by term; the F statistic stands where a term's t does."""
    joint, empty = effects.any_visit, np.full(effects.n_patients.shape, np.nan)
    terms = {
        ANY_VISIT: Coefficients(
            empty, empty, joint.f, joint.df_denominator, joint.p, low=empty, high=empty
        )
    }
    for block, names in ((effects.visits, visits), (effects.covariates, covariates)):
        fields = vars(block)
        for place, name in enumerate(names):
            terms[name] = Coefficients(**{field: fields[field][place] for field in fields})
    return terms


def _numbers(fit: _Fit, term: str, column: int, status: str) -> dict[str, float]:
    """Show the effect wherever there is one, and the test where there is something to test."""
    if term not in fit.terms:
        return {}
    found = fit.terms[term]
    with np.errstate(over="ignore"):  # an interval on hardly any degree of freedom: infinity
        numbers = {"effect": np.exp(found.estimate[column])}
        if status in SHOWN:
            numbers |= {
                "effect_low": np.exp(found.low[column]),
                "effect_high": np.exp(found.high[column]),
                "statistic": found.t[column],
                "df": found.df[column],
                "p_value": found.p[column],
            }
    return {name: float(value) for name, value in numbers.items()}


def _judge(
    visits: Visits, reading: Reading, tally: _Tally, fit: _Fit, term: str, column: int
) -> tuple[str, str]:
    """Say whether a term could be tested and, in words, why not."""
    if visits.n_enriched and visits.n_enriched == len(visits.samples):
        return "enriched", "an enriched sample has no frequencies"
    if len(visits.samples) and not reading.measured[column]:
        return "not_measured", NOT_MEASURED[reading.name]
    if (n := tally.n_patients[column]) == 0:
        return "no_pairs", "no patient was measured at two visits"
    if n < MIN_PAIRS:
        return "too_few_pairs", f"{n} of the {MIN_PAIRS} patients with two visits that a test needs"
    if fit.refusal:
        return "not_possible", fit.refusal
    if term in fit.fixed:
        return "not_possible", f"{term} never varies within a patient, so it has no effect to see"
    if term in visits.levels:
        n = tally.at_level[visits.levels.index(term), column]
        if n == 0:
            return "no_pairs", f"no patient was measured at {term} and another visit"
        if n < MIN_PAIRS:
            return "too_few_pairs", f"{n} of the {MIN_PAIRS} patients at {term} that a test needs"
    if tally.all_zero[column]:
        return "all_zero", "no event at any visit of any patient with two"
    if not np.isfinite(fit.terms[term].p[column]):
        if fit.constant[column]:
            return "constant", "the change is the same in every patient"
        if term == ANY_VISIT:
            return "not_possible", "too few patients for a joint test of so many terms"
        return "not_possible", (
            f"{term} cannot be told from the patients and the other terms where the population "
            "was measured, or one patient alone would decide it"
        )
    if (events := tally.events_median[column]) < MIN_EVENTS:
        return "too_few_events", (
            f"{events:.0f} events in the median patient's best visit, fewer than {MIN_EVENTS}: "
            "shown, but nothing is claimed"
        )
    return "tested", ""


def _caveats(visits: Visits, reading: Reading, fit: _Fit, term: str) -> list[str]:
    """Say what limits every row of a term: batches, rounding, covariates without effect."""
    compared = [level for level in visits.levels[1:] if term in (level, ANY_VISIT)]
    moved = {level: _batch_words(visits, level) for level in compared}
    batches = [
        f"{words} ({level})" if term == ANY_VISIT else words
        for level, words in moved.items()
        if words
    ]
    without = [f"{name} never varies within a patient" for name in fit.fixed if name != term]
    return [*batches, reading.caveat, *without]


def _batch_words(visits: Visits, level: str) -> str:
    baseline, samples = visits.levels[0], visits.samples
    at = [
        samples[samples["level"] == name].set_index("unit")["batch"] for name in (baseline, level)
    ]
    both = at[0].to_frame("before").join(at[1].rename("after"), how="inner")
    batches = tuple(zip(both["before"], both["after"], strict=True))
    return batch_caveat(batches)


def _left_out(visits: Visits) -> str:
    """Count the samples that leave for want of a covariate, and those that were enriched."""
    lacking = [name for name, values in visits.covariates.items() if np.isnan(values).any()]
    left = {
        f"no {', '.join(lacking)}": int((~visits.complete).sum()) if lacking else 0,
        "enriched": visits.n_enriched if visits.n_enriched < len(visits.samples) else 0,
    }
    every = len(visits.samples)
    return "; ".join(f"{n} of {every} samples left out: {why}" for why, n in left.items() if n)
