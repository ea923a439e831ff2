import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clustered_cells import BLOOD, LINEAGE, MARKERS, Clustering, draw, write_sample

from biocross.errors import DesignError
from biocross.flow.clusters import training
from biocross.flow.clusters.flow_map import read_maps
from biocross.flow.clusters.pool import read_pool

RESULTS = (
    *("map.arrow", "pool.arrow", "pool.ILC.arrow", "clusters.tsv", "numbers.tsv", "reruns.tsv"),
    *("annotation.tsv", "found.tsv", "P0.labels.arrow", "P0.counts.tsv", "P0.expression.tsv"),
)
CALLED = {"debris": "unassigned"}


def make(folder):
    """Cluster four samples of blood, and map the first; return the steps and the samples' paths."""
    clustering = Clustering(folder)
    paths = [clustering.write(f"P{n}", BLOOD, seed=n) for n in range(4)]
    clustering.train(paths, zoom=("ILC",))
    clustering.name()
    clustering.map(paths[0])
    return clustering, paths


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def clustering(tmp_path):
    return Clustering(tmp_path)


@pytest.fixture
def few_reruns(monkeypatch):
    """Measure stability with two reruns of each kind, where it is not the subject."""
    whole = training.cluster_stability

    def quick(cluster, again, patients, n_reruns, seed):
        return whole(cluster, again, patients, min(n_reruns, 2), seed)

    monkeypatch.setattr(training, "cluster_stability", quick)


def digest(folder):
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in RESULTS]


def test_clusters_are_kinds_of_cells(made):
    clustering, paths = made
    maps, pool = read_maps(clustering.path("map.arrow")), read_pool(clustering.path("pool.arrow"))
    assert maps.main.markers == LINEAGE
    cluster = maps.main.clusters_of(pool.values)
    kinds = np.concatenate([draw(BLOOD, seed)[1] for seed in range(len(paths))])
    assert cluster.size == kinds.size
    for number in range(1, 10):
        names, sizes = np.unique(kinds[cluster == number], return_counts=True)
        assert sizes.max() / sizes.sum() > 0.99, (number, names, sizes)
    assert {*np.unique(cluster).tolist()} == {*range(1, 10)}


def test_the_table_of_clusters(made):
    clustering, _ = made
    rows = clustering.rows("clusters.tsv")
    assert tuple(rows[0]) == training.CLUSTER_COLUMNS
    assert [int(row["cluster"]) for row in rows] == [*range(1, len(rows) + 1)]
    for name, path in zip(("main", "ILC"), clustering.pools(), strict=True):
        own, pool = [row for row in rows if row["map"] == name], read_pool(path)
        assert sum(int(row["n_pool"]) for row in own) == pool.sample.size
        sizes = [int(row["n_pool"]) for row in own]
        assert sizes[0] == max(sizes)
    percent = {
        name: sum(float(r["percent"]) for r in rows if r["map"] == name) for name in ("main", "ILC")
    }
    assert percent["main"] == pytest.approx(100)
    share = (BLOOD["ILC2"] + BLOOD["ILC3"]) / sum(BLOOD.values())
    assert percent["ILC"] == pytest.approx(100 * share, rel=0.01)
    for row in rows:
        both = [float(row["over_seeds"]), float(row["over_patients"])]
        assert float(row["stability"]) == min(both)
        assert row["stable"] == ("yes" if min(both) >= 0.75 else "no")


def test_a_closer_look_at_rare_cells(made):
    clustering, paths = made
    (zoom,) = read_maps(clustering.path("map.arrow")).zooms
    assert zoom.population == "ILC"
    signs = {border.marker: border.above for border in zoom.borders}
    assert signs == {"CD45": True, "CD3": False, "CD19": False, "CD56": False, "CD14": False}
    assert not set(signs) & set(zoom.map.markers)
    assert {"CRTH2", "CD117"} <= set(zoom.map.markers)
    close = read_pool(clustering.pools()[1])
    for position in range(len(paths)):
        events = close.event[close.sample == position]
        kinds = draw(BLOOD, position)[1][events]
        assert {*kinds.tolist()} == {"ILC2", "ILC3"}
        assert events.size == BLOOD["ILC2"] + BLOOD["ILC3"]
    names = {row["population"] for row in clustering.name()[0] if row["map"] == "ILC"}
    assert names == {"ILC2", "ILC3"}


def test_numbers_and_reruns(made):
    clustering, _ = made
    numbers = clustering.rows("numbers.tsv")
    assert [(row["map"], row["n_clusters"]) for row in numbers] == [("main", "9"), ("ILC", "9")]
    reruns = clustering.rows("reruns.tsv")
    n_pool = {
        name: read_pool(path).sample.size
        for name, path in zip(("main", "ILC"), clustering.pools(), strict=True)
    }
    shared = {}
    for row in reruns:
        key = row["map"], row["kind"], int(row["rerun"])
        shared[key] = shared.get(key, 0) + int(row["n"])
    for name in ("main", "ILC"):
        for rerun in range(10):
            assert shared[name, "seeds", rerun] == n_pool[name]
            # One to all of four patients, each of as many events.
            patients = shared[name, "patients", rerun] / n_pool[name] * 4
            assert patients in (1, 2, 3, 4)


def test_reruns_have_seeds_of_their_own(made):
    tables = {}
    for row in made[0].rows("reruns.tsv"):
        if (row["map"], row["kind"]) == ("main", "seeds"):
            entry = row["cluster"], row["n"]
            tables.setdefault(row["rerun"], []).append(entry)
    assert len({tuple(sorted(table)) for table in tables.values()}) > 5


def test_the_number_of_clusters_can_be_chosen(clustering, few_reruns):
    clustering.train([clustering.write("P1", BLOOD)], number=None)
    numbers = clustering.rows("numbers.tsv")
    assert [int(row["n_clusters"]) for row in numbers] == [2, 4, 5, 6, 8, 9, 10, 12, 15]
    (chosen,) = (int(row["n_clusters"]) for row in numbers if row["chosen"] == "yes")
    assert len(clustering.rows("clusters.tsv")) == chosen


def test_the_same_at_any_number_of_threads(made, tmp_path):
    code = (
        "import sys; from pathlib import Path; from test_training import make, digest;"
        "make(Path(sys.argv[1])); print(*digest(Path(sys.argv[1])))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    for threads in ("1", "2"):
        folder = tmp_path / threads
        folder.mkdir()
        limits = {f"{name}_NUM_THREADS": threads for name in ("OMP", "OPENBLAS")}
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            env={**os.environ, **limits, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        assert done.stdout.splitlines()[-1].split() == digest(made[0].folder)


def test_another_seed_gives_another_map(made, clustering, few_reruns):
    clustering.train(made[1], seed=2)
    one, other = (read_maps(c.path("map.arrow")).fingerprint for c in (made[0], clustering))
    assert one != other


@pytest.mark.parametrize("cells", [{"CD4_T": 12}, {"CD4_T": 2, "NK": 1}, {"CD4_T": 1, "NK": 1}])
def test_fewer_events_than_nodes_and_clusters(clustering, few_reruns, cells):
    clustering.train([clustering.write("P1", cells)], number=20)
    rows = clustering.rows("clusters.tsv")
    assert len(rows) <= sum(cells.values())
    assert sum(int(row["n_pool"]) for row in rows) == sum(cells.values())
    assert all(int(row["n_pool"]) > 0 for row in rows)
    annotation, _ = clustering.name()
    assert len(annotation) == len(rows)
    counts, _ = clustering.map(clustering.path("P1.arrow"))
    assert counts[0]["count"] == str(sum(cells.values()))


def test_a_single_patient(clustering):
    clustering.train([clustering.write(f"P1_{n}", BLOOD, seed=n) for n in range(2)])
    for row in clustering.rows("clusters.tsv"):
        assert row["over_patients"] == ""
        assert row["stability"] == row["over_seeds"] != ""
    assert {row["kind"] for row in clustering.rows("reruns.tsv")} == {"seeds"}
    assert {row["stability"] for row in clustering.name()[1] if row["status"] == "found"} != {""}


def test_clusters_too_small_for_the_reruns_are_not_stable(clustering, monkeypatch):
    monkeypatch.setattr(training, "RERUN_EVENTS", 10)
    cells = {"CD4_T": 500, "CD8_T": 400, "NK": 3}
    clustering.train([clustering.write(f"P{n}", cells, seed=n) for n in range(2)], number=3)
    rows = clustering.rows("clusters.tsv")
    assert (rows[-1]["n_pool"], rows[-1]["stability"], rows[-1]["stable"]) == ("6", "", "no")
    map_id = read_maps(clustering.path("map.arrow")).fingerprint
    annotation, populations = clustering.name(
        [{"map_id": map_id, "cluster": 3, "population": "NK"}]
    )
    assert annotation[-1]["note"].startswith("unstable")
    (nk,) = (row for row in populations if row["population"] == "NK")
    assert (nk["status"], nk["stability"], nk["stable"]) == ("found", "", "no")


def test_a_marker_that_a_sample_lacks_is_no_axis(clustering, few_reruns, capsys):
    values = draw(BLOOD, seed=1)[0]
    del values["CD14"]
    paths = [clustering.write("P1", BLOOD), write_sample(clustering.path("P2.arrow"), values)]
    clustering.train(paths)
    assert "CD14 is no axis of the map: P2 lack it" in capsys.readouterr().out
    assert read_maps(clustering.path("map.arrow")).main.markers == tuple(
        marker for marker in LINEAGE if marker != "CD14"
    )
    pool = read_pool(clustering.path("pool.arrow"))
    assert np.isnan(pool.values["CD14"][pool.sample == 1]).all()
    clustering.name()
    assert clustering.map(paths[1])[0][0]["count"] == str(sum(BLOOD.values()))


def test_constant_markers_are_no_axes(clustering, few_reruns, capsys):
    values = draw(BLOOD)[0]
    values["CD14"] = np.full_like(values["CD14"], 0.2)
    clustering.train([write_sample(clustering.path("P1.arrow"), values)])
    assert "CD14 are no axes of the map" in capsys.readouterr().out
    assert "CD14" not in read_maps(clustering.path("map.arrow")).main.markers


def test_nothing_to_cluster(clustering):
    values = draw({"NK": 50})[0]
    constant = {marker: np.full_like(column, 0.2) for marker, column in values.items()}
    half = {marker: values[marker] for marker in MARKERS[:5]}
    rest = {marker: values[marker] for marker in MARKERS[5:]}
    flagged = np.ones(50, np.uint8)
    write = write_sample
    for paths in (
        [write(clustering.path("P1.arrow"), constant)],
        [write(clustering.path("P2.arrow"), half), write(clustering.path("P3.arrow"), rest)],
        [write(clustering.path("P4.arrow"), values, flagged)],
        [write(clustering.path("P5.arrow"), {}, excluded="broken")],
    ):
        with pytest.raises(DesignError, match=r"set flow\.clusters\.method to none"):
            clustering.train(paths)


def test_values_that_are_no_number_and_small_samples(clustering, few_reruns, capsys):
    values = draw(BLOOD)[0]
    values["CD3"][:100] = np.nan
    values["CD8"][100:200] = -np.inf
    paths = [
        write_sample(clustering.path("P1.arrow"), values),
        clustering.write("P2", {"CD4_T": 10}, seed=1),
        clustering.write("P3", {}, excluded="broken"),
        clustering.write("P4", BLOOD, seed=3),
    ]
    clustering.train(paths)
    pool = read_pool(clustering.path("pool.arrow"))
    n = sum(BLOOD.values())
    assert [meta["sample_id"] for meta in pool.meta] == ["P1", "P2", "P4"]
    assert np.bincount(pool.sample).tolist() == [n - 200, 10, n]
    assert f"P2 gives 10 events, others {n}" in (said := capsys.readouterr().out)
    assert "P1 gives" not in said
    clustering.name()
    counts, _ = clustering.map(paths[1])
    assert {row["population"]: row["count"] for row in counts}["CD4_T"] == "10"


def test_a_population_that_half_of_the_samples_lack(clustering):
    without = {**BLOOD, "B_cells": 0}
    paths = [clustering.write(f"P{n}", BLOOD if n < 2 else without, seed=n) for n in range(4)]
    clustering.train(paths)
    (cluster,) = (row for row in clustering.name()[0] if row["population"] == "B_cells")
    assert cluster["stable"] == "yes"
    found = [
        {row["population"]: row["count"] for row in clustering.map(path)[0]}["B_cells"]
        for path in paths
    ]
    assert found == ["200", "200", "0", "0"]


@pytest.mark.parametrize(
    ("population", "reason"),
    [
        ("ILC", "fewer than 500 events"),
        ("gd_T", "gd_T cannot be looked for: the panel lacks TCRgd"),
        ("lymphocytes", "lymphocytes cannot be looked for"),
    ],
)
def test_a_closer_look_that_is_not_possible(clustering, few_reruns, capsys, population, reason):
    path = clustering.write("P1", BLOOD)
    clustering.train([path], zoom=(population,))
    said = capsys.readouterr().out
    assert f"no map of {population}: " in said
    assert reason in said
    assert read_maps(clustering.path("map.arrow")).zooms == ()
    assert read_pool(clustering.pools()[1]).sample.size == 0
    assert {row["map"] for row in clustering.rows("clusters.tsv")} == {"main"}
    clustering.name()
    counts, _ = clustering.map(path)
    assert {row["population"]: row["count"] for row in counts}["ILC"] == "160"


def test_communities_give_the_same_tables(clustering, few_reruns):
    cells = {kind: n // 2 for kind, n in BLOOD.items()} | {"ILC2": 300, "ILC3": 300}
    paths = [clustering.write(f"P{n}", cells, seed=n) for n in range(2)]
    clustering.train(paths, zoom=("ILC",), method="leiden", number=None)
    assert clustering.path("numbers.tsv").read_text() == "\t".join(training.NUMBER_COLUMNS) + "\n"
    rows = clustering.rows("clusters.tsv")
    assert tuple(rows[0]) == training.CLUSTER_COLUMNS
    assert {row["map"] for row in rows} == {"main", "ILC"}
    assert {row["kind"] for row in clustering.rows("reruns.tsv")} == {"seeds", "patients"}
    annotation, populations = clustering.name()
    assert {row["population"] for row in annotation if row["used"] == "yes"} == {
        CALLED.get(kind, kind) for kind in BLOOD
    }
    counts, _ = clustering.map(paths[0])
    found = {row["population"]: row["count"] for row in counts}
    assert {kind: found[kind] for kind in BLOOD if kind != "debris"} == {
        kind: str(n) for kind, n in cells.items() if kind != "debris"
    }
    assert {row["population"] for row in populations if row["status"] == "found"} >= {"ILC2", "NK"}
