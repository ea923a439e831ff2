import numpy as np
import pytest
from flowutils.compensate import compensate as flowutils_compensate

from biocross.errors import FcsError
from biocross.flow.compensation import compensate
from biocross.flow.fcs import read_fcs
from biocross.flow.spillover import Spillover


@pytest.fixture
def example(test_data):
    """A file of 14 colours, whose own header says "no spill", and the matrix that belongs to it."""
    folder = test_data / "flowkit"
    table = folder / "comp_complete_example.csv"
    names = table.read_text().splitlines()[0].split(",")
    spillover = Spillover(tuple(names), np.loadtxt(table, delimiter=",", skiprows=1))
    return read_fcs(folder / "test_comp_example.fcs"), spillover


@pytest.mark.data
def test_real_file_as_flowutils(example):
    file, spillover = example
    columns = [file.channels.index(name) for name in spillover.channels]
    expected = flowutils_compensate(file.events.astype(float), spillover.matrix, columns)
    assert np.abs(expected - file.events).max() > 1000
    compensated = compensate(file.events, file.channels, spillover)
    np.testing.assert_allclose(compensated, expected, rtol=1e-5, atol=0.05)  # of 262,144


@pytest.mark.data
def test_matrix_without_spill_changes_nothing(example, test_data):
    file, _ = example
    compensated = compensate(file.events, file.channels, file.spillover)
    np.testing.assert_array_equal(compensated, file.events)
    raw = np.fromfile(test_data / "flowkit" / "test_comp_example.npy").reshape(file.events.shape)
    time = file.channels.index("Time")
    np.testing.assert_array_equal(np.delete(compensated, time, 1), np.delete(raw, time, 1))


def test_observed_is_true_times_spillover():
    """Written out for two dyes: row = fluorochrome, column = detector."""
    true = np.array([[100, 0], [0, 100], [50, 20]], dtype=np.float32)
    seen = np.column_stack([true[:, 0] + 0.25 * true[:, 1], 0.5 * true[:, 0] + true[:, 1]])
    events = np.column_stack([seen[:, 1], [7, 8, 9], seen[:, 0]]).astype(np.float32)
    before = events.copy()
    spillover = Spillover(("A", "B"), np.array([[1, 0.5], [0.25, 1]]))
    compensated = compensate(events, ("B", "FSC-A", "A"), spillover)
    np.testing.assert_allclose(compensated[:, [2, 0]], true, atol=1e-4)
    np.testing.assert_array_equal(compensated[:, 1], [7, 8, 9])
    np.testing.assert_array_equal(events, before)


@pytest.mark.parametrize(
    "matrix",
    [[[1, 0.5], [1, 0.5]], [[1, 1], [1, 1 + 1e-10]], [[0, 0], [0, 0]]],
    ids=["same row", "nearly the same", "zeros"],
)
def test_singular_matrix(matrix):
    spillover = Spillover(("A", "B"), np.array(matrix, dtype=float))
    with pytest.raises(FcsError, match="singular: two fluorochromes spill alike"):
        compensate(np.ones((3, 2), dtype=np.float32), ("A", "B"), spillover)


def test_unknown_detector():
    spillover = Spillover(("A", "PE-A"), np.eye(2))
    with pytest.raises(FcsError, match='names "PE-A", which is no channel of the file'):
        compensate(np.ones((3, 2), dtype=np.float32), ("A", "B"), spillover)


def test_values_that_are_not_finite_stay_in_their_event():
    spillover = Spillover(("A", "B"), np.array([[1, 0.5], [0.25, 1]]))
    events = np.array([[1, 1], [np.nan, 1], [np.inf, 1], [1, 1]], dtype=np.float32)
    compensated = compensate(events, ("A", "B"), spillover)
    assert np.isfinite(compensated).all(axis=1).tolist() == [True, False, False, True]
    np.testing.assert_array_equal(compensated[0], compensated[3])
