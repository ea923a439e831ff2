import flowio
import numpy as np
import pytest

from biocross.simulate.flow.fcs_writer import spillover_keyword, write_fcs

CHANNELS = ["FSC-A", "PE-A", "APC-A", "Time"]
MARKERS = ["", "CRTH2", "CD/45", ""]
MATRIX = np.array([[1, 0.125], [0.03, 1]])


@pytest.fixture
def events():
    values = np.random.default_rng(1).normal(500, 900, (1234, 4)).astype(np.float32)
    values[:, 3] = np.arange(1234)
    return values


@pytest.fixture
def path(tmp_path, events):
    path = tmp_path / "a.fcs"
    keywords = {
        "SPILLOVER": spillover_keyword(MATRIX, CHANNELS[1:3]),
        "DATE": "15-JAN-2024",
        "CYT": "simulated",
        "TIMESTEP": "0.01",
    }
    write_fcs(path, events, CHANNELS, MARKERS, keywords)
    return path


def test_flowio_reads_the_same_back(path, events):
    data = flowio.FlowData(str(path))
    np.testing.assert_array_equal(data.as_array(preprocess=False), events)
    assert data.pnn_labels == CHANNELS
    assert data.pns_labels == MARKERS
    assert data.pnr_values == [262144.0] * 4
    assert data.version == "3.1"
    expected = {
        "tot": "1234",
        "par": "4",
        "mode": "L",
        "datatype": "F",
        "byteord": "1,2,3,4",
        "p2e": "0,0",
        "p2b": "32",
        "date": "15-JAN-2024",
        "spillover": "2,PE-A,APC-A,1,0.125,0.03,1",
    }
    assert {key: data.text[key] for key in expected} == expected


def test_offsets_in_header_and_text_agree_with_the_file(path, events):
    raw = path.read_bytes()
    text = flowio.FlowData(str(path)).text
    begin, end = int(raw[26:34]), int(raw[34:42])
    assert (begin, end) == (int(text["begindata"]), int(text["enddata"]))
    assert end + 1 == len(raw)
    np.testing.assert_array_equal(np.frombuffer(raw[begin:], "<f4").reshape(-1, 4), events)


def test_flowkit_compensates_as_the_matrix_says(path, events):
    import flowkit

    sample = flowkit.Sample(str(path))
    sample.apply_compensation(sample.metadata["spillover"])
    expected = events[:, 1:3].astype(float) @ np.linalg.inv(MATRIX)
    np.testing.assert_allclose(sample.get_events(source="comp")[:, 1:3], expected, rtol=1e-9)
    np.testing.assert_allclose(sample.get_events(source="raw")[:, 3], events[:, 3] * 0.01)


def test_a_failed_write_leaves_nothing(tmp_path, events):
    with pytest.raises(ValueError, match="multiple"):
        write_fcs(tmp_path / "b.fcs", events[:, :3], CHANNELS, MARKERS, {})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_file_there_was(path, events):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="multiple"):
        write_fcs(path, events[:, :3], CHANNELS, MARKERS, {})
    assert path.read_bytes() == before
