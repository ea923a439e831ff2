"""Light that compensation leaves in one batch only: tandem dyes that fell apart, old matrices.

A tandem dye that comes apart shines in the colour of its donor, more with every week, and no matrix
of another day takes that away: cells with its marker seem to gain another. All of them do, so that
even a low percentile of their ratios rises by the share that is left; cells that truly bear both
markers are there in all batches alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import load_panel
from biocross.flow.evenly import evenly
from biocross.flow.events import Events, read_events
from biocross.flow.transform_table import load_transforms
from biocross.flow.transforms import Transform, invert_transform
from biocross.tables import write_rows

Floats = NDArray[np.float64]

RESIDUAL_COLUMNS = (
    *("dye", "detector", "batch", "n_samples", "light", "reference_batch", "n_reference"),
    *("reference_light", "difference", "flagged", "note"),
)
MAX_EVENTS = 10_000
MIN_BRIGHT = 100
# Bright cells: within a factor of four of the 99th percentile, and above a part of the scale.
NEAR_TOP, LEAST_PART = 4.0, 1 / 128
# Percentile of the ratios: below it are cells whose noise hides the light.
LOW = 25
# Less is left by many a matrix; lots that stain 0.15 decade apart look like .02.
SHOWN, FLAGGED = 0.01, 0.025
# Cells of the batch that is compared with must lack the other marker.
MOST_REFERENCE = 0.01
SURE = 5.0


class Compared(NamedTuple):
    """Two batches; arrays of shape (dyes, detectors), NaN where cells are too few.

    Parameters
    ----------
    batch, reference
        Their names.
    n, n_reference
        Samples.
    light, reference_light
        Mean share of a dye's light that is left in a detector.
    error
        Standard error of their difference.
    """

    batch: str
    reference: str
    n: int
    n_reference: int
    light: Floats
    reference_light: Floats
    error: Floats


def light_left(values: Floats, tops: Floats) -> Floats:
    """Measure the share of each dye's light that compensation leaves in each detector.

    Parameters
    ----------
    values
        Compensated values on the linear scale, shape (signals, events).
    tops
        Top of each signal's scale, shape (signals,).

    Returns
    -------
    numpy.ndarray
        The 25th percentile of detector / dye over the cells that are bright for the dye, shape
        (dyes, detectors); NaN on the diagonal and for dyes with fewer than `MIN_BRIGHT` bright
        cells. About zero where most of these lack the other marker.
    """
    left = np.full((len(values), len(values)), np.nan)
    if values.shape[1] < MIN_BRIGHT:
        return left
    for dye, own in enumerate(values):
        bright = own > max(np.percentile(own, 99) / NEAR_TOP, LEAST_PART * tops[dye])
        if bright.sum() >= MIN_BRIGHT:
            left[dye] = np.percentile(values[:, bright] / own[bright], LOW, axis=1)
    np.fill_diagonal(left, np.nan)
    return left


def compare_batches(left: Floats, batches: Sequence[str]) -> list[Compared]:
    """Compare every batch with every other.

    Parameters
    ----------
    left
        Of `light_left`, shape (samples, dyes, detectors).
    batches
        Of the samples; empty where it is not known.

    Returns
    -------
    list of Compared
        Batches of at least two samples.
    """
    of = np.array(batches, dtype=str)
    named = [name for name in dict.fromkeys(batches) if name and (of == name).sum() > 1]
    means = {name: left[of == name].mean(axis=0) for name in named}
    spread = {name: left[of == name].var(axis=0, ddof=1) / (of == name).sum() for name in named}
    return [
        Compared(
            *(one, other, int((of == one).sum()), int((of == other).sum())),
            *(means[one], means[other], np.sqrt(spread[one] + spread[other])),
        )
        for one in named
        for other in named
        if one != other
    ]


def find_residual_spillover(
    events: Sequence[Path | str],
    panel: Path | str,
    transforms: Path | str,
    residuals_out: Path | str,
) -> None:
    """Find dyes that shine into a detector in one batch and not in another.

    Parameters
    ----------
    events
        Prepared events of all samples.
    panel, transforms
        Their channels, and the cohort's transforms.
    residuals_out
        One row per dye, detector and batch with at least `SHOWN` more light than the batch with
        the least; flagged from `FLAGGED` on, the brightest dye of each detector only.
    """
    chosen = load_transforms(transforms)
    names = [channel.marker for channel in load_panel(Path(panel)) if channel.is_signal]
    batches = [read_events(path).meta.get("batch", "") for path in events]
    rows: list[dict[str, Any]] = []
    if len({*batches} - {""}) > 1:
        # One file after the other: all at once would be the whole cohort in memory.
        left = np.array([_light_of(read_events(path), names, chosen) for path in events])
        rows = _flag(list(_rows(compare_batches(left, batches), names)))
    write_rows(residuals_out, RESIDUAL_COLUMNS, rows)


def residual_warnings(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the dyes whose light is left in a detector of one batch.

    Parameters
    ----------
    rows
        Of ``residual_spillover.tsv``, as read.

    Returns
    -------
    list of str
        One sentence per flagged row.
    """
    return [str(row["note"]) for row in rows if row["flagged"] == "yes"]


def _light_of(sample: Events, names: Sequence[str], transforms: Mapping[str, Transform]) -> Floats:
    """Measure one sample; NaN for markers that it lacks, and for all of one without events."""
    passing = evenly(np.flatnonzero(sample.quality == 0), MAX_EVENTS)
    values = np.full((len(names), passing.size), np.nan)
    for row, name in zip(values, names, strict=True):
        if name in sample.values:
            row[:] = invert_transform(sample.values[name][passing], transforms[name])
    return light_left(values, np.array([transforms[name].top for name in names]))


def _rows(compared: Sequence[Compared], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the sure differences, each batch against the one whose light is nearest to none."""
    best: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in compared:
        difference = one.light - one.reference_light
        with np.errstate(invalid="ignore"):
            sure = (difference >= SHOWN) & (difference > SURE * one.error)
            sure &= np.abs(one.reference_light) <= MOST_REFERENCE
        for dye, detector in np.argwhere(sure).tolist():
            row: dict[str, Any] = {
                **{"dye": names[dye], "detector": names[detector], "batch": one.batch},
                **{"n_samples": one.n, "light": float(one.light[dye, detector])},
                **{"reference_batch": one.reference, "n_reference": one.n_reference},
                "reference_light": float(one.reference_light[dye, detector]),
                "difference": float(difference[dye, detector]),
            }
            key = (names[dye], names[detector], one.batch)
            known = best.get(key)
            if known is None or abs(row["reference_light"]) < abs(known["reference_light"]):
                best[key] = row
    yield from best.values()


def _flag(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Flag the brightest dye of each detector and batch: the others are on the same cells."""
    rows.sort(key=lambda row: -row["difference"])
    seen: dict[tuple[str, str], str] = {}
    for row in rows:
        key = (row["detector"], row["batch"])
        row["flagged"] = key not in seen and row["difference"] >= FLAGGED
        row["note"] = _sentence(row) if row["flagged"] else ""
        if key in seen:
            row["note"] = f"perhaps on the cells that bear {seen[key]}"
        seen.setdefault(key, row["dye"])
    return rows


def _sentence(row: Mapping[str, Any]) -> str:
    return (
        f"{row['dye']} shines into {row['detector']} in batch {row['batch']}: "
        f"{100 * row['light']:.1f} % of its light stays after compensation, against "
        f"{100 * row['reference_light']:.1f} % in {row['reference_batch']}, and cells with "
        f"{row['dye']} seem to gain {row['detector']}; a tandem dye that fell apart, or a "
        "matrix of another day"
    )
