"""Settle every patient's borders beside those of the cohort: outliers, gaps, common scopes.

A border is compared with those of other patients by its distance from the negative cells
(`offset`), so that a batch in which everything is brighter does not count. All samples that were
looked at together move together: a pair stays comparable.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from biocross.cohort.panel import load_panel
from biocross.cohort.strategy import load_strategy
from biocross.cohort.vocabulary import load_vocabulary
from biocross.flow.joint_thresholds import MAX_SHIFT, JointBorder, scale_at
from biocross.flow.transform_table import decades_by_marker
from biocross.tables import read_rows, write_rows

ESTIMATE_COLUMNS = (
    *("patient_id", "sample_id", "batch", "threshold", "marker", "population", "method"),
    *("source", "value", "depth", "separation", "negative_mode", "shared", "n_events"),
    *("samples", "note"),
)
SETTLED_COLUMNS = (*ESTIMATE_COLUMNS, "estimated_value", "cohort_value", "distance", "flag")
# A border is an outlier beyond both: robust standard deviations, and decades.
OUTLIER_SD = 4.0
OUTLIER_DECADES = 0.15
MIN_PATIENTS = 5
# Fewer patients with a valley do not overrule one without.
MIN_VALLEYS = 3
NAN = math.nan

Row = Mapping[str, Any]


class NamedRule(Protocol):
    """What a row says of the rule of its border."""

    @property
    def name(self) -> str:
        """Name of the threshold."""

    @property
    def marker(self) -> str:
        """Its marker."""

    @property
    def method(self) -> str:
        """How it is to be found."""


class _Unit(NamedTuple):
    """Samples of a patient that were looked at together."""

    patient: str
    rows: list[dict[str, Any]]
    source: str
    middle: float
    offset: float

    @property
    def known(self) -> bool:
        return not math.isnan(self.middle)


class _Cohort(NamedTuple):
    """The border of a typical patient."""

    offset: float
    middle: float
    by_batch: dict[str, float]
    n_patients: int
    spread: float
    most_separate: bool


def estimate_rows(
    samples: Sequence[Mapping[str, str]], rule: NamedRule, population: str, joint: JointBorder
) -> Iterator[dict[str, object]]:
    """Write what `joint_border` found as one row per sample.

    Parameters
    ----------
    samples
        ``sample_id``, ``patient_id`` and ``batch`` of each sample, in the order of the border's
        values.
    rule
        The threshold.
    population
        The population that it was estimated on.
    joint
        What was found.

    Yields
    ------
    dict
        Rows with `ESTIMATE_COLUMNS`.
    """
    together = ",".join(sample["sample_id"] for sample in samples)
    for sample, value, mode in zip(samples, joint.values, joint.negative_modes, strict=True):
        yield {
            "patient_id": sample["patient_id"],
            "sample_id": sample["sample_id"],
            "batch": sample.get("batch", ""),
            "threshold": rule.name,
            "marker": rule.marker,
            "population": population,
            "method": rule.method,
            "source": joint.source,
            "value": value,
            "depth": joint.depth,
            "separation": joint.separation,
            "negative_mode": mode,
            "shared": joint.shared,
            "n_events": joint.n_events,
            "samples": together,
            "note": joint.note,
        }


def settle_thresholds(
    estimates: Sequence[Path | str],
    strategy: Path | str,
    populations: Path | str,
    panel: Path | str,
    transforms: Path | str,
    thresholds_out: Path | str,
) -> None:
    """Settle the borders of all patients.

    Parameters
    ----------
    estimates
        The estimates of every patient, with `ESTIMATE_COLUMNS`.
    strategy, populations, panel
        ``gating.yaml``, ``populations.yaml`` and ``panel.tsv``.
    transforms
        The cohort's transforms, which tell how long a decade is.
    thresholds_out
        All rows, with `SETTLED_COLUMNS`.
    """
    markers = {channel.marker for channel in load_panel(Path(panel))}
    rules = load_strategy(Path(strategy), load_vocabulary(Path(populations)), markers).thresholds
    decades = decades_by_marker(transforms)
    rows = [row for path in estimates for row in read_rows(path)]
    scopes = {name: rule.scope for name, rule in rules.items()}
    write_rows(thresholds_out, SETTLED_COLUMNS, settle(rows, scopes, decades))


def settle(
    rows: Iterable[Row], scopes: Mapping[str, str], decades_per_unit: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Compare every border with the cohort's and replace what cannot be believed.

    ==============  ======================================================================
    flag            what happened to all samples that were looked at together
    ==============  ======================================================================
    ``pulled``      the border lay more than 4 robust standard deviations and 0.15 decade from
                    those of at least 5 patients: it took the cohort's distance from the
                    negatives
    ``no_valley``   there was no valley (or mixture), but most patients have one: likewise
    ``from_cohort`` there were too few events (or no FMO control): likewise
    ``unknown``     so it was in all patients: there is no border
    ==============  ======================================================================

    Parameters
    ----------
    rows
        With `ESTIMATE_COLUMNS`, values typed or as text.
    scopes
        By threshold, ``patient`` (the default), ``batch``, ``cohort`` or ``sample``. In the scopes
        batch and cohort every sample takes the median border over patients.
    decades_per_unit
        By marker; NaN or absent for a linear scale, where the logarithm around the border counts.

    Returns
    -------
    list of dict
        The rows in their order, with `SETTLED_COLUMNS`: ``value`` is the border to gate with,
        ``estimated_value`` the patient's own, ``cohort_value`` that of a typical patient in this
        sample, and ``distance`` how far the own one lies above the typical (decades).
    """
    typed = [_typed(row) for row in rows]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in typed:
        groups.setdefault((row["threshold"], row["population"]), []).append(row)
    for (threshold, _), members in groups.items():
        if members[0]["method"] == "fixed":
            for row in members:
                row.update(cohort_value=row["value"], distance=0.0)
            continue
        per_unit = decades_per_unit.get(members[0]["marker"], NAN)
        _settle_group(members, scopes.get(threshold, "patient"), per_unit)
    return typed


def _settle_group(rows: list[dict[str, Any]], scope: str, per_unit: float) -> None:
    """Settle one threshold on one population, in place."""
    _disbelieve_modes(rows, per_unit)
    units = _units(rows)
    cohort = _cohort(units, per_unit)
    for unit in units:
        expected = [_expected(row, unit, cohort) for row in unit.rows]
        away = _away(unit, cohort)
        scale = scale_at(per_unit, float(np.median(expected)))
        for row, value in zip(unit.rows, expected, strict=True):
            row.update(cohort_value=value, distance=away * scale)
        if scope in ("batch", "cohort"):
            _take_common(unit, cohort, scope)
        else:
            _judge(unit, cohort, away, away * scale)


def _disbelieve_modes(rows: Sequence[dict[str, Any]], per_unit: float) -> None:
    """Blank the negatives that lie where no change of staining moves them: another class of cells.

    Such a sample is compared by the place of its border.
    """
    modes = _by_patient((row["patient_id"], row["negative_mode"]) for row in rows)
    typical = _median(modes.values())
    scale = scale_at(per_unit, typical)
    for row in rows:
        if abs(row["negative_mode"] - typical) * scale > MAX_SHIFT:
            row["negative_mode"] = NAN


def _units(rows: Sequence[dict[str, Any]]) -> list[_Unit]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["patient_id"], row["samples"]), []).append(row)
    return [
        _Unit(
            patient,
            members,
            members[0]["source"],
            _median(row["value"] for row in members),
            _median(row["value"] - row["negative_mode"] for row in members),
        )
        for (patient, _), members in groups.items()
    ]


def _cohort(units: Sequence[_Unit], per_unit: float) -> _Cohort:
    known = [unit for unit in units if unit.known]
    separate = [unit for unit in known if unit.source in ("valley", "mixture")]
    patients = {unit.patient for unit in separate}
    most = len(separate) > len(known) / 2 and len(patients) >= MIN_VALLEYS
    believed = separate if most else known
    offsets = list(_by_patient((unit.patient, unit.offset) for unit in believed).values())
    middles = _by_patient((unit.patient, unit.middle) for unit in believed)
    middle, offset = _median(middles.values()), _median(offsets)
    batches = {row["batch"] for unit in believed for row in unit.rows}
    by_batch = {
        batch: _median(
            _by_patient(
                (unit.patient, row["value"])
                for unit in believed
                for row in unit.rows
                if row["batch"] == batch
            ).values()
        )
        for batch in batches
    }
    places, typical = (offsets, offset) if offsets else (list(middles.values()), middle)
    spread = 1.4826 * _median(abs(place - typical) for place in places)
    return _Cohort(
        offset, middle, by_batch, len(middles), spread * scale_at(per_unit, middle), most
    )


def _expected(row: Row, unit: _Unit, cohort: _Cohort) -> float:
    """Return where a typical patient's border would be in a sample."""
    mode = row["negative_mode"]
    if math.isnan(mode) or row["shared"]:
        mode = _median(other["negative_mode"] for other in unit.rows)
    if not math.isnan(mode + cohort.offset):
        return float(mode + cohort.offset)
    return cohort.by_batch.get(row["batch"], cohort.middle)


def _away(unit: _Unit, cohort: _Cohort) -> float:
    """Return how far a unit's border lies above the cohort's, on the transformed scale."""
    away = unit.offset - cohort.offset
    if not math.isnan(away):
        return away
    return _median(
        row["value"] - cohort.by_batch.get(row["batch"], cohort.middle) for row in unit.rows
    )


def _judge(unit: _Unit, cohort: _Cohort, away: float, distance: float) -> None:
    """Flag the border of a unit and replace it where it cannot be believed."""
    patients = f"{cohort.n_patients} patient{'s' if cohort.n_patients != 1 else ''}"
    if not unit.known:
        # All samples of a unit that shares its border get one and the same.
        values = [row["cohort_value"] for row in unit.rows]
        if unit.rows[0]["shared"]:
            values = [_median(values)] * len(values)
        known = not math.isnan(_median(values))
        note = f"the border of {patients}" if known else "no patient has a border"
        for row, value in zip(unit.rows, values, strict=True):
            _flag(row, "from_cohort" if known else "unknown", value, note)
        return
    if unit.source == "tail" and cohort.most_separate and unit.rows[0]["method"] != "tail":
        flag, note = "no_valley", f"no valley here; moved to the distance of {patients} with one"
    elif cohort.n_patients >= MIN_PATIENTS and abs(distance) > max(
        OUTLIER_SD * cohort.spread, OUTLIER_DECADES
    ):
        flag = "pulled"
        note = f"lay {distance:+.2f} decade from the border of {patients}; pulled there"
    else:
        return
    for row in unit.rows:
        _flag(row, flag, row["value"] - away, note)


def _take_common(unit: _Unit, cohort: _Cohort, scope: str) -> None:
    """Give every sample the border of its batch, or of the cohort."""
    for row in unit.rows:
        common = cohort.by_batch.get(row["batch"], NAN) if scope == "batch" else cohort.middle
        if math.isnan(common):
            common = cohort.middle
        row["value"] = row["cohort_value"] = common
        if math.isnan(common):
            _flag(row, "unknown", common, "no patient has a border")
        elif not unit.known:
            _flag(row, "from_cohort", common, f"the border of the {scope}")


def _flag(row: dict[str, Any], flag: str, value: float, note: str) -> None:
    notes = [text for text in (row["note"], note) if text]
    row.update(flag=flag, value=value, note="; ".join(notes))


def _typed(row: Row) -> dict[str, Any]:
    numbers = {
        name: _number(row[name]) for name in ("value", "depth", "separation", "negative_mode")
    }
    return {
        **{name: row[name] for name in ESTIMATE_COLUMNS},
        **numbers,
        "shared": row["shared"] in (True, "yes"),
        "estimated_value": numbers["value"],
        "cohort_value": NAN,
        "distance": NAN,
        "flag": "",
    }


def _number(cell: object) -> float:
    return NAN if cell in (None, "") else float(str(cell))


def _median(values: Iterable[float]) -> float:
    """Return the median of what is known."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else NAN


def _by_patient(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the median of each patient's known values."""
    values: dict[str, list[float]] = {}
    for patient, value in pairs:
        if not math.isnan(value):
            values.setdefault(patient, []).append(value)
    return {patient: _median(of_patient) for patient, of_patient in values.items()}
