import numpy as np
import pytest
from clustered_cells import MAIN_KINDS, MARKERS, ZOOM_KINDS, Clustering, map_of_kinds, maps_of_kinds

from biocross.errors import ConfigError
from biocross.flow.clusters.pool import pool_events, write_pool

N = len(MAIN_KINDS)
# Of the map by hand: cluster numbers by map and kind.
NUMBER = {("main", kind): str(1 + i) for i, kind in enumerate(MAIN_KINDS)}
NUMBER |= {("ILC", kind): str(1 + N + i) for i, kind in enumerate(ZOOM_KINDS)}
CALLED = {"debris": "unassigned", "null": "leukocytes"}


@pytest.fixture
def clustering(tmp_path):
    return Clustering(tmp_path)


def by(rows, key):
    return {row[key]: row for row in rows}


def test_clusters_of_all_maps_get_names(clustering):
    maps = clustering.train_by_hand()
    rows, _ = clustering.name()
    found = by(rows, "cluster")
    assert [*found] == [*NUMBER.values()]
    for (name, kind), number in NUMBER.items():
        assert found[number]["map"] == name
        assert found[number]["population"] == CALLED.get(kind, kind)
        assert found[number]["given_by"] == "phenotype"
    assert {row["map_id"] for row in rows} == {maps.fingerprint}
    # What the map of the ILC shows beside ILC stays where it was.
    assert {n for n, row in found.items() if row["used"] == "no"} == {NUMBER["ILC", "null"]}
    assert found[NUMBER["ILC", "null"]]["note"].startswith("not ILC: its events stay")


def test_unstable_clusters_say_so(clustering):
    clustering.train_by_hand(stability={2: 0.7, 3: float("nan"), 11: 0.1})
    found = by(clustering.name()[0], "cluster")
    unstable = {n for n, row in found.items() if row["note"].startswith("unstable")}
    assert unstable == {"2", "3"}
    assert {n for n, row in found.items() if row["stable"] == "no"} == {"2", "3", "11"}
    assert found["11"]["note"].startswith("not ILC")


def test_populations(clustering):
    clustering.train_by_hand()
    found = by(clustering.name()[1], "population")
    assert {name: row["status"] for name, row in found.items() if row["status"] != "found"} == {
        "monocytes": "no_cluster",
        "gd_T": "not_in_panel",
    }
    assert found["gd_T"]["note"] == "the panel lacks TCRgd"
    assert found["monocytes"]["note"].endswith("use its gate")
    assert found["monocytes"]["percent"] == found["monocytes"]["stable"] == ""
    assert {name: found[name]["n_clusters"] for name in ("live", "T_cells", "ILC", "ILC2")} == {
        "live": "10",
        "T_cells": "2",
        "ILC": "4",
        "ILC2": "2",
    }
    # The share of the ILC is that of their own map, which has its events from the first.
    assert float(found["live"]["percent"]) == pytest.approx(100)
    assert float(found["T_cells"]["percent"]) == pytest.approx(200 / N)
    assert float(found["ILC"]["percent"]) == pytest.approx(2 * 5 / 3)


def test_stability_of_a_population_is_that_of_its_clusters_together(clustering):
    main = [int(NUMBER["main", kind]) for kind in ("CD4_T", "CD8_T", "B_cells", "NK")]
    cd4, cd8, b_cells, nk = main
    # CD4 and CD8 cells change places in half: together they come back. NK and B cells mix.
    seeds = [(cd4, 1, 50), (cd4, 2, 50), (cd8, 1, 50), (cd8, 2, 50), (b_cells, 3, 100), (nk, 3, 60)]
    patients = [(cd4, 1, 100), (cd8, 2, 100), (b_cells, 3, 100), (nk, 4, 100)]
    reruns = [("main", "seeds", 0, *one) for one in seeds]
    reruns += [("main", "patients", 0, *one) for one in patients]
    clustering.train_by_hand(reruns=reruns)
    found = by(clustering.name()[1], "population")
    # Of a cluster and its half, none mostly of CD4: nothing comes back.
    assert float(found["CD4_T"]["stability"]) == 0
    assert float(found["T_cells"]["stability"]) == 1
    assert float(found["B_cells"]["stability"]) == pytest.approx(100 / 160)
    assert float(found["NK"]["stability"]) == 0
    assert (found["T_cells"]["stable"], found["B_cells"]["stable"]) == ("yes", "no")
    assert found["T_cells"]["note"] == ""
    assert found["B_cells"]["note"].startswith("unstable")
    # Nothing is known of the reruns of the ILC.
    assert (found["ILC"]["stability"], found["ILC"]["stable"]) == ("", "no")


def test_the_sheet_wins(clustering, capsys):
    maps = clustering.train_by_hand()
    null, b_cells = NUMBER["ILC", "null"], NUMBER["main", "B_cells"]
    ilc2 = NUMBER["ILC", "ILC2"]
    given = {null: "ILC3", b_cells: "unassigned", ilc2: "NK", "99": "NK"}
    sheet = [{"map_id": maps.fingerprint, "cluster": n, "population": p} for n, p in given.items()]
    rows, populations = clustering.name(sheet)
    found = by(rows, "cluster")
    for number in (null, b_cells, ilc2):
        assert found[number]["population"] == given[number]
        assert found[number]["given_by"] == "sheet"
        assert found[number]["score"] == ""
    assert found[null]["used"] == "yes"
    assert found[null]["runner_up"] == "leukocytes"
    # No cluster of the ILC's map can be anything else than ILC.
    assert found[ilc2]["used"] == "no"
    assert by(populations, "population")["B_cells"]["status"] == "no_cluster"
    assert "the map has no cluster 99" in capsys.readouterr().out
    for row in sheet:
        row["map_id"] = "m000000000000"
    with pytest.raises(ConfigError, match="4 rows of map"):
        clustering.name(sheet)


def test_a_zoom_that_could_not_be_had(clustering):
    maps = maps_of_kinds()
    clustering.train_by_hand(maps._replace(zooms=()))
    clustering.zoom = ("ILC",)
    write_pool(clustering.pools()[1], pool_events([], [*MARKERS, "FSC-A"], 1, 1))
    rows, populations = clustering.name()
    assert [row["cluster"] for row in rows] == [
        n for (name, _), n in NUMBER.items() if name == "main"
    ]
    assert {row["used"] for row in rows} == {"yes"}
    assert by(populations, "population")["ILC"]["n_clusters"] == "2"


def test_a_cluster_without_pooled_events_is_unassigned(clustering):
    main = map_of_kinds(MAIN_KINDS, maps_of_kinds().main.markers)
    far = np.full((1, main.nodes.shape[1]), 9, np.float32)
    main = main._replace(
        nodes=np.concatenate([main.nodes, far]),
        cluster_of_node=np.arange(1, N + 2, dtype=np.uint16),
    )
    clustering.train_by_hand(maps_of_kinds()._replace(main=main, zooms=()))
    rows, _ = clustering.name()
    assert rows[-1]["cluster"] == str(N + 1)
    assert (rows[-1]["population"], rows[-1]["score"], rows[-1]["used"]) == (
        "unassigned",
        "",
        "yes",
    )
    assert [row["population"] for row in rows[1:5]] == ["CD4_T", "CD8_T", "B_cells", "NK"]
