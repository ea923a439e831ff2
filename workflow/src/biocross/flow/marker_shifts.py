"""How far the negative and the positive cells of a gating marker move between two visits.

Distances are those that a gate sees: on the display scale, in decades of its logarithmic part. Far
above zero a signal that grows by a tenth of a decade moves by as much; around zero, where logicle
is linear, hardly at all, and just above by more (a quarter more where the linear part ends).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from biocross.flow.transform_table import load_transforms
from biocross.flow.transforms import Transform, decades_between
from biocross.statistics.kernels.exact import hodges_lehmann
from biocross.tables import read_rows, write_rows

SHIFT_COLUMNS = (
    *("patient_id", "unit", "contrast", "treatment", "threshold", "marker", "population"),
    *("negative_shift", "positive_shift", "status", "note"),
)
SUMMARY_COLUMNS = (
    *("treatment", "contrast", "threshold", "marker", "population", "side", "n_pairs"),
    *("median_shift", "shift", "low", "high", "flagged", "note"),
)
# Smaller shifts change no rare count by more than a tenth.
MIN_SHIFT = 0.05
SIDES = ("negative", "positive")


def measure_marker_shifts(
    modes: Path | str,
    samples: Path | str,
    pairs: Path | str,
    transforms: Path | str,
    shifts_out: Path | str,
    summary_out: Path | str,
) -> None:
    """Compare the modes beside every border between the two samples of every pair.

    Parameters
    ----------
    modes
        Rows of `mode_rows` of all samples.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``pairs.tsv``.
    transforms
        The cohort's transforms.
    shifts_out
        Shift of both modes per pair and threshold, in decades.
    summary_out
        The typical shift per treatment, contrast and threshold, with its 95 % interval.
    """
    shifts = shift_rows(
        read_rows(modes), read_rows(samples), read_rows(pairs), load_transforms(transforms)
    )
    write_rows(shifts_out, SHIFT_COLUMNS, shifts)
    write_rows(summary_out, SUMMARY_COLUMNS, summarise_shifts(shifts))


def shift_rows(
    modes: Sequence[Mapping[str, object]],
    samples: Sequence[Mapping[str, str]],
    pairs: Sequence[Mapping[str, str]],
    transforms: Mapping[str, Transform],
) -> list[dict[str, object]]:
    """Subtract the modes at baseline from those at follow-up.

    Parameters
    ----------
    modes
        Rows of `mode_rows`, of all samples.
    samples, pairs
        Rows of the cohort's tables: which sample a unit has at which level, and which levels are
        compared.
    transforms
        By marker, to turn a distance on the display scale into decades.

    Returns
    -------
    list of dict
        Rows with `SHIFT_COLUMNS`; ``status`` is ``measured``, ``partly_measured`` or
        ``not_measured``, and ``note`` says what is missing.
    """
    sample_at = {(row["unit"], row["level"]): row["sample_id"] for row in samples if _is_flow(row)}
    by_key: dict[tuple[str, str], dict[str, Mapping[str, object]]] = {}
    for row in modes:
        key = (str(row["threshold"]), str(row["population"]))
        by_key.setdefault(key, {})[str(row["sample_id"])] = row
    rows = []
    for pair in pairs:
        if not _is_flow(pair) or pair["complete"] != "yes":
            continue
        ids = [sample_at.get((pair["unit"], pair[level])) for level in ("baseline", "followup")]
        for (threshold, population), of_sample in by_key.items():
            both = [of_sample.get(sample_id or "") for sample_id in ids]
            if both[0] is None or both[1] is None:
                continue
            rows.append(
                {
                    **{key: pair[key] for key in ("patient_id", "unit", "contrast", "treatment")},
                    "threshold": threshold,
                    "marker": both[0]["marker"],
                    "population": population,
                    **_shifts(both[0], both[1], transforms[str(both[0]["marker"])]),
                }
            )
    return rows


def summarise_shifts(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Estimate the typical shift of every threshold, per treatment and contrast.

    Parameters
    ----------
    rows
        Of `shift_rows`.

    Returns
    -------
    list of dict
        Rows with `SUMMARY_COLUMNS`, one for each side of a border: the median; the Hodges-Lehmann
        estimate ``shift`` with its exact 95 % interval (empty below 6 pairs), in decades; flagged
        where the interval excludes 0 and the median is at least 0.05 decade.

    References
    ----------
    Hodges & Lehmann 1963, Ann Math Stat 34:598.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, object]]] = {}
    names = ("treatment", "contrast", "threshold", "marker", "population")
    for row in rows:
        groups.setdefault(tuple(str(row[name]) for name in names), []).append(row)
    return [
        {**dict(zip(names, key, strict=True)), "side": side, **_summary(members, side)}
        for key, members in groups.items()
        for side in SIDES
    ]


def _summary(rows: Sequence[Mapping[str, object]], side: str) -> dict[str, object]:
    shifts = np.array([_number(row[f"{side}_shift"]) for row in rows])
    shifts = shifts[~np.isnan(shifts)]
    if not shifts.size:
        return {"n_pairs": 0, "flagged": False, "note": "no pair has both modes"}
    found = hodges_lehmann(shifts[:, None])
    low, high, median = float(found.low[0]), float(found.high[0]), float(np.median(shifts))
    bounded = bool(np.isfinite(low))
    return {
        "n_pairs": int(shifts.size),
        "median_shift": median,
        "shift": float(found.estimate[0]),
        "low": low if bounded else None,
        "high": high if bounded else None,
        "flagged": bounded and (low > 0 or high < 0) and abs(median) >= MIN_SHIFT,
        "note": "" if bounded else "too few pairs for a 95 % interval",
    }


def _shifts(
    before: Mapping[str, object], after: Mapping[str, object], transform: Transform
) -> dict[str, object]:
    shifts = {
        side: decades_between(
            _number(before[f"{side}_mode"]), _number(after[f"{side}_mode"]), transform
        )
        for side in SIDES
    }
    missing = [side for side in SIDES if np.isnan(shifts[side])]
    status = ("measured", "partly_measured", "not_measured")[len(missing)]
    note = ""
    if transform.kind == "linear":
        note = "a linear scale has no decades"
    elif missing:
        note = f"too few {' and '.join(missing)} events in one of the samples, or no border"
    return {
        **{f"{side}_shift": shift for side, shift in shifts.items()},
        "status": status,
        "note": note,
    }


def _number(value: object) -> float:
    return float("nan") if value in (None, "") else float(str(value))


def _is_flow(row: Mapping[str, str]) -> bool:
    return row["modality"] == "flow"
