"""Did the level of state markers change within patients? Tests every population's medians.

Of single-cell RNA these are scores of gene sets, and the proteins that name no population.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
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
from biocross.tables import read_rows, write_rows

FloatArray = NDArray[np.float64]

MARKER_CHANGE_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "population", "parent", "marker", "readout"),
    *("n_pairs", "n_incomplete", "cells_median", "baseline_median", "followup_median"),
    *("effect", "effect_low", "effect_high", "effect_scale", "statistic", "df"),
    *("p_value", "q_value", "family", "wilcoxon_p", "signflip_p", "signflip_fwer_p"),
    *("hodges_lehmann", "rank_biserial", "agreement", "status", "note"),
)
# Of the rows of single-cell RNA.
SCORE_SCALE, PROTEIN_SCALE = "log2 fold over similar genes", "CLR"
# The variance of a mean, such as a score's, in parts of that of a median.
MEAN_TO_MEDIAN = 2 / np.pi


def find_marker_changes(
    expression: Path | str,
    samples: Path | str,
    pairs: Path | str,
    panel: Path | str | None,
    transforms: Path | str | None,
    min_cells: int,
    seed: int,
    changes_out: Path | str,
    gene_sets: Path | str | None = None,
    populations: Path | str | None = None,
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
        median, or the score of a gene set, and percent positive where the strategy has a border of
        the marker's name.
    gene_sets
        ``results/cells/gene_sets.tsv``, which names the rows of RNA that are scores; None without.
    populations
        ``populations.yaml``; a protein that names a population there is not tested. None where
        proteins were not measured.
    """
    channels = load_panel(Path(panel)) if panel else []
    state = [channel.marker for channel in channels if channel.kind == "state"]
    chosen = load_transforms(transforms) if transforms else {}
    flow_scales = {name: _scale(transform) for name, transform in chosen.items()}
    table = read_long_table(expression, samples)
    is_rna = table["modality"] == "rna"
    rna_scales = rna_marker_scales(table.loc[is_rna, "marker"], gene_sets, populations)
    flow = table[~is_rna & table["marker"].isin(state)]
    parts = [("median", flow, flow_scales)]
    for level, scale in (("median", PROTEIN_SCALE), ("score", SCORE_SCALE)):
        scales = {name: of for name, of in rna_scales.items() if of == scale}
        parts.append((level, table[is_rna & table["marker"].isin(scales)], scales))
    rows = [
        row
        for level, part, scales in parts
        for found in pair_tables(
            part,
            read_pair_sheet(pairs),
            ("population", "parent", "marker"),
            ("value", "sd", "n_cells", "n_positive"),
        )
        for row in _change_rows(found, level, scales, _bordered(part), min_cells, seed)
    ]
    for row in rows:
        row["family"] = exploratory(row, "modality", "source", "treatment", "contrast", "readout")
    correct_families(rows)
    write_rows(changes_out, MARKER_CHANGE_COLUMNS, rows)


def _scale(transform: Transform) -> str:
    if transform.kind == "arcsinh":
        return f"arcsinh(x/{transform.cofactor:g})"
    return transform.kind


def _bordered(table: pd.DataFrame) -> set[str]:
    return set(table.loc[table["n_positive"].notna(), "marker"])


def rna_marker_scales(
    markers: pd.Series, gene_sets: Path | str | None, populations: Path | str | None
) -> dict[str, str]:
    """Tell what of single-cell RNA is tested, and on which scale.

    Parameters
    ----------
    markers
        Scores and proteins of the table of expression.
    gene_sets, populations
        As for `find_marker_changes`.

    Returns
    -------
    dict of str to str
        `SCORE_SCALE` for gene sets, `PROTEIN_SCALE` for proteins, but not those by which the
        vocabulary names populations: they cannot be tested within them.
    """
    scores = {row["gene_set"] for row in read_rows(gene_sets)} if gene_sets else set()
    proteins = [name for name in dict.fromkeys(markers) if name not in scores]
    if proteins and populations:
        from biocross.cells.marker_scores import load_markers, plain_protein

        naming = {
            plain_protein(protein)
            for each in load_markers(Path(populations)).values()
            for protein in (*each.proteins_present, *each.proteins_absent)
        }
        proteins = [name for name in proteins if plain_protein(name) not in naming]
    return dict.fromkeys(scores, SCORE_SCALE) | dict.fromkeys(proteins, PROTEIN_SCALE)


class MarkerReadout(NamedTuple):
    """One reading of the markers of a table of pairs; arrays of shape (pairs, keys).

    Parameters
    ----------
    name
        ``median``, ``score`` (of a gene set) or ``percent_positive``.
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
    pairs: PairTable,
    level: str,
    scales: dict[str, str],
    bordered: set[str],
    min_cells: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    before, after = pairs.baseline, pairs.followup
    enough = (before["n_cells"] >= min_cells) & (after["n_cells"] >= min_cells)
    has_border = pairs.keys["marker"].isin(bordered)
    for readout in (_level(level, pairs, enough, seed), _percent_positive(pairs, enough, seed)):
        for column in range(len(pairs.keys)):
            if readout.name == level or has_border[column]:
                known = ~np.isnan(readout.baseline[:, column] + readout.followup[:, column])
                complete = enough[:, column] & known
                yield _row(pairs, readout, scales, complete, column, min_cells)


def _level(name: str, pairs: PairTable, enough: NDArray[np.bool_], seed: int) -> MarkerReadout:
    before, after = pairs.baseline, pairs.followup
    change = np.where(enough, after["value"] - before["value"], np.nan)
    factor = MEAN_TO_MEDIAN if name == "score" else 1.0
    weighted = precision_weighted_paired_t(
        change,
        factor * median_variance(before["sd"], before["n_cells"]),
        factor * median_variance(after["sd"], after["n_cells"]),
    )
    battery = beside(_as_paired_test(weighted), change, seed)
    return MarkerReadout(name, before["value"], after["value"], battery)


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
    is_odds = readout.name == "percent_positive"
    row: dict[str, Any] = {
        **pairs.question.columns(),
        **keys,
        "readout": readout.name,
        "n_pairs": int(complete.sum()),
        "n_incomplete": pairs.n_incomplete + int((~complete).sum()),
        "effect_scale": "odds_ratio" if is_odds else scales[keys["marker"]],
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
