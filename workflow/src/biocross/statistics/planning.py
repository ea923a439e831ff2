"""How many patients does the next study need? Power from the variation of an earlier one.

The variation of a change has two parts. One belongs to the patients and to staining and gating;
it stays what it was. The other is counting, and shrinks with the events that are acquired.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.errors import ConfigError
from biocross.statistics.families import MIN_CONFIRMATORY_PAIRS
from biocross.statistics.kernels.battery import ALPHA
from biocross.statistics.kernels.counting_noise import (
    counting_variance,
    expected_events,
    odds_ratio_of_fold,
)
from biocross.statistics.kernels.moderation import MIN_PAIRS
from biocross.statistics.kernels.power import (
    deviation_range,
    paired_power,
    patients_needed,
    power_of_enrolled,
)
from biocross.statistics.paired_changes import MIN_EVENTS
from biocross.tables import write_rows

FloatArray = NDArray[np.float64]

PLAN_COLUMNS = (
    *("population", "parent", "variation_from", "primary", "change_sd", "change_sd_low"),
    *("change_sd_high", "events_median", "fold", "odds_ratio", "n_patients", "n_pairs", "power"),
    *("power_family", "status", "note"),
)
TARGETS = (0.8, 0.9)
PATIENTS_COLUMNS = (
    *("population", "parent", "variation_from", "primary", "fold", "odds_ratio", "events_median"),
    *("events_needed", "patients_80", "patients_80_low", "patients_80_high", "patients_80_family"),
    *("patients_80_family_low", "patients_80_family_high", "patients_90", "patients_90_low"),
    *("patients_90_high", "patients_90_family", "patients_90_family_low"),
    *("patients_90_family_high", "status", "note"),
)
# More in one arm are not looked for.
MOST_PATIENTS = 500
# Of a pilot's variance that is never put down to counting: its estimate is uncertain too.
LEAST_OWN_SHARE = 0.1


class Variation(NamedTuple):
    """How much one population changes from visit to visit in patients, whatever the treatment.

    Parameters
    ----------
    population, parent
        Their names.
    primary
        Whether it is one of the study's primary populations.
    change_sd
        SD of the within-patient change on the scale that is tested (log); NaN where not known.
    counted
        How much of its square is counting noise.
    df
        Degrees of freedom of its estimate; NaN where it is an assumption.
    prior_df
        Degrees of freedom that the test borrows from the other populations, at least.
    share
        Median share of the parent before treatment; NaN where not known.
    counts, totals
        Events of the population and of its parent before treatment, one patient each, where the
        median sample has `Basis.events`; empty where nothing was counted.
    note
        What casts doubt on it, or why `change_sd` is not known.
    """

    population: str
    parent: str
    primary: bool
    change_sd: float
    counted: float
    df: float
    prior_df: float
    share: float
    counts: FloatArray
    totals: FloatArray
    note: str = ""


class Basis(NamedTuple):
    """What a plan rests on.

    Parameters
    ----------
    name
        Where the variation is from, for the tables.
    words
        The same in a sentence.
    readout
        ``percent_of_parent`` or ``cells_per_ul``.
    events
        Living single cells of the median sample, to which the counts of the variations belong.
    family
        Tests in the confirmatory family.
    variations
        One per population.
    """

    name: str
    words: str
    readout: str
    events: float
    family: int
    variations: tuple[Variation, ...]


class Wishes(NamedTuple):
    """What is asked.

    Parameters
    ----------
    folds
        Changes of the percentage (or of the cells per µl) that shall be found.
    patients
        Numbers of patients per treatment, for the table.
    missing
        Chance that a patient's pair of visits stays incomplete.
    events
        Living single cells per sample; None for those of the basis.
    family
        Tests in the confirmatory family; None for those of the basis.
    """

    folds: tuple[float, ...]
    patients: tuple[int, ...]
    missing: float
    events: float | None = None
    family: int | None = None


class Prospect(NamedTuple):
    """What is to be expected of one population and fold.

    `change_sd` holds the SD in the planned study and both ends of its range, `power` the power of
    a single test and that within the family for each of them and for 0, 1, 2 ... patients, shape
    (3, 2, MOST_PATIENTS + 1); NaN where `status` is not ``planned``.
    """

    variation: Variation
    fold: float
    odds_ratio: float
    change_sd: FloatArray
    events_median: float
    events_needed: float
    power: FloatArray
    status: str
    note: str

    def needed(self, target: float) -> FloatArray:
        """Return the patients for this power, shape (3, 2); NaN beyond `MOST_PATIENTS`."""
        return patients_needed(self.power, target)


def check_wishes(wishes: Wishes) -> None:
    """Refuse what cannot be planned.

    Raises
    ------
    ConfigError
        Names the option and what it may be.
    """
    for fold in wishes.folds:
        if not 0 < fold < np.inf or fold == 1:
            raise ConfigError(f"--fold {fold:g}: must be above 0 and not 1, such as 1.5 or 0.5")
    for patients in wishes.patients:
        if not MIN_PAIRS <= patients <= MOST_PATIENTS:
            raise ConfigError(
                f"--patients {patients}: must be from {MIN_PAIRS}, the fewest pairs that a test "
                f"takes, to {MOST_PATIENTS}"
            )
    if not 0 <= wishes.missing < 1:
        raise ConfigError(
            f"--missing {wishes.missing:g}: is the share of patients without a second visit, from "
            "0 to below 1, such as 0.15"
        )
    if wishes.events is not None and not 1 <= wishes.events < np.inf:
        raise ConfigError(f"--events {wishes.events:g}: must be at least 1")
    if wishes.family is not None and wishes.family < 1:
        raise ConfigError(f"--family {wishes.family}: must be at least 1")


def plan(basis: Basis, wishes: Wishes) -> list[Prospect]:
    """Look ahead for every population and fold.

    Parameters
    ----------
    basis
        The variation.
    wishes
        What is asked; see `check_wishes`.

    Returns
    -------
    list of Prospect
        Populations in the order of the basis, each with all folds.
    """
    return [
        _prospect(variation, fold, basis, wishes)
        for variation in basis.variations
        for fold in wishes.folds
    ]


def write_plan(
    prospects: Sequence[Prospect],
    basis: Basis,
    wishes: Wishes,
    plan_out: Path | str,
    patients_out: Path | str,
) -> None:
    """Write what is to be expected.

    Parameters
    ----------
    prospects
        Of `plan`.
    basis, wishes
        As there.
    plan_out
        One row per population, fold and number of patients.
    patients_out
        One row per population and fold.
    """
    rows = (row for one in prospects for row in _plan_rows(one, basis, wishes))
    write_rows(plan_out, PLAN_COLUMNS, rows)
    write_rows(patients_out, PATIENTS_COLUMNS, (_patients_row(one, basis) for one in prospects))


def _prospect(variation: Variation, fold: float, basis: Basis, wishes: Wishes) -> Prospect:
    in_percent = basis.readout == "percent_of_parent"
    odds_ratio = float(odds_ratio_of_fold(fold, variation.share)) if in_percent else np.nan
    effect = float(np.log(odds_ratio if in_percent else fold))
    planned_events = wishes.events or basis.events
    depth = planned_events / basis.events
    events, added = _counted(variation.counts * depth, variation.totals * depth, fold, odds_ratio)
    status, note = _judge(variation, fold, effect, events)
    needed = np.nan
    if status == "too_few_events" and events > 0:
        needed = _rounded_up(planned_events * MIN_EVENTS / events)
        note += f"; they need {needed:,.0f} events per sample"
    change_sd, power = np.full(3, np.nan), np.full((3, 2, MOST_PATIENTS + 1), np.nan)
    if status == "planned":
        # Where only percentages are known, the noise of counting stays as it was.
        change_sd = _planned_sd(variation, added if variation.counts.size else variation.counted)
        family = wishes.family or basis.family
        power = _power(effect, change_sd, variation.prior_df, family, wishes.missing)
    note = "; ".join(filter(None, [note, variation.note]))
    return Prospect(variation, fold, odds_ratio, change_sd, events, needed, power, status, note)


def _counted(
    count: FloatArray, total: FloatArray, fold: float, odds_ratio: float
) -> tuple[float, float]:
    """Events of the median pair, and what counting adds to the variance of a change."""
    if not count.size:
        return np.nan, np.nan
    if np.isnan(odds_ratio):  # cells per µl
        after = np.minimum(count * fold, total)
    else:
        after = expected_events(count, total, odds_ratio)
    noise = counting_variance(count, total) + counting_variance(after, total)
    return float(np.median(np.maximum(count, after))), float(noise.mean())


def _judge(variation: Variation, fold: float, effect: float, events: float) -> tuple[str, str]:
    """Say whether a change can be planned for and, in words, why not."""
    if np.isnan(variation.change_sd):
        return "not_known", ""
    if np.isnan(effect):
        share = 100 * variation.share
        return "not_possible", f"× {fold:g} of {share:.3g} % is more than all of {variation.parent}"
    if events < MIN_EVENTS:
        return "too_few_events", (
            f"{events:.2g} events in the median pair, fewer than {MIN_EVENTS}: "
            "nothing would be claimed"
        )
    return "planned", ""


def _planned_sd(variation: Variation, added: float) -> FloatArray:
    """SD of the change in the planned study, and both ends of its range."""
    ends = deviation_range(variation.change_sd, variation.df)
    seen = np.square([variation.change_sd, float(ends.low), float(ends.high)])
    own = np.maximum(seen - variation.counted, LEAST_OWN_SHARE * seen)
    return np.asarray(np.sqrt(own + added))


def _power(
    effect: float, change_sd: FloatArray, prior_df: float, family: int, missing: float
) -> FloatArray:
    """Power by SD, single or in the family, and patients: shape (3, 2, MOST_PATIENTS + 1)."""
    pairs = np.arange(MOST_PATIENTS + 1)
    df = np.maximum(pairs - 1, 1) + np.clip(pairs - 1, 0, prior_df)
    alpha = ALPHA / np.array([[1], [family]])
    power = paired_power(effect, change_sd[:, None, None], pairs, df, alpha)
    power[..., :MIN_PAIRS] = 0
    power[:, 1, :MIN_CONFIRMATORY_PAIRS] = 0
    return np.where(np.isnan(change_sd)[:, None, None], np.nan, power_of_enrolled(power, missing))


def _rounded_up(events: float) -> float:
    """Two significant digits, never fewer than needed."""
    unit = 10.0 ** (np.floor(np.log10(events)) - 1)
    return float(np.ceil(events / unit) * unit)


def _plan_rows(one: Prospect, basis: Basis, wishes: Wishes) -> Iterator[dict[str, Any]]:
    sd, low, high = (float(value) for value in one.change_sd)
    for patients in wishes.patients:
        yield {
            **_question(one, basis),
            "change_sd": sd,
            "change_sd_low": low,
            "change_sd_high": high,
            "n_patients": patients,
            "n_pairs": patients * (1 - wishes.missing),
            "power": float(one.power[0, 0, patients]),
            "power_family": float(one.power[0, 1, patients]),
        }


def _patients_row(one: Prospect, basis: Basis) -> dict[str, Any]:
    row = {**_question(one, basis), "events_needed": one.events_needed}
    for target in TARGETS:
        needed = one.needed(target)
        for end, patients in zip(("", "_low", "_high"), needed, strict=True):
            for where, number in zip(("", "_family"), patients, strict=True):
                row[f"patients_{100 * target:.0f}{where}{end}"] = float(number)
    if one.status == "planned" and np.isnan(one.needed(TARGETS[-1])[0]).any():
        row["note"] = "; ".join(filter(None, [row["note"], f"empty: above {MOST_PATIENTS}"]))
    return row


def _question(one: Prospect, basis: Basis) -> dict[str, Any]:
    return {
        "population": one.variation.population,
        "parent": one.variation.parent,
        "variation_from": basis.name,
        "primary": one.variation.primary,
        "events_median": one.events_median,
        "fold": one.fold,
        "odds_ratio": one.odds_ratio,
        "status": one.status,
        "note": one.note,
    }
