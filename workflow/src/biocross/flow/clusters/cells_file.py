"""Cells of every sample in one file that scanpy opens and plots at once."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.cohort.panel import load_panel
from biocross.cohort.vocabulary import depths, load_vocabulary
from biocross.errors import TableError
from biocross.flow.clusters.colours import GREY, category_colours, population_colours
from biocross.flow.clusters.embedding import embed_cells, equal_share
from biocross.flow.clusters.flow_map import read_maps
from biocross.flow.clusters.groups import named_clusters
from biocross.flow.clusters.pool import Pool, read_pool
from biocross.flow.events import read_columns
from biocross.flow.gate_membership import deepest_gates, read_membership
from biocross.flow.transform_table import load_transforms
from biocross.intact import write_h5ad
from biocross.tables import read_rows

Floats = NDArray[np.float32]

NOTHING = "none"
SCALE = (
    "X holds compensated signals on the display scale of the channel's transform (var['transform'],"
    " one set for the cohort), neither centred nor scaled. Where a sample lacks a marker its cells"
    " have NaN (var['n_samples_without']). obs['cluster'] 0 and \"none\" are cells without one."
)
SHEET_COLUMNS = ("sample_id", "patient_id", "visit", "treatment", "batch", "tissue", "stimulation")


class Label(NamedTuple):
    """What is said of every cell in words.

    Attributes
    ----------
    names
        Shape (cells,).
    colours
        ``#rrggbb`` by name, in the order in which the names shall stand; None for no colours.
    order
        Names in their order, where there are no colours.
    """

    names: Sequence[str]
    colours: Mapping[str, str] | None = None
    order: Sequence[str] = ()


class Cells(NamedTuple):
    """Cells, as they are written.

    Attributes
    ----------
    names
        One per cell, unique.
    values
        Shape (cells, markers); NaN where a sample lacks the marker.
    markers
        What is known of each marker, by column; ``marker`` is among them.
    labels
        By column.
    places
        On the plane of UMAP, shape (cells, 2).
    about
        What holds for all of them, in words and numbers.
    """

    names: Sequence[str]
    values: Floats
    markers: Mapping[str, Sequence[Any]]
    labels: Mapping[str, Label]
    places: Floats
    about: Mapping[str, Any]


def embed_flow_cells(
    pool: Path | str,
    maps: Path | str,
    labels: Sequence[Path | str],
    memberships: Sequence[Path | str],
    annotation: Path | str,
    samples: Path | str,
    levels: Sequence[str],
    panel: Path | str,
    transforms: Path | str,
    populations: Path | str,
    max_cells: int,
    seed: int,
    cells_out: Path | str,
) -> None:
    """Lay out an equal share of every sample's cells, and write all that is known of them.

    Parameters
    ----------
    pool, maps
        Of `train_flow_map`.
    labels
        Clusters of the events of every sample, of `map_flow_sample`.
    memberships
        Gates of the events of every patient, of `gate_patient`.
    annotation
        Names of the clusters.
    samples
        ``results/cohort/samples.tsv``.
    levels
        Values of the contrast in order; visits stand in this order.
    panel, transforms, populations
        ``panel.tsv``, ``results/flow/transforms.tsv`` and ``populations.yaml``.
    max_cells
        Cells in all.
    seed
        Of the draw and of the layout.
    cells_out
        The file, ending in ``.h5ad``.

    Raises
    ------
    TableError
        A sample of the pool is not in the sheet.
    """
    whole, main = read_pool(pool), read_maps(maps).main
    chosen = equal_share(whole.sample, max_cells, seed)
    events = Pool(
        {marker: values[chosen] for marker, values in whole.values.items()},
        *(whole.sample[chosen], whole.event[chosen], whole.meta),
    )
    vocabulary = load_vocabulary(Path(populations))
    found = {**population_colours(vocabulary), NOTHING: GREY}
    ids = [meta["sample_id"] for meta in events.meta]
    cluster = cluster_of_events(events, labels)
    population_of = {one.cluster: one.population for one in named_clusters(read_rows(annotation))}
    depth = depths(vocabulary)
    numbers = ["0", *map(str, sorted(population_of))]
    described = {
        **sheet_labels(events.sample, ids, read_rows(samples), levels, samples),
        "gate": Label(gate_of_events(events, memberships, depth), found),
        "cluster": Label([str(one) for one in cluster], order=numbers),
        "population": Label([population_of.get(int(one), NOTHING) for one in cluster], found),
    }
    scaled = np.column_stack([events.values[m] for m in main.markers]) / main.scale
    known = np.isfinite(scaled).all(axis=0)
    cells = Cells(
        [f"{ids[s]}:{e}" for s, e in zip(events.sample, events.event, strict=True)],
        np.column_stack([*events.values.values()]),
        _describe_markers(events, Path(panel), transforms),
        described,
        embed_cells(scaled[:, known], seed),
        {
            "scale": SCALE,
            "software": f"biocross {version('biocross')}",
            "umap_markers": [m for m, whole in zip(main.markers, known, strict=True) if whole],
            "seed": seed,
        },
    )
    write_cells(cells_out, cells)


def cluster_of_events(events: Pool, labels: Sequence[Path | str]) -> NDArray[np.uint16]:
    """Look up the cluster of pooled events.

    Parameters
    ----------
    events
        The events.
    labels
        Clusters of the events of every sample.

    Returns
    -------
    ndarray
        Shape (events,); 0 for none.
    """
    number = {meta["sample_id"]: position for position, meta in enumerate(events.meta)}
    cluster = np.zeros(events.sample.size, dtype=np.uint16)
    for path in labels:
        columns, meta = read_columns(path)
        position = number.get(meta["sample_id"])
        if position is not None and columns["cluster"].size:
            own = events.sample == position
            cluster[own] = columns["cluster"][events.event[own]]
    return cluster


def gate_of_events(
    events: Pool, memberships: Sequence[Path | str], depth: Mapping[str, int]
) -> list[str]:
    """Look up the deepest gate of pooled events.

    Parameters
    ----------
    events
        The events.
    memberships
        Gates of the events of every patient.
    depth
        By population, how many others hold it.

    Returns
    -------
    list of str
        One per event; ``none`` outside all gates.
    """
    number = {meta["sample_id"]: position for position, meta in enumerate(events.meta)}
    gates = np.full(events.sample.size, NOTHING, dtype=object)
    for path in memberships:
        membership = read_membership(path)
        deepest = np.array(
            [name or NOTHING for name in deepest_gates(membership.populations, depth)], dtype=object
        )
        for sample, combination in membership.combination.items():
            own = events.sample == number.get(sample, -1)
            if combination.size:
                gates[own] = deepest[combination[events.event[own]]]
    return gates.tolist()


def sheet_labels(
    sample: NDArray[np.uint16],
    ids: Sequence[str],
    sheet: Sequence[Mapping[str, str]],
    levels: Sequence[str],
    path: Path | str,
) -> dict[str, Label]:
    """Say of every cell what the sheet says of its sample.

    Parameters
    ----------
    sample
        Number of each cell's sample, shape (cells,).
    ids
        By number, the sample.
    sheet
        Rows of ``results/cohort/samples.tsv``.
    levels
        Visits in order; others follow in the order of the sheet.
    path
        Of the sheet, for messages.

    Returns
    -------
    dict
        By column of the sheet; a column that is empty everywhere is left out.

    Raises
    ------
    TableError
        A sample is not in the sheet.
    """
    rows = {row["sample_id"]: row for row in sheet}
    if missing := [name for name in ids if name not in rows]:
        raise TableError(f'{path}: sample "{missing[0]}" has events, but no row; run check_cohort')
    labels = {}
    for column in SHEET_COLUMNS:
        said = [row.get(column, "") for row in sheet]
        if not any(said):
            continue
        order = [level for level in levels if level in said] if column == "visit" else []
        colours = category_colours(list(dict.fromkeys([*order, *said])))
        of_sample = [rows[name][column] for name in ids]
        labels[column] = Label([of_sample[position] for position in sample], colours)
    return labels


def _describe_markers(
    events: Pool, panel: Path, transforms: Path | str
) -> dict[str, Sequence[Any]]:
    channel = {one.marker: one for one in load_panel(panel)}
    kind = {marker: one.kind for marker, one in load_transforms(transforms).items()}
    starts = np.unique(events.sample, return_index=True)[1]
    return {
        "marker": [*events.values],
        "kind": [channel[marker].kind for marker in events.values],
        "channel": [channel[marker].channel for marker in events.values],
        "transform": [kind.get(marker, "") for marker in events.values],
        "n_samples_without": [int(np.isnan(v[starts]).sum()) for v in events.values.values()],
    }


def write_cells(path: Path | str, cells: Cells) -> None:
    """Write cells as AnnData; the same cells make the same bytes.

    Parameters
    ----------
    path
        The file, ending in ``.h5ad``.
    cells
        What to write.
    """
    import anndata
    import pandas as pd

    obs = pd.DataFrame(index=pd.Index([*cells.names]))
    about: dict[str, Any] = {"biocross": dict(cells.about)}
    for column, label in cells.labels.items():
        present = set(label.names)
        order = label.order if label.colours is None else label.colours
        categories = [name for name in order if name in present]
        categories += sorted(present - set(categories))
        obs[column] = pd.Categorical([*label.names], categories)
        if label.colours is not None:
            about[f"{column}_colors"] = [label.colours.get(name, GREY) for name in categories]
    markers = dict(cells.markers)
    var = pd.DataFrame(markers, index=pd.Index([*markers["marker"]]))
    data = anndata.AnnData(
        np.ascontiguousarray(cells.values, dtype=np.float32),
        obs=obs,
        var=var.drop(columns="marker"),
        uns=about,
        obsm={"X_umap": cells.places},
    )
    write_h5ad(path, data)
