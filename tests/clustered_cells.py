"""Samples of cells whose kind is known, and the steps of clustering on them."""

import numpy as np
import yaml

from biocross.flow.clusters.flow_map import FlowMap, Maps, Zoom, write_maps
from biocross.flow.clusters.lineage_negative import LineageBorder
from biocross.flow.clusters.mapping import map_flow_sample
from biocross.flow.clusters.naming import name_clusters
from biocross.flow.clusters.pool import pool_events, write_pool
from biocross.flow.clusters.training import CLUSTER_COLUMNS, RERUN_COLUMNS, train_flow_map
from biocross.flow.events import write_events
from biocross.tables import read_rows, write_rows

LINEAGE = ("CD45", "CD3", "CD19", "CD4", "CD8", "CD56", "CD14", "CD127", "CRTH2", "CD117")
MARKERS = (*LINEAGE, "HLA-DR")
VOCABULARY = {
    "live": {"parent": None},
    "leukocytes": {"parent": "live", "phenotype": "CD45+"},
    "monocytes": {"parent": "leukocytes", "phenotype": "CD14+ CD3- CD19-"},
    "lymphocytes": {"parent": "leukocytes"},
    "T_cells": {
        "parent": "lymphocytes",
        "gated_under": "leukocytes",
        "phenotype": "CD3+ CD19- CD56-",
    },
    "CD4_T": {"parent": "T_cells", "phenotype": "CD4+ CD8-"},
    "CD8_T": {"parent": "T_cells", "phenotype": "CD8+ CD4-"},
    "gd_T": {"parent": "T_cells", "phenotype": "TCRgd+"},
    "B_cells": {
        "parent": "lymphocytes",
        "gated_under": "leukocytes",
        "phenotype": "CD19+ CD3- CD56-",
    },
    "NK": {
        "parent": "lymphocytes",
        "gated_under": "leukocytes",
        "phenotype": "CD56+ CD3- CD19- CD14-",
    },
    "ILC": {
        "parent": "lymphocytes",
        "gated_under": "leukocytes",
        "phenotype": "CD127+ CD3- CD19- CD56- CD14-",
    },
    "ILC2": {"parent": "ILC", "phenotype": "CRTH2+ CD117-"},
    "ILC3": {"parent": "ILC", "phenotype": "CRTH2- CD117+"},
}
# Kinds of cells, by what they bear; debris bears nothing.
KINDS = {
    "debris": (),
    "CD4_T": ("CD45", "CD3", "CD4", "CD127"),
    "CD8_T": ("CD45", "CD3", "CD8", "CD127"),
    "B_cells": ("CD45", "CD19", "HLA-DR"),
    "NK": ("CD45", "CD56"),
    "null": ("CD45",),
    "ILC2": ("CD45", "CD127", "CRTH2"),
    "ILC3": ("CD45", "CD127", "CD117"),
}
BLOOD = {
    "debris": 60,
    "CD4_T": 400,
    "CD8_T": 300,
    "B_cells": 200,
    "NK": 150,
    "ILC2": 80,
    "ILC3": 80,
}
LABEL_COLUMNS = ("map_id", "cluster", "population")


def draw(cells, seed=0):
    """Draw so many cells of each kind, in any order.

    Parameters
    ----------
    cells
        Numbers by kind.
    seed
        Of the draw.

    Returns
    -------
    values
        By marker, transformed values; 0.2 where negative, 0.7 where positive.
    kinds
        Of every event.
    """
    random = np.random.default_rng(seed)
    kinds = np.repeat([*cells], [*cells.values()])[random.permutation(sum(cells.values()))]
    values = {}
    for marker in MARKERS:
        centre = [0.7 if marker in KINDS[kind] else 0.2 for kind in kinds.tolist()]
        values[marker] = random.normal(centre, 0.04).astype(np.float32)
    values["FSC-A"] = random.normal(0.5, 0.05, kinds.size).astype(np.float32)
    return values, kinds


def write_sample(path, values, quality=None, **meta):
    """Write the events of a sample; its name is that of the file, its patient what precedes "_"."""
    if quality is None:
        quality = np.zeros(next(iter(values.values()), np.zeros(0)).size, dtype=np.uint8)
    about = {"sample_id": path.stem, "patient_id": path.stem.partition("_")[0], **meta}
    write_events(path, values, quality, about)
    return path


def write_sheets(folder, vocabulary=VOCABULARY):
    """Write the panel, the transforms and the vocabulary."""
    entries = {name: {"flow": "x", **entry} for name, entry in vocabulary.items()}
    (folder / "populations.yaml").write_text(yaml.safe_dump(entries, sort_keys=False))
    kinds = {**dict.fromkeys(LINEAGE, "lineage"), "HLA-DR": "state", "FSC-A": "scatter"}
    panel = [{"channel": f"{m} channel", "marker": m, "kind": kind} for m, kind in kinds.items()]
    write_rows(folder / "panel.tsv", ("channel", "marker", "kind"), panel)
    columns = ("marker", "channel", "transform", "top", "decades", "width", "negative")
    transforms = [
        dict(zip(columns, (m, m, "logicle", 262144, 4.5, 0.5, 0), strict=True)) for m in MARKERS
    ]
    write_rows(folder / "transforms.tsv", columns, transforms)


# A map whose clusters, numbered from 1, are kinds of cells; and one of events that may be ILC.
MAIN_KINDS = ("debris", "CD4_T", "CD8_T", "B_cells", "NK", "null", "ILC2", "ILC3")
ZOOM_KINDS = ("ILC2", "ILC3", "null")
ZOOM_AXES = ("CD4", "CD8", "CD127", "CRTH2", "CD117")


def map_of_kinds(kinds, axes, first=1):
    """Make a map with one node in the midst of each kind of cell."""
    nodes = [[0.7 if axis in KINDS[kind] else 0.2 for axis in axes] for kind in kinds]
    numbers = np.arange(first, first + len(kinds), dtype=np.uint16)
    scale = np.ones(len(axes), np.float32)
    return FlowMap(tuple(axes), scale, np.array(nodes, np.float32), numbers)


def maps_of_kinds():
    """Make the map of `MAIN_KINDS`, and that of `ZOOM_KINDS` among the lineage-negative."""
    borders = [
        LineageBorder(m, 0.45, above=False, source="valley") for m in ("CD3", "CD19", "CD56")
    ]
    borders.append(LineageBorder("CD45", 0.45, above=True, source="valley"))
    closer = map_of_kinds(ZOOM_KINDS, ZOOM_AXES, 1 + len(MAIN_KINDS))
    return Maps(map_of_kinds(MAIN_KINDS, LINEAGE), (Zoom("ILC", tuple(borders), closer),))


class Clustering:
    """The steps of clustering, and what they write, in one folder."""

    def __init__(self, folder, vocabulary=VOCABULARY):
        self.folder, self.zoom = folder, ()
        write_sheets(folder, vocabulary)

    def write(self, name, cells, seed=0, **changes):
        """Draw and write a sample; return its path."""
        return write_sample(self.folder / f"{name}.arrow", draw(cells, seed)[0], **changes)

    def path(self, name):
        """Return the path of a sheet or a result."""
        return self.folder / name

    def rows(self, name):
        """Read a table."""
        return read_rows(self.path(name))

    def pools(self):
        """Return the pools of all maps."""
        return [self.path("pool.arrow"), *(self.path(f"pool.{name}.arrow") for name in self.zoom)]

    def train(self, events, zoom=(), **recipe):
        """Make the map."""
        self.zoom = zoom
        default = {"method": "som", "grid": 5, "number": 9, "events_per_sample": 2000, "seed": 1}
        default |= {"zoom_grid": 10, "zoom_number": recipe.get("number", default["number"])}
        pool, *zoom_pools = self.pools()
        train_flow_map(
            events=events,
            zoom=zoom,
            zoom_pools_out=zoom_pools,
            map_out=self.path("map.arrow"),
            pool_out=pool,
            **{name: self.path(f"{name}.tsv") for name in ("panel", "transforms")},
            **{
                f"{name}_out": self.path(f"{name}.tsv")
                for name in ("clusters", "numbers", "reruns")
            },
            populations=self.path("populations.yaml"),
            **default | recipe,
        )

    def train_by_hand(self, maps=None, reruns=(), stability=None):
        """Write what `train` does, with clusters that are kinds of cells; return the maps."""
        maps = maps or maps_of_kinds()
        self.zoom = tuple(zoom.population for zoom in maps.zooms)
        write_maps(self.path("map.arrow"), maps)
        pooled = [self.write("pooled", dict.fromkeys(MAIN_KINDS, 100), patient_id="P1")]
        pooled.append(self.write("pooled_zoom", dict.fromkeys(ZOOM_KINDS, 100), seed=1))
        for path, events in zip(self.pools(), pooled, strict=False):
            write_pool(path, pool_events([events], [*MARKERS, "FSC-A"], 1000, 1))
        rows = []
        layers = [("main", 100, maps.main), *((z.population, 5, z.map) for z in maps.zooms)]
        for name, percent, layer in layers:
            for number in layer.cluster_of_node.tolist():
                stable = (stability or {}).get(number, 0.9)
                row = {"cluster": number, "map": name, "n_pool": 100, "stability": stable}
                row["percent"] = percent / layer.cluster_of_node.size
                rows.append({**row, "stable": stable >= 0.75})
        write_rows(self.path("clusters.tsv"), CLUSTER_COLUMNS, rows)
        tables = [dict(zip(RERUN_COLUMNS, row, strict=True)) for row in reruns]
        write_rows(self.path("reruns.tsv"), RERUN_COLUMNS, tables)
        return maps

    def name(self, labels=None):
        """Name the clusters; return the rows of both tables."""
        if labels is not None:
            write_rows(self.path("labels.tsv"), LABEL_COLUMNS, labels)
        name_clusters(
            maps=self.path("map.arrow"),
            pools=self.pools(),
            clusters=self.path("clusters.tsv"),
            reruns=self.path("reruns.tsv"),
            transforms=self.path("transforms.tsv"),
            populations=self.path("populations.yaml"),
            labels=None if labels is None else self.path("labels.tsv"),
            annotation_out=self.path("annotation.tsv"),
            populations_out=self.path("found.tsv"),
        )
        return self.rows("annotation.tsv"), self.rows("found.tsv")

    def map(self, path, prefix=""):
        """Map a sample; return the rows of its counts and of its markers."""
        out = {
            "labels_out": self.path(f"{path.stem}.labels.arrow"),
            "counts_out": self.path(f"{path.stem}.counts.tsv"),
            "expression_out": self.path(f"{path.stem}.expression.tsv"),
        }
        map_flow_sample(
            events=path,
            maps=self.path("map.arrow"),
            annotation=self.path("annotation.tsv"),
            found=self.path("found.tsv"),
            panel=self.path("panel.tsv"),
            populations=self.path("populations.yaml"),
            source_prefix=prefix,
            **out,
        )
        return read_rows(out["counts_out"]), read_rows(out["expression_out"])
