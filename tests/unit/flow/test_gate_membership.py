import numpy as np
import pytest

from biocross.flow.gate_membership import (
    Membership,
    deepest_gates,
    read_membership,
    write_membership,
)
from biocross.flow.gate_membership import _combinations as combinations


def bits(*rows):
    """Words in which event i has the bits of row i."""
    words = np.zeros((2, len(rows)), dtype=np.uint64)
    for event, row in enumerate(rows):
        for bit in row:
            words[bit // 64, event] |= np.uint64(1 << bit % 64)
    return words


def test_events_with_the_same_gates_share_a_combination():
    order = [f"p{number}" for number in range(70)]
    rows = [(), (0,), (0, 69), (0,), (69,), (0, 69)]
    code, names = combinations(bits(*rows), order)
    assert names[0] == []
    assert [names[one] for one in code] == [[f"p{bit}" for bit in row] for row in rows]
    assert len(names) == len(set(rows))


def test_no_event_outside_all_gates_still_leaves_number_0_to_none():
    code, names = combinations(bits((1,), (2,))[:1], ["a", "b", "c"])
    assert names == [[], ["b"], ["c"]]
    assert code.tolist() == [1, 2]


def test_what_was_written_is_read(tmp_path):
    values = {"S1": np.array([0, 1, 1], np.uint16), "S2": np.zeros(0, np.uint16)}
    written = Membership(values, [[], ["T_cells"]], {"S1": ["T_cells"], "S2": []})
    write_membership(tmp_path / "m.arrow", written)
    found = read_membership(tmp_path / "m.arrow")
    assert found.populations == written.populations
    assert found.known == written.known
    assert {name: list(one) for name, one in found.combination.items()} == {
        "S1": [0, 1, 1],
        "S2": [],
    }


@pytest.mark.parametrize(
    ("names", "deepest"), [([], ""), (["a", "b"], "b"), (["a", "c", "b"], "c")]
)
def test_the_deepest_gate_names_a_combination(names, deepest):
    assert deepest_gates([names], {"a": 0, "b": 1, "c": 1}) == [deepest]
