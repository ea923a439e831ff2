"""Patients by visits: what was measured, what is missing, and in which batch."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from biocross.report.figures.panels import empty_figure
from biocross.report.figures.patient_flow import MODALITIES
from biocross.report.figures.style import STYLE, save_figure
from biocross.report.words import plain

Row = Mapping[str, str]
VISIT_GRID_COLUMNS = ("modality", "treatment", "patient", "visit", "state", "batch")
# Light tints of Okabe & Ito's palette, so that black letters stand out.
TINTS = ("#9CCBE8", "#F5C58B", "#8FD3BF", "#F0E68C", "#E3B7D0", "#D8A88A", "#B8BEE8", "#D0D0D0")
CELL, LINE = 0.62, 0.17


class Cell(NamedTuple):
    """One visit of one patient in one modality; ``state`` is measured, excluded or missing."""

    modality: str
    treatment: str
    patient: str
    visit: str
    state: str
    batch: str


def visit_cells(
    samples: Sequence[Row], levels: Sequence[str], excluded: Mapping[str, str]
) -> list[Cell]:
    """Say for every patient and visit whether there is a sample.

    Parameters
    ----------
    samples
        Rows of ``results/cohort/samples.tsv``; samples outside the contrast have no level.
    levels
        Levels of the contrast in order.
    excluded
        Why a file gave no data, by sample.

    Returns
    -------
    list of Cell
        By modality, treatment and patient. A patient without any sample of a modality is left
        out of it.
    """
    cells = []
    for modality in dict.fromkeys(row["modality"] for row in samples):
        own = [row for row in samples if row["modality"] == modality and row["level"]]
        units = sorted({(row["treatment"], row["unit"]) for row in own})
        first = {unit: arm for arm, unit in reversed(units)}
        at = {(row["unit"], row["level"]): row for row in own}
        for unit, arm in sorted(first.items(), key=lambda item: item[::-1]):
            for level in levels:
                row = at.get((unit, level))
                state = "missing"
                if row is not None:
                    state = "excluded" if row["sample_id"] in excluded else "measured"
                batch = row["batch"] if row is not None else ""
                cells.append(Cell(modality, arm, unit, level, state, batch))
    return cells


def batch_words(cells: Sequence[Cell], levels: Sequence[str]) -> str:
    """Say how many pairs share a batch: where none does, batch passes for treatment.

    Parameters
    ----------
    cells
        Of one modality.
    levels
        Levels of the contrast in order.

    Returns
    -------
    str
        One sentence per contrast.
    """
    batch = {(c.patient, c.visit): c.batch for c in cells if c.state == "measured" and c.batch}
    sentences = []
    for level in levels[1:]:
        both = [
            (batch[name, levels[0]], batch[name, level])
            for name in dict.fromkeys(cell.patient for cell in cells)
            if (name, levels[0]) in batch and (name, level) in batch
        ]
        same = sum(one == other for one, other in both)
        if both:
            sentences.append(f"{plain(level)}: {same} of {len(both)} pairs within one batch")
    return "\n".join(sentences)


def draw_visit_grid(
    axis: Axes, cells: Sequence[Cell], levels: Sequence[str], letters: Mapping[str, str]
) -> None:
    """Draw one modality: a line per patient, a column per visit.

    Parameters
    ----------
    axis
        Where to draw.
    cells
        Of one modality.
    levels
        The columns.
    letters
        Letter of every batch.
    """
    patients = list(dict.fromkeys(cell.patient for cell in cells))
    tint = {batch: TINTS[n % len(TINTS)] for n, batch in enumerate(letters)}
    for cell in cells:
        x, y = levels.index(cell.visit), patients.index(cell.patient)
        look: dict[str, Any] = {"facecolor": "white", "edgecolor": "#C8C8C8", "linewidth": 0.4}
        text = {"missing": "–", "excluded": "excluded"}.get(cell.state, letters.get(cell.batch, ""))
        if cell.state == "measured":
            look["facecolor"] = tint[cell.batch]
        elif cell.state == "excluded":
            look["hatch"] = "////"
        axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **look))
        axis.text(x, y, text, ha="center", va="center", fontsize=6)
    arms = {cell.patient: cell.treatment for cell in cells}
    for line, (before, after) in enumerate(pairwise(patients)):
        if arms[before] != arms[after]:
            axis.axhline(line + 0.5, color="black", linewidth=0.8)
    axis.set(xlim=(-0.5, len(levels) - 0.5), ylim=(len(patients) - 0.5, -0.5))
    axis.xaxis.tick_top()
    axis.set_xticks(range(len(levels)), [plain(v) for v in levels], parse_math=False)
    names = [f"{arms[name]}  {name}" for name in patients]
    axis.set_yticks(range(len(patients)), names, parse_math=False)
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)


def plot_visit_grid(cells: Sequence[Cell], levels: Sequence[str], *figures_out: Path | str) -> None:
    """Draw the grids of all modalities beside each other.

    Parameters
    ----------
    cells
        Of `visit_cells`.
    levels
        Levels of the contrast in order.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    with mpl.rc_context(STYLE):
        figure = _grids(cells, levels)
        source = [cell._asdict() for cell in cells]
        save_figure(figure, *figures_out, source=source, columns=VISIT_GRID_COLUMNS)


def _grids(cells: Sequence[Cell], levels: Sequence[str]) -> Figure:
    if not cells:
        return empty_figure("No sample has a visit of the contrast.")
    grids: dict[str, list[Cell]] = {}
    for cell in cells:
        grids.setdefault(cell.modality, []).append(cell)
    each = CELL * len(levels)
    names = 0.06 * max(len(c.treatment) + len(c.patient) + 2 for c in cells) + 0.15
    most = max(len({c.patient for c in own}) for own in grids.values())
    legend = max(len({c.batch for c in own}) for own in grids.values()) + 2
    below = 0.137 * legend + 0.13 * len(levels) + 0.1
    width = max((names + each + 0.35) * len(grids), 3.2)
    height = LINE * most + below + 0.75
    figure = Figure(figsize=(width, height))
    for place, (modality, own) in enumerate(grids.items()):
        left = place * (names + each + 0.35) + names
        tall = LINE * len({c.patient for c in own})
        bottom = height - 0.6 - tall
        axis = figure.add_axes((left / width, bottom / height, each / width, tall / height))
        batches = sorted({cell.batch for cell in own if cell.batch or cell.state == "measured"})
        letters = {name: _letter(number) if name else "" for number, name in enumerate(batches)}
        draw_visit_grid(axis, own, levels, letters)
        title = MODALITIES.get(modality, modality)
        figure.text((left - names + 0.08) / width, 1 - 0.1 / height, title, va="top", weight="bold")
        where = (left - names + 0.08) / width, (bottom - 0.08) / height
        _explain(figure, letters, where)
        words = batch_words(own, levels)
        y = (bottom - 0.15 - 0.137 * (len(letters) + 2)) / height
        figure.text(where[0], y, words, va="top", fontsize=6.5)
    return figure


def _letter(number: int) -> str:
    """Return A to Z, then A2, B2 ..."""
    again = number // len(ascii_uppercase)
    return ascii_uppercase[number % len(ascii_uppercase)] + (str(again + 1) if again else "")


def _explain(figure: Figure, letters: Mapping[str, str], where: tuple[float, float]) -> None:
    handles = [
        Patch(
            facecolor=TINTS[number % len(TINTS)],
            label=f"{letter}: {batch}" if batch else "measured (no batch named)",
        )
        for number, (batch, letter) in enumerate(letters.items())
    ]
    handles.append(Patch(facecolor="white", edgecolor="#C8C8C8", label="–: no sample"))
    handles.append(
        Patch(facecolor="white", edgecolor="#C8C8C8", hatch="////", label="its file was excluded")
    )
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=where,
        frameon=False,
        fontsize=6.5,
        borderaxespad=0,
        borderpad=0,
    )
