"""Did the level of state markers change within patients? Tests every population's medians."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import load_panel
from biocross.flow.transform_table import load_transforms
from biocross.flow.transforms import Transform
from biocross.statistics.families import correct_families, exploratory
from biocross.statistics.kernels.battery import Battery, beside, columns_of_tests, run_battery
from biocross.statistics.kernels.moderation import MIN_PAIRS, PairedTest
from biocross.statistics.kernels.scale import equal_depth_logit
from biocross.statistics.kernels.weighted import (
    WeightedPairedTest,
    median_variance,
    precision_weighted_paired_t,
)
from biocross.statistics.pairs import (
    PairTable,
    pair_tables,
    read_long_table,
    read_pair_sheet,
)
from biocross.statistics.readouts import mean_log_events
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
        One row per modality, source, treatment, contrast, population, marker and readout: the
        median, and percent positive where the strategy has a border of the marker's name.
    """
    channels = load_panel(Path(panel)) if panel else []
    state = [channel.marker for channel in channels if channel.kind == "state"]
    chosen = load_transforms(transforms) if transforms else {}
    scales = {name: _scale(transform) for name, transform in chosen.items()}
    table = read_long_table(expression, samples)
    table = table[table["marker"].isin(state)]
    bordered = set(table.loc[table["n_positive"].notna(), "marker"])
    rows = [
        row
        for found in pair_tables(
            table,
            read_pair_sheet(pairs),
            ("population", "parent", "marker"),
            ("value", "sd", "n_cells", "n_positive"),
        )
        for row in _change_rows(found, scales, bordered, min_cells, seed)
    ]
    for row in rows:
        row["family"] = exploratory(row, "modality", "source", "treatment", "contrast", "readout")
    correct_families(rows)
    write_rows(changes_out, MARKER_CHANGE_COLUMNS, rows)


def _scale(transform: Transform) -> str:
    if transform.kind == "arcsinh":
        return f"arcsinh(x/{transform.cofactor:g})"
    return transform.kind


class MarkerReadout(NamedTuple):
    """One reading of the markers of a table of pairs; arrays of shape (pairs, keys).

    Parameters
    ----------
    name
        ``median`` or ``percent_positive``.
    baseline, followup
        What people read: the median on the transformed scale, or percent of cells.
    battery
        Tests of the change; the effect of ``percent_positive`` is on the logit scale.
    """

    name: str
    baseline: FloatArray
    followup: FloatArray
    battery: Battery


def _change_rows(
    pairs: PairTable, scales: dict[str, str], bordered: set[str], min_cells: int, seed: int
) -> Iterator[dict[str, Any]]:
    before, after = pairs.baseline, pairs.followup
    enough = (before["n_cells"] >= min_cells) & (after["n_cells"] >= min_cells)
    has_border = pairs.keys["marker"].isin(bordered)
    for readout in (_median(pairs, enough, seed), _percent_positive(pairs, enough, seed)):
        for column in range(len(pairs.keys)):
            if readout.name == "median" or has_border[column]:
                known = ~np.isnan(readout.baseline[:, column] + readout.followup[:, column])
                complete = enough[:, column] & known
                yield _row(pairs, readout, scales, complete, column, min_cells)


def _median(pairs: PairTable, enough: NDArray[np.bool_], seed: int) -> MarkerReadout:
    before, after = pairs.baseline, pairs.followup
    change = np.where(enough, after["value"] - before["value"], np.nan)
    weighted = precision_weighted_paired_t(
        change,
        median_variance(before["sd"], before["n_cells"]),
        median_variance(after["sd"], after["n_cells"]),
    )
    battery = beside(_as_paired_test(weighted), change, seed)
    return MarkerReadout("median", before["value"], after["value"], battery)


def _percent_positive(pairs: PairTable, enough: NDArray[np.bool_], seed: int) -> MarkerReadout:
    positive = [np.where(enough, v["n_positive"], np.nan) for v in (pairs.baseline, pairs.followup)]
    cells = [v["n_cells"] for v in (pairs.baseline, pairs.followup)]
    logit_0, logit_1 = equal_depth_logit(positive[0], cells[0], positive[1], cells[1])
    depth = np.fmin(*cells)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [count / total for count, total in zip(positive, cells, strict=True)]
    abundance = mean_log_events(shares[0] * depth, shares[1] * depth)
    battery = run_battery(logit_1 - logit_0, abundance, seed)
    return MarkerReadout("percent_positive", 100 * shares[0], 100 * shares[1], battery)


def _as_paired_test(weighted: WeightedPairedTest) -> PairedTest:
    """Give a weighted test the fields that the tests beside it read."""
    never = np.zeros(weighted.p.shape, dtype=np.bool_)
    variance = np.asarray(np.square(weighted.standard_error) * weighted.n_pairs, dtype=np.float64)
    shared = {name: getattr(weighted, name) for name in PairedTest._fields[:8]}
    return PairedTest(**shared, s2=variance, s2_post=variance, moderated=never)


def _row(
    pairs: PairTable,
    readout: MarkerReadout,
    scales: dict[str, str],
    complete: NDArray[np.bool_],
    column: int,
    min_cells: int,
) -> dict[str, Any]:
    test = readout.battery.primary
    keys = {name: str(pairs.keys[name].iloc[column]) for name in pairs.keys.columns}
    tested = bool(np.isfinite(test.p[column]))
    status, note = _judge(pairs, complete, tested, min_cells)
    is_median = readout.name == "median"
    row: dict[str, Any] = {
        **pairs.question.columns(),
        **keys,
        "readout": readout.name,
        "n_pairs": int(complete.sum()),
        "n_incomplete": pairs.n_incomplete + int((~complete).sum()),
        "effect_scale": scales[keys["marker"]] if is_median else "odds_ratio",
        "status": status,
        "note": note,
    }
    if complete.any():
        at = (complete, column)
        cells = np.minimum(pairs.baseline["n_cells"][at], pairs.followup["n_cells"][at])
        row |= {
            "cells_median": float(np.median(cells)),
            "baseline_median": float(np.median(readout.baseline[at])),
            "followup_median": float(np.median(readout.followup[at])),
        }
    return row | _numbers(readout, column) if tested else row


def _numbers(readout: MarkerReadout, column: int) -> dict[str, Any]:
    battery, test = readout.battery, readout.battery.primary
    effects = {
        "effect": test.estimate,
        "effect_low": test.low,
        "effect_high": test.high,
        "hodges_lehmann": battery.hodges_lehmann,
    }
    if readout.name == "percent_positive":
        effects = {name: np.exp(values) for name, values in effects.items()}
    numbers = {
        **effects,
        **columns_of_tests(battery),
    }
    return {
        **{name: float(values[column]) for name, values in numbers.items()},
        "agreement": int(battery.agreement[column]),
    }


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
