"""Cells on the plane of UMAP, coloured by what they are and where they come from."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from biocross.flow.clusters.colours import GREY
from biocross.intact import read_h5ad
from biocross.report.figures.label_room import TEXT, LabelRoom, Tile
from biocross.report.figures.style import STYLE, save_figure
from biocross.report.words import plain

Floats = NDArray[np.floating[Any]]
Colours = Mapping[str, str]

# One row per cell of a map.
MAP_COLUMNS = ("umap_1", "umap_2", "population", "visit", "treatment", "batch", "patient_id")
# Points.
PANEL, GAP, HEAD, MARGIN = 235.0, 14.0, 40.0, 10.0
PIXELS = 64
SHUFFLE_SEED = 1
# Cells of a population below which it gets no label, and names in a legend.
FEWEST_FOR_LABEL = 5
MOST_IN_LEGEND = 8


class MapPanel(NamedTuple):
    """One panel.

    Attributes
    ----------
    title
        What the colours mean.
    names
        Of every cell, shape (cells,).
    colours
        By name.
    on_map
        Whether the names stand on the map, or above it.
    column
        What the names are called in the source table.
    """

    title: str
    names: Sequence[str]
    colours: Colours
    on_map: bool = False
    column: str = "population"


def plot_cell_maps(cells: Path | str, *figures_out: Path | str) -> None:
    """Draw the cells of ``cells.h5ad`` by population, visit, treatment and patient.

    Parameters
    ----------
    cells
        Of `embed_flow_cells`.
    figures_out
        One file per format.
    """
    data = read_h5ad(cells)
    places = np.asarray(data.obsm["X_umap"])
    panels = []
    for column in ("population", "visit", "treatment", "patient_id"):
        if column in data.obs and f"{column}_colors" in data.uns:
            names = data.obs[column].astype(str).tolist()
            order = [str(one) for one in data.obs[column].cat.categories]
            colours = dict(zip(order, data.uns[f"{column}_colors"], strict=True))
            words = {"population": "Population of the cluster", "patient_id": "Patient"}
            title = words.get(column, column.capitalize())
            panels.append(MapPanel(title, names, colours, column == "population", column))
    samples = f"of {len(set(data.obs['sample_id']))} samples, as many of each"
    draw_cell_maps(places, panels, f"{samples}; UMAP of the lineage markers", *figures_out)


def draw_cell_maps(
    places: Floats, panels: Sequence[MapPanel], of: str, *figures_out: Path | str
) -> None:
    """Draw the same cells several times, two panels beside each other.

    Parameters
    ----------
    places
        Shape (cells, 2).
    panels
        What the colours mean in each.
    of
        What cells they are, and what the plane is made of.
    figures_out
        One file per format. Points are pixels in all of them, words are words.
    """
    rows = -(-len(panels) // 2) or 1
    width = 2 * PANEL + GAP + 2 * MARGIN
    height = rows * (PANEL + HEAD) + MARGIN + 26
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width / 72, height / 72))
        for number, panel in enumerate(panels):
            left = MARGIN + (number % 2) * (PANEL + GAP)
            bottom = height - 22 - (number // 2 + 1) * (PANEL + HEAD)
            place = (left / width, bottom / height, PANEL / width, PANEL / height)
            axis = figure.add_axes(place)
            _draw_panel(axis, places, panel, Tile(left, bottom, PANEL))
        words = (
            f"{len(places):,} cells {of}. Neighbours are alike; distances and areas have no units."
        )
        figure.text(MARGIN / width, 1 - 6 / height, words, va="top", fontsize=7)
        source = map_source(places, panels)
        save_figure(figure, *figures_out, source=source, columns=MAP_COLUMNS)


def map_source(places: Floats, panels: Sequence[MapPanel]) -> Iterator[dict[str, Any]]:
    """Yield a row per cell of a map: where it lies, and what its colours mean.

    Parameters
    ----------
    places
        Shape (cells, 2).
    panels
        What the colours mean.

    Yields
    ------
    dict
        Of `MAP_COLUMNS`, places to three decimals.
    """
    names = {panel.column: panel.names for panel in panels}
    for number, (x, y) in enumerate(np.round(np.asarray(places, dtype=np.float64), 3)):
        own = {column: values[number] for column, values in names.items()}
        yield {"umap_1": float(x), "umap_2": float(y), **own}


def _draw_panel(axis: Axes, places: Floats, panel: MapPanel, tile: Tile) -> None:
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    if not len(places):
        axis.text(0.5, 0.5, "no cells", transform=axis.transAxes, ha="center")
        return
    low, high = places.min(axis=0), places.max(axis=0)
    span = max(float((high - low).max()), 1e-9) * 1.06
    corner = (low + high - span) / 2
    axis.set(xlim=(corner[0], corner[0] + span), ylim=(corner[1], corner[1] + span))
    shares = (places - corner) / span
    # In random order, so that no group hides the others.
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(places))
    colours = np.array([panel.colours.get(name, GREY) for name in panel.names])
    size = float(np.clip(12_000 / len(places), 0.5, 12))
    x, y = places[order].T
    axis.scatter(x, y, s=size, c=colours[order], linewidths=0, rasterized=True)
    axis.text(0, 1 + 27 / PANEL, panel.title, transform=axis.transAxes, fontsize=8, weight="bold")
    if panel.on_map:
        _write_names(axis, shares, panel, tile)
    else:
        _write_legend(axis, panel)


def _write_names(axis: Axes, shares: Floats, panel: MapPanel, tile: Tile) -> None:
    """Write every name where its cells are densest, or right beside, with a line to them."""
    room = LabelRoom(_occupied(shares), [], tile)
    width, height = (side * 72 for side in axis.figure.get_size_inches())  # type: ignore[union-attr]
    for name, (x, y) in _densest_places(shares, panel):
        box = (x - 0.01, x + 0.01, y - 0.01, y + 0.01)
        words = plain(name)
        at_x, at_y, ground = room.take([words], box)
        point = (tile.left + x * tile.size, tile.bottom + y * tile.size)
        corners = np.array(ground)
        apart = (point < corners.min(axis=0)) | (point > corners.max(axis=0))
        where = axis.figure.transFigure
        if apart.any():
            line = np.array([point, (at_x, at_y)]) / (width, height)
            axis.plot(*line.T, transform=where, color="black", linewidth=0.4, clip_on=False)
        axis.text(
            *(at_x / width, at_y / height, words),
            transform=where,
            fontsize=TEXT + 0.5,
            ha="center",
            va="center",
            parse_math=False,
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.3},
        )


def _occupied(shares: Floats) -> NDArray[np.float32]:
    """Mark where cells are drawn, with a rim: a label would hide a small island whole."""
    busy, _, _ = np.histogram2d(shares[:, 1], shares[:, 0], PIXELS, ((0, 1), (0, 1)))
    wide = np.pad(busy, 1)
    near = [wide[i : i + PIXELS, j : j + PIXELS] for i in range(3) for j in range(3)]
    return np.where(np.max(near, axis=0) > 0, np.float32(4), np.float32(0))


def _densest_places(shares: Floats, panel: MapPanel) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield each name and where most of its cells lie, the most frequent name first."""
    names = np.array(panel.names)
    found, counts = np.unique(names, return_counts=True)
    for position in np.lexsort((found, -counts)):
        if counts[position] < FEWEST_FOR_LABEL:
            continue
        own = shares[names == found[position]]
        table, y_edges, x_edges = np.histogram2d(own[:, 1], own[:, 0], 24, ((0, 1), (0, 1)))
        row, column = np.unravel_index(int(table.argmax()), table.shape)
        inside = (np.digitize(own[:, 1], y_edges) - 1 == row) & (
            np.digitize(own[:, 0], x_edges) - 1 == column
        )
        x, y = np.median(own[inside] if inside.any() else own, axis=0)
        yield str(found[position]), (float(x), float(y))


def _write_legend(axis: Axes, panel: MapPanel) -> None:
    """Name the colours above the map; of very many say only how many there are."""
    present = set(panel.names)
    names = [name for name in panel.colours if name in present]
    if len(names) > MOST_IN_LEGEND:
        words = f"{len(names)}, a colour each: mixed, where a kind of cell is not one patient's own"
        axis.text(0, 1 + 14 / PANEL, words, transform=axis.transAxes, fontsize=6.5)
        return
    handles = [
        mpl.lines.Line2D([], [], marker="o", linestyle="", markersize=4, color=panel.colours[name])
        for name in names
    ]
    axis.legend(
        handles,
        [plain(name) for name in names],
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=4,
        frameon=False,
        handletextpad=0.1,
        columnspacing=0.8,
    )
