"""Whatever a lab writes into a cell comes back as it was."""

import math
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.tables import format_cell, read_rows, write_rows

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20).map(
    str.strip
)
NAME = CELL.filter(bool)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_text_survives_a_round_trip(data):
    columns = data.draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, CELL)), max_size=5))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.tsv"
        write_rows(path, columns, rows)
        assert read_rows(path) == rows


@given(st.floats(-1e300, 1e300))
def test_floats_keep_ten_digits(value):
    back = float(format_cell(value))
    assert back == value or math.isclose(back, value, rel_tol=1e-9)


@given(st.integers())
def test_integers_keep_all_digits(value):
    assert int(format_cell(value)) == value
