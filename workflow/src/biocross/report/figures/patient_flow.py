"""Patient-flow diagram: who was enrolled, who has pairs, and who is left out why."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from biocross.report.figures.panels import empty_figure
from biocross.report.figures.style import BLUE, GREY, STYLE, save_figure
from biocross.report.words import contrast_words, plain

Row = Mapping[str, str]
PATIENT_FLOW_COLUMNS = ("step", "treatment", "modality", "contrast", "n", "reason", "names")
MODALITIES = {"flow": "flow cytometry", "rna": "single-cell RNA"}
# Places in inches: columns of boxes, their widths, the height of a contrast.
LEFT, WIDTH, LINE = (0.1, 1.55, 3.2, 5.0), (1.15, 1.35, 1.5, 2.6), 0.52
MOST_NAMES = 6
# Letters of small type that stand below a box, and right of the last ones.
BOX_LETTERS, SIDE_LETTERS, SMALL = 34, 58, 0.115


class Step(NamedTuple):
    """One box of the diagram, or one reason for being left out.

    Parameters
    ----------
    step
        ``enrolled``, ``treatment``, ``baseline``, ``pairs`` or ``left_out``.
    treatment, modality, contrast
        What it is about; empty where it is about all.
    names
        Patients (or patients and visits) in it.
    reason
        Of ``left_out``: why.
    """

    step: str
    treatment: str
    modality: str
    contrast: str
    names: tuple[str, ...]
    reason: str = ""

    def row(self) -> dict[str, Any]:
        """Return the step as a row of the source table."""
        return {**self._asdict(), "n": len(self.names), "names": ", ".join(self.names)}


def flow_steps(
    patients: Sequence[Row],
    samples: Sequence[Row],
    pairs: Sequence[Row],
    excluded: Mapping[str, str],
) -> list[Step]:
    """Count patients from enrolment to complete pairs.

    Parameters
    ----------
    patients, samples, pairs
        Rows of the tables in ``results/cohort/``.
    excluded
        Why a file gave no data, by sample.

    Returns
    -------
    list of Step
        In the order in which they are drawn.
    """
    everyone = dict.fromkeys(row["patient_id"] for row in [*patients, *samples])
    steps = [Step("enrolled", "", "", "", tuple(everyone))]
    of_treatment: dict[str, dict[str, None]] = {}
    for row in [*patients, *samples, *pairs]:
        of_treatment.setdefault(row.get("treatment", ""), {})[row["patient_id"]] = None
    treated = {name for arm, own in of_treatment.items() if arm for name in own}
    if without := tuple(name for name in everyone if name not in treated):
        steps.append(Step("left_out", "", "", "", without, "no treatment named"))
    for treatment in sorted(filter(None, of_treatment)):
        steps.append(Step("treatment", treatment, "", "", tuple(of_treatment[treatment])))
        for modality in dict.fromkeys(row["modality"] for row in pairs):
            own = [r for r in pairs if (r["treatment"], r["modality"]) == (treatment, modality)]
            if own:
                seen = {row["patient_id"] for row in own}
                never = tuple(name for name in of_treatment[treatment] if name not in seen)
                measured = [row for row in samples if row["modality"] == modality]
                steps += _modality_steps(treatment, modality, own, measured, excluded)
                if never:
                    steps.append(Step("left_out", treatment, modality, "", never, "not measured"))
    return steps


def _modality_steps(
    treatment: str,
    modality: str,
    pairs: Sequence[Row],
    samples: Sequence[Row],
    excluded: Mapping[str, str],
) -> list[Step]:
    sample_at = {(row["unit"], row["level"]): row["sample_id"] for row in samples}
    baseline = pairs[0]["baseline"]
    units = tuple(dict.fromkeys(row["unit"] for row in pairs))
    reasons = {unit: _missing(unit, baseline, sample_at, excluded) for unit in units}
    with_baseline = tuple(unit for unit in units if not reasons[unit])
    steps = [Step("baseline", treatment, modality, "", with_baseline)]
    steps += _left_out(treatment, modality, "", {u: why for u, why in reasons.items() if why})
    for contrast in dict.fromkeys(row["contrast"] for row in pairs):
        followup = {row["unit"]: row["followup"] for row in pairs if row["contrast"] == contrast}
        why = {
            unit: _missing(unit, followup[unit], sample_at, excluded)
            for unit in with_baseline
            if unit in followup
        }
        complete = tuple(unit for unit, reason in why.items() if not reason)
        steps.append(Step("pairs", treatment, modality, contrast, complete))
        lost = {unit: reason for unit, reason in why.items() if reason}
        steps += _left_out(treatment, modality, contrast, lost)
    return steps


def _missing(
    unit: str,
    level: str,
    sample_at: Mapping[tuple[str, str], str],
    excluded: Mapping[str, str],
) -> str:
    sample = sample_at.get((unit, level))
    if sample is None:
        return f"no {plain(level)} sample"
    return f"{plain(level)} file excluded: {excluded[sample]}" if sample in excluded else ""


def _left_out(
    treatment: str, modality: str, contrast: str, reasons: Mapping[str, str]
) -> list[Step]:
    return [
        Step(
            *("left_out", treatment, modality, contrast),
            tuple(unit for unit, reason in reasons.items() if reason == why),
            why,
        )
        for why in dict.fromkeys(reasons.values())
    ]


def draw_patient_flow(axis: Axes, steps: Sequence[Step]) -> None:
    """Draw the boxes from left to right: enrolled, treatment, baseline, pairs.

    Parameters
    ----------
    axis
        Where to draw, in inches, the origin at the top left.
    steps
        Of `flow_steps`.
    """
    heights = _places(steps)
    for number, step in enumerate(steps):
        if step.step == "left_out":
            continue
        column = _level(step)
        y = heights[number]
        _box(axis, column, y, _words(step), _lost_words(steps, step))
        if column:
            parent = max(n for n in range(number) if _level(steps[n]) == column - 1)
            start = LEFT[column - 1] + WIDTH[column - 1]
            middle = (start + LEFT[column]) / 2
            x, ys = [start, middle, middle, LEFT[column]], [heights[parent]] * 2 + [y] * 2
            axis.plot(x, ys, color=GREY, linewidth=0.8, zorder=0)
    axis.set_axis_off()


def _level(step: Step) -> int:
    names = ("enrolled", "treatment", "baseline", "pairs")
    return names.index(step.step) if step.step in names else -1


def _places(steps: Sequence[Step]) -> dict[int, float]:
    """Return the height of every box: leaves below each other, others in the middle of theirs."""
    boxes = [n for n, step in enumerate(steps) if step.step != "left_out"]
    levels = {n: _level(steps[n]) for n in boxes}
    own: dict[int, list[int]] = {n: [] for n in boxes}
    for place, number in enumerate(boxes):
        above = [n for n in boxes[:place] if levels[n] == levels[number] - 1]
        if above:
            own[above[-1]].append(number)
    places: dict[int, float] = {}
    top = 0.3
    for number in boxes:
        if not own[number]:
            places[number] = top
            # What is said below a box of one contrast needs room.
            lost = [_lost_words(steps, steps[n]) for n in boxes if own[n] == [number]]
            below = max((text.count("\n") + 1 for text in lost if text), default=0)
            top += LINE + SMALL * below
    for number in reversed(boxes):
        if own[number]:
            places[number] = (places[own[number][0]] + places[own[number][-1]]) / 2
    return places


def _box(axis: Axes, column: int, y: float, words: str, lost: str) -> None:
    width = WIDTH[column]
    shape = FancyBboxPatch(
        (LEFT[column], y - 0.19),
        *(width, 0.38),
        boxstyle="round,pad=0,rounding_size=0.05",
        facecolor="#EAF2F8"
        if column == 3 and not words.endswith("\n0 complete pairs")
        else "white",
        edgecolor=BLUE if column == 3 else "#555555",
        linewidth=0.8,
    )
    axis.add_patch(shape)
    look: dict[str, Any] = {"va": "center", "parse_math": False}
    axis.text(LEFT[column] + width / 2, y, words, ha="center", **look)
    if lost and column < 3:
        axis.text(LEFT[column], y + 0.23, lost, **look | {"va": "top"}, fontsize=6, color="#777777")
    elif lost:
        axis.text(LEFT[3] + width + 0.1, y, lost, fontsize=6, color="#777777", **look)


def _words(step: Step) -> str:
    n = len(step.names)
    if step.step == "enrolled":
        return f"{n} patients\nenrolled"
    if step.step == "treatment":
        return f"{step.treatment}\n{n} patients"
    if step.step == "baseline":
        return f"{MODALITIES.get(step.modality, step.modality)}\n{n} with baseline"
    return f"{contrast_words(step.contrast)}\n{n} complete pairs"


def _lost_words(steps: Sequence[Step], box: Step) -> str:
    """Say who is left out at a box, and why."""
    where = ("", "", "") if box.step == "enrolled" else box[1:4]
    if box.step == "treatment":
        return ""
    lost = [step for step in steps if step.step == "left_out" and step[1:4] == where]
    sentences = (
        f"left out {len(step.names)}: {step.reason} ({some_names(step.names)})" for step in lost
    )
    letters = SIDE_LETTERS if box.step == "pairs" else BOX_LETTERS
    return "\n".join(line for each in sentences for line in wrap(each, letters))


def some_names(names: Sequence[str]) -> str:
    """List names, the first few of many."""
    shown = ", ".join(names[:MOST_NAMES])
    rest = len(names) - MOST_NAMES
    return f"{shown} and {rest} more" if rest > 0 else shown


def plot_patient_flow(steps: Sequence[Step], *figures_out: Path | str) -> None:
    """Draw the patient-flow diagram of a study.

    Parameters
    ----------
    steps
        Of `flow_steps`.
    figures_out
        One file per format, ``.tsv`` for the source table.
    """
    source = [step.row() for step in steps]
    with mpl.rc_context(STYLE):
        if not any(step.step == "pairs" for step in steps):
            n = len(steps[0].names)
            figure = empty_figure(
                f"{n} patients; no two visits are compared, so there are no pairs."
            )
        else:
            width, height = 11.0, max(_places(steps).values()) + 0.5
            figure = Figure(figsize=(width, height))
            axis = figure.add_axes((0, 0, 1, 1))
            axis.set(xlim=(0, width), ylim=(height, 0))
            draw_patient_flow(axis, steps)
        save_figure(figure, *figures_out, source=source, columns=PATIENT_FLOW_COLUMNS)
