"""Pictures of the gates that were applied: a patient's tree, and the borders of the cohort."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import Channel, load_panel
from biocross.flow.settled_gating import SettledGates, settled_gates
from biocross.flow.transform_table import load_transforms
from biocross.report.figures.densities import marker_range
from biocross.report.figures.gating import axis_label, plot_gating
from biocross.report.figures.gating_steps import read_visits
from biocross.report.figures.thresholds import Density, mean_density, plot_thresholds
from biocross.report.words import plain
from biocross.tables import read_rows

EVENTS_FOR_DENSITIES = 20_000


def plot_patient_gating(
    events: Sequence[Path | str],
    levels: Sequence[str],
    strategy: Path | str,
    thresholds: Path | str,
    populations: Path | str,
    panel: Path | str,
    transforms: Path | str,
    figure_out: Path | str,
) -> None:
    """Draw the gating tree of a patient, the visits side by side.

    Parameters
    ----------
    events
        Prepared events of the patient's samples, in order.
    levels
        What stands above the column of each sample: its visit or stimulation.
    strategy, thresholds, populations, panel, transforms
        As of `gate_patient`.
    figure_out
        A PDF of A4 pages.
    """
    channels = load_panel(Path(panel))
    titles = {path: plain(level) for path, level in zip(events, levels, strict=True)}
    visits = read_visits(titles, strategy, thresholds, populations, channels)
    title = "no file could be read"
    if visits:
        samples = ", ".join(visit.events.meta["sample_id"] for visit in visits)
        title = f"{visits[0].events.meta['patient_id']} ({samples})"
    plot_gating(visits, load_transforms(transforms), _labels(channels), figure_out, title)


def plot_cohort_thresholds(
    events: Sequence[Path | str],
    strategy: Path | str,
    thresholds: Path | str,
    populations: Path | str,
    panel: Path | str,
    transforms: Path | str,
    figure_out: Path | str,
) -> None:
    """Draw every border of a cohort on the mean density of its marker, outliers first.

    Parameters
    ----------
    events
        Prepared events of all samples; a part of each is read.
    strategy, thresholds, populations, panel, transforms
        As of `gate_patient`.
    figure_out
        A PDF of A4 pages.
    """
    channels, rows = load_panel(Path(panel)), read_rows(thresholds)
    marker_of = {(row["threshold"], row["population"]): row["marker"] for row in rows}
    values: dict[tuple[str, str], list[NDArray[np.float32]]] = {key: [] for key in marker_of}
    for path in events:
        for one in settled_gates(
            [path], strategy, thresholds, populations, channels, EVENTS_FOR_DENSITIES
        ):
            for key, marker in marker_of.items():
                found = _on(one, key[1], marker)
                if found is not None:
                    values[key].append(found)
    densities = {key: _density(columns, rows, key) for key, columns in values.items()}
    plot_thresholds(rows, load_transforms(transforms), densities, _labels(channels), figure_out)


def _labels(channels: Sequence[Channel]) -> dict[str, str]:
    return {channel.marker: axis_label(channel.marker, channel.channel) for channel in channels}


def _on(one: SettledGates, population: str, marker: str) -> NDArray[np.float32] | None:
    """Return a marker's values in a population; None where either is not there."""
    members = one.members.get("" if population == "root" else population)
    if members is None or marker not in one.events.values:
        return None
    return one.events.values[marker][members]


def _density(
    columns: Sequence[NDArray[np.float32]],
    rows: Sequence[dict[str, str]],
    key: tuple[str, str],
) -> Density:
    borders = [
        float(row["value"] or "nan") for row in rows if (row["threshold"], row["population"]) == key
    ]
    return mean_density(columns, *marker_range(columns, borders))
