"""Flow cytometry beside single-cell RNA: frequencies, changes, and what both support."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.flow.clusters.colours import category_colours
from biocross.report.figures.findings import draw_findings
from biocross.report.figures.style import GREY, STYLE, save_figure
from biocross.report.words import format_number, plain
from biocross.statistics.concordance import (
    ALL_TREATMENTS,
    Both,
    changes_of_both,
    chosen_sources,
    frequencies_of_both,
)
from biocross.statistics.paired_changes import population_pairs
from biocross.statistics.pairs import PairTable, read_long_table
from biocross.tables import read_rows

Row = Mapping[str, str]

CLOUD_COLUMNS = ("panel", "group", "flow", "rna", "said")
PANELS_ACROSS = 4
PANEL = (1.72, 1.85)
# Patients below which a panel would show nothing.
FEWEST = 3


class Cloud(NamedTuple):
    """Points of one panel, by what they are coloured by.

    Parameters
    ----------
    title
        The population.
    subtitle
        What the numbers say.
    points
        Values in flow and RNA by name, each of shape (2, points).
    axes
        What the axes count in percent of, flow and RNA; empty for changes.
    """

    title: str
    subtitle: str
    points: dict[str, NDArray[np.float64]]
    axes: tuple[str, str] = ("", "")


def plot_concordance(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    populations: Path | str,
    concordance: Path | str,
    findings: Path | str,
    frequencies_out: Sequence[Path | str],
    changes_out: Sequence[Path | str],
    findings_out: Sequence[Path | str],
) -> None:
    """Draw every population that both modalities measured.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    populations
        ``populations.yaml``.
    concordance, findings
        Of `find_concordance`.
    frequencies_out, changes_out, findings_out
        Each figure, one file per format. A study of one modality gets figures that say so.
    """
    vocabulary = load_vocabulary(Path(populations))
    rows = read_rows(concordance)
    table = read_long_table(counts, samples)
    sources = chosen_sources(table[["modality", "source"]].drop_duplicates())
    both = len(sources) == 2
    frequencies = [*_frequency_clouds(table, sources, rows, vocabulary)] if both else []
    changes = [*_change_clouds(counts, samples, pairs, vocabulary, sources, rows)] if both else []
    draw_clouds(frequencies, FREQUENCY_TITLE, _draw_frequencies, *frequencies_out)
    draw_clouds(changes, CHANGE_TITLE, _draw_changes, *changes_out)
    roots = {name for name, one in vocabulary.items() if one.parent is None}
    meant = [
        row
        for row in read_rows(findings)
        if row["population"] not in vocabulary or vocabulary[row["population"]].parent not in roots
    ]
    draw_findings(meant, vocabulary, *findings_out)


FREQUENCY_TITLE = (
    "The same patients' populations in flow cytometry and in RNA: percent of the parent, a point "
    "per sample\nDashed: equal. rho: Spearman with its 95 % interval; ratio: median odds in RNA "
    "over those in flow"
)
CHANGE_TITLE = (
    "Changes of the same patients in flow cytometry and in RNA: ratios of odds, a point per "
    "patient\nShaded: both rise or both fall. rho: Spearman within treatments with its 95 % "
    "interval"
)


def _frequency_clouds(
    table: Any, sources: Mapping[str, str], rows: Sequence[Row], vocabulary: Vocabulary
) -> Iterator[Cloud]:
    found: dict[str, dict[str, Both]] = {}
    for visit, both in frequencies_of_both(table, sources):
        if both.flow.size:
            found.setdefault(both.population, {})[visit] = both
    for name in _in_order(found, vocabulary):
        visits = found[name]
        points = {visit: _percent(np.stack([b.flow, b.rna])) for visit, b in visits.items()}
        parents = next(iter(visits.values())).parents
        if _says_nothing(points, parents, vocabulary):
            continue
        said = {
            row["visit"]: _rho(row)
            for row in rows
            if row["aspect"] == "frequency" and row["population"] == name
        }
        ratios = [
            float(row["ratio"])
            for row in rows
            if row["aspect"] == "frequency" and row["population"] == name and row["ratio"]
        ]
        lines = [f"{plain(visit)}: {said[visit]}" for visit in visits if visit in said]
        if ratios:
            lines.append(f"ratio {format_number(float(np.median(ratios)))}")
        yield Cloud(plain(name), "\n".join(lines), points, parents)


def _change_clouds(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    vocabulary: Vocabulary,
    sources: Mapping[str, str],
    rows: Sequence[Row],
) -> Iterator[Cloud]:
    tables: dict[tuple[str, str], dict[str, PairTable]] = {}
    for found in population_pairs(counts, samples, pairs):
        asked = found.question
        if sources.get(asked.modality) == asked.source:
            key = (asked.treatment, asked.contrast)
            tables.setdefault(key, {})[asked.modality] = found
    clouds: dict[tuple[str, str], dict[str, NDArray[np.float64]]] = {}
    parents: dict[str, tuple[str, str]] = {}
    for (treatment, contrast), two in tables.items():
        if len(two) < 2:
            continue
        for one in changes_of_both(two["flow"], two["rna"], vocabulary, treatment):
            values = np.stack([one.flow, one.rna])
            values = np.exp(values[:, np.isfinite(values).all(axis=0)])
            clouds.setdefault((contrast, one.population), {})[treatment] = values
            parents[one.population] = one.parents
    several = len({contrast for contrast, _ in clouds}) > 1
    order = {name: place for place, name in enumerate(vocabulary)}
    for contrast, name in sorted(clouds, key=lambda key: (order.get(key[1], 0), key[0])):
        points = clouds[contrast, name]
        if _says_nothing(points, parents[name], vocabulary):
            continue
        title = plain(name) + (f", {plain(contrast.split(' - ')[0])}" if several else "")
        yield Cloud(title, _change_words(rows, name, contrast, points), points)


def _says_nothing(
    points: Mapping[str, NDArray[np.float64]], parents: Sequence[str], vocabulary: Vocabulary
) -> bool:
    """Whether there are too few points, or the parent is whatever passed quality."""
    of_all = all(parent in vocabulary and vocabulary[parent].parent is None for parent in parents)
    return of_all or sum(values.shape[1] for values in points.values()) < FEWEST


def _change_words(
    rows: Sequence[Row], name: str, contrast: str, points: Mapping[str, NDArray[np.float64]]
) -> str:
    """Say how many patients agree in direction, and the correlation, over all treatments."""
    own = {
        row["treatment"]: row
        for row in rows
        if row["aspect"] == "change" and row["population"] == name and row["contrast"] == contrast
    }
    row = own.get(ALL_TREATMENTS, next((own[t] for t in points if t in own), None))
    if row is None or not row["n_same_sign"]:
        return ""
    low, high = (100 * float(row[f"same_sign_{end}"]) for end in ("low", "high"))
    same = f"same direction {row['n_same_sign']} of {row['n']} ({low:.0f}-{high:.0f} %)"
    return f"{same}\n{_rho(row)}"


def _rho(row: Row) -> str:
    if not row["rho"]:
        return f"n = {row['n']}, no rho" if row["status"] == "too_few_pairs" else "no variation"
    rho = f"rho {float(row['rho']):.2f}"
    if not row["rho_low"]:
        return f"{rho}, n = {row['n']}"
    low, high = (f"{float(row[f'rho_{end}']):.2f}" for end in ("low", "high"))
    return f"{rho} ({low} to {high})"


def _percent(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(100 / (1 + np.exp(-logits)))


def _in_order(names: Mapping[str, object], vocabulary: Vocabulary) -> list[str]:
    order = {name: place for place, name in enumerate(vocabulary)}
    return sorted(names, key=lambda name: order.get(name, len(order)))


def draw_clouds(clouds: Sequence[Cloud], title: str, draw: Any, *figures_out: Path | str) -> None:
    """Draw one panel per population.

    Parameters
    ----------
    clouds
        The panels.
    title
        Of the figure.
    draw
        Draws a panel: takes its axes, its cloud and the colours by name.
    figures_out
        One file per format.
    """
    across = min(PANELS_ACROSS, max(len(clouds), 1))
    down = -(-len(clouds) // across) or 1
    names = sorted({name for cloud in clouds for name in cloud.points})
    colours = category_colours(names)
    size = (max(PANEL[0] * across + 0.4, 5.4), PANEL[1] * down + 0.75)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(down, across, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, cloud in zip(axes.flat, clouds, strict=False):
            axis.set_axis_on()
            draw(axis, cloud, colours)
            # The numbers stand between the title and the panel.
            pad = 4 + 6.3 * (cloud.subtitle.count("\n") + 1)
            axis.set_title(cloud.title, fontsize=6.3, loc="left", parse_math=False, pad=pad)
            where = axis.transAxes
            axis.text(0, 1.02, cloud.subtitle, transform=where, fontsize=5.2, va="bottom")
        if clouds:
            figure.supxlabel("flow cytometry", fontsize=7)
            figure.supylabel("single-cell RNA", fontsize=7)
            handles = [
                mpl.lines.Line2D([], [], marker="o", ls="", color=colours[name], label=plain(name))
                for name in names
            ]
            figure.legend(handles=handles, loc="outside lower left", ncols=4, frameon=False)
        else:
            said = "no population was measured by both methods in the same patients"
            axes[0, 0].text(0.5, 0.5, said, ha="center", transform=axes[0, 0].transAxes)
        figure.suptitle(title, fontsize=7, x=0.01, ha="left")
        save_figure(figure, *figures_out, source=_source(clouds), columns=CLOUD_COLUMNS)


def _source(clouds: Sequence[Cloud]) -> Iterator[dict[str, Any]]:
    for cloud in clouds:
        for name, values in cloud.points.items():
            for flow, rna in values.T:
                yield {
                    **{"panel": cloud.title, "group": name, "flow": float(flow)},
                    **{"rna": float(rna), "said": cloud.subtitle.replace("\n", "; ")},
                }


def _draw_frequencies(axis: Axes, cloud: Cloud, colours: Mapping[str, str]) -> None:
    everything = np.concatenate([values.ravel() for values in cloud.points.values()])
    low, high = _span(everything, 3.0)
    # A percentage ends at 100, and its axis soon after.
    low, high = low * min(1.0, 115 / high), min(high, 115.0)
    axis.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axis.plot([low, high], [low, high], color=GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
    _scatter(axis, cloud, colours)
    for side, parent in zip((axis.xaxis, axis.yaxis), cloud.axes, strict=True):
        _number_axis(side, high / low)
        side.set_label_text(f"% of {plain(parent)}", fontsize=5.5)


def _draw_changes(axis: Axes, cloud: Cloud, colours: Mapping[str, str]) -> None:
    everything = np.concatenate([values.ravel() for values in cloud.points.values()])
    reach = max(float(np.exp(np.abs(np.log(everything)).max())) * 1.2, 2.0)
    axis.set(xscale="log", yscale="log", xlim=(1 / reach, reach), ylim=(1 / reach, reach))
    for corner in ((1.0, 1.0), (1 / reach, 1 / reach)):
        side = (reach - 1.0) if corner[0] == 1 else (1.0 - 1 / reach)
        axis.add_patch(
            mpl.patches.Rectangle(corner, side, side, facecolor="#EEF3F7", linewidth=0, zorder=-2)
        )
    axis.axhline(1, color=GREY, linewidth=0.6, zorder=-1)
    axis.axvline(1, color=GREY, linewidth=0.6, zorder=-1)
    _scatter(axis, cloud, colours)
    for side_axis in (axis.xaxis, axis.yaxis):
        _number_axis(side_axis, reach**2)


def _scatter(axis: Axes, cloud: Cloud, colours: Mapping[str, str]) -> None:
    for name, values in cloud.points.items():
        axis.scatter(values[0], values[1], s=11, color=colours[name], alpha=0.85, linewidths=0)
    axis.set_box_aspect(1)
    axis.tick_params(labelsize=5.5, length=2, pad=1.5)


def _span(values: NDArray[np.float64], least: float) -> tuple[float, float]:
    """Give the range of both axes: at least a factor, so that noise does not fill the panel."""
    low, high = float(values.min()) / 1.25, float(values.max()) * 1.25
    middle, half = np.sqrt(low * high), max(np.sqrt(high / low), np.sqrt(least))
    return float(middle / half), float(middle * half)


def _number_axis(axis: Any, span: float) -> None:
    """Put about three numbers on a logarithmic axis."""
    steps: tuple[float, ...] = (1.0, 2.0, 5.0) if span > 6 else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    if span > 100:
        steps = (1.0,)
    axis.set_major_locator(LogLocator(subs=list(steps), numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
