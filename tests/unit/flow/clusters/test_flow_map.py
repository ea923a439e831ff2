import numpy as np
import pytest

from biocross.flow.clusters import flow_map
from biocross.flow.clusters.flow_map import (
    FlowMap,
    Maps,
    Zoom,
    look_closer,
    main_clusters,
    read_maps,
    write_maps,
)
from biocross.flow.clusters.lineage_negative import LineageBorder

REAL = np.float32
# Nodes at x = 0, 1 and 2, which is 10 on the scale of y.
MAIN = FlowMap(
    ("x", "y"),
    np.array([1, 10], REAL),
    np.array([[0, 0], [1, 0], [0, 1]], REAL),
    np.array([1, 2, 3], np.uint16),
)
# Looks at events of cluster 1 that lack y, by another marker.
ZOOM = Zoom(
    "part",
    (LineageBorder("y", 5.0, above=False, source="valley"),),
    FlowMap(
        ("z",), np.ones(1, REAL), np.array([[0], [1], [2]], REAL), np.array([4, 5, 6], np.uint16)
    ),
)


def find_clusters(maps, values, quality, zoomed):
    return look_closer(maps.zooms, values, main_clusters(maps, values, quality), zoomed)


def columns(**values):
    return {name: np.array(own, REAL) for name, own in values.items()}


def test_the_nearest_node_on_the_scales():
    # (0, 6) lies nearer to (0, 10) than to (0, 0) only because y is divided by 10.
    values = columns(x=[0.2, 0.7, 0, 0, 0.4], y=[0, 1, 6, 4, -3])
    assert MAIN.clusters_of(values).tolist() == [1, 2, 3, 1, 1]
    assert MAIN.clusters_of(columns(x=[], y=[])).tolist() == []


def test_blocks_do_not_show(monkeypatch):
    random = np.random.default_rng(1)
    values = columns(x=random.random(100), y=10 * random.random(100))
    values["x"][[3, 50]] = np.nan
    whole = MAIN.clusters_of(values)
    assert set(whole.tolist()) == {0, 1, 2, 3}
    monkeypatch.setattr(flow_map, "BLOCK", 7)
    np.testing.assert_array_equal(MAIN.clusters_of(values), whole)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_has_no_cluster(bad):
    values = columns(x=[0, bad, 1, 0], y=[0, 0, bad, 10])
    assert MAIN.clusters_of(values).tolist() == [1, 0, 0, 3]


def test_events_move_into_named_clusters_of_a_zoom_alone():
    maps = Maps(MAIN, (ZOOM,))
    values = columns(x=[0, 0, 0, 0, 1], y=[0, 0, 0, 9, 0], z=[0, 1, 2, 1, 1])
    passing = np.zeros(5, np.uint8)
    # The fourth event bears y: it is not looked at.
    assert find_clusters(maps, values, passing, [5]).tolist() == [1, 5, 1, 3, 5]
    assert find_clusters(maps, values, passing, [4, 6]).tolist() == [4, 1, 6, 3, 2]
    assert find_clusters(maps, values, passing, []).tolist() == [1, 1, 1, 3, 2]


def test_flagged_events_are_in_no_cluster():
    values = columns(x=[0, 0, 1], y=[0, 0, 0], z=[1, 1, 1])
    flags = np.array([0, 3, 1], np.uint8)
    assert find_clusters(Maps(MAIN, (ZOOM,)), values, flags, [5]).tolist() == [5, 0, 0]


def test_a_sample_without_an_axis_of_the_zoom_keeps_the_first_map():
    values = columns(x=[0, 1], y=[0, 0])
    flags = np.zeros(2, np.uint8)
    assert find_clusters(Maps(MAIN, (ZOOM,)), values, flags, [4, 5, 6]).tolist() == [1, 2]


def test_values_that_are_no_number_in_a_zoom():
    # What lacks a value of the first map may be anything, and is in no cluster of a zoom either.
    values = columns(x=[0, 0, 0], y=[0, 0, np.nan], z=[np.nan, 1, 1])
    flags = np.zeros(3, np.uint8)
    assert find_clusters(Maps(MAIN, (ZOOM,)), values, flags, [4, 5]).tolist() == [1, 5, 0]


@pytest.mark.parametrize("maps", [Maps(MAIN), Maps(MAIN, (ZOOM,))])
def test_files(tmp_path, maps):
    write_maps(tmp_path / "map.arrow", maps)
    again = read_maps(tmp_path / "map.arrow")
    assert again.fingerprint == maps.fingerprint
    assert again.main.markers == ("x", "y")
    assert [zoom[:2] for zoom in again.zooms] == [zoom[:2] for zoom in maps.zooms]
    for one, other in zip(again.zooms, maps.zooms, strict=True):
        assert one.map.markers == ("z",)
        np.testing.assert_array_equal(one.map.nodes, other.map.nodes)
        np.testing.assert_array_equal(one.map.cluster_of_node, other.map.cluster_of_node)


def test_the_fingerprint_tells_maps_apart():
    border = ZOOM.borders[0]._replace(value=6.0)
    others = [
        Maps(MAIN),
        Maps(MAIN, (ZOOM,)),
        Maps(MAIN._replace(markers=("x", "w"))),
        Maps(MAIN._replace(scale=MAIN.scale * 2)),
        Maps(MAIN._replace(nodes=MAIN.nodes + REAL(1e-6))),
        Maps(MAIN._replace(cluster_of_node=np.array([1, 3, 2], np.uint16))),
        Maps(MAIN, (ZOOM._replace(population="other"),)),
        Maps(MAIN, (ZOOM._replace(borders=(border,)),)),
        Maps(MAIN, (ZOOM._replace(map=ZOOM.map._replace(scale=REAL([2]) * np.ones(1, REAL))),)),
    ]
    prints = [one.fingerprint for one in others]
    assert len(set(prints)) == len(prints)
    assert all(text[0] == "m" and len(text) == 13 for text in prints)
