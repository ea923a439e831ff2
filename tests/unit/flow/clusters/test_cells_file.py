from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import TableError
from biocross.flow.clusters.cells_file import Cells, Label, embed_flow_cells, write_cells
from biocross.flow.clusters.colours import category_colours, mix, population_colours
from biocross.flow.clusters.flow_map import FlowMap, Maps, write_maps
from biocross.flow.clusters.pool import Pool, write_pool
from biocross.flow.events import write_columns
from biocross.flow.gate_membership import Membership, write_membership
from biocross.tables import write_rows

POPULATIONS = Path(__file__).parents[4] / "config" / "populations.yaml"
N = 60


@pytest.fixture
def study(tmp_path):
    """Two samples of one patient; CD4 was not stained at the second visit."""
    rng = np.random.default_rng(1)
    kind = np.tile([0, 1], N)
    sample = np.repeat(np.array([0, 1], dtype=np.uint16), N)
    cd3 = (0.8 * kind + rng.normal(0, 0.05, 2 * N)).astype(np.float32)
    cd19 = (0.8 - 0.8 * kind + rng.normal(0, 0.05, 2 * N)).astype(np.float32)
    cd4 = np.where(sample == 0, cd3, np.nan).astype(np.float32)
    ids = ["P1_baseline", "P1_month_4"]
    event = np.tile(np.arange(N, dtype=np.uint32), 2)[::-1].copy()
    meta = [{"sample_id": name} for name in ids]
    pool = Pool({"CD3": cd3, "CD19": cd19, "CD4": cd4}, sample, event, meta)
    write_pool(tmp_path / "pool.arrow", pool)
    nodes = np.array([[0, 0.8], [0.8, 0]], dtype=np.float32)
    scale = np.ones(2, dtype=np.float32)
    main = FlowMap(("CD3", "CD19"), scale, nodes, np.array([1, 2], dtype=np.uint16))
    write_maps(tmp_path / "map.arrow", Maps(main))
    # What is told of an event is its number in its sample, not its place in the pool.
    of_event = np.zeros((2, N), dtype=np.uint16)
    of_event[sample, event] = 1 + kind
    for position, name in enumerate(ids):
        write_columns(
            tmp_path / f"{name}.arrow", {"cluster": of_event[position]}, {"sample_id": name}
        )
    known = {name: ["B_cells", "T_cells"] for name in ids}
    gates = [[], ["lymphocytes", "B_cells"], ["lymphocytes", "T_cells"]]
    combination = dict(zip(ids, of_event, strict=True))
    write_membership(tmp_path / "P1.arrow", Membership(combination, gates, known))
    rows = [
        {"cluster": 1, "map": "main", "population": "B_cells", "stable": "yes"},
        {"cluster": 2, "map": "main", "population": "T_cells", "stable": "yes"},
    ]
    rows = [{**row, "percent": 50, "used": "yes"} for row in rows]
    write_rows(tmp_path / "annotation.tsv", list(rows[0]), rows)
    rows = [
        {"sample_id": name, "patient_id": "P1", "visit": name[3:], "treatment": "dupilumab"}
        | {"batch": "lot_1", "tissue": "pbmc", "stimulation": ""}
        for name in ids[::-1]
    ]
    write_rows(tmp_path / "samples.tsv", list(rows[0]), rows)
    rows = [{"channel": f"{m}-A", "marker": m, "kind": "lineage"} for m in ("CD3", "CD19", "CD4")]
    write_rows(tmp_path / "panel.tsv", list(rows[0]), rows)
    rows = [{"marker": m, "transform": "logicle"} for m in ("CD3", "CD19", "CD4")]
    write_rows(tmp_path / "transforms.tsv", list(rows[0]), rows)
    return tmp_path, kind


def embed(folder, out="cells.h5ad", most=100, seed=1):
    embed_flow_cells(
        pool=folder / "pool.arrow",
        maps=folder / "map.arrow",
        labels=sorted(folder.glob("P1_*.arrow")),
        memberships=[folder / "P1.arrow"],
        annotation=folder / "annotation.tsv",
        samples=folder / "samples.tsv",
        levels=["baseline", "month_4"],
        panel=folder / "panel.tsv",
        transforms=folder / "transforms.tsv",
        populations=POPULATIONS,
        max_cells=most,
        seed=seed,
        cells_out=folder / out,
    )
    import anndata

    return anndata.read_h5ad(folder / out)


def test_cells_carry_what_is_known_of_them(study):
    folder, _ = study
    cells = embed(folder)
    assert cells.shape == (100, 3)
    assert cells.obs["sample_id"].value_counts().tolist() == [50, 50]
    assert cells.obs["visit"].cat.categories.tolist() == ["baseline", "month_4"]
    is_t = np.asarray(cells[:, "CD3"].X).ravel() > 0.4
    assert (cells.obs["population"] == np.where(is_t, "T_cells", "B_cells")).all()
    assert (cells.obs["gate"] == cells.obs["population"].astype(str)).all()
    assert (cells.obs["cluster"] == np.where(is_t, "2", "1")).all()
    assert cells.var.loc["CD4", "n_samples_without"] == 1
    assert cells.var.loc["CD4", ["kind", "channel", "transform"]].tolist() == [
        *("lineage", "CD4-A", "logicle")
    ]
    missing = np.isnan(np.asarray(cells[:, "CD4"].X).ravel())
    assert (missing == (cells.obs["visit"] == "month_4")).all()
    assert cells.X.dtype == np.float32
    assert "NaN" in cells.uns["biocross"]["scale"]
    assert cells.obs_names.is_unique
    assert "stimulation" not in cells.obs


# scanpy's own calls of matplotlib.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_scanpy_plots_the_cells_at_once(study):
    mpl.use("Agg")
    import scanpy as sc

    folder, _ = study
    cells = embed(folder)
    figure = sc.pl.umap(cells, color=["population", "visit", "CD4"], show=False, return_fig=True)
    assert [axis.get_title() for axis in figure.axes[:3]] == ["population", "visit", "CD4"]
    colours = population_colours(load_vocabulary(POPULATIONS))
    assert list(cells.uns["population_colors"]) == [colours["B_cells"], colours["T_cells"]]
    mpl.pyplot.close("all")


def test_the_same_cells_make_the_same_bytes(study):
    folder, _ = study
    embed(folder, "one.h5ad")
    embed(folder, "two.h5ad")
    assert (folder / "one.h5ad").read_bytes() == (folder / "two.h5ad").read_bytes()


def test_a_sample_of_the_pool_that_the_sheet_lacks_is_named(study):
    folder, _ = study
    write_rows(folder / "samples.tsv", ["sample_id", "visit"], [{"sample_id": "P1_month_4"}])
    with pytest.raises(TableError, match="P1_baseline"):
        embed(folder)
    assert not (folder / "cells.h5ad").exists()


def test_categories_stand_in_the_order_of_their_colours(tmp_path):
    colours = {"b": "#000000", "a": "#111111", "absent": "#222222"}
    cells = Cells(
        ["1", "2", "3"],
        np.zeros((3, 1), dtype=np.float32),
        {"marker": ["CD3"]},
        {"x": Label(["a", "b", "stray"], colours), "k": Label(["10", "9", "9"], order=["9", "10"])},
        np.zeros((3, 2), dtype=np.float32),
        {},
    )
    write_cells(tmp_path / "cells.h5ad", cells)
    import anndata

    read = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert read.obs["x"].cat.categories.tolist() == ["b", "a", "stray"]
    assert read.uns["x_colors"].tolist()[:2] == ["#000000", "#111111"]
    assert read.obs["k"].cat.categories.tolist() == ["9", "10"]


def test_every_population_of_the_vocabulary_has_a_colour_of_its_own():
    colours = population_colours(load_vocabulary(POPULATIONS))
    containers = {"live_singlets", "leukocytes", "lymphocytes", "T_cells"}
    own = [colour for name, colour in colours.items() if name not in {*containers, "unassigned"}]
    assert len(set(own)) == len(own)
    assert {colours[name] for name in containers} == {colours["unassigned"]}


def test_mixing_goes_from_black_to_white():
    assert [mix("#804020", amount) for amount in (-1, 0, 1)] == ["#000000", "#804020", "#FFFFFF"]
    assert len(set(category_colours([str(i) for i in range(24)]).values())) == 24
