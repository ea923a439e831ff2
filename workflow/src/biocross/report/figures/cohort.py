"""From a run's sheets to the figures of its cohort."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from biocross.flow.losses import excluded_samples
from biocross.report.figures.patient_flow import flow_steps, plot_patient_flow
from biocross.report.figures.visit_grid import plot_visit_grid, visit_cells
from biocross.tables import read_rows


def plot_cohort(
    *,
    patients: Path | str,
    samples: Path | str,
    pairs: Path | str,
    ledgers: Iterable[Path | str],
    levels: Sequence[str],
    figures_out: Mapping[str, Sequence[Path | str]],
) -> None:
    """Draw who is in the study, and which visits were measured in which batch.

    Parameters
    ----------
    patients, samples, pairs
        The tables in ``results/cohort/``.
    ledgers
        Of the quality steps, which say what files were excluded.
    levels
        Levels of the contrast in order.
    figures_out
        Files of ``patient_flow`` and ``visit_grid``, one per format.
    """
    sheet, excluded = read_rows(samples), excluded_samples(ledgers)
    steps = flow_steps(read_rows(patients), sheet, read_rows(pairs), excluded)
    plot_patient_flow(steps, *figures_out["patient_flow"])
    plot_visit_grid(visit_cells(sheet, levels, excluded), levels, *figures_out["visit_grid"])
