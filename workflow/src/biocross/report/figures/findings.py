"""Which changes flow cytometry and single-cell RNA both support: one line per question."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from biocross.cohort.vocabulary import Vocabulary
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.words import plain

Row = Mapping[str, str]

FINDINGS_FIGURE_COLUMNS = (
    *("treatment", "contrast", "population", "verdict"),
    *("n_pairs_flow", "effect_flow", "effect_flow_low", "effect_flow_high"),
    *("n_pairs_rna", "effect_rna", "effect_rna_low", "effect_rna_high"),
)
# Verdicts of `combined_findings` in the order of the figure; the last are greyed.
VERDICTS = ("both", "contradicted", "flow only", "rna only", "neither")
WORDS = {
    "both": "both",
    "contradicted": "they contradict each other",
    "flow only": "flow only",
    "rna only": "RNA only",
    "neither": "neither",
}
# Factor beyond which an interval is cut off.
WIDEST = 16.0
LINE = 0.2
# Inches: the plot, and a letter of the names beside it.
PLOT_WIDTH, LETTER = 2.25, 0.058


def draw_findings(
    findings: Sequence[Row], vocabulary: Vocabulary, *figures_out: Path | str
) -> None:
    """Draw the effect by both methods for every population, treatment and contrast.

    Parameters
    ----------
    findings
        Rows of `combined_findings`.
    vocabulary
        Gives the order.
    figures_out
        One file per format.
    """
    rows = ordered_findings(findings, vocabulary)
    missing = sum(row["verdict"] == "not comparable" for row in findings)
    height = LINE * max(len(rows), 3) + 1.05
    several = len({row["contrast"] for row in rows}) > 1
    names = max([2.0, *(LETTER * len(_label(row, several)) for row in rows)])
    width = names + 4.4
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        box = (names / width, 0.55 / height, PLOT_WIDTH / width, 1 - 1.05 / height)
        axis = figure.add_axes(box)
        _draw_lines(axis, rows)
        title = (
            "Which changes do both methods support? Ratio of odds of the percent of the parent, "
            "with 95 % intervals\nBoth: one claims the change, the other has p < 0.05 in the same "
            "direction"
        )
        if missing:
            title += f". Not comparable and not shown: {missing}"
        figure.text(0.02, 1 - 0.08 / height, title, fontsize=7, va="top")
        handles = [
            mpl.lines.Line2D([], [], marker=marker, color=colour, markersize=4, label=label)
            for marker, colour, label in (
                ("o", BLUE, "flow cytometry"),
                ("s", VERMILLION, "single-cell RNA"),
            )
        ]
        figure.legend(handles=handles, loc="lower left", ncols=2, frameon=False)
        save_figure(figure, *figures_out, source=rows, columns=FINDINGS_FIGURE_COLUMNS)


def ordered_findings(findings: Sequence[Row], vocabulary: Vocabulary) -> list[Row]:
    """Put the findings that a method claims first, then by population.

    Parameters
    ----------
    findings
        Rows of `combined_findings`.
    vocabulary
        Gives the order of the populations.

    Returns
    -------
    list
        Without those that cannot be compared.
    """
    order = {name: place for place, name in enumerate(vocabulary)}
    return sorted(
        (row for row in findings if row["verdict"] in VERDICTS),
        key=lambda row: (
            VERDICTS.index(row["verdict"]),
            order.get(row["population"], len(order)),
            row["treatment"],
            row["contrast"],
        ),
    )


def _draw_lines(axis: Axes, rows: Sequence[Row]) -> None:
    several = len({row["contrast"] for row in rows}) > 1
    axis.axvline(1, color=GREY, linewidth=0.7, zorder=0)
    where = axis.get_yaxis_transform()
    reach = 2.0
    labels = []
    for line, row in enumerate(rows):
        pale = row["verdict"] == "neither"
        for method, marker, colour, shift in (
            ("flow", "o", BLUE, -0.16),
            ("rna", "s", VERMILLION, 0.16),
        ):
            reach = max(
                reach,
                _draw_effect(
                    axis, row, method, marker, (line + shift, 0.45 if pale else 1.0, colour)
                ),
            )
        axis.text(
            *(1.04, line, WORDS[row["verdict"]]),
            transform=where,
            va="center",
            color="#777777" if pale else "black",
            weight="bold" if row["verdict"] == "both" else "normal",
        )
        pairs = f"{row['n_pairs_flow']} / {row['n_pairs_rna']} pairs"
        axis.text(1.42, line, pairs, transform=where, va="center", fontsize=6, color="#777777")
        labels.append(_label(row, several))
        if line and row["verdict"] != rows[line - 1]["verdict"]:
            axis.axhline(line - 0.5, color="#CCCCCC", linewidth=0.6)
    if not rows:
        axis.text(0.5, 0.5, "nothing to compare", transform=axis.transAxes, ha="center")
    axis.set_yticks(range(len(rows)), labels, parse_math=False)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set(ylim=(max(len(rows), 3) - 0.4, -0.6), xscale="log", xlim=(1 / reach, reach))
    powers = [2.0**power for power in range(-4, 5)]
    steps = powers if reach <= 4 else powers[::2]
    axis.set_xticks([step for step in steps if 1 / reach <= step <= reach])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"× {value:g}"))


def _label(row: Row, several: bool) -> str:
    visit = f", {plain(row['contrast'].split(' - ')[0])}" if several else ""
    return f"{plain(row['population'])}, {row['treatment']}{visit}"


def _draw_effect(
    axis: Axes, row: Row, method: str, marker: str, look: tuple[float, float, str]
) -> float:
    """Draw one effect with its interval; return how far it reaches, as a factor."""
    line, alpha, colour = look
    ends = ("", "_low", "_high")
    effect, low, high = (float(row[f"effect_{method}{end}"] or "nan") for end in ends)
    if np.isnan(effect):
        axis.text(1, line, "not tested", fontsize=5, ha="center", va="center", color="#777777")
        return 1.0
    effect, low, high = (float(np.clip(v, 1 / WIDEST, WIDEST)) for v in (effect, low, high))
    axis.plot([low, high], [line, line], color=colour, linewidth=1, alpha=alpha)
    axis.plot(effect, line, marker, color=colour, markersize=3.2, alpha=alpha, markeredgewidth=0)
    return float(max(1 / low, high, 1.0) * 1.1)
