"""Gates of the best, the median and the worst patient: what a reader must see to trust the rest."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from biocross.cohort.panel import load_panel
from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import BiocrossError
from biocross.flow.transform_table import load_transforms
from biocross.flow.transforms import Transform
from biocross.report.figures.gating import axis_label
from biocross.report.figures.gating_steps import Step, Visit, read_visits
from biocross.report.figures.population_gates import draw_step, steps_of
from biocross.report.figures.style import STYLE, save_figure
from biocross.report.words import plain
from biocross.tables import read_rows

Row = Mapping[str, str]
SOURCE_COLUMNS = (
    *("population", "patient_id", "example", "visit", "gate", "events_plotted", "events_inside"),
)
TILE = 2.15


class Example(NamedTuple):
    """The step that sets a population apart, in one patient.

    Parameters
    ----------
    population, patient, what
        Whose gate, in whom, and which example the patient is.
    step
        Of `steps_of`.
    visits
        What it was made of.
    """

    population: str
    patient: str
    what: str
    step: Step
    visits: Sequence[Visit]


def plot_gate_examples(
    events: Mapping[str, Sequence[Path | str]],
    levels: Mapping[str, Sequence[str]],
    strategy: Path | str,
    thresholds: Path | str,
    populations: Path | str,
    panel: Path | str,
    transforms: Path | str,
    sensitivity: Path | str,
    figures_out: Sequence[Path | str],
) -> None:
    """Draw the gates of the primary populations in three patients, from clear to unclear.

    Parameters
    ----------
    events, levels
        By patient, prepared events in order of the visits, and the level of each.
    strategy, thresholds, populations, panel, transforms
        As of `gate_patient`.
    sensitivity
        ``gate_sensitivity.tsv``, which names the borders of the primary findings.
    figures_out
        One file per format, and the source table.
    """
    matter = {row["threshold"] for row in read_rows(sensitivity)}
    chosen = examples_of(rank_patients(read_rows(thresholds), matter))
    channels = load_panel(Path(panel))
    primary = [name for name, one in load_vocabulary(Path(populations)).items() if one.primary]
    examples = []
    for patient, what in chosen.items():
        titles = {
            path: plain(level) for path, level in zip(events[patient], levels[patient], strict=True)
        }
        visits = read_visits(titles, strategy, thresholds, populations, channels)
        examples += list(_examples(primary, patient, what, visits))
    examples.sort(key=lambda example: primary.index(example.population))
    labels = {one.marker: axis_label(one.marker, one.channel) for one in channels}
    with mpl.rc_context(STYLE):
        figure = draw_examples(examples, load_transforms(transforms), labels)
        save_figure(figure, *figures_out, source=_source(examples), columns=SOURCE_COLUMNS)


def _examples(
    populations: Sequence[str], patient: str, what: str, visits: Sequence[Visit]
) -> Iterator[Example]:
    for population in populations:
        try:
            steps = steps_of(visits, population)
        except BiocrossError:
            # A population that the strategy does not gate, or that a file lacks a marker of.
            continue
        yield Example(population, patient, what, min(steps, key=_share_inside), visits)


def _share_inside(step: Step) -> float:
    """Return which share of the events plotted a step keeps: it sets apart where that is small."""
    plotted = sum(events.size for events in step.events if events is not None)
    inside = sum(o.inside.size for gate in step.gates for o in gate.outlines if o is not None)
    return inside / max(plotted, 1)


def draw_examples(
    examples: Sequence[Example],
    transforms: Mapping[str, Transform],
    labels: Mapping[str, str],
) -> Figure:
    """Draw one row per example, one column per visit.

    Parameters
    ----------
    examples
        In the order of the rows.
    transforms, labels
        Transform and axis label by marker.

    Returns
    -------
    Figure
        Which says so where there is nothing to draw.
    """
    columns = max((len(example.visits) for example in examples), default=1)
    size = (TILE * columns + 0.4, max(1.0, (TILE + 0.45) * len(examples)))
    figure = Figure(figsize=size, layout="constrained")
    if not examples:
        figure.text(0.5, 0.5, "no primary population is gated", ha="center", va="center")
        return figure
    rows = figure.subfigures(len(examples), 1, squeeze=False)[:, 0]
    for part, example in zip(rows, examples, strict=True):
        title = f"{plain(example.population)}: {example.what}, {example.patient}"
        part.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=8, parse_math=False)
        axes = part.subplots(1, columns, squeeze=False)[0]
        for spare in axes[len(example.visits) :]:
            spare.set_axis_off()
        own = axes[: len(example.visits)]
        draw_step(own, example.step, example.visits, transforms, labels)
    return figure


def _source(examples: Sequence[Example]) -> Iterator[dict[str, Any]]:
    for example in examples:
        for place, visit in enumerate(example.visits):
            plotted = example.step.events[place]
            for gate in example.step.gates:
                outline = gate.outlines[place]
                yield {
                    "population": example.population,
                    "patient_id": example.patient,
                    "example": example.what,
                    "visit": visit.title,
                    "gate": gate.name,
                    "events_plotted": None if plotted is None else plotted.size,
                    "events_inside": None if outline is None else outline.inside.size,
                }


def rank_patients(borders: Sequence[Row], thresholds: Collection[str]) -> list[str]:
    """Order patients by how clearly their positive cells are set apart, the clearest first.

    Parameters
    ----------
    borders
        Rows of ``thresholds.tsv``.
    thresholds
        Names of the borders that matter.

    Returns
    -------
    list of str
        Patients by the mean depth of the valleys that were sought at their borders, over samples;
        0 where none was found, or where the border was moved to the cohort's. Where no valley was
        sought at the borders that matter, all count.
    """
    sought = [row for row in borders if row["method"] == "valley"]
    own = [row for row in sought if row["threshold"] in thresholds] or sought
    depths: dict[str, list[float]] = {}
    for row in own:
        found = row["source"] == "valley" and not row["flag"]
        depths.setdefault(row["patient_id"], []).append(float(row["depth"]) if found else 0.0)
    means = {patient: float(np.mean(values)) for patient, values in depths.items()}
    return sorted(means, key=lambda patient: (-means[patient], patient))


def examples_of(ranked: Sequence[str]) -> dict[str, str]:
    """Take the best, the median and the worst of ranked patients.

    Parameters
    ----------
    ranked
        Of `rank_patients`.

    Returns
    -------
    dict
        What they are, by patient; fewer than three where there are fewer patients.
    """
    if not ranked:
        return {}
    chosen = {ranked[0]: "clearest gates"}
    if len(ranked) > 1:
        chosen[ranked[-1]] = "least clear gates"
    if len(ranked) > 2:
        chosen[ranked[len(ranked) // 2]] = "median"
    return {patient: chosen[patient] for patient in ranked if patient in chosen}
