"""Figures of gating: a patient's tree, one row of plots per step, the visits side by side."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap

import matplotlib as mpl
from matplotlib.backends.backend_pdf import PdfPages

from biocross.flow.transforms import Transform
from biocross.report.figures.densities import marker_range
from biocross.report.figures.gating_page import (
    ABOVE,
    BELOW,
    GAP,
    HEAD,
    LEFT,
    MARGIN,
    NOTE_LINE,
    PAGE_HEIGHT,
    PAGE_WIDTH,
    Page,
    Scale,
)
from biocross.report.figures.gating_steps import Step, Visit, combined_populations, gating_steps
from biocross.report.figures.label_room import TEXT
from biocross.report.figures.scale_axes import scale_ticks
from biocross.report.figures.style import STYLE, save_figure
from biocross.report.words import plain
from biocross.tables import written_whole

# Of some two hundred panels, joining their images and subsetting their fonts would cost most.
MANY_PANELS = {"font.size": TEXT, "image.composite_image": False, "pdf.fonttype": 3}
SMALLEST, LARGEST = 72.0, 108.0
# Labels of ticks need this many points to zero.
LABEL_POINTS = 9.0


def plot_gating(
    visits: Sequence[Visit],
    transforms: Mapping[str, Transform],
    labels: Mapping[str, str],
    figure_out: Path | str,
    title: str,
) -> None:
    """Draw the gating tree of a patient, one row of plots per step, the visits side by side.

    Parameters
    ----------
    visits
        What is shown of each sample, in order.
    transforms
        By marker.
    labels
        What to write on the axis of a marker, such as ``CD3 PerCP-Cy5-5``; by default its name.
    figure_out
        A PDF has A4 pages; any other format has one long page.
    title
        Stands on every page: the patient.
    """
    steps = gating_steps(visits)
    blocks, size = _grid(len(visits))
    scales = _scales(visits, steps, transforms, labels, size)
    rows = [steps[start : start + blocks] for start in range(0, len(steps), blocks)]
    notes = _notes(visits)
    with mpl.rc_context(STYLE | MANY_PANELS):
        if Path(figure_out).suffix != ".pdf":
            height = HEAD + len(rows) * (size + ABOVE + BELOW) + _notes_height(notes) + MARGIN
            page = Page(visits, scales, size, height)
            page.fill(title, rows, notes)
            save_figure(page.figure, figure_out)
            return
        with (
            written_whole(figure_out) as temporary,
            PdfPages(temporary, metadata={"CreationDate": None}) as pdf,
        ):
            pages = _pages(rows, size, notes)
            for number, (own, end) in enumerate(pages, 1):
                page = Page(visits, scales, size, PAGE_HEIGHT)
                page.fill(f"{title}, page {number} of {len(pages)}", own, end)
                pdf.savefig(page.figure, dpi=200)


def axis_label(marker: str, channel: str) -> str:
    """Write a marker and its fluorochrome: ``CD3 PerCP-Cy5-5``.

    Parameters
    ----------
    marker
        The marker.
    channel
        Its channel, ``$PnN``, such as ``PerCP-Cy5-5-A``.

    Returns
    -------
    str
        The marker alone where the channel adds nothing.
    """
    dye = re.sub(r"^(FJ-?)?Comp-", "", channel.strip().strip("<>"), flags=re.IGNORECASE)
    # Mass cytometers write "CD45(In115)Dd" or "In115Di".
    if mass := re.fullmatch(r"(?:.*\()?([A-Z][a-z]?\d+|\d+(?::\d+)+)\)?D[di]", dye):
        dye = mass[1]
    if not re.search(r"-[AHW]$", marker):
        dye = re.sub(r"-[AHW]$", "", dye)
    return marker if dye.casefold() in (marker.casefold(), "") else f"{marker} {dye}"


def _scales(
    visits: Sequence[Visit],
    steps: Sequence[Step],
    transforms: Mapping[str, Transform],
    labels: Mapping[str, str],
    size: float,
) -> dict[str, Scale]:
    """Choose one axis per marker, alike in all plots, so that they can be compared by eye."""
    borders: dict[str, list[float]] = {m: [] for step in steps for m in (step.x, step.y)}
    for step in steps:
        for outline in (o for gate in step.gates for o in gate.outlines if o):
            borders[step.x].extend(outline.x)
            borders[step.y].extend(outline.y)
    scales = {}
    for marker in (name for name in borders if name):
        values = [
            visit.events.values[marker][visit.members[""]]
            for visit in visits
            if marker in visit.events.values
        ]
        low, high = marker_range(values, borders[marker])
        if transforms[marker].kind == "linear" and low > -0.3 * high:
            low = 0.0
        ticks = scale_ticks(transforms[marker], low, high, LABEL_POINTS / size)
        scales[marker] = Scale(low, high, ticks, labels.get(marker, marker))
    return scales


def _grid(n_visits: int) -> tuple[int, float]:
    """Return how many steps stand beside each other, and the size of their plots."""
    width = PAGE_WIDTH - 2 * MARGIN
    each = LEFT + n_visits * (SMALLEST + GAP)
    blocks = max(1, int(width // each))
    size = (width / blocks - LEFT) / n_visits - GAP
    return blocks, min(size, LARGEST)


def _notes(visits: Sequence[Visit]) -> list[str]:
    """Write the populations that combine others, with their counts."""
    lines = []
    visits = [visit for visit in visits if "excluded" not in visit.events.meta]
    for name, wording in combined_populations(visits).items():
        counts = [
            f"{visit.title}: "
            + (f"{visit.members[name].size:,}" if name in visit.members else "unknown")
            for visit in visits
        ]
        lines += wrap(f"{plain(name)} ({wording}): {'; '.join(counts)}", 150)
    lines += [
        f"{visit.title}: {plain(gate.population)} unknown: {gate.unknown}"
        for visit in visits
        for gate in visit.gates
        if gate.unknown
    ]
    return ["Populations that combine others, and what is unknown", *lines] if lines else []


def _notes_height(notes: Sequence[str]) -> float:
    return len(notes) * NOTE_LINE + 8 if notes else 0.0


def _pages(
    rows: Sequence[Sequence[Step]], size: float, notes: Sequence[str]
) -> list[tuple[Sequence[Sequence[Step]], Sequence[str]]]:
    """Divide rows and notes into pages."""
    each = size + ABOVE + BELOW
    fit = int((PAGE_HEIGHT - HEAD - MARGIN) // each)
    pages: list[tuple[Sequence[Sequence[Step]], Sequence[str]]] = [
        (rows[start : start + fit], ()) for start in range(0, len(rows), fit)
    ] or [((), ())]
    room = PAGE_HEIGHT - HEAD - MARGIN - len(pages[-1][0]) * each
    lines = int((room - 8) // (NOTE_LINE))
    pages[-1] = (pages[-1][0], notes[: max(lines, 0)])
    per_page = int((PAGE_HEIGHT - HEAD - MARGIN - 8) // (NOTE_LINE))
    rest = notes[max(lines, 0) :]
    pages += [((), rest[start : start + per_page]) for start in range(0, len(rest), per_page)]
    return pages
