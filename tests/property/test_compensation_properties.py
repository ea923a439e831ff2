"""Compensation and spillover matrices: scale, order, round trips, and no traceback."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.errors import ConfigError, FcsError
from biocross.flow.compensation import compensate
from biocross.flow.spillover import (
    Spillover,
    normalise_spillover,
    parse_spillover,
    spillover_problems,
    unread_compensation,
)
from biocross.flow.spillover_tables import read_spillover, write_spillover

QUIET = settings(deadline=None, max_examples=60)


@st.composite
def spillovers(draw):
    size = draw(st.integers(2, 7))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    matrix = np.eye(size) + random.uniform(0, 0.5 / size, (size, size)) * (1 - np.eye(size))
    return Spillover(tuple(f"D{number}" for number in range(size)), matrix), random


@QUIET
@given(made=spillovers())
def test_order_of_the_matrix_does_not_matter(made):
    spillover, random = made
    order = random.permutation(len(spillover.channels))
    shuffled = Spillover(
        tuple(spillover.channels[position] for position in order),
        spillover.matrix[np.ix_(order, order)],
    )
    events = random.normal(0, 1e4, (20, len(order))).astype(np.float32)
    np.testing.assert_allclose(
        compensate(events, spillover.channels, shuffled),
        compensate(events, spillover.channels, spillover),
        rtol=1e-5,
        atol=0.05,
    )


@QUIET
@given(made=spillovers())
def test_brightness_of_a_dye_does_not_matter_once_rows_are_scaled(made):
    spillover, random = made
    scales = random.uniform(0.2, 5, len(spillover.channels))[:, None]
    scaled = normalise_spillover(spillover._replace(matrix=spillover.matrix * scales))
    np.testing.assert_allclose(scaled.matrix, spillover.matrix, rtol=1e-12)


@QUIET
@given(made=spillovers())
def test_compensating_is_linear(made):
    spillover, random = made
    one, two = random.normal(0, 1e4, (2, 20, len(spillover.channels))).astype(np.float32)
    both = compensate(one + two, spillover.channels, spillover)
    parts = [compensate(part, spillover.channels, spillover) for part in (one, two)]
    np.testing.assert_allclose(both, parts[0] + parts[1], rtol=1e-4, atol=0.05)


@QUIET
@given(made=spillovers(), channels=st.data())
def test_tables_and_headers_keep_a_matrix(made, channels, tmp_path_factory):
    spillover, _ = made
    size = len(spillover.channels)
    path = tmp_path_factory.mktemp("matrix") / channels.draw(st.sampled_from(["m.csv", "m.tsv"]))
    write_spillover(path, spillover)
    read = read_spillover(path)
    assert read.channels == spillover.channels
    np.testing.assert_array_equal(read.matrix, spillover.matrix)
    values = ",".join(map(repr, spillover.matrix.ravel().tolist()))
    text = f"{size},{','.join(spillover.channels)},{values}"
    parsed = parse_spillover({"spillover": text}, path)
    assert parsed.channels == spillover.channels
    np.testing.assert_array_equal(parsed.matrix, spillover.matrix)


@settings(deadline=None, max_examples=300)
@given(
    text=st.one_of(
        st.text(max_size=60),
        st.text("12.,;\t\n\r -A#\"'%<>ex:", max_size=60),
        st.binary(max_size=60),
    )
)
def test_any_table_is_read_or_refused_in_words(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "matrix.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    message, spillover = "", None
    try:
        spillover = read_spillover(path)
    except ConfigError as error:
        message = str(error)
    if spillover is None:
        assert str(path) in message
    else:
        assert spillover.matrix.shape == (len(spillover.channels),) * 2


@settings(deadline=None, max_examples=300)
@given(
    key=st.sampled_from(["spillover", "spill", "comp", "dfc1to2"]),
    text=st.one_of(st.text(max_size=40), st.text("0123,.-eA n", max_size=40)),
    par=st.sampled_from(["", "0", "1", "2", "x"]),
)
def test_any_keyword_is_parsed_or_refused_in_words(key, text, par):
    keywords = {key: text, "par": par, "p1n": "A", "p2n": "B"}
    unread_compensation(keywords)
    message, spillover = "a.fcs: ", None
    try:
        spillover = parse_spillover(keywords, "a.fcs")
    except FcsError as error:
        message = str(error)
    assert message.startswith("a.fcs: ")
    assert spillover is None or np.isfinite(spillover.matrix).all()


@settings(deadline=None, max_examples=200)
@given(
    matrix=st.lists(st.floats(width=32), min_size=4, max_size=4),
)
def test_any_matrix_is_judged(matrix):
    spillover = Spillover(("A", "B"), np.array(matrix).reshape(2, 2))
    problems = spillover_problems(spillover, ("A", "B"))
    if not any(severity == "error" for severity, _ in problems):
        usable = normalise_spillover(spillover)
        compensated = compensate(np.ones((1, 2), np.float32), ("A", "B"), usable)
        assert np.isfinite(compensated).all()
