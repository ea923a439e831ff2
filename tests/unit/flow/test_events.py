import numpy as np
import pandas as pd
import pytest

from biocross.flow.events import read_events, write_events


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "events" / "S1.arrow"
    values = {
        "CD3": np.array([0.1, 0.9, np.nan], dtype=np.float32),
        "FSC-A": np.array([1e5, 2e5, 262143], dtype=np.float32),
    }
    quality = np.array([0, 3, 1], dtype=np.uint8)
    meta = {"sample_id": "S1", "patient_id": "Pä", "tissue": "pbmc"}
    write_events(path, values, quality, meta)
    return path, values, quality, meta


def test_round_trip(written):
    path, values, quality, meta = written
    events = read_events(path)
    assert events.meta == meta
    assert list(events.values) == ["CD3", "FSC-A"]
    for marker, column in values.items():
        assert events.values[marker].dtype == np.float32
        np.testing.assert_array_equal(events.values[marker], column)
    assert events.quality.dtype == np.uint8
    np.testing.assert_array_equal(events.quality, quality)


def test_pandas_reads_the_file(written):
    path, values, quality, _ = written
    frame = pd.read_feather(path)
    assert list(frame.columns) == ["CD3", "FSC-A", "quality"]
    np.testing.assert_array_equal(frame["CD3"], values["CD3"])
    np.testing.assert_array_equal(frame["quality"], quality)


def test_same_events_make_the_same_file(written, tmp_path):
    path, values, quality, meta = written
    write_events(tmp_path / "again.arrow", values, quality, dict(reversed(meta.items())))
    assert (tmp_path / "again.arrow").read_bytes() == path.read_bytes()


def test_columns_that_lie_apart_in_memory(tmp_path):
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    columns = {"A": matrix[:, 0], "B": matrix[:, 2]}
    write_events(tmp_path / "a.arrow", columns, np.zeros(4, dtype=np.uint8), {})
    np.testing.assert_array_equal(read_events(tmp_path / "a.arrow").values["B"], [2, 5, 8, 11])


def test_no_events(tmp_path):
    empty = np.empty(0, dtype=np.float32)
    write_events(tmp_path / "a.arrow", {"A": empty}, np.empty(0, dtype=np.uint8), {"a": "b"})
    events = read_events(tmp_path / "a.arrow")
    assert events.values["A"].shape == events.quality.shape == (0,)
    assert events.meta == {"a": "b"}
