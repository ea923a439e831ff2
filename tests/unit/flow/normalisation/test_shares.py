import numpy as np

from biocross.flow.events import write_events
from biocross.flow.normalisation import shares
from biocross.flow.normalisation.design import BatchSample
from biocross.flow.normalisation.shares import columns_of, matrix_of, read_shares


def sample(folder, name, n, flagged=0):
    quality = np.zeros(n, dtype=np.uint8)
    quality[:flagged] = 3
    values = {"CD3": np.arange(n, dtype=np.float32), "CD4": np.ones(n, dtype=np.float32)}
    write_events(folder / name, values, quality, {})
    return BatchSample(folder / name, "A", "V0", "P1", "sample")


def test_passing_events_only(tmp_path):
    found = read_shares([sample(tmp_path, "a", 100, flagged=40)], ["CD3", "CD8"])[0]
    np.testing.assert_array_equal(found.values[:, 0], np.arange(40, 100))
    assert np.isnan(found.values[:, 1]).all()
    assert found.markers == {"CD3", "CD4"}


def test_samples_without_passing_events_give_no_share(tmp_path):
    samples = [sample(tmp_path, "a", 10, flagged=10), sample(tmp_path, "b", 0)]
    assert read_shares([*samples, sample(tmp_path, "c", 5)], ["CD3"])[0].sample.events.name == "c"


def test_memory_does_not_grow_with_the_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(shares, "MOST_EVENTS", 120)
    samples = [sample(tmp_path, f"{i}", 100) for i in range(6)]
    assert [len(share.values) for share in read_shares(samples, ["CD3"])] == [20] * 6


def test_columns_and_back():
    values = np.array([[1, np.nan], [2, np.nan]], dtype=np.float32)
    columns = columns_of(values, ["CD3", "CD4"])
    assert list(columns) == ["CD3"]
    np.testing.assert_array_equal(matrix_of(columns, ["CD3", "CD4"]), values)
