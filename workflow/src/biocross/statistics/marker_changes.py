"""Did the level of state markers change within patients? Tests every population's medians."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.panel import load_panel
from biocross.flow.prepare import load_transforms
from biocross.flow.transforms import Transform
from biocross.statistics.battery import Battery, beside
from biocross.statistics.moderation import MIN_PAIRS, PairedTest
from biocross.statistics.multiplicity import benjamini_hochberg
from biocross.statistics.pairs import (
    PairTable,
    pair_tables,
    read_long_table,
    read_pair_sheet,
    read_table,
)
from biocross.statistics.weighted import median_variance, precision_weighted_paired_t
from biocross.tables import write_rows

FloatArray = NDArray[np.float64]

MARKER_CHANGE_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "population", "parent", "marker", "readout"),
    *("n_pairs", "n_incomplete", "cells_median", "baseline_median", "followup_median"),
    *("effect", "effect_low", "effect_high", "effect_scale", "statistic", "df"),
    *("p_value", "q_value", "family", "wilcoxon_p", "signflip_p", "signflip_fwer_p"),
    *("hodges_lehmann", "rank_biserial", "agreement", "status", "note"),
)


def find_marker_changes(
    expression: Path | str,
    samples: Path | str,
    pairs: Path | str,
    panel: Path | str | None,
    transforms: Path | str | None,
    min_cells: int,
    seed: int,
    changes_out: Path | str,
) -> None:
    """Test the median of every state marker in every population for change within patients.

    Parameters
    ----------
    expression
        ``results/populations/expression.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    panel
        ``panel.tsv``; markers of kind ``state`` are tested, because those that gate a population
        cannot be tested within it. None where there are no files.
    transforms
        ``results/flow/transforms.tsv``, which names the scale of each marker.
    min_cells
        Cells a population must have at both visits of a pair.
    seed
        Of the sign flips.
    changes_out
        One row per modality, source, treatment, contrast, population and marker.
    """
    channels = load_panel(Path(panel)) if panel else []
    state = [channel.marker for channel in channels if channel.kind == "state"]
    chosen = load_transforms(transforms) if transforms else {}
    scales = {name: _scale(transform) for name, transform in chosen.items()}
    table = read_long_table(expression, samples)
    table = table[table["marker"].isin(state)]
    rows = [
        row
        for found in pair_tables(
            table,
            read_pair_sheet(pairs),
            ("population", "parent", "marker"),
            ("value", "sd", "n_cells"),
        )
        for row in _change_rows(found, scales, min_cells, seed)
    ]
    _assign_families(rows)
    write_rows(changes_out, MARKER_CHANGE_COLUMNS, rows)


def _scale(transform: Transform) -> str:
    if transform.kind == "arcsinh":
        return f"arcsinh(x/{transform.cofactor:g})"
    return transform.kind


def _change_rows(
    pairs: PairTable, scales: dict[str, str], min_cells: int, seed: int
) -> Iterator[dict[str, Any]]:
    before, after = pairs.baseline, pairs.followup
    enough = (before["n_cells"] >= min_cells) & (after["n_cells"] >= min_cells)
    change = np.where(enough, after["value"] - before["value"], np.nan)
    weighted = precision_weighted_paired_t(
        change,
        median_variance(before["sd"], before["n_cells"]),
        median_variance(after["sd"], after["n_cells"]),
    )
    battery = beside(_as_paired_test(weighted), change, seed)
    for column in range(len(pairs.keys)):
        yield _row(pairs, scales, enough[:, column], battery, column, min_cells)


def _as_paired_test(weighted: Any) -> PairedTest:
    """Give a weighted test the fields that the tests beside it read."""
    never = np.zeros(weighted.p.shape, dtype=np.bool_)
    variance = np.square(weighted.standard_error) * weighted.n_pairs
    shared = {name: getattr(weighted, name) for name in PairedTest._fields[:8]}
    return PairedTest(**shared, s2=variance, s2_post=variance, moderated=never)


def _row(
    pairs: PairTable,
    scales: dict[str, str],
    complete: NDArray[np.bool_],
    battery: Battery,
    column: int,
    min_cells: int,
) -> dict[str, Any]:
    test = battery.primary
    keys = {name: str(pairs.keys[name].iloc[column]) for name in pairs.keys.columns}
    tested = bool(np.isfinite(test.p[column]))
    status, note = _judge(pairs, complete, tested, min_cells)
    row: dict[str, Any] = {
        **pairs.question.columns(),
        **keys,
        "readout": "median",
        "n_pairs": int(complete.sum()),
        "n_incomplete": pairs.n_incomplete + int((~complete).sum()),
        "effect_scale": scales[keys["marker"]],
        "status": status,
        "note": note,
    }
    if complete.any():
        at = (complete, column)
        cells = np.minimum(pairs.baseline["n_cells"][at], pairs.followup["n_cells"][at])
        row |= {
            "cells_median": float(np.median(cells)),
            "baseline_median": float(np.median(pairs.baseline["value"][at])),
            "followup_median": float(np.median(pairs.followup["value"][at])),
        }
    if tested:
        numbers = {
            "effect": test.estimate,
            "effect_low": test.low,
            "effect_high": test.high,
            "statistic": test.t,
            "df": test.df,
            "p_value": test.p,
            "wilcoxon_p": battery.wilcoxon_p,
            "signflip_p": battery.signflip_p,
            "signflip_fwer_p": battery.signflip_fwer_p,
            "hodges_lehmann": battery.hodges_lehmann,
            "rank_biserial": battery.rank_biserial,
        }
        row |= {name: float(values[column]) for name, values in numbers.items()}
        row["agreement"] = int(battery.agreement[column])
    return row


def _judge(
    pairs: PairTable, complete: NDArray[np.bool_], tested: bool, min_cells: int
) -> tuple[str, str]:
    if not pairs.units:
        return "no_pairs", f"no patient was measured at both of {pairs.question.contrast}"
    if (n_pairs := int(complete.sum())) < MIN_PAIRS:
        return "too_few_pairs", (
            f"{n_pairs} pairs with at least {min_cells} cells at both visits; "
            f"a test needs {MIN_PAIRS}"
        )
    if not tested:
        return "constant", "the change is the same in every pair"
    return "tested", ""


def _assign_families(rows: Sequence[dict[str, Any]]) -> None:
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        parts = ("modality", "source", "treatment", "contrast", "readout")
        row["family"] = f"exploratory: {', '.join(str(row[part]) for part in parts)}"
        if row["status"] == "tested":
            families.setdefault(row["family"], []).append(row)
    for members in families.values():
        q_values = benjamini_hochberg(np.array([row["p_value"] for row in members]))
        for row, q_value in zip(members, q_values, strict=True):
            row["q_value"] = float(q_value)


def load_marker_changes(path: Path | str) -> pd.DataFrame:
    """Read ``marker_changes.tsv``."""
    return read_table(path)
