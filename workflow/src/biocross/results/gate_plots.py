"""The gate of one population in one patient, visits side by side, drawn for Jupyter."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from biocross.cohort.gate_files import are_drawn_elsewhere
from biocross.cohort.panel import Channel, load_panel
from biocross.errors import BiocrossError
from biocross.flow.transform_table import load_transforms
from biocross.flow.transforms import Transform
from biocross.report.figures.gating import axis_label
from biocross.report.figures.gating_steps import Visit, read_visits
from biocross.report.figures.population_gates import draw_step, steps_of
from biocross.report.sources import records
from biocross.report.words import plain
from biocross.results.change_plots import LARGER, styled
from biocross.results.choices import axes_for, known_word
from biocross.results.run import Run
from biocross.results.tables import BORDERS, missing

TILE_WIDTH, TILE_HEIGHT = 2.4, 2.6


class GateFiles(NamedTuple):
    """What the gates of a run are read from.

    Parameters
    ----------
    strategy, thresholds, populations
        As of `settled_gates`.
    panel
        Channels of ``panel.tsv``.
    transforms
        By marker.
    """

    strategy: Path
    thresholds: Path
    populations: Path
    panel: Sequence[Channel]
    transforms: Mapping[str, Transform]


def gate_files(run: Run) -> GateFiles:
    """Find what the gates of a run are read from.

    Parameters
    ----------
    run
        A finished run.

    Returns
    -------
    GateFiles
        Of the copies that the run kept.

    Raises
    ------
    BiocrossError
        The study has no FCS files, or its gates were drawn in another program.
    """
    thresholds = run.folder / "flow" / "gating" / "thresholds.tsv"
    if not thresholds.is_file() or are_drawn_elsewhere(run.config["inputs"]["gating"]):
        raise missing("gates to plot", thresholds, BORDERS)
    return GateFiles(
        run.input("gating"),
        thresholds,
        run.input("populations"),
        load_panel(run.input("panel")),
        load_transforms(run.folder / "flow" / "transforms.tsv"),
    )


def patient_visits(run: Run, patient: str, files: GateFiles) -> list[Visit]:
    """Gate the flow cytometry samples of a patient, in order of the visits.

    Parameters
    ----------
    run
        A finished run.
    patient
        The patient.
    files
        Of `gate_files`.

    Returns
    -------
    list of Visit
        One per sample whose file could be used.

    Raises
    ------
    BiocrossError
        The patient is not known, or there are no events.
    """
    folder = run.folder / "flow" / "events"
    samples = run.samples[run.samples["modality"] == "flow"]
    known_word("patient with flow cytometry", patient, samples["patient_id"])
    own = samples[samples["patient_id"] == patient]
    order = {level: place for place, level in enumerate(run.levels)}
    rows = sorted(records(own), key=lambda row: order.get(row["level"], len(order)))
    titles = {folder / f"{row['sample_id']}.arrow": _title(row) for row in rows}
    kept = {path: title for path, title in titles.items() if path.is_file()}
    if not kept:
        raise BiocrossError(
            f"{folder} has no events of {patient}: with `flow: {{keep_events: false}}` they go "
            "after the run. Set it to true and run `snakemake --forcerun prepare_flow_sample`"
        )
    visits = read_visits(kept, files.strategy, files.thresholds, files.populations, files.panel)
    if not visits:
        raise BiocrossError(f"no file of {patient} could be used: see flow/quality/ledger.tsv")
    return visits


def _title(row: Mapping[str, Any]) -> str:
    stimulation = row["stimulation"] if isinstance(row["stimulation"], str) else ""
    return " ".join(filter(None, [plain(row["visit"]), stimulation]))


def draw_gates(
    visits: Sequence[Visit], population: str, files: GateFiles, title: str, axes: Any
) -> NDArray[Any]:
    """Draw the steps that gate a population: one row per step, one column per visit.

    Parameters
    ----------
    visits
        Of `read_visits`.
    population
        What is gated.
    files
        What the gates were read from.
    title
        Stands above new figures: the patient and the population.
    axes
        Where to draw, one per step and visit, row by row; or None.

    Returns
    -------
    ndarray of Axes
        Shape (steps, visits).

    Raises
    ------
    BiocrossError
        No plot shows the population, because it combines others or was not gated.
    """
    steps = steps_of(visits, population)
    shape = len(steps), len(visits)
    with styled(LARGER):
        if axes is None:
            size = (TILE_WIDTH * shape[1], TILE_HEIGHT * shape[0] + 0.3)
            figure, grid = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
            figure.suptitle(title, x=0.01, ha="left", parse_math=False)
        else:
            what = f"{shape[0]} steps of {shape[1]} visits"
            grid = axes_for(axes, shape[0] * shape[1], what).reshape(shape)
        labels = {one.marker: axis_label(one.marker, one.channel) for one in files.panel}
        for row, step in zip(grid, steps, strict=True):
            draw_step(row, step, visits, files.transforms, labels)
    return np.asarray(grid)
