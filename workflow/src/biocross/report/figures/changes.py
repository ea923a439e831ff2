"""From a run's tables to the figures of its changes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from biocross.report.figures.calibration import calibration_rows, plot_calibration
from biocross.report.figures.forest import plot_forest
from biocross.report.figures.heat_map import plot_heat_map
from biocross.report.figures.panels import READOUT_WORDS, shown_rows
from biocross.report.figures.rare_events import plot_rare_events, rare_panels
from biocross.report.figures.specifications import plot_specifications
from biocross.report.figures.volcano import plot_volcano
from biocross.report.sources import records
from biocross.statistics.paired_changes import load_changes
from biocross.statistics.pairs import read_long_table, read_pair_sheet, read_table


def plot_changes(
    *,
    changes: Path | str,
    specifications: Path | str,
    calibration: Path | str,
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    levels: Sequence[str],
    fdr: float,
    declared: Sequence[str],
    figures_out: Mapping[str, Sequence[Path | str]],
) -> None:
    """Draw what changed, how sure it is, and what it rests on.

    Parameters
    ----------
    changes, specifications, calibration
        ``paired_changes.tsv``, ``specifications.tsv`` and ``calibration.tsv``.
    counts, samples, pairs
        ``counts.tsv``, ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    levels
        Levels of the contrast in order.
    fdr
        False discovery rate of a claim.
    declared
        Modality, source and readout of the confirmatory family.
    figures_out
        Files of ``forest``, ``volcano``, ``heat_map``, ``rare_events``, ``specifications`` and
        ``calibration``, one per format.
    """
    table = load_changes(changes)
    # Another confirmatory readout is still drawn where its claims are: in the forest.
    rows = shown_rows(table, declared[:2], declared[2])
    plot_forest(rows, fdr, *figures_out["forest"])
    plot_volcano(rows, fdr, *figures_out["volcano"])
    every = [row for name in READOUT_WORDS for row in shown_rows(table, declared[:2], name)]
    plot_heat_map(every, fdr, *figures_out["heat_map"])
    long_table, sheet = read_long_table(counts, samples), read_pair_sheet(pairs)
    panels = rare_panels(rows, long_table, sheet, levels, fdr)
    plot_rare_events(panels, fdr, *figures_out["rare_events"])
    plot_specifications(records(read_table(specifications)), *figures_out["specifications"])
    rates = calibration_rows(records(read_table(calibration)), declared)
    plot_calibration(rates, *figures_out["calibration"])
