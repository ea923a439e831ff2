"""What every sample of the cohort lost to the quality steps."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from biocross.flow.losses import SampleLoss, read_losses, sample_rows, step_words
from biocross.report.figures.quality import OTHER_COLOUR, STEP_COLOURS, place_legend
from biocross.report.figures.style import BLUE, GREY, STYLE, save_figure
from biocross.report.words import plain
from biocross.tables import read_rows

OVERVIEW_COLUMNS = (
    *("sample_id", "patient_id", "visit", "treatment", "events", "step", "percent"),
)
LOSSES_FIGURE_COLUMNS = ("treatment", "patient", "visit", "sample_id", "percent")
ROWS_PER_COLUMN, ROW_HEIGHT = 72, 0.145
# Inches beside the bars.
LABELS_WIDTH, COUNTS_WIDTH = 1.5, 0.7


class _Bar(NamedTuple):
    """One row of the overview: a sample, its ledger, whether it opens a patient, and its place."""

    sample: Mapping[str, str]
    loss: SampleLoss
    outlying: bool
    opens: bool
    place: float = 0.0


def plot_quality_overview(
    ledger: Path | str,
    samples: Path | str,
    *figures_out: Path | str,
    levels: Sequence[str] = (),
) -> None:
    """Draw what every flow sample lost to every step, the visits of a patient beside each other.

    Parameters
    ----------
    ledger, samples
        ``results/flow/quality/ledger.tsv`` and ``results/cohort/samples.tsv``.
    figures_out
        One file per format, ``.tsv`` for the source table.
    levels
        Levels of the contrast in order; by default as in the sheet.
    """
    losses, sheet = read_losses(ledger), read_rows(samples)
    bars = _arrange_bars(losses, sheet, levels)
    done = [item for loss in losses.values() for item in loss.steps.items()]
    steps = list(dict.fromkeys(step for step, found in done if found.flagged))
    most = max((bar.loss.percent() for bar in bars if bar.loss.events), default=0.0)
    columns = _in_columns(bars)
    rows = max(column[-1].place for column in columns) + 1 if bars else 1
    width, height = (4.4 if len(columns) > 1 else 6.4), 1.3 + ROW_HEIGHT * max(rows, 4)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * len(columns), height))
        for number, column in enumerate(columns):
            wide, whole = width - LABELS_WIDTH - COUNTS_WIDTH, width * len(columns)
            left = (width * number + LABELS_WIDTH) / whole
            axis = figure.add_axes((left, 0.4 / height, wide / whole, 1 - 1.3 / height))
            axis.set_xlim(0, max(1.5 * most, 5))
            axis.set_ylim(max(rows, 4) - 0.5, -0.5)
            _draw_bars(axis, column, steps, wide)
        _head_overview(figure, losses, steps, height)
        source = _overview_source(bars)
        save_figure(figure, *figures_out, source=source, columns=OVERVIEW_COLUMNS)


def _overview_source(bars: Sequence[_Bar]) -> Iterator[dict[str, Any]]:
    for bar in bars:
        keys = {key: bar.sample[key] for key in ("sample_id", "patient_id", "visit", "treatment")}
        for step in bar.loss.steps:
            lost = bar.loss.percent(step)
            yield {**keys, "events": bar.loss.events, "step": step, "percent": lost}


def _arrange_bars(
    losses: Mapping[str, SampleLoss], sheet: Sequence[Mapping[str, str]], levels: Sequence[str]
) -> list[_Bar]:
    """Group the flow samples by patient; those of a table of counts alone are left out."""
    outlying = {row["sample_id"] for row in sample_rows(losses, sheet) if row.get("outlying")}
    order = [*levels, *dict.fromkeys(row["level"] for row in sheet if row["level"] not in levels)]
    by_patient: dict[str, list[Mapping[str, str]]] = {}
    for row in sheet:
        if row["sample_id"] in losses:
            by_patient.setdefault(row["patient_id"], []).append(row)
    bars: list[_Bar] = []
    for rows in by_patient.values():
        rows = sorted(rows, key=lambda row: order.index(row["level"]))
        for row in rows:
            name = row["sample_id"]
            bars.append(_Bar(row, losses[name], name in outlying, row is rows[0]))
    return bars


def _in_columns(bars: Sequence[_Bar]) -> list[list[_Bar]]:
    """Divide the rows into columns of one page, between patients, half a row apart."""
    rows = len(bars) + 0.5 * sum(bar.opens for bar in bars)
    longest = rows / np.ceil(rows / ROWS_PER_COLUMN) if bars else 0
    columns: list[list[_Bar]] = [[]]
    place = 0.0
    for bar in bars:
        if bar.opens and place >= longest - 1:
            columns.append([])
            place = 0.0
        place += 0.5 if bar.opens and columns[-1] else 0
        columns[-1].append(bar._replace(place=place))
        place += 1
    return columns


def _draw_bars(axis: Axes, bars: Sequence[_Bar], steps: Sequence[str], width: float) -> None:
    """Draw a column of bars, `width` inches wide, between names and counts."""
    beside: dict[str, Any] = {"transform": axis.get_yaxis_transform(), "va": "center"}
    beside |= {"parse_math": False, "fontsize": 6}
    counts = 1 + 0.9 * COUNTS_WIDTH / width
    for bar in bars:
        visit = " ".join(filter(None, (bar.sample["visit"], bar.sample.get("stimulation", ""))))
        weight = "bold" if bar.outlying else "normal"
        axis.text(-0.05 / width, bar.place, plain(visit), ha="right", weight=weight, **beside)
        if bar.opens:
            start = 0.1 / width - LABELS_WIDTH / width
            axis.text(start, bar.place, bar.sample["patient_id"], weight="bold", **beside)
        axis.text(counts, bar.place, f"{bar.loss.events:,}", ha="right", weight=weight, **beside)
        if not bar.loss.events:
            why = shorten(bar.loss.note or "excluded: no events", 48)
            axis.text(0.01, bar.place, why, style="italic", **beside)
            continue
        shares = np.array([bar.loss.percent(step) for step in steps])
        starts = np.cumsum(shares) - shares
        colours = [STEP_COLOURS.get(step, OTHER_COLOUR) for step in steps]
        axis.barh([bar.place] * len(steps), shares, left=starts, color=colours, height=0.8)
        end = bar.loss.percent()
        words = f" {end:.1f} %" + (", unusual" if bar.outlying else "")
        axis.text(end, bar.place, words, va="center", fontsize=6, weight=weight)
    axis.text(counts, -1, "events read", ha="right", **beside)
    axis.set_yticks([])
    axis.set_xticks([tick for tick in axis.get_xticks() if tick <= min(100, axis.get_xlim()[1])])
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("events set aside (% of events read)")


def _head_overview(
    figure: Figure, losses: Mapping[str, SampleLoss], steps: Sequence[str], height: float
) -> None:
    title: dict[str, Any] = {"fontsize": 9, "weight": "bold"}
    figure.text(0.02, 1 - 0.2 / height, "Events set aside by quality steps", **title)
    done = [item for loss in losses.values() for item in loss.steps.items()]
    lacking = Counter(step for step, found in done if not found.possible)
    missing = [f"{step_words(step)} in {n} of {len(losses)} samples" for step, n in lacking.items()]
    words = f"not possible: {', '.join(missing)}" if missing else "every step was possible"
    figure.text(0.02, 1 - 0.36 / height, words, parse_math=False)
    handles = [
        Patch(color=STEP_COLOURS.get(step, OTHER_COLOUR), label=step_words(step)) for step in steps
    ]
    place_legend(figure, handles, "upper left", (0.01, 1 - 0.38 / height))


def plot_losses_by_visit(
    ledger: Path | str,
    samples: Path | str,
    *figures_out: Path | str,
    levels: Sequence[str] = (),
) -> None:
    """Draw the total loss of every patient at every visit, one panel per treatment.

    Parameters
    ----------
    ledger, samples, figures_out, levels
        As for `plot_quality_overview`.
    """
    losses, sheet = read_losses(ledger), read_rows(samples)
    rows = [row for row in sheet if row["sample_id"] in losses]
    levels = list(levels) or list(dict.fromkeys(row["level"] for row in rows))
    treatments = sorted({row["treatment"] for row in rows})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.3 * max(len(treatments), 1) + 0.6, 2.3), layout="constrained")
        axes = figure.subplots(1, max(len(treatments), 1), sharey=True, squeeze=False)[0]
        for axis, treatment in zip(axes, treatments, strict=False):
            percent = {
                (row["unit"], row["level"]): losses[row["sample_id"]].percent()
                for row in rows
                if row["treatment"] == treatment
            }
            lines = {
                unit: [percent.get((unit, level), np.nan) for level in levels]
                for unit, _ in percent
            }
            for unit, line in lines.items():
                axis.plot(line, "o-", color=GREY, markersize=3, linewidth=0.7, gid=f"unit:{unit}")
            if whole := [line for line in lines.values() if np.isfinite(line).all()]:
                axis.plot(np.median(whole, axis=0), color=BLUE, linewidth=2.2)
            axis.set_xticks(range(len(levels)), [plain(level) for level in levels])
            axis.set_xlim(-0.35, len(levels) - 0.65)
            axis.set_title(treatment, loc="left", parse_math=False)
        axes[0].set_ylim(0, None)
        axes[0].set_ylabel("events set aside (%)")
        source = [
            {**row, "patient": row["unit"], "percent": losses[row["sample_id"]].percent()}
            for row in rows
        ]
        save_figure(figure, *figures_out, source=source, columns=LOSSES_FIGURE_COLUMNS)
