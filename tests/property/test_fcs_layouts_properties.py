"""Whatever way a file stores its values, they come back as they were."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from fcs_bytes import bit_stream, floats, integers, make_fcs
from hypothesis import event, given, settings
from hypothesis import strategies as st

from biocross.flow.fcs import read_fcs

SETTINGS = settings(deadline=None, max_examples=150)
BIG_ENDIAN = st.booleans()
# Whole, plausible and exact in single precision.
SINGLES = st.integers(1, 2**23).map(lambda n: n / 8) | st.just(0.0)
NAME = st.text(st.sampled_from("ABCabc-/_ 12"), max_size=6)


def channels_of(widths, ranges, names=None):
    names = names or [f"C{n}" for n in range(len(widths))]
    fields = zip(names, widths, ranges, strict=True)
    return [{"N": name, "B": width, "R": top} for name, width, top in fields]


def read(content, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.fcs"
        path.write_bytes(content)
        return read_fcs(path, **options)


def order(big_endian, short=False):
    text = "1,2" if short else "1,2,3,4"
    return text[::-1] if big_endian else text


@st.composite
def integer_tables(draw, widths):
    """Draw widths, ranges and rows of integers, some with bits beyond the range."""
    chosen = draw(st.lists(widths, min_size=1, max_size=5))
    ranges = [
        draw(st.sampled_from([2**w, max(2, 2**w - 1), max(2, 2**w // 3), 2**40])) for w in chosen
    ]
    row = st.tuples(*(st.integers(0, 2**width - 1) for width in chosen))
    return chosen, ranges, draw(st.lists(row, min_size=1, max_size=9))


def as_read(rows, widths, ranges):
    """Return the values that count: the bits below the next power of two of the range."""
    tops = []
    for width, top in zip(widths, ranges, strict=True):
        power = 1
        while power < top:
            power *= 2
        tops.append(min(power, 2**width))
    kept = [[value % top for value, top in zip(row, tops, strict=True)] for row in rows]
    return np.array(kept, dtype=np.float64).astype(np.float32)


@SETTINGS
@given(
    table=integer_tables(st.sampled_from([8, 16, 24, 32, 64])),
    big_endian=BIG_ENDIAN,
    version=st.sampled_from(["2.0", "3.0", "3.1", "3.2"]),
    padding=st.binary(max_size=9),
)
def test_integers_of_whole_bytes(table, big_endian, version, padding):
    widths, ranges, rows = table
    event("one width" if len(set(widths)) == 1 else "mixed widths")
    content = make_fcs(
        integers(rows, widths, big_endian),
        len(rows),
        channels_of(widths, ranges),
        version=version,
        datatype="I",
        byteord=order(big_endian, short=set(widths) == {16}),
        padding=padding,
        after=b"00000000",
    )
    file = read(content)
    np.testing.assert_array_equal(file.events, as_read(rows, widths, ranges))
    assert file.ranges == tuple(map(float, ranges))
    assert file.repairs == ()


@SETTINGS
@given(
    table=integer_tables(st.integers(1, 40)),
    big_endian=BIG_ENDIAN,
    whole_events=st.booleans(),
)
def test_integers_bit_by_bit(table, big_endian, whole_events):
    widths, ranges, rows = table
    widths, ranges = [*widths, 10], [*ranges, 1024]
    rows = [(*row, sum(row) % 1024) for row in rows]
    data = bit_stream(rows, widths, big_endian, whole_events)
    stream = bit_stream(rows, widths, big_endian)
    if whole_events and len(stream) == len(data):
        # The size does not tell them apart, and the standard wants a stream.
        data = stream
    options = {"datatype": "I", "byteord": order(big_endian), "after": b"00000000"}
    file = read(make_fcs(data, len(rows), channels_of(widths, ranges), **options))
    np.testing.assert_array_equal(file.events, as_read(rows, widths, ranges))
    event("padded" if data != stream else "stream")
    assert [repair.what for repair in file.repairs] == ["bit_width"] * (data != stream)


@SETTINGS
@given(data=st.data(), big_endian=BIG_ENDIAN, n_channels=st.integers(1, 6))
def test_floating_point_values_and_types_that_differ_by_channel(data, big_endian, n_channels):
    kinds = data.draw(st.lists(st.sampled_from("FDI"), min_size=n_channels, max_size=n_channels))
    if data.draw(st.booleans()):
        kinds = kinds[:1] * n_channels
    cells = st.tuples(*(SINGLES if k != "I" else st.integers(0, 2**23) for k in kinds))
    rows = data.draw(st.lists(cells, max_size=8))
    event(f"{len(set(kinds))} kinds")
    channels = [
        {**one, "DATATYPE": kind}
        for one, kind in zip(
            channels_of([64 if k == "D" else 32 for k in kinds], [2**24] * n_channels),
            kinds,
            strict=True,
        )
    ]
    content = make_fcs(
        floats(rows, kinds, big_endian),
        len(rows),
        channels,
        version="3.2",
        datatype=kinds[0],
        byteord=order(big_endian),
    )
    file = read(content)
    assert file.events.shape == (len(rows), n_channels)
    np.testing.assert_array_equal(file.events, np.reshape(rows, (-1, n_channels)))
    assert file.repairs == ()


@SETTINGS
@given(
    names=st.lists(NAME, min_size=1, max_size=8),
    delimiter=st.sampled_from("|*\\\f!"),
)
def test_names_are_each_given_once_and_kept_where_they_can_be(names, delimiter):
    n_channels = len(names)
    data = floats([range(n_channels)], "F" * n_channels, big_endian=False)
    channels = channels_of([32] * n_channels, [1024] * n_channels, names)
    file = read(make_fcs(data, 1, channels, delimiter=delimiter))
    assert len(set(file.channels)) == n_channels
    assert all(file.channels)
    stripped = [name.strip() for name in names]
    for number, (given_name, name) in enumerate(zip(file.channels, stripped, strict=True)):
        if name and name not in stripped[:number]:
            assert given_name == name
        elif name:
            assert given_name.startswith(f"{name}_")
        else:
            assert given_name.startswith(f"P{number + 1}")
    changed = sum(a != b for a, b in zip(file.channels, stripped, strict=True))
    told = [r.what for r in file.repairs if r.what.endswith("_channel")]
    assert len(told) == changed


@SETTINGS
@given(
    first=st.sampled_from([-1, 0, 1]),
    last=st.sampled_from([-1, 0, 1]),
    in_header=st.sampled_from(["same", "blank", "zero", "far off"]),
    big_endian=BIG_ENDIAN,
    seed=st.integers(0, 999),
)
def test_offsets_off_by_one_byte(first, last, in_header, big_endian, seed):
    if abs(last - first) > 1:
        return
    values = np.random.default_rng(seed).normal(2000, 500, size=(30, 3)).astype(np.float32)
    header_offsets = {
        "same": lambda a, b: (a + first, b + last),
        "blank": lambda *_: ("", ""),
        "zero": lambda *_: (0, 0),
        "far off": lambda a, b: (a - 9, b - 3),
    }[in_header]
    content = make_fcs(
        floats(values.tolist(), "FFF", big_endian),
        30,
        channels_of([32] * 3, [262144] * 3),
        byteord=order(big_endian),
        header_offsets=header_offsets,
        text_offsets=lambda a, b: (a + first, b + last),
        padding=b"    ",
        after=b"00000000",
    )
    file = read(content)
    np.testing.assert_array_equal(file.events, values)
    sound = first == last == 0 and in_header == "same"
    assert bool(file.repairs) != sound
    assert {repair.what for repair in file.repairs} <= {"data_offsets"}


@SETTINGS
@given(n_events=st.integers(1, 400), sample=st.integers(1, 450), width=st.sampled_from([9, 11]))
def test_a_sample_is_some_of_the_events_in_their_order(n_events, sample, width):
    rows = [[number % 2**width, (number * 7) % 2**width] for number in range(n_events)]
    content = make_fcs(
        bit_stream(rows, [width, width], big_endian=False),
        n_events,
        channels_of([width] * 2, [2**width] * 2),
        datatype="I",
    )
    whole, part = read(content).events, read(content, sample=sample).events
    assert min(sample, n_events) <= len(part) <= n_events
    numbers = part[:, 0].astype(int)
    assert (np.diff(numbers) > 0).all()
    np.testing.assert_array_equal(part, whole[numbers])


@pytest.mark.parametrize("kind", ["F", "I"])
def test_many_chunks_are_put_together(kind):
    """More bytes than are decoded at a time, and not a multiple of them."""
    values = np.random.default_rng(0).integers(0, 2**20, size=(150_001, 3))
    stored = values.astype("<f4" if kind == "F" else "<u4").tobytes()
    channels = channels_of([32] * 3, [2**20] * 3)
    channels[1]["G"] = "4"
    file = read(make_fcs(stored, len(values), channels, datatype=kind))
    np.testing.assert_array_equal(file.events, values / np.array([1, 4, 1]))
