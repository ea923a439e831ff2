import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from fcs_bytes import bit_stream, floats, integers, make_fcs

from biocross.errors import FcsError
from biocross.flow.fcs import read_fcs
from biocross.flow.spillover import parse_spillover

VALUES = np.array([[1, 2], [300, 400], [5000, 6000], [70000, 80000]], dtype=np.float32)
FOUR = floats(VALUES.tolist(), "FF", big_endian=False)


@pytest.fixture
def events():
    return np.random.default_rng(1).normal(1000, 5000, size=(40, 3)).astype(np.float32)


def terms(file):
    return [repair.what for repair in file.repairs]


@pytest.fixture
def write_bytes(tmp_path):
    """Write a file of `make_fcs`, of four events in two channels unless said."""

    def write(data=None, n_events=4, channels=None, **options):
        path = tmp_path / "a.fcs"
        channels = channels or [{"N": name, "B": 32, "R": 262144} for name in ("FSC-A", "PE-A")]
        path.write_bytes(make_fcs(FOUR if data is None else data, n_events, channels, **options))
        return path

    return write


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
    assert file.ranges == (262144, 262144 / 4, 262144 * 0.01)
    assert file.time_step == 0.01


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


def test_missing_file(tmp_path):
    with pytest.raises(FcsError, match=r"gone\.fcs: there is no such file"):
        read_fcs(tmp_path / "gone.fcs")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"x" * 100, b"\0" * 5000])
def test_not_an_fcs(tmp_path, content):
    path = tmp_path / "photo.fcs"
    path.write_bytes(content)
    with pytest.raises(FcsError, match=r"photo\.fcs: is not an FCS file"):
        read_fcs(path)


def test_a_folder_is_not_an_fcs(tmp_path):
    with pytest.raises(FcsError, match="cannot be opened"):
        read_fcs(tmp_path)


def test_histograms_are_refused(write_fcs, events):
    path = patched(write_fcs("a.fcs", events, ["A", "B", "C"]), b"$MODE/L", b"$MODE/C")
    with pytest.raises(
        FcsError, match=r'holds histograms \(mode "C"\), not events; export it in list mode'
    ):
        read_fcs(path)


def test_ascii_values_are_refused(write_fcs, events):
    path = patched(write_fcs("a.fcs", events, ["A", "B", "C"]), b"$DATATYPE/F", b"$DATATYPE/A")
    with pytest.raises(FcsError, match=r"a\.fcs: stores its values as text"):
        read_fcs(path)


def test_double_precision_is_read(write_fcs, events):
    doubles = np.frombuffer(events.astype("<f8").tobytes(), dtype="<f4").reshape(40, 6)
    names = ["A", "B", "C", "D", "E", "F"]
    path = write_fcs("a.fcs", doubles, names)
    patched(path, b"$DATATYPE/F", b"$DATATYPE/D")
    patched(path, b"$PAR/6", b"$PAR/3")
    for number in (4, 5, 6):
        patched(path, f"$P{number}N".encode(), f"XP{number}N".encode())
    file = read_fcs(path)
    np.testing.assert_array_equal(file.events, events)
    assert terms(file) == ["bit_width"]


def test_cut_anywhere_a_file_is_refused(write_fcs, events, tmp_path):
    content = write_fcs("a.fcs", events, ["A", "B", "C"], SPILL="1,A,1").read_bytes()
    path = tmp_path / "cut.fcs"
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(FcsError, match=r"cut\.fcs: "):
            read_fcs(path)


def test_reading_leaves_the_file_as_it_was(write_fcs, events):
    path = write_fcs("a.fcs", events, ["A", "B", "C"])
    copy = shutil.copy(path, path.with_name("copy.fcs"))
    read_fcs(path)
    assert path.read_bytes() == copy.read_bytes()


def test_columns_are_contiguous(write_fcs, events):
    """Later steps take one channel after the other: three times faster so, measured."""
    assert read_fcs(write_fcs("a.fcs", events, ["A", "B", "C"])).events.flags.f_contiguous


def test_markers_and_number_of_events(write_bytes):
    channels = [{"N": "PE-A", "B": 32, "R": 1024, "S": "CD3 PE"}, {"N": "B", "B": 32, "R": 1024}]
    file = read_fcs(write_bytes(channels=channels))
    assert file.markers == ("CD3 PE", "")
    assert file.n_events == 4
    assert np.isnan(file.time_step)


@pytest.mark.parametrize(
    "offsets",
    [
        {},
        {"header_offsets": lambda *_: ("", "")},
        {"header_offsets": lambda *_: (0, 0)},
        {"text_offsets": lambda first, last: (1, 0)},
        {"text_offsets": lambda first, last: (0, 0), "header_offsets": lambda *_: (0, 0)},
    ],
)
def test_no_events_are_no_error(write_bytes, offsets):
    file = read_fcs(write_bytes(data=b"", n_events=0, **offsets))
    assert file.events.shape == (0, 2)
    assert file.events.dtype == np.float32
    assert file.n_events == 0


@pytest.mark.parametrize("announced", [0, 2, 3])
def test_more_bytes_than_events_are_refused(write_bytes, announced):
    message = (
        rf"announces {announced} events \(\$TOT\), which take {8 * announced} bytes, but holds 32"
    )
    with pytest.raises(FcsError, match=message):
        read_fcs(write_bytes(n_events=announced))


def test_fewer_bytes_than_events_are_refused(write_bytes):
    message = (
        r"truncated: its 5 events need 40 bytes from byte \d+ on, and the DATA segment has 32 "
    )
    with pytest.raises(FcsError, match=message):
        read_fcs(write_bytes(n_events=5))


@pytest.mark.parametrize("lost", [1, 7, 32])
def test_a_file_that_ends_early_is_refused_with_the_bytes_it_has(write_bytes, lost):
    path = write_bytes()
    path.write_bytes(path.read_bytes()[:-lost])
    message = (
        rf"truncated: its 4 events need 32 bytes from byte \d+ on, and the file has {32 - lost} "
    )
    if lost == 1:
        path.write_bytes(path.read_bytes()[:-1])
        message = message.replace("31", "30")
    with pytest.raises(FcsError, match=message):
        read_fcs(path)


def test_an_announcement_beyond_all_measure_takes_no_memory(write_bytes):
    with pytest.raises(FcsError, match="is truncated"):
        read_fcs(write_bytes(n_events=10**15, text_offsets=lambda first, _: (first, 8 * 10**15)))


def shifted(by_first, by_last):
    return lambda first, last: (first + by_first, last + by_last)


@pytest.mark.parametrize(
    ("options", "notes"),
    [
        ({"header_offsets": lambda *_: ("", "")}, ["HEADER has no data offsets; TEXT used"]),
        ({"header_offsets": lambda *_: (0, 0)}, ["HEADER has no data offsets; TEXT used"]),
        ({"header_offsets": shifted(-20, -10)}, ["HEADER and TEXT disagree"]),
        ({"text_offsets": shifted(-20, -10)}, ["TEXT do not fit the number of events; HEADER"]),
        ({"text_offsets": lambda *_: (0, 0)}, ["TEXT has no data offsets; HEADER used"]),
        (
            {"header_offsets": shifted(0, 1), "text_offsets": shifted(0, 1)},
            ["one byte more than the events take"],
        ),
        (
            {"header_offsets": shifted(0, -1), "text_offsets": shifted(0, -1)},
            ["one byte less than the events take"],
        ),
        ({"version": "2.0", "header_offsets": shifted(0, 1)}, ["one byte more"]),
        ({"version": "2.0"}, []),
        ({"BEGINSTEXT": 0, "ENDSTEXT": 0, "after": b"00000000"}, []),
    ],
)
def test_offsets_that_are_off(write_bytes, options, notes):
    file = read_fcs(write_bytes(padding=b"\0\0\0", **{"after": b"00000000", **options}))
    np.testing.assert_array_equal(file.events, VALUES)
    assert terms(file) == ["data_offsets"] * len(notes)
    for repair, words in zip(file.repairs, notes, strict=True):
        assert words in repair.note


@pytest.mark.parametrize("by_last", [-1, 0, 1])
@pytest.mark.parametrize("by_first", [-1, 1])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("kind", ["F", "D", "I"])
def test_a_start_that_is_off_by_one(write_bytes, kind, big_endian, by_first, by_last):
    if by_first == -by_last:
        return  # two bytes off in size: not repaired
    values = np.random.default_rng(2).integers(1, 200_000, size=(40, 2)).astype(np.float32)
    data = floats(values.astype(int).tolist(), [kind, kind], big_endian)
    file = read_fcs(
        write_bytes(
            data=data,
            n_events=40,
            datatype=kind,
            byteord="4,3,2,1" if big_endian else "1,2,3,4",
            channels=[{"N": n, "B": 64 if kind == "D" else 32, "R": 262144} for n in "AB"],
            header_offsets=shifted(by_first, by_last),
            text_offsets=shifted(by_first, by_last),
            padding=b"   ",
            after=b"0000",
        )
    )
    np.testing.assert_array_equal(file.events, values)
    assert set(terms(file)) == {"data_offsets"}
    assert "earlier" in file.repairs[-1].note or by_first < 0
    assert "later" in file.repairs[-1].note or by_first > 0


def test_absurd_values_alone_do_not_move_the_data(write_bytes):
    values = np.full((40, 2), np.nan, dtype=np.float32)
    data = floats(values.tolist(), "FF", big_endian=False)
    file = read_fcs(write_bytes(data=data, n_events=40, padding=b"  ", after=b"00"))
    np.testing.assert_array_equal(file.events, values)
    assert file.repairs == ()


def test_no_offsets_at_all(write_bytes):
    offsets = {"header_offsets": lambda *_: ("", ""), "text_offsets": lambda *_: ("x", 0)}
    with pytest.raises(FcsError, match="does not say where its events are"):
        read_fcs(write_bytes(**offsets))


def test_several_data_sets(write_bytes):
    second = make_fcs(FOUR[:16], 2, [{"N": n, "B": 32, "R": 1024} for n in "XY"])
    path = write_bytes(NEXTDATA=f"{0:8}")
    size = path.stat().st_size
    path = write_bytes(NEXTDATA=f"{size:8}", after=second)
    first = read_fcs(path)
    np.testing.assert_array_equal(first.events, VALUES)
    assert terms(first) == ["several_data_sets"]
    other = read_fcs(path, data_set=2)
    np.testing.assert_array_equal(other.events, VALUES[:2])
    assert (other.channels, other.repairs) == (("X", "Y"), ())
    with pytest.raises(FcsError, match="has no data set 3: the last one is number 2"):
        read_fcs(path, data_set=3)


def test_a_next_data_set_beyond_the_end(write_bytes):
    with pytest.raises(FcsError, match="has no data set 2: the last one is number 1"):
        read_fcs(write_bytes(NEXTDATA=99999), data_set=2)


def test_a_next_data_set_that_is_none(write_bytes):
    path = write_bytes(NEXTDATA=10)
    with pytest.raises(FcsError, match="has no data set at byte 10"):
        read_fcs(path, data_set=2)


def test_duplicated_and_blank_names(write_bytes):
    names = ["PE-A", "PE-A_2", "PE-A", "", "P4", "PE-A", ""]
    rows = [list(range(7))]
    file = read_fcs(
        write_bytes(
            data=floats(rows, "F" * 7, big_endian=False),
            n_events=1,
            channels=[{"N": name, "B": 32, "R": 1024} for name in names],
            delimiter="|",
        )
    )
    assert file.channels == ("PE-A", "PE-A_2", "PE-A_3", "P4_2", "P4", "PE-A_4", "P7")
    np.testing.assert_array_equal(file.events, rows)
    assert terms(file) == [
        *("empty_values", "duplicate_channel", "blank_channel", "duplicate_channel"),
        "blank_channel",
    ]


def test_ten_bits_packed_padded_and_stored_in_sixteen(write_bytes):
    rows = [[1023, 0, 513], [7, 1000, 64], [1, 2, 3], [4, 5, 6], [77, 8, 900]]
    channels = [{"N": name, "B": 10, "R": 1024} for name in "ABC"]
    for big_endian in (False, True):
        ways = {
            (): bit_stream(rows, [10] * 3, big_endian),
            ("filled up to whole bytes",): bit_stream(rows, [10] * 3, big_endian, True),
            ("announces 10 bits, and takes 16",): integers(rows, [16] * 3, big_endian),
        }
        for notes, data in ways.items():
            order = "4,3,2,1" if big_endian else "1,2,3,4"
            options = {"datatype": "I", "byteord": order, "channels": channels, "n_events": 5}
            file = read_fcs(write_bytes(data=data, **options))
            np.testing.assert_array_equal(file.events, rows)
            assert terms(file) == ["bit_width"] * len(notes)
            assert all(words in file.repairs[0].note for words in notes)


def test_the_width_is_told_from_a_size_off_by_one(write_bytes):
    rows = [[1023, 0], [7, 1000], [1, 2]]
    channels = [{"N": name, "B": 10, "R": 1024} for name in "AB"]
    file = read_fcs(
        write_bytes(
            data=integers(rows, [16, 16], big_endian=False),
            n_events=3,
            channels=channels,
            datatype="I",
            header_offsets=shifted(0, 1),
            text_offsets=shifted(0, 1),
        )
    )
    np.testing.assert_array_equal(file.events, rows)
    assert terms(file) == ["data_offsets", "bit_width"]


def test_types_that_differ_by_channel(write_bytes):
    kinds = "FID"
    rows = [[1.5, 1023, -2.25], [0.5, 5, 1e5]]
    channels = [
        {"N": "A", "B": 32, "R": 1024},
        {"N": "B", "B": 32, "R": 1024, "DATATYPE": "I"},
        {"N": "C", "B": 64, "R": 1024, "DATATYPE": "D"},
    ]
    data = floats(rows, kinds, big_endian=True)
    options = {"version": "3.2", "byteord": "4,3,2,1"}
    file = read_fcs(write_bytes(data=data, n_events=2, channels=channels, **options))
    np.testing.assert_array_equal(file.events, rows)
    assert file.repairs == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"byteord": "3,4,1,2"}, r'orders the bytes of a value as "3,4,1,2" \(\$BYTEORD\)'),
        ({"BYTEORD": None}, r'orders the bytes of a value as ""'),
        ({"datatype": "Q"}, r'channel "FSC-A" as values of type "Q"'),
        ({"DATATYPE": None}, r'as values of type ""'),
        ({"datatype": "I", "P2B": "*"}, r'in how many bits channel "PE-A" is stored'),
        ({"datatype": "I", "P1B": "128"}, r'in how many bits channel "FSC-A" is stored'),
        ({"MODE": "U"}, r'holds histograms \(mode "U"\)'),
        ({"P2DATATYPE": "A", "version": "3.2"}, r"as text"),
    ],
)
def test_what_cannot_be_read_is_named(write_bytes, options, message):
    with pytest.raises(FcsError, match=rf"a\.fcs: .*{message}.*export it"):
        read_fcs(write_bytes(**options))


def test_single_bytes_need_no_order(write_bytes):
    channels = [{"N": name, "B": 8, "R": 256} for name in "AB"]
    file = read_fcs(
        write_bytes(
            data=bytes([1, 2, 3, 255]), n_events=2, channels=channels, datatype="I", BYTEORD=""
        )
    )
    np.testing.assert_array_equal(file.events, [[1, 2], [3, 255]])


def test_ranges_that_are_no_whole_numbers(write_bytes):
    channels = [{"N": "A", "B": 32, "R": "262144.0"}, {"N": "B", "B": 32, "R": "9e12"}]
    rows = [[2**31 + 5, 2**31 + 5]]
    file = read_fcs(
        write_bytes(
            data=integers(rows, [32, 32], False), n_events=1, channels=channels, datatype="I"
        )
    )
    np.testing.assert_array_equal(file.events, [[5, np.float32(2**31 + 5)]])
    assert file.ranges == (262144, 9e12)


def test_values_beyond_single_precision_become_infinite(write_bytes):
    data = floats([[1e300, -1e300]], "DD", big_endian=False)
    file = read_fcs(write_bytes(data=data, n_events=1, datatype="D"))
    np.testing.assert_array_equal(file.events, [[np.inf, -np.inf]])


def test_scaled_integers_lose_nothing_on_the_way(write_bytes):
    """The step is taken in double precision, the rounding to single precision comes last."""
    channels = [{"N": "Time", "B": 32, "R": 2**32}, {"N": "B", "B": 32, "R": 2**32, "G": "3"}]
    rows = [[2**24 + 1, 2**25 + 3]]
    path = write_bytes(
        data=integers(rows, [32, 32], False),
        n_events=1,
        channels=channels,
        datatype="I",
        TIMESTEP="0.1",
    )
    expected = [[np.float32((2**24 + 1) * 0.1), np.float32((2**25 + 3) / 3)]]
    np.testing.assert_array_equal(read_fcs(path).events, expected)


@pytest.mark.parametrize("packed", [False, True])
def test_a_sample_is_blocks_spread_over_the_file(write_bytes, packed):
    n_events, width = 30_001, 15 if packed else 32
    rows = [[number, number % 7] for number in range(n_events)]
    if packed:
        data, kind = bit_stream(rows, [width, width], True), "I"
    else:
        data, kind = floats(rows, "FF", big_endian=True), "F"
    channels = [{"N": name, "B": width, "R": 2**width} for name in "AB"]
    options = {"datatype": kind, "byteord": "4,3,2,1"}
    path = write_bytes(data=data, n_events=n_events, channels=channels, **options)
    file = read_fcs(path, sample=2000)
    numbers = file.events[:, 0]
    assert 2000 <= len(numbers) <= 2300
    assert file.n_events == n_events
    np.testing.assert_array_equal(file.events[:, 1], numbers % 7)
    steps = np.diff(numbers)
    assert (steps > 0).all()
    assert 20 <= (steps > 1).sum() <= 50
    assert numbers[0] == 0
    assert n_events - 10 < numbers[-1] < n_events
    spread = np.histogram(numbers, bins=10, range=(0, n_events))[0]
    assert spread.min() > 100
    np.testing.assert_array_equal(read_fcs(path, sample=2000).events, file.events)
    assert len(read_fcs(path, sample=n_events).events) == n_events
    assert len(read_fcs(path, sample=n_events - 1).events) == n_events
    assert len(read_fcs(path, sample=1).events) == 8


def test_a_sample_of_nothing_is_a_mistake(write_bytes):
    with pytest.raises(ValueError, match="at least one event"):
        read_fcs(write_bytes(), sample=0)


def test_reading_takes_little_more_memory_than_the_events(write_fcs):
    events = np.ones((200_000, 10), dtype=np.float32)
    path = write_fcs("a.fcs", events, [f"C{n}" for n in range(10)], P3G="2")
    tracemalloc.start()
    try:
        read_fcs(path)
        assert tracemalloc.get_traced_memory()[1] < events.nbytes + 5e6
    finally:
        tracemalloc.stop()
