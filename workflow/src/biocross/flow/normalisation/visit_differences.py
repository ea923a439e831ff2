"""Whether what changed between the visits of patients is still there after normalisation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from biocross.flow.normalisation.functions import Functions, normalise_columns
from biocross.flow.normalisation.guard import ALL
from biocross.flow.normalisation.quantiles import ALL_EVENTS, Floats
from biocross.flow.normalisation.shares import Share, columns_of, matrix_of

# A mean of fewer cells says little of a sample.
MIN_CELLS = 20
MIN_PAIRS = 3
# A change is told from none at three standard errors: there are many markers and clusters.
CLEAR_SE = 3.0
MUCH_SHRUNK = 0.8


class _Means(NamedTuple):
    """Of one sample, shape (groups, markers); NaN for groups of too few cells."""

    before: Floats
    after: Floats


def visit_rows(functions: Functions, shares: Sequence[Share]) -> list[dict[str, object]]:
    """Compare the change of every marker's mean between visits before and after normalisation.

    Each visit is compared with the first one named, within patients. Where three patients or more
    have both visits in one batch, they alone are looked at: in the others the difference between
    batches, which shall go, is part of the change.

    Parameters
    ----------
    functions
        As they are to be applied.
    shares
        Of patients' samples.

    Returns
    -------
    list of dict
        Rows with `GUARD_COLUMNS`; verdict ``kept``, ``shrunk`` (to less than 80 %), or ``unclear``
        where there was no change to tell from chance.
    """
    means: dict[tuple[str, str], list[_Means]] = {}
    batches: dict[tuple[str, str], set[str]] = {}
    for share in shares:
        key = (share.sample.patient, share.sample.visit)
        means.setdefault(key, []).append(_means_of(functions, share))
        batches.setdefault(key, set()).add(share.sample.batch)
    first, *later = dict.fromkeys(visit for _, visit in means) or [""]
    rows = []
    for visit in later:
        patients = [p for p, v in means if v == first and (p, visit) in means]
        together = [
            p
            for p in patients
            if batches[p, first] == batches[p, visit] and len(batches[p, visit]) == 1
        ]
        chosen = together if len(together) >= MIN_PAIRS else patients
        if not chosen:
            continue
        changes = [
            np.stack(
                [_average(means[p, visit], side) - _average(means[p, first], side) for p in chosen]
            )
            for side in (0, 1)
        ]
        note = "both visits in one batch" if chosen is together else "visits of any batch"
        rows += _change_rows(functions, f"{visit} - {first}", changes[0], changes[1], note)
    return rows


def _means_of(functions: Functions, share: Share) -> _Means:
    columns, groups = normalise_columns(
        functions, share.sample.batch, columns_of(share.values, functions.markers)
    )
    after = matrix_of(columns, functions.markers)
    n_groups = functions.source.shape[1]
    found = _Means(*(np.full((n_groups, len(functions.markers)), np.nan) for _ in range(2)))
    for group in range(n_groups):
        members = np.full(groups.size, True) if group == ALL_EVENTS else groups == group
        if members.sum() >= MIN_CELLS:
            found.before[group] = share.values[members].mean(axis=0, dtype=np.float64)
            found.after[group] = after[members].mean(axis=0, dtype=np.float64)
    return found


def _average(samples: Sequence[_Means], side: int) -> Floats:
    """Average the samples of one patient and visit (stimulations, or repeats)."""
    mean: Floats = np.mean([sample[side] for sample in samples], axis=0)
    return mean


def _change_rows(
    functions: Functions, contrast: str, before: Floats, after: Floats, note: str
) -> list[dict[str, object]]:
    """Compare changes, shape (patients, groups, markers)."""
    rows: list[dict[str, object]] = []
    for group in range(before.shape[1]):
        for place, marker in enumerate(functions.markers):
            known = ~np.isnan(before[:, group, place])
            n = int(known.sum())
            if not n:
                continue
            old, new = before[known, group, place], after[known, group, place]
            clear = n >= MIN_PAIRS and abs(old.mean()) > CLEAR_SE * old.std(ddof=1) / np.sqrt(n)
            ratio = float(new.mean() / old.mean()) if old.mean() else float("nan")
            verdict = "shrunk" if ratio < MUCH_SHRUNK else "kept"
            rows.append(
                {
                    "check": "visit_difference",
                    "contrast": contrast,
                    "marker": marker,
                    "cluster": ALL if group == ALL_EVENTS else str(group),
                    "n": n,
                    "before": float(old.mean()),
                    "after": float(new.mean()),
                    "ratio": ratio,
                    "verdict": verdict if clear else "unclear",
                    "note": note,
                }
            )
    return rows
