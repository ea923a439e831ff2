import numpy as np
import pytest
from fcs_bytes import bit_stream, floats, integers

from biocross.flow.event_layouts import (
    Layout,
    decode,
    implausible_share,
    is_big_endian,
    possible_layouts,
)


def decoded(data, layout, n_events):
    return decode(np.frombuffer(data, dtype=np.uint8), layout, n_events)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2,3,4", False),
        ("4,3,2,1", True),
        ("1,2", False),
        ("2,1", True),
        (" 4, 3, 2, 1 ", True),
        ("1,2,3,4,5,6,7,8", False),
        ("3,4,1,2", None),
        ("1", None),
        ("", None),
        ("1,2,3", False),
        ("4,3,2", None),
        ("a,b", None),
    ],
)
def test_byte_orders(text, expected):
    assert is_big_endian(text) is expected


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("width", [8, 16, 24, 32, 40, 64])
def test_integers_of_one_width(width, big_endian):
    rows = [[0, 1, 2**width - 1], [2 ** (width - 1), 200, 3]]
    layout = possible_layouts("III", [width] * 3, [2.0**width] * 3, big_endian)[0]
    values = decoded(integers(rows, [width] * 3, big_endian), layout, 2)
    np.testing.assert_array_equal(values.astype(float), np.array(rows, dtype=float))


@pytest.mark.parametrize("big_endian", [False, True])
def test_integers_of_several_widths(big_endian):
    widths = [16, 8, 32, 24]
    rows = [[65535, 255, 2**32 - 1, 2**24 - 1], [1, 2, 3, 4], [256, 128, 65536, 258]]
    layout = possible_layouts("IIII", widths, [2.0**w for w in widths], big_endian)[0]
    np.testing.assert_array_equal(decoded(integers(rows, widths, big_endian), layout, 3), rows)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("whole_events", [False, True])
def test_bit_packed_integers(big_endian, whole_events):
    widths = [10, 3, 12, 1]
    rows = [[1023, 5, 4095, 1], [512, 0, 1, 0], [1, 7, 2048, 1]]
    layouts = possible_layouts("IIII", widths, [np.nan] * 4, big_endian)
    assert [layout.packing for layout in layouts] == ["stream", "events", "bytes"]
    assert [layout.n_bytes(3) for layout in layouts] == [10, 12, 18]
    data = bit_stream(rows, widths, big_endian, whole_events)
    np.testing.assert_array_equal(decoded(data, layouts[whole_events], 3), rows)


def test_known_bits():
    """Worked out by hand: 10 bits each of 0b11_0000_0001 and 0b01_0000_0010."""
    (big, *_), (little, *_) = (
        possible_layouts("II", [10, 10], [1024, 1024], order) for order in (True, False)
    )
    content = bytes([0b11000000, 0b01010000, 0b00100000])
    np.testing.assert_array_equal(decoded(content, big, 1), [[0b1100000001, 0b0100000010]])
    content = bytes([0b00000001, 0b00001011, 0b00000100])
    np.testing.assert_array_equal(decoded(content, little, 1), [[0b1100000001, 0b0100000010]])


def test_floating_point_widths_do_not_depend_on_what_is_announced():
    for kinds, big_endian in (("FF", True), ("DD", False), ("FD", True)):
        layouts = possible_layouts(kinds, [8, 0], [np.nan, 1024], big_endian)
        assert len(layouts) == 1
        values = decoded(floats([[1.5, -2.25]], kinds, big_endian), layouts[0], 1)
        np.testing.assert_array_equal(values, [[1.5, -2.25]])


@pytest.mark.parametrize(
    ("top", "kept"),
    [
        (1024, 1023),
        (1000, 1023),
        (1025, 2047),
        (1024.5, 2047),
        (65536, 65535),
        (1e300, 65535),
        (0, 65535),
        (1, 65535),
        (-5, 65535),
        (np.nan, 65535),
        (np.inf, 65535),
    ],
)
def test_only_the_bits_within_the_range_count(top, kept):
    for widths in ([16, 16], [16, 32]):
        layout = possible_layouts("II", widths, [top, 65536], False)[0]
        data = integers([[65535, 65535]], widths, False)
        np.testing.assert_array_equal(decoded(data, layout, 1), [[kept, 65535]])


def test_ten_bits_may_be_stored_as_sixteen():
    layout = possible_layouts("II", [10, 10], [1024, 1024], True)[-1]
    assert layout == Layout(("I", "I"), (16, 16), (1023, 1023), True, "bytes")
    np.testing.assert_array_equal(decoded(b"\x02\x01\xfc\x03", layout, 1), [[513, 3]])


def test_plain_values_are_not_copied():
    content = np.zeros(24, dtype=np.uint8)
    layout = possible_layouts("FFF", [32] * 3, [1024.0] * 3, False)[0]
    assert np.shares_memory(decode(content, layout, 2), content)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("kind", ["F", "D", "I"])
def test_values_out_of_step_are_implausible(kind, big_endian):
    random = np.random.default_rng(5)
    values = random.normal(3000, 900, size=(50, 3)).clip(0)
    rows = values.astype(int).tolist() if kind == "I" else values.tolist()
    data = b"?" + floats(rows, [kind] * 3, big_endian) + b"?"
    layout = possible_layouts([kind] * 3, [32] * 3, [262144] * 3, big_endian)[0]
    size = layout.n_bytes(50)
    shares = [
        implausible_share(np.frombuffer(data[at : at + size], np.uint8), layout, 50)
        for at in (0, 1, 2)
    ]
    assert shares[1] == 0
    assert min(shares[0], shares[2]) > 0.2


def test_values_of_absurd_size_are_implausible_and_missing_ones_are_not():
    layout = possible_layouts("FFFFF", [32] * 5, [1024] * 5, False)[0]
    content = np.array([np.nan, np.inf, 1e30, 1e-30, 0.0], dtype="<f4").view(np.uint8)
    assert implausible_share(content, layout, 1) == pytest.approx(0.4)
    assert implausible_share(content[:0], layout, 0) == 0
