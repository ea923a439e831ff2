"""Which population expresses which marker: a dot per population and gene of the vocabulary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from biocross.cells.marker_scores import Markers, load_markers
from biocross.cells.population_tree import ROOT
from biocross.cohort.vocabulary import Vocabulary
from biocross.flow.clusters.colours import GREY as NO_FAMILY
from biocross.flow.clusters.colours import population_colours
from biocross.report.figures.style import STYLE, save_figure
from biocross.report.words import plain

MARKER_DOTS_COLUMNS = ("population", "n_cells", "gene", "share", "relative_mean")
# Light where a gene is lowest: dots then fade into the paper.
COLOURS = "Blues"
# Inches, and points of the largest dot's diameter.
STEP = 0.135
LARGEST = 8.5
# Cells of a population below which its means say nothing.
FEW_CELLS = 5
# Of the markers of a population, so many in the order of the vocabulary.
GENES_EACH = 4


class MarkerDots(NamedTuple):
    """Expression of markers; arrays of shape (populations, genes).

    Parameters
    ----------
    populations, n_cells
        Rows: finest names of cells, and how many have them.
    genes
        Columns.
    share
        Of the cells with any count of the gene.
    mean
        Log-normalised expression, from 0 at the lowest to 1 at the highest population.
    """

    populations: list[str]
    n_cells: NDArray[np.int64]
    genes: list[str]
    share: NDArray[np.float64]
    mean: NDArray[np.float64]


def marker_dots(values: Any, genes: list[str], names: Any, populations: Path) -> MarkerDots:
    """Measure the markers of the vocabulary on the populations that were found.

    Parameters
    ----------
    values
        Log-normalised expression, sparse, shape (cells, genes).
    genes
        Symbols.
    names
        Finest population of each cell, shape (cells,).
    populations
        ``populations.yaml``.

    Returns
    -------
    MarkerDots
        Populations in the order of the vocabulary; genes in that of the populations that they
        mark, so that the picture has a diagonal.
    """
    markers = load_markers(populations)
    labels = np.asarray(names.astype(str))
    found = [name for name in markers if (labels == name).sum() >= FEW_CELLS]
    place = {gene: column for column, gene in enumerate(genes)}
    chosen = _chosen_genes(found, markers, place)
    columns = values[:, [place[gene] for gene in chosen]]
    share, mean = (np.zeros((len(found), len(chosen))) for _ in range(2))
    for row, name in enumerate(found):
        own = columns[np.flatnonzero(labels == name)]
        share[row] = np.asarray((own > 0).mean(axis=0)).ravel()
        mean[row] = np.asarray(own.mean(axis=0)).ravel()
    low, high = (
        (mean.min(axis=0), mean.max(axis=0)) if found else (np.zeros(len(chosen)) for _ in "ab")
    )
    relative = (mean - low) / np.where(high > low, high - low, 1.0)
    n_cells = np.array([(labels == name).sum() for name in found], dtype=np.int64)
    return MarkerDots(found, n_cells, chosen, share, relative)


def _chosen_genes(
    found: list[str], markers: dict[str, Markers], place: dict[str, int]
) -> list[str]:
    """Take the first genes of every population, and of what holds it, in this order."""
    genes: dict[str, None] = {}
    for name in found:
        line: list[str] = []
        above: str | None = name
        while above is not None:
            line.append(above)
            above = markers[above].parent
        for one in reversed(line):
            if one == ROOT or markers[one].parent is None:
                continue
            present = [gene for gene in markers[one].present if gene in place]
            genes |= dict.fromkeys(present[:GENES_EACH])
    return list(genes)


def draw_marker_dots(dots: MarkerDots, vocabulary: Vocabulary, *figures_out: Path | str) -> None:
    """Draw a dot per population and marker: its size the share of cells, its colour the mean.

    Parameters
    ----------
    dots
        Of `marker_dots`.
    vocabulary
        Gives the colours of the populations.
    figures_out
        One file per format.
    """
    n_rows, n_columns = max(len(dots.populations), 1), max(len(dots.genes), 1)
    left, right, top, bottom = 1.75, 0.65, 0.95, 0.6
    width = max(left + STEP * n_columns + right, 5.2)
    height = top + STEP * 1.15 * n_rows + bottom
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        axis = figure.add_axes(
            (
                *(left / width, bottom / height),
                *(STEP * n_columns / width, STEP * 1.15 * n_rows / height),
            )
        )
        if dots.populations and dots.genes:
            _draw_dots(axis, dots, vocabulary)
        else:
            axis.set_axis_off()
            axis.text(0.5, 0.5, "no named cells, or no marker among the genes", ha="center")
        _draw_key(figure, left / width, 0.16 / height, width, height)
        title = "Markers of the vocabulary on the cells that were named; right: cells"
        figure.text(0.1 / width, 1 - 0.06 / height, title, fontsize=7, va="top")
        source = _dots_source(dots)
        save_figure(figure, *figures_out, source=source, columns=MARKER_DOTS_COLUMNS)


def _dots_source(dots: MarkerDots) -> Iterator[dict[str, Any]]:
    for row, (name, n_cells) in enumerate(zip(dots.populations, dots.n_cells, strict=True)):
        for column, gene in enumerate(dots.genes):
            yield {
                **{"population": name, "n_cells": int(n_cells), "gene": gene},
                "share": float(dots.share[row, column]),
                "relative_mean": float(dots.mean[row, column]),
            }


def _draw_dots(axis: Axes, dots: MarkerDots, vocabulary: Vocabulary) -> None:
    row, column = np.nonzero(dots.share >= 0)
    order = np.argsort(dots.share[row, column])
    row, column = row[order], column[order]
    axis.scatter(
        *(column, row),
        s=(LARGEST * np.sqrt(dots.share[row, column])) ** 2,
        c=dots.mean[row, column],
        cmap=COLOURS,
        vmin=0,
        vmax=1,
        linewidths=0,
    )
    axis.set(xlim=(-0.7, len(dots.genes) - 0.3), ylim=(len(dots.populations) - 0.4, -0.6))
    axis.set_xticks(range(len(dots.genes)), dots.genes, rotation=90, fontsize=6, style="italic")
    axis.xaxis.tick_top()
    labels = [plain(name) for name in dots.populations]
    axis.set_yticks(range(len(labels)), labels, parse_math=False)
    axis.tick_params(length=0, pad=2)
    axis.tick_params(axis="y", pad=9)
    axis.spines[:].set_visible(False)
    axis.grid(linewidth=0.25, color="#EEEEEE")
    axis.set_axisbelow(True)
    colour = population_colours(vocabulary)
    where = axis.get_yaxis_transform()
    edge = -0.085 / (STEP * len(dots.genes))
    for line, (name, n_cells) in enumerate(zip(dots.populations, dots.n_cells, strict=True)):
        axis.add_patch(
            mpl.patches.Rectangle(
                *((edge, line - 0.4), -edge * 0.75, 0.8),
                facecolor=colour.get(name, NO_FAMILY),
                transform=where,
                clip_on=False,
                linewidth=0,
            )
        )
        axis.text(1.01, line, f"{n_cells:,}", transform=where, va="center", fontsize=6)


def _draw_key(figure: Figure, left: float, bottom: float, width: float, height: float) -> None:
    axis = figure.add_axes((left, bottom, 1.4 / width, 0.09 / height))
    axis.imshow(np.linspace(0, 1, 64)[np.newaxis], aspect="auto", cmap=COLOURS)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    for x, words, side in ((0, "lowest", "left"), (1, "highest population", "right")):
        axis.text(x, 1.3, words, transform=axis.transAxes, ha=side, va="bottom", fontsize=6)
    place = (left + 1.7 / width, bottom - 0.06 / height, 1.6 / width, 0.3 / height)
    sizes = figure.add_axes(place)
    sizes.set_axis_off()
    sizes.set(xlim=(0, 4), ylim=(-1, 1))
    for x, share in enumerate((0.1, 0.4, 1.0)):
        sizes.scatter(x + 0.2, 0, s=LARGEST**2 * share, color="#555555", linewidths=0)
        sizes.text(x + 0.4, 0, f"{share:.0%}", va="center", fontsize=6)
    sizes.text(3.2, 0, "of the cells have counts", va="center", fontsize=6)
