import numpy as np
import pytest
from clustered_cells import MARKERS, draw, write_sample

from biocross.flow.clusters.pool import pool_events, read_pool, shared_markers, write_pool
from biocross.flow.events import read_events

CELLS = {"CD4_T": 300, "B_cells": 200}


@pytest.fixture
def write(tmp_path):
    def sample(name, cells=CELLS, seed=0, without=(), **rest):
        values = draw(cells, seed)[0]
        kept = {marker: column for marker, column in values.items() if marker not in without}
        return write_sample(tmp_path / f"{name}.arrow", kept, **rest)

    return sample


def drawn_of(pool, name):
    position = [meta["sample_id"] for meta in pool.meta].index(name)
    return pool.event[pool.sample == position].tolist()


def test_every_sample_gives_as_many(write):
    paths = [write("A"), write("B", seed=1), write("C", {"NK": 10})]
    pool = pool_events(paths, MARKERS, 100, seed=1)
    assert np.bincount(pool.sample).tolist() == [100, 100, 10]
    assert drawn_of(pool, "C") == list(range(10))
    for position, path in enumerate(paths):
        own, events = read_events(path), pool.event[pool.sample == position]
        assert np.all(np.diff(events.astype(int)) > 0)
        for marker in MARKERS:
            taken = pool.values[marker][pool.sample == position]
            np.testing.assert_array_equal(taken, own.values[marker][events])
    assert pool.matrix(("CD3", "CD19")).shape == (210, 2)
    np.testing.assert_array_equal(pool.matrix(("CD3", "CD19"))[:, 1], pool.values["CD19"])


def test_only_events_that_passed_and_are_numbers(write, tmp_path):
    values = draw(CELLS)[0]
    values["CD3"][:100] = np.nan
    values["CD4"][100:150] = np.inf
    flags = np.zeros(500, dtype=np.uint8)
    flags[150:200] = 3
    path = write_sample(tmp_path / "A.arrow", values, flags)
    # As many as are asked for, and no fewer because some of them are no numbers.
    for share, expected in ((300, range(200, 500)), (1000, range(200, 500))):
        assert drawn_of(pool_events([path], MARKERS, share, 1), "A") == [*expected]
    among = pool_events([path], MARKERS, 1000, 1, among=lambda s: s.values["CD19"] > 0.45)
    expected = [e for e in range(200, 500) if values["CD19"][e] > 0.45]
    assert drawn_of(among, "A") == expected
    assert 50 < len(expected) < 250


def test_a_missing_marker_is_nan(write):
    pool = pool_events([write("A"), write("B", without=("CD19",))], MARKERS, 50, 1)
    assert np.isfinite(pool.values["CD19"][:50]).all()
    assert np.isnan(pool.values["CD19"][50:]).all()
    assert np.isfinite(pool.values["CD3"]).all()


def test_a_file_that_was_not_read_is_left_out(write):
    pool = pool_events([write("A", {}, excluded="broken"), write("B")], MARKERS, 50, 1)
    assert [meta["sample_id"] for meta in pool.meta] == ["B"]
    assert pool.sample.tolist() == [0] * 50


def test_the_draw_depends_on_name_and_seed_alone(write):
    paths = {name: write(name, seed=n) for n, name in enumerate("ABC")}
    every = pool_events([*paths.values()], MARKERS, 100, 1)
    other = pool_events([paths["C"], paths["A"]], MARKERS, 100, 1)
    for name in "AC":
        assert drawn_of(every, name) == drawn_of(other, name)
    # Samples of equal events but other names do not give the same ones.
    assert drawn_of(every, "A") != drawn_of(every, "B")
    assert drawn_of(pool_events([paths["A"]], MARKERS, 100, 2), "A") != drawn_of(every, "A")


def test_a_large_cohort_has_no_larger_pool(write):
    paths = [write(name, seed=n) for n, name in enumerate("ABCD")]
    assert pool_events(paths, MARKERS, 100, 1, most_in_all=120).sample.size == 120
    assert pool_events(paths[:1], MARKERS, 100, 1, most_in_all=120).sample.size == 100


def test_no_sample_stays_open(write):
    pool = pool_events([write("A")], MARKERS, 1000, 1)
    for array in (*pool.values.values(), pool.event, pool.sample):
        assert array.flags.owndata


@pytest.mark.parametrize("names", ["AB", ""])
def test_files(write, tmp_path, names):
    pool = pool_events([write(name) for name in names], MARKERS, 20, 1)
    write_pool(tmp_path / "pool.arrow", pool)
    again = read_pool(tmp_path / "pool.arrow")
    assert [*again.values] == [*MARKERS]
    assert again.meta == pool.meta
    arrays = [[*one.values.values(), one.sample, one.event] for one in (pool, again)]
    for one, other in zip(*arrays, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_markers_that_every_sample_has(write):
    paths = [
        write("A"),
        write("B", without=("CD19", "CD4")),
        write("C", without=("CD4",)),
        write("D", {}, without=MARKERS, excluded="broken"),
    ]
    shared, without = shared_markers(paths, ("CD4", "CD3", "CD19"))
    assert shared == ["CD3"]
    assert without == {"CD19": ["B"], "CD4": ["B", "C"]}
