"""What cytometers really write: every public file reads as FlowIO reads it, or better."""

import io
import warnings

import flowio
import numpy as np
import pytest

from biocross.errors import FcsError
from biocross.flow.fcs import read_fcs
from biocross.flow.headers import read_header
from biocross.tables import read_rows

pytestmark = pytest.mark.data

REFUSED = {
    "not_an_fcs_10bytes.fcs": "is not an FCS file",
    "truncated_header_only_cytek_nl2000.fcs": (
        "its 20000 events need 2160000 bytes from byte 5912 on, and the file has 0 there"
    ),
}
REPAIRS = {
    "bad_start_offset_header_vs_text.fcs": ["data_offsets", "time_step"],
    "coulter_multidataset.lmd": ["several_data_sets", "data_offsets"],
    "fcs31_duplicate_channel_names.fcs": ["data_offsets"],
    "large_file_blank_header_offsets.fcs": ["data_offsets"],
    "no_extension_0877408774.B08": ["empty_values"],
    "off_by_one_data_offset_test_comp_example.fcs": ["data_offsets"],
    "one_event_off_by_one_data_offset.fcs": ["data_offsets"],
    "variable_int_widths_2events.fcs": ["time_step"],
}
# FlowIO has no type of 24 bits; an independent decoding is below.
BEYOND_FLOWIO = ["fcs30_int_be_cytek_xp5.fcs"]


@pytest.fixture
def oddities(test_data):
    return test_data / "fcs_oddities"


def every_fcs(folder):
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as handle:
            if handle.read(3) == b"FCS":
                yield path


def by_flowio(path, start=0):
    """Read with FlowIO, leniently, and without what makes it stumble."""
    content = bytearray(path.read_bytes())
    if not content[26:42].strip():
        content[26:42] = b"0".rjust(8) * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = flowio.FlowData(
            io.BytesIO(content),
            ignore_offset_error=True,
            ignore_offset_discrepancy=True,
            nextdata_offset=start,
        )
        if data.text.get("timestep", "").startswith("x"):
            del data.text["timestep"]
        return np.asarray(data.as_array(), dtype=np.float32)


def test_every_public_file_has_the_values_that_flowio_reads(test_data):
    compared, beyond = 0, []
    for path in every_fcs(test_data):
        if path.name in REFUSED:
            continue
        events = read_fcs(path).events
        try:
            expected = by_flowio(path)
        except ValueError:
            beyond.append(path.name)
            continue
        np.testing.assert_array_equal(events, expected, err_msg=str(path))
        compared += 1
    assert beyond == BEYOND_FLOWIO
    assert compared >= 170


def test_no_public_file_is_moved_by_a_byte(test_data):
    """All begin where they say; the test of plausible values must not see it otherwise."""
    for path in every_fcs(test_data):
        if path.name not in REFUSED:
            assert not any("begin" in repair.note for repair in read_fcs(path).repairs), path


def test_oddities_are_read_or_refused_with_a_sentence(oddities):
    expected = {row["file"]: row for row in read_rows(oddities / "EXPECTED.tsv")}
    assert set(expected) == {path.name for path in oddities.iterdir()} - {"EXPECTED.tsv"}
    for name, row in expected.items():
        path = oddities / name
        if name in REFUSED:
            with pytest.raises(FcsError) as caught:
                read_fcs(path)
            assert str(caught.value).startswith(f"{path}: ")
            assert REFUSED[name] in str(caught.value)
            continue
        file = read_fcs(path)
        assert file.events.shape == (int(row["tot"]), int(row["par"])), name
        assert len(file.channels) == len(file.markers) == len(file.ranges) == int(row["par"]), name
        assert [repair.what for repair in file.repairs] == REPAIRS.get(name, []), name
        assert file.channels == read_header(path).channels, name


def test_integers_of_24_bits(oddities):
    path = oddities / "fcs30_int_be_cytek_xp5.fcs"
    file, header = read_fcs(path), read_header(path)
    first, last = (int(header.keywords[key]) for key in ("begindata", "enddata"))
    content = path.read_bytes()[first : last + 1]
    stored = [int.from_bytes(content[at : at + 3], "big") for at in range(0, len(content), 3)]
    stored = np.reshape(np.array(stored, dtype=np.float64), (-1, 8))
    for number, name in enumerate(file.channels):
        column = stored[:, number] % 2 ** int(np.ceil(np.log2(header.ranges[number])))
        decades, lowest = map(float, header.keywords[f"p{number + 1}e"].split(","))
        if name == "TIME":
            column = column * float(header.keywords["timestep"])
        elif decades:
            column = 10 ** (decades * column / header.ranges[number]) * (lowest or 1)
        np.testing.assert_allclose(file.events[:, number], column, rtol=1e-6)
    time = file.events[:, file.channels.index("TIME")]
    assert (np.diff(time) >= 0).all()
    assert file.time_step == 0.001


def test_the_second_data_set(oddities):
    path = oddities / "coulter_multidataset.lmd"
    start = int(read_header(path).keywords["nextdata"])
    second = read_fcs(path, data_set=2)
    np.testing.assert_array_equal(second.events, by_flowio(path, start))
    assert not np.array_equal(second.events, read_fcs(path).events)
    with pytest.raises(FcsError, match="has no data set 3: the last one is number 2"):
        read_fcs(path, data_set=3)


def test_a_channel_without_a_label_does_not_shift_the_names(oddities):
    file = read_fcs(oddities / "no_extension_0877408774.B08")
    names = ("FSC-H", "SSC-H", "FL1-H", "FL2-H", "FL3-H", "FL1-A", "FL4-H", "Time")
    assert file.channels == names
    time = file.events[:, names.index("Time")]
    assert (np.diff(time) >= 0).all()
    assert time.max() > time.min()


def test_log_amplification_is_undone_in_values_and_range(oddities):
    file = read_fcs(oddities / "flowcal_Data001_fcs20_int_log.fcs")
    stored = np.log10(file.events[:, 2:5]) * 1024 / 4
    np.testing.assert_allclose(stored, np.rint(stored), atol=2e-3)
    assert file.ranges == (1024.0, 1024.0, 1e4, 1e4, 1e4, 1024.0)


def test_a_repaired_file_holds_the_values_of_the_sound_one(oddities):
    sound = read_fcs(oddities / "fcs30_float_be_fortessa.fcs")
    repaired = read_fcs(oddities / "large_file_blank_header_offsets.fcs")
    np.testing.assert_array_equal(repaired.events, sound.events)
    assert repaired.channels == sound.channels


def test_a_sample_of_a_real_file_is_part_of_it(test_data):
    path = test_data / "diva" / "124500.fcs"
    whole, part = read_fcs(path), read_fcs(path, sample=2000)
    assert part.n_events == len(whole.events)
    rows = {row.tobytes() for row in np.ascontiguousarray(whole.events)}
    assert all(row.tobytes() in rows for row in np.ascontiguousarray(part.events))
    medians = (np.median(file.events, axis=0) for file in (whole, part))
    np.testing.assert_allclose(*medians, rtol=0.15)
