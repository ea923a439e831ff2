import numpy as np
import pytest

from biocross.flow.evenly import evenly


@pytest.mark.parametrize(("size", "most"), [(11, 6), (1000, 7), (8, 7)])
def test_first_and_last_and_as_far_apart_as_can_be(size, most):
    kept = evenly(np.arange(size), most)
    assert kept.size == most
    assert (kept[0], kept[-1]) == (0, size - 1)
    assert np.ptp(np.diff(kept)) <= 1


@pytest.mark.parametrize("size", [0, 4, 5])
def test_all_where_there_are_no_more(size):
    values = np.arange(size, dtype=np.float32)
    assert evenly(values, 5) is values
