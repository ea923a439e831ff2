"""Figures of single-cell RNA: the cells on a map, what samples are made of, how batches mix."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from biocross.cells.population_tree import UNASSIGNED
from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.flow.clusters.colours import category_colours, population_colours
from biocross.intact import open_h5ad
from biocross.report.figures.cell_maps import MapPanel, draw_cell_maps
from biocross.report.figures.rna_markers import draw_marker_dots, marker_dots
from biocross.report.figures.style import BLUE, GREY, STYLE, VERMILLION, save_figure
from biocross.report.words import plain
from biocross.tables import read_rows

Rows = Sequence[Mapping[str, str]]
COMPOSITION_COLUMNS = (
    *("sample_id", "patient_id", "treatment", "visit", "population", "n_cells", "percent"),
)
INTEGRATION_FIGURE_COLUMNS = ("measure", "group", "n_cells", "before", "after", "status", "note")
# Inches.
BAR = 0.17


class RnaCells(NamedTuple):
    """What the figures need of ``cells.h5ad``.

    Parameters
    ----------
    obs
        About the cells.
    places
        On the plane of UMAP, shape (cells, 2).
    values
        Log-normalised expression, sparse, shape (cells, genes).
    genes
        Symbols.
    """

    obs: Any
    places: NDArray[np.floating[Any]]
    values: Any
    genes: list[str]


def plot_rna(
    cells: Path | str,
    quality: Path | str,
    samples: Path | str,
    populations: Path | str,
    levels: Sequence[str],
    maps_out: Sequence[Path | str],
    composition_out: Sequence[Path | str],
    integration_out: Sequence[Path | str],
    markers_out: Sequence[Path | str],
) -> None:
    """Draw the named cells of all libraries.

    Parameters
    ----------
    cells
        ``results/cells/cells.h5ad``.
    quality
        Of `integrate_cells`: mixing and purity.
    samples
        ``results/cohort/samples.tsv``.
    populations
        ``populations.yaml``.
    levels
        Values of the contrast in order.
    maps_out, composition_out, integration_out, markers_out
        Each figure, one file per format.
    """
    vocabulary = load_vocabulary(Path(populations))
    read = _read_cells(cells)
    draw_rna_maps(read, vocabulary, levels, *maps_out)
    draw_composition(read.obs, read_rows(samples), vocabulary, levels, *composition_out)
    draw_integration(read_rows(quality), *integration_out)
    dots = marker_dots(read.values, read.genes, read.obs["population"], Path(populations))
    draw_marker_dots(dots, vocabulary, *markers_out)


def _read_cells(path: Path | str) -> RnaCells:
    """Read the file without its counts and neighbours, which are half of it and more."""
    from anndata.io import read_elem

    with open_h5ad(path) as file:
        genes = [str(gene) for gene in read_elem(file["var"]).index]
        places = np.asarray(read_elem(file["obsm/X_umap"]))
        return RnaCells(read_elem(file["obs"]), places, read_elem(file["X"]), genes)


def draw_rna_maps(
    cells: RnaCells, vocabulary: Vocabulary, levels: Sequence[str], *figures_out: Path | str
) -> None:
    """Draw the cells on the plane of UMAP: by population, visit, batch and patient.

    Parameters
    ----------
    cells
        All of them.
    vocabulary
        Gives the colours of the populations.
    levels
        Order of the visits.
    figures_out
        One file per format. Points are pixels in all of them, words are words.
    """
    panels = [
        MapPanel("Population", _names(cells, "population"), population_colours(vocabulary), True)
    ]
    for column, title in (("visit", "Visit"), ("batch", "Batch"), ("patient_id", "Patient")):
        names = _names(cells, column)
        order = [name for name in levels if name in set(names)]
        order += sorted(set(names) - set(order))
        panels.append(MapPanel(title, names, category_colours(order), column=column))
    of = f"of {cells.obs['sample_id'].nunique()} samples; UMAP of RNA after integration"
    draw_cell_maps(cells.places, panels, of, *figures_out)


def _names(cells: RnaCells, column: str) -> list[str]:
    return [str(name) for name in cells.obs[column].astype(str)]


def draw_composition(
    obs: Any, sheet: Rows, vocabulary: Vocabulary, levels: Sequence[str], *figures_out: Path | str
) -> None:
    """Draw what every sample is made of, a patient's visits side by side.

    Parameters
    ----------
    obs
        ``sample_id`` and ``population`` of every cell.
    sheet
        Rows of ``results/cohort/samples.tsv``; samples without cells stay as empty lines.
    vocabulary
        Order and colours of the populations.
    levels
        Order of the visits.
    figures_out
        One file per format.
    """
    samples = ordered_samples(sheet, levels)
    present = set(obs["population"].astype(str))
    names = [name for name in (*vocabulary, UNASSIGNED) if name in present]
    place = {row["sample_id"]: i for i, row in enumerate(samples)}
    table = np.zeros((len(samples), len(names)))
    column = {name: i for i, name in enumerate(names)}
    for sample, population in zip(
        obs["sample_id"].astype(str), obs["population"].astype(str), strict=True
    ):
        table[place[sample], column[population]] += 1
    lines = _line_positions(samples)
    legend_rows = -(-len(names) // 4)
    top, bottom = 0.6, 0.55 + 0.145 * legend_rows
    height = top + BAR * (max(lines, default=0.0) + 1) + bottom
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.6, height))
        axis = figure.add_axes((0.2, bottom / height, 0.68, 1 - (top + bottom) / height))
        _draw_bars(axis, table, lines, [population_colours(vocabulary)[name] for name in names])
        labels = [f"{row['patient_id']}  {plain(row['level'])}" for row in samples]
        axis.set_yticks(lines, labels, parse_math=False)
        axis.set_ylim(max(lines, default=0.0) + 0.6, -0.6)
        _name_treatments(axis, samples, lines)
        handles = [
            mpl.patches.Patch(color=population_colours(vocabulary)[name], label=plain(name))
            for name in names
        ]
        figure.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0.02, 0), ncols=4, frameon=False
        )
        figure.text(0.02, 1 - 0.08 / height, COMPOSITION_TITLE, fontsize=7, va="top")
        source = _composition_source(samples, names, table)
        save_figure(figure, *figures_out, source=source, columns=COMPOSITION_COLUMNS)


def _composition_source(
    samples: Rows, names: Sequence[str], table: NDArray[np.float64]
) -> Iterator[dict[str, Any]]:
    for row, cells in zip(samples, table, strict=True):
        keys = {key: row[key] for key in ("sample_id", "patient_id", "treatment")}
        keys["visit"] = row["level"]
        for name, n_cells in zip(names, cells, strict=True):
            share = 100 * n_cells / cells.sum() if n_cells else 0.0
            yield {**keys, "population": name, "n_cells": int(n_cells), "percent": share}


COMPOSITION_TITLE = (
    "Populations of every sample, as cells were named by RNA (and surface proteins)\n"
    "A cell stands in its finest population; right: cells that passed quality"
)


def ordered_samples(sheet: Rows, levels: Sequence[str]) -> list[Mapping[str, str]]:
    """Put the RNA samples in order of treatment, patient and visit.

    Parameters
    ----------
    sheet
        Rows of ``results/cohort/samples.tsv``.
    levels
        Order of the visits.

    Returns
    -------
    list of mapping
        Their rows.
    """
    order = {level: position for position, level in enumerate(levels)}
    return sorted(
        (row for row in sheet if row["modality"] == "rna"),
        key=lambda row: (
            row["treatment"],
            row["patient_id"],
            order.get(row["level"], len(order)),
            row["sample_id"],
        ),
    )


def _line_positions(samples: Rows) -> list[float]:
    """Put a patient's samples together, with a gap to the next patient and arm."""
    positions: list[float] = []
    for i, row in enumerate(samples):
        if not i:
            positions.append(0.0)
            continue
        before = samples[i - 1]
        gap = 0.35 * (row["patient_id"] != before["patient_id"])
        gap += 1.0 * (row["treatment"] != before["treatment"])
        positions.append(positions[-1] + 1 + gap)
    return positions


def _draw_bars(
    axis: Axes, table: NDArray[np.float64], lines: Sequence[float], colours: Sequence[str]
) -> None:
    total = table.sum(axis=1)
    share = 100 * table / np.maximum(total, 1)[:, None]
    left = np.zeros(len(table))
    for column, colour in enumerate(colours):
        axis.barh(lines, share[:, column], left=left, color=colour, height=0.86, linewidth=0)
        left += share[:, column]
    where = axis.get_yaxis_transform()
    for line, cells in zip(lines, total, strict=True):
        said = f"{int(cells):,}" if cells else "no cells"
        axis.text(1.02, line, said, transform=where, va="center", fontsize=6)
    axis.set(xlim=(0, 100), xlabel="% of the cells that passed quality")
    axis.tick_params(axis="y", length=0, labelsize=6)
    axis.spines["left"].set_visible(False)


def _name_treatments(axis: Axes, samples: Rows, lines: Sequence[float]) -> None:
    where = axis.get_yaxis_transform()
    seen: set[str] = set()
    for row, line in zip(samples, lines, strict=True):
        if row["treatment"] not in seen:
            seen.add(row["treatment"])
            axis.text(
                *(-0.01, line - 0.62, row["treatment"]),
                transform=where,
                ha="right",
                va="bottom",
                weight="bold",
                parse_math=False,
            )


def draw_integration(quality: Rows, *figures_out: Path | str) -> None:
    """Draw how far batches mix before and after integration, and what it kept apart.

    Parameters
    ----------
    quality
        Rows of `integrate_cells`: ``measure, group, n_cells, before, after, status, note``.
    figures_out
        One file per format.
    """
    parts = [
        ("mixing", "Mixing of batches\n0: apart, 1: as by chance"),
        ("purity", "Clusters of each batch kept\nshare of a cell's neighbours in its cluster"),
    ]
    rows = {name: [row for row in quality if row["measure"] == name] for name, _ in parts}
    longest = max((len(part) for part in rows.values()), default=1)
    height = 0.16 * max(longest, 3) + 0.95
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.6, height))
        for (name, title), left in zip(parts, (0.13, 0.62), strict=True):
            own = 0.16 * max(len(rows[name]), 3) / height
            axis = figure.add_axes((left, 1 - 0.42 / height - own, 0.34, own))
            _draw_before_after(axis, rows[name], title)
        notes = [row["note"] for row in quality if row["note"]][:1]
        handles = [
            mpl.lines.Line2D([], [], marker="o", ls="", color=GREY, mfc="white", label="before"),
            mpl.lines.Line2D([], [], marker="o", ls="", color=BLUE, label="after"),
        ]
        figure.legend(handles=handles, loc="lower left", ncols=2, frameon=False)
        figure.text(0.98, 0.05 / height, "".join(notes), fontsize=6, ha="right", va="bottom")
        shown = [row for part in rows.values() for row in part]
        save_figure(figure, *figures_out, source=shown, columns=INTEGRATION_FIGURE_COLUMNS)


def _draw_before_after(axis: Axes, rows: Rows, title: str) -> None:
    axis.set_title(title, fontsize=7, loc="left")
    axis.set(xlim=(-0.03, 1.15), ylim=(max(len(rows), 1) - 0.4, -0.6))
    for line, row in enumerate(rows):
        before, after = (float(row[key] or "nan") for key in ("before", "after"))
        bad = row["status"] in ("lost", "poorly_mixed")
        colour = VERMILLION if bad else BLUE
        axis.plot([before, after], [line, line], color=colour, linewidth=1, alpha=0.5)
        axis.plot(before, line, "o", color=GREY, markerfacecolor="white", markersize=3.5)
        axis.plot(after, line, "o", color=colour, markersize=3.5)
        if np.isnan(before):
            words = "one batch" if row["status"] == "one_batch" else plain(row["status"])
            axis.text(0, line, words, fontsize=6, va="center", color="#555555")
    if not rows:
        axis.text(0.5, 0, "one batch: nothing to integrate", ha="center", fontsize=6.5)
    labels = [f"{row['group']} ({int(row['n_cells']):,})" for row in rows]
    axis.set_yticks(range(len(rows)), labels, fontsize=6, parse_math=False)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", linewidth=0.3, color="#DDDDDD")
    axis.set_axisbelow(True)
