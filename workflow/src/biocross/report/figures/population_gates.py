"""The gates of one population in one patient: a plot per step and visit, on axes of matplotlib."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from biocross.errors import BiocrossError
from biocross.flow.transforms import Transform
from biocross.report.figures.densities import (
    PIXELS,
    dot_size,
    faded,
    marker_range,
    pseudocolour,
    smooth_1d,
    to_pixels,
)
from biocross.report.figures.gating_page import percent
from biocross.report.figures.gating_steps import (
    Outline,
    ShownGate,
    Step,
    Visit,
    combined_populations,
    gating_steps,
)
from biocross.report.figures.scale_axes import decorate
from biocross.report.figures.style import BLUE
from biocross.report.words import plain

Ranges = Mapping[str, tuple[float, float]]


def draw_step(
    axes: Sequence[Axes],
    step: Step,
    visits: Sequence[Visit],
    transforms: Mapping[str, Transform],
    labels: Mapping[str, str],
) -> None:
    """Draw one step of a gate for every visit, on axes that are alike.

    Parameters
    ----------
    axes
        Where to draw, one per visit.
    step
        Of `steps_of`.
    visits
        What the step was made of.
    transforms, labels
        Transform and axis label by marker.
    """
    ranges = _ranges(step, visits)
    for place, axis in enumerate(axes):
        _draw_tile(axis, step, place, visits[place], ranges)
        _label_axes(axis, step, transforms, labels, place == 0)


def steps_of(visits: Sequence[Visit], population: str) -> list[Step]:
    """Return the plots that gate one population.

    Parameters
    ----------
    visits
        Of `read_visits`.
    population
        What is gated.

    Returns
    -------
    list of Step
        In order; a gate of more than two markers has several.

    Raises
    ------
    BiocrossError
        There is none; the message says why.
    """
    own = [
        visit._replace(gates=[gate for gate in visit.gates if gate.population == population])
        for visit in visits
    ]
    if steps := gating_steps(own):
        return steps
    unknown = {gate.unknown for visit in own for gate in visit.gates if gate.unknown}
    if combined := combined_populations(own).get(population):
        why = f"it combines populations ({combined}); plot one of those"
    else:
        why = "; ".join(sorted(unknown)) or "the gating strategy has no gate of that name"
    raise BiocrossError(f"no plot shows the gate of {population}: {why}")


def _ranges(step: Step, visits: Sequence[Visit]) -> dict[str, tuple[float, float]]:
    """Choose the ends of both axes, alike in all visits, so that they compare by eye."""
    ranges = {}
    for marker, which in ((step.x, "x"), (step.y, "y")):
        if marker:
            values = [
                visit.events.values[marker][events]
                for visit, events in zip(visits, step.events, strict=True)
                if events is not None
            ]
            outlines = [outline for gate in step.gates for outline in gate.outlines if outline]
            borders = [end for outline in outlines for end in getattr(outline, which)]
            ranges[marker] = marker_range(values, borders)
    return ranges


def _draw_tile(axis: Axes, step: Step, place: int, visit: Visit, ranges: Ranges) -> None:
    events = step.events[place]
    axis.set_xlim(ranges[step.x])
    axis.set_ylim(ranges[step.y] if step.y else (0.0, 1.0))
    n_events = 0 if events is None else events.size
    parent = plain(step.parent) or "events that passed"
    axis.set_title(f"{visit.title}\n{n_events:,} {parent}", loc="left", parse_math=False)
    if events is None or not n_events:
        axis.text(0.5, 0.5, "no events", transform=axis.transAxes, ha="center", style="italic")
        return
    x = to_pixels(visit.events.values[step.x][events], *ranges[step.x])
    if step.y:
        _draw_density(axis, step, place, visit, events, ranges)
    else:
        height = smooth_1d(np.bincount(x, minlength=PIXELS).astype(np.float32), 2.5)
        low, high = ranges[step.x]
        centres = low + (np.arange(PIXELS) + 0.5) / PIXELS * (high - low)
        axis.fill_between(centres, 0.7 * height / height.max(), color="#C9D6E2", lw=0)
    for number, gate in enumerate(step.gates):
        if outline := gate.outlines[place]:
            _draw_outline(axis, outline)
            _label_gate(axis, gate, outline, n_events, number)


def _draw_density(
    axis: Axes,
    step: Step,
    place: int,
    visit: Visit,
    events: NDArray[np.intp],
    ranges: Ranges,
) -> None:
    def image_of(members: NDArray[np.intp]) -> NDArray[np.uint8]:
        x, y = (
            to_pixels(visit.events.values[marker][members], *ranges[marker])
            for marker in (step.x, step.y)
        )
        return pseudocolour(x, y, dot)

    dot = dot_size(max(one.size for one in step.events if one is not None))
    image = image_of(events)
    for outline in (gate.outlines[place] for gate in step.gates):
        if outline and not outline.is_drawn:
            image = faded(image, image_of(outline.inside))
    extent = (*ranges[step.x], *ranges[step.y])
    axis.imshow(image, extent=extent, origin="lower", interpolation="nearest", aspect="auto")


def _draw_outline(axis: Axes, outline: Outline) -> None:
    if not outline.is_drawn:
        return
    if outline.corners is not None:
        axis.fill(*outline.corners.T, facecolor=(*_rgb(BLUE), 0.07), edgecolor="black", lw=0.9)
        return
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    x = np.clip(outline.x, left, right)
    y = np.clip(outline.y, bottom, top)
    axis.fill_between(x, y[0], y[1], color=BLUE, alpha=0.07, lw=0)
    for end in (end for end in outline.x if np.isfinite(end)):
        axis.plot([end, end], y, color="black", lw=0.9)
    for end in (end for end in outline.y if np.isfinite(end)):
        axis.plot(x, [end, end], color="black", lw=0.9)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _label_gate(axis: Axes, gate: ShownGate, outline: Outline, plotted: int, number: int) -> None:
    count = outline.inside.size
    name = plain(gate.name) if gate.name else "in the gate"
    text = f"{name}: {percent(count, plotted)} ({count:,})"
    if outline.whole is not None:
        text += f"\n{percent(count, outline.whole)} of {plain(gate.under) or 'parent'}"
    # Inside the plot above the gate's share of it, in the corner where gates leave most room.
    high_up = outline.y[1] > np.mean(axis.get_ylim()) and bool(np.isfinite(outline.y[0]))
    axis.text(
        *(0.03, (0.03 + 0.13 * number) if high_up else (0.97 - 0.13 * number), text),
        transform=axis.transAxes,
        va="bottom" if high_up else "top",
        fontsize=6.5,
        parse_math=False,
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
    )


def _label_axes(
    axis: Axes,
    step: Step,
    transforms: Mapping[str, Transform],
    labels: Mapping[str, str],
    is_first: bool,
) -> None:
    decorate(axis, transforms[step.x], "x")
    axis.set_xlabel(labels.get(step.x, step.x), parse_math=False)
    if not step.y:
        axis.set_yticks([])
        axis.set_ylabel("events" if is_first else "")
        return
    decorate(axis, transforms[step.y], "y")
    axis.set_ylabel(labels.get(step.y, step.y) if is_first else "", parse_math=False)
