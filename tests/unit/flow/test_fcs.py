import shutil
from pathlib import Path

import numpy as np
import pytest

from biocross.errors import FcsError
from biocross.flow.fcs import read_fcs
from biocross.flow.spillover import parse_spillover
from biocross.tables import read_rows

# FlowIO calls the second of these readable, but returns no events for values of 24 bits.
UNREADABLE = {
    "not_an_fcs_10bytes.fcs": "is not a readable FCS file",
    "fcs30_int_be_cytek_xp5.fcs": "24 bits",
    "truncated_header_only_cytek_nl2000.fcs": "is truncated or damaged",
}
REPAIRS = {
    "bad_start_offset_header_vs_text.fcs": ["TEXT used", "time step"],
    "coulter_multidataset.lmd": ["the first one read", "last byte ignored"],
    "fcs31_duplicate_channel_names.fcs": ["last byte ignored"],
    "large_file_blank_header_offsets.fcs": ["TEXT used"],
    "no_extension_0877408774.B08": ["channel 6 has no readable name"],
    "off_by_one_data_offset_test_comp_example.fcs": ["last byte ignored"],
    "one_event_off_by_one_data_offset.fcs": ["last byte ignored"],
    "variable_int_widths_2events.fcs": ["time step"],
}


@pytest.fixture
def oddities(test_data):
    return test_data / "fcs_oddities"


@pytest.fixture
def events():
    return np.random.default_rng(1).normal(1000, 5000, size=(40, 3)).astype(np.float32)


def patched(path, old, new):
    """Replace bytes of the file by as many others."""
    content = path.read_bytes()
    assert len(old) == len(new)
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    return path


def test_values_names_and_ranges_are_those_written(write_fcs, events):
    path = write_fcs("a.fcs", events, ["FSC-A", "PE-A", "Time"], P2R="1024", P3R="65536")
    file = read_fcs(path)
    np.testing.assert_array_equal(file.events, events)
    assert file.events.dtype == np.float32
    assert file.channels == ("FSC-A", "PE-A", "Time")
    assert file.ranges == (262144.0, 1024.0, 65536.0)
    assert file.spillover is None
    assert file.repairs == ()


def test_gain_and_time_step_are_applied(write_fcs, events):
    path = write_fcs("a.fcs", events, ["FSC-A", "PE-A", "Time"], P2G="4.0", TIMESTEP="0.01")
    file = read_fcs(path)
    np.testing.assert_array_equal(file.events[:, 0], events[:, 0])
    np.testing.assert_allclose(file.events[:, 1], events[:, 1] / 4, rtol=1e-6)
    np.testing.assert_allclose(file.events[:, 2], events[:, 2] * 0.01, rtol=1e-6)
    assert file.ranges[1] == 262144 / 4


@pytest.mark.data
def test_log_amplification_is_undone_in_values_and_range(oddities):
    file = read_fcs(oddities / "flowcal_Data001_fcs20_int_log.fcs")
    logarithmic = file.events[:, 2:5]
    stored = np.log10(logarithmic) * 1024 / 4
    np.testing.assert_allclose(stored, np.rint(stored), atol=2e-3)
    assert file.ranges == (1024.0, 1024.0, 1e4, 1e4, 1e4, 1024.0)


def test_spillover_of_the_header(write_fcs, events):
    text = "2,PE-A,FSC-A,1,0.25,0.125,1"
    for keyword in ("SPILLOVER", "SPILL"):
        path = write_fcs("a.fcs", events, ["FSC-A", "PE-A", "Time"], **{keyword: text})
        spillover = read_fcs(path).spillover
        assert spillover.channels == ("PE-A", "FSC-A")
        np.testing.assert_array_equal(spillover.matrix, [[1, 0.25], [0.125, 1]])


def test_no_spillover():
    assert parse_spillover({}, Path("a.fcs")) is None
    assert parse_spillover({"spill": ""}, Path("a.fcs")) is None
    assert parse_spillover({"spillover": "0"}, Path("a.fcs")) is None


@pytest.mark.parametrize("text", ["2,A,B,1,0,0", "A,B,1,0,0,1", "-1,1", "1,A,nan", "2,A,B,1,0,x,1"])
def test_broken_spillover(text):
    with pytest.raises(FcsError, match=r"^a\.fcs: its spillover matrix cannot be parsed"):
        parse_spillover({"spill": text}, Path("a.fcs"))


@pytest.mark.data
def test_oddities_are_read_or_refused_with_a_sentence(oddities):
    expected = {row["file"]: row for row in read_rows(oddities / "EXPECTED.tsv")}
    present = {path.name for path in oddities.iterdir()} - {"EXPECTED.tsv"}
    assert set(expected) == present
    for name, row in expected.items():
        path = oddities / name
        if name in UNREADABLE:
            with pytest.raises(FcsError, match=UNREADABLE[name]) as caught:
                read_fcs(path)
            assert str(caught.value).startswith(f"{path}: "), name
            continue
        file = read_fcs(path)
        assert file.events.shape == (int(row["tot"]), int(row["par"])), name
        assert len(file.channels) == len(file.ranges) == file.events.shape[1], name
        assert len(file.repairs) == len(REPAIRS.get(name, [])), name
        for repair, words in zip(file.repairs, REPAIRS.get(name, []), strict=True):
            assert words in repair, name


@pytest.mark.data
def test_a_channel_without_name_does_not_shift_the_others(oddities):
    file = read_fcs(oddities / "no_extension_0877408774.B08")
    names = ("FSC-H", "SSC-H", "FL1-H", "FL2-H", "FL3-H", "P6", "FL4-H", "Time")
    assert file.channels == names
    time = file.events[:, names.index("Time")]
    assert (np.diff(time) >= 0).all()
    assert time.max() > time.min()


@pytest.mark.data
def test_repaired_file_holds_the_values_of_the_sound_one(oddities):
    sound = read_fcs(oddities / "fcs30_float_be_fortessa.fcs")
    repaired = read_fcs(oddities / "large_file_blank_header_offsets.fcs")
    np.testing.assert_array_equal(repaired.events, sound.events)
    assert repaired.channels == sound.channels


def test_missing_file(tmp_path):
    with pytest.raises(FcsError, match=r"gone\.fcs: there is no such file"):
        read_fcs(tmp_path / "gone.fcs")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"x" * 100, b"\0" * 5000])
def test_not_an_fcs(tmp_path, content):
    path = tmp_path / "photo.fcs"
    path.write_bytes(content)
    with pytest.raises(FcsError, match=r"photo\.fcs: is not a readable FCS file"):
        read_fcs(path)


def test_a_folder_is_not_an_fcs(tmp_path):
    with pytest.raises(FcsError, match="is not a readable FCS file"):
        read_fcs(tmp_path)


def test_no_events(write_fcs):
    path = write_fcs("empty.fcs", np.empty((0, 2)), ["FSC-A", "PE-A"])
    with pytest.raises(FcsError, match=r"empty\.fcs: has no events; remove its row"):
        read_fcs(path)


def test_histograms_are_refused(write_fcs, events):
    path = patched(write_fcs("a.fcs", events, ["A", "B", "C"]), b"$MODE/L", b"$MODE/C")
    with pytest.raises(FcsError, match="list mode"):
        read_fcs(path)


def test_ascii_values_are_refused(write_fcs, events):
    path = patched(write_fcs("a.fcs", events, ["A", "B", "C"]), b"$DATATYPE/F", b"$DATATYPE/A")
    with pytest.raises(FcsError, match=r"^\S+a\.fcs: "):
        read_fcs(path)


def test_double_precision_is_read(write_fcs, events):
    doubles = np.frombuffer(events.astype("<f8").tobytes(), dtype="<f4").reshape(40, 6)
    names = ["A", "B", "C", "D", "E", "F"]
    path = write_fcs("a.fcs", doubles, names)
    patched(path, b"$DATATYPE/F", b"$DATATYPE/D")
    patched(path, b"$PAR/6", b"$PAR/3")
    for number in (4, 5, 6):
        patched(path, f"$P{number}N".encode(), f"XP{number}N".encode())
    np.testing.assert_array_equal(read_fcs(path).events, events)


@pytest.mark.parametrize("announced", [b"$TOT/39", b"$TOT/99"])
def test_wrong_number_of_events_is_refused(write_fcs, events, announced):
    path = patched(write_fcs("a.fcs", events, ["A", "B", "C"]), b"$TOT/40", announced)
    with pytest.raises(FcsError, match=r"announces \d\d events, but holds 40"):
        read_fcs(path)


def test_cut_anywhere_a_file_is_refused(write_fcs, events, tmp_path):
    content = write_fcs("a.fcs", events, ["A", "B", "C"], SPILL="1,A,1").read_bytes()
    path = tmp_path / "cut.fcs"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(FcsError, match=r"cut\.fcs: "):
            read_fcs(path)


def test_damaged_anywhere_a_file_is_read_or_refused(write_fcs, events, tmp_path):
    """FlowIO meets damage with a dozen kinds of exception; users shall see one."""
    content = write_fcs("a.fcs", events, ["A", "B", "C"], SPILL="1,A,1").read_bytes()
    path = tmp_path / "damaged.fcs"
    random = np.random.default_rng(3)
    refusals = []
    for _ in range(300):
        damaged = bytearray(content)
        for position in random.integers(0, len(content) - events.nbytes, size=2):
            damaged[position] = random.choice(list(b"0123456789/,$ AHILFabc\x00\xff-"))
        path.write_bytes(damaged)
        try:
            file = read_fcs(path)
        except FcsError as error:
            refusals.append(str(error))
        else:
            assert file.events.shape[1] == len(file.channels) == len(file.ranges)
    assert 0 < len(refusals) < 300
    assert all(message.startswith(f"{path}: ") for message in refusals)


def test_reading_leaves_the_file_as_it_was(write_fcs, events):
    path = write_fcs("a.fcs", events, ["A", "B", "C"])
    copy = shutil.copy(path, path.with_name("copy.fcs"))
    read_fcs(path)
    assert path.read_bytes() == copy.read_bytes()
