import numpy as np
import pytest
from flowutils.compensate import compensate as flowutils_compensate

from biocross.errors import FcsError
from biocross.flow.compensation import (
    DOUBLE_SHARE,
    choose_spillover,
    compensate,
    is_compensated,
    share_below_spill,
)
from biocross.flow.fcs import read_fcs
from biocross.flow.spillover import Spillover
from biocross.flow.spillover_tables import read_spillover


@pytest.fixture
def example(test_data):
    """A file of 14 colours, whose own header says "no spill", and the matrix that belongs to it."""
    folder = test_data / "flowkit"
    spillover = read_spillover(folder / "comp_complete_example.csv")
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
def test_real_file_as_a_solution_in_double_precision(example):
    file, spillover = example
    columns = [file.channels.index(name) for name in spillover.channels]
    raw = file.events[:, columns].astype(np.float64)
    expected = np.linalg.solve(spillover.matrix.T, raw.T).T
    compensated = compensate(file.events, file.channels, spillover)[:, columns]
    # Float32 rounds what is subtracted, so the error is relative to an event's brightest value.
    error = np.abs(compensated - expected).max(axis=1) / np.abs(raw).max(axis=1)
    assert error.max() < 1e-6


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


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n_events", [0, 3, 40_000])
def test_memory_order_and_place(order, n_events):
    """More events than one block, in either order, copied, into another array or in place."""
    random = np.random.default_rng(2)
    channels = ("FSC-A", "A", "B", "Time", "C")
    spillover = Spillover(("C", "A", "B"), np.eye(3) * 0.9 + 0.1)
    events = np.asarray(random.normal(0, 1e4, (n_events, 5)).astype(np.float32), order=order)
    expected = events.astype(np.float64)
    expected[:, [4, 1, 2]] = np.linalg.solve(spillover.matrix.T, expected[:, [4, 1, 2]].T).T
    copy = compensate(events, channels, spillover)
    np.testing.assert_allclose(copy, expected, rtol=1e-5, atol=0.05)
    assert copy.dtype == np.float32
    assert copy.flags.f_contiguous == events.flags.f_contiguous
    other = np.full_like(events, 7)
    assert compensate(events, channels, spillover, out=other) is other
    np.testing.assert_array_equal(other, copy)
    assert compensate(events, channels, spillover, out=events) is events
    np.testing.assert_array_equal(events, copy)


@pytest.mark.parametrize(
    ("name", "compensated"),
    [
        ("Comp-PE-A", True),
        ("FJComp-PE-A", True),
        ("<PE-A>", True),
        ("PE-A", False),
        ("Compound-A", False),
        ("CD4<dim", False),
    ],
)
def test_names_of_compensated_channels(name, compensated):
    assert is_compensated(name) is compensated


CHANNELS = ("FSC-A", "FITC-A", "PE-A", "Time")
HEADER = Spillover(("FITC-A", "PE-A"), np.array([[1, 0.3], [0.01, 1]]), "$SPILLOVER")
TABLE = Spillover(("FITC-A", "PE-A"), np.array([[1, 0.2], [0.01, 1]]), "table.csv")
RAW_DETECTORS = tuple(f"{laser}{n}-A" for laser in ("V", "B", "R") for n in range(1, 9))


@pytest.mark.parametrize(
    ("mode", "header", "table", "cytometry", "spill", "note"),
    [
        ("auto", HEADER, TABLE, "conventional", 0.2, "compensated with table.csv (2 channels)"),
        ("auto", HEADER, None, "conventional", 0.3, "compensated with $SPILLOVER (2 channels)"),
        ("auto", None, None, "conventional", None, "no spillover matrix in the file"),
        ("file", HEADER, TABLE, "conventional", 0.3, "compensated with $SPILLOVER"),
        ("table", HEADER, TABLE, "conventional", 0.2, "compensated with table.csv"),
        ("none", HEADER, TABLE, "conventional", None, "switched off"),
        ("auto", HEADER, None, "spectral", None, "(spill up to 0.3) is not applied to spectral"),
        ("auto", None, None, "spectral", None, "none needed"),
        ("auto", HEADER, TABLE, "spectral", 0.2, "compensated with table.csv"),
        ("auto", HEADER, None, "mass", None, "is not applied to mass"),
        ("auto", HEADER, TABLE, "mass", 0.2, "compensated with table.csv"),
        ("file", HEADER, TABLE, "mass", None, "is not applied to mass"),
    ],
)
def test_choice_of_the_matrix(mode, header, table, cytometry, spill, note):
    choice = choose_spillover(mode, header, table, CHANNELS, cytometry)
    assert note in choice.note
    assert (choice.spillover is None) == (spill is None)
    if choice.spillover is not None:
        assert choice.spillover.matrix[0, 1] == spill


def test_matrix_without_spill_is_passed_over_even_if_its_names_are_odd():
    empty = Spillover(("xxx", "PE-A"), np.eye(2), "SPILL")
    choice = choose_spillover("auto", empty, None, CHANNELS, "conventional")
    assert choice == (None, "the matrix of SPILL holds no spill")


def test_chosen_matrix_fits_the_file():
    table = Spillover(("pe a", "FITC-A"), np.array([[2, 0.5], [0.1, 1]]), "table.csv")
    spillover = choose_spillover("auto", None, table, CHANNELS, "conventional").spillover
    assert spillover.channels == ("PE-A", "FITC-A")
    assert spillover.matrix.tolist() == [[1, 0.25], [0.1, 1]]


@pytest.mark.parametrize("matrix", [HEADER, TABLE], ids=["header", "table"])
def test_compensated_channels_are_not_compensated_again(matrix):
    channels = ("FSC-A", "Comp-FITC-A", "Comp-PE-A", "Time")
    choice = choose_spillover("auto", matrix, None, channels, "conventional")
    assert choice.spillover is None
    assert "compensated already" in choice.note
    named = matrix._replace(channels=("Comp-FITC-A", "Comp-PE-A"))
    assert choose_spillover("auto", named, None, channels, "conventional").spillover is None


def test_raw_channels_beside_their_compensated_copies_are_compensated():
    channels = (*CHANNELS, "Comp-FITC-A", "Comp-PE-A")
    choice = choose_spillover("auto", HEADER, None, channels, "conventional")
    assert choice.spillover.channels == ("FITC-A", "PE-A")


@pytest.mark.parametrize("cytometry", ["spectral", "conventional"])
def test_raw_detectors_are_to_be_unmixed(cytometry):
    identity = Spillover(RAW_DETECTORS, np.eye(len(RAW_DETECTORS)))
    with pytest.raises(FcsError, match=r"24 raw detectors of a spectral cytometer.*unmix first"):
        choose_spillover("auto", identity, None, ("FSC-A", *RAW_DETECTORS), cytometry)


def test_unmixed_channels_and_few_lettered_detectors_pass():
    """MACSQuant names the detectors of conventional dyes V1-A, B1-A and so on."""
    unmixed = tuple(f"BV{number}-A" for number in range(400, 430))
    choose_spillover("auto", None, None, unmixed, "spectral")
    choose_spillover("auto", None, None, RAW_DETECTORS[:10], "conventional")


def test_impossible_choices():
    with pytest.raises(FcsError, match="none is given"):
        choose_spillover("table", HEADER, None, CHANNELS, "conventional")
    with pytest.raises(FcsError, match='"PE-A", which is no channel of the file'):
        choose_spillover("auto", HEADER, None, ("FITC-A", "APC-A"), "conventional")
    with pytest.raises(ValueError, match="mode is one of"):
        choose_spillover("csv", HEADER, None, CHANNELS, "conventional")


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "flowsom_68983/68983.fcs",
        "diva/124500.fcs",
        "peacoqc/111.fcs",
        "metacyto/Hs90208C20090205_00.583331.fcs",
        "metacyto/T_Hs60003C200900407A_00.581924.fcs",
    ],
)
def test_compensated_values_of_real_files_are_recognised(test_data, name):
    file = read_fcs(test_data / name)
    compensated = compensate(file.events, file.channels, file.spillover)
    assert share_below_spill(file.events, file.channels, file.spillover) < DOUBLE_SHARE
    assert share_below_spill(compensated, file.channels, file.spillover) > DOUBLE_SHARE


def test_share_below_spill_needs_spill_and_events():
    events = np.ones((2000, 4), dtype=np.float32)
    assert np.isnan(share_below_spill(events[:999], CHANNELS, HEADER))
    assert np.isnan(share_below_spill(events, CHANNELS, HEADER._replace(matrix=np.eye(2))))


def test_a_matrix_that_cannot_be_used_is_refused_with_a_sentence():
    broken = Spillover(("A", "B"), np.array([[0.0, 0.1], [0.2, 1.0]]), "matrix.csv")
    with pytest.raises(FcsError, match=r"the matrix of matrix\.csv: the diagonal of A is 0"):
        choose_spillover("table", None, broken, ("A", "B"), "conventional")
