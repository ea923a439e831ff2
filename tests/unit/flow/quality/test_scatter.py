import numpy as np
import pytest

from biocross.flow.quality.scatter import flag_doublets, flag_margin, flag_nonfinite


def cells(random, number, ssc, ratio, doublet_share=0.0):
    """Single cells of one scatter class, some of them replaced by pairs of cells."""
    height = random.normal(60_000, 9_000, number).clip(20_000)
    area = height * random.normal(ratio, 0.02, number)
    doublet = random.random(number) < doublet_share
    area = np.where(doublet, 1.7 * area, area)
    side = random.normal(ssc, 0.1 * ssc, number) * np.where(doublet, 1.9, 1)
    return area, height, side, doublet


def mixed(random, *classes):
    """Shuffle classes of cells together, with their number as a last column."""
    number = np.repeat(np.arange(len(classes)), [part[0].size for part in classes])
    columns = [np.concatenate(values) for values in zip(*classes, strict=True)]
    order = random.permutation(number.size)
    area, height, side, doublet = (column[order] for column in columns)
    scatter = (column.astype(np.float32) for column in (area, height, side))
    return *scatter, doublet.astype(bool), number[order]


@pytest.fixture
def random():
    return np.random.default_rng(7)


@pytest.fixture
def two_classes(random):
    lymphocytes = cells(random, 6000, 20_000, ratio=1.0, doublet_share=0.05)
    granulocytes = cells(random, 4000, 90_000, ratio=1.12, doublet_share=0.05)
    return mixed(random, lymphocytes, granulocytes)


def test_planted_doublets_are_found_in_every_class(two_classes):
    area, height, side, doublet, number = two_classes
    flagged = flag_doublets(area, height, side)
    for scatter_class in (0, 1):
        planted = doublet & (number == scatter_class)
        assert planted.sum() > 150
        assert flagged[planted].mean() > 0.9


def test_single_cells_of_both_classes_are_kept(two_classes):
    area, height, side, doublet, number = two_classes
    flagged = flag_doublets(area, height, side)
    for scatter_class in (0, 1):
        assert flagged[~doublet & (number == scatter_class)].mean() < 0.01


def test_why_strata(two_classes):
    """One border for all cells takes the class whose area is larger for its height."""
    area, height, _, doublet, number = two_classes
    thinned = (number == 0) | (np.arange(number.size) % 4 == 0)
    flagged = flag_doublets(area[thinned], height[thinned])
    assert flagged[~doublet[thinned] & (number[thinned] == 1)].mean() > 0.5


def test_doublets_do_not_depend_on_the_unit_of_scatter(two_classes):
    area, height, side, *_ = two_classes
    flagged = flag_doublets(area, height, side)
    np.testing.assert_array_equal(flag_doublets(area * 4, height * 4, side * 2), flagged)


def test_a_wider_border_flags_fewer(two_classes):
    area, height, side, *_ = two_classes
    flagged = [flag_doublets(area, height, side, n_mad).sum() for n_mad in (2.0, 4.0, 8.0)]
    assert flagged[0] > flagged[1] > flagged[2] > 0


@pytest.mark.parametrize("size", [0, 1, 5, 199])
def test_few_events_make_one_stratum(random, size):
    area, height, side, _ = cells(random, size, 20_000, ratio=1.0)
    np.testing.assert_array_equal(flag_doublets(area, height, side), flag_doublets(area, height))


def test_zero_height_is_no_error():
    area, height = np.ones(300, dtype=np.float32), np.zeros(300, dtype=np.float32)
    assert flag_doublets(area, height).shape == (300,)


def test_margin_is_scatter_at_or_below_zero():
    area = np.array([-5, -0.0, 0, 1e-3, 262143], dtype=np.float32)
    assert flag_margin(area).tolist() == [True, True, True, False, False]


def test_nonfinite_in_any_channel():
    events = np.zeros((5, 3), dtype=np.float32)
    events[1, 0], events[2, 2], events[4, 1] = np.nan, np.inf, -np.inf
    assert flag_nonfinite(events).tolist() == [False, True, True, False, True]
