"""Droplets with a cell, of many without."""

import numpy as np
import pytest

from biocross.cells.droplets import call_cells, is_unfiltered


def droplets(n_cells=2000, n_poor=0, n_empty=40_000, seed=0):
    """Totals: cells of about 6,000 counts, poor ones of 900, empty droplets of 15."""
    rng = np.random.default_rng(seed)
    cells = rng.poisson(rng.lognormal(np.log(6000), 0.5, n_cells))
    poor = rng.poisson(rng.lognormal(np.log(900), 0.35, n_poor))
    empty = rng.poisson(rng.lognormal(np.log(15), 1, n_empty))
    totals = np.concatenate([cells, poor, empty]).astype(np.int64)
    return totals, np.arange(totals.size) < n_cells + n_poor


@pytest.mark.parametrize("n_cells", [100, 2000, 10_000])
@pytest.mark.parametrize("expected", [None, 3000])
def test_cells_are_called(n_cells, expected):
    totals, truth = droplets(n_cells)
    called = call_cells(totals, expected)
    assert called.is_cell[truth].mean() > 0.99
    assert called.is_cell[~truth].sum() < 5
    assert np.array_equal(called.is_cell, totals >= called.minimum)


def test_cells_of_little_rna_are_kept():
    """A tenth of the largest, the rule of Cell Ranger 2, would lose nearly all of them."""
    totals, truth = droplets(3000, n_poor=600)
    poor = np.arange(totals.size) >= 3000
    called = call_cells(totals)
    assert called.is_cell[poor & truth].mean() > 0.9
    tenth = 0.1 * np.percentile(np.sort(totals)[-3600:], 99)
    assert (totals[poor & truth] >= tenth).mean() < 0.1
    assert called.is_cell[~truth].sum() < 0.02 * called.is_cell.sum()


def test_doubtful_droplets_are_counted():
    totals, _ = droplets(2000)
    called = call_cells(totals)
    assert called.minimum > 500
    assert called.doubtful == np.count_nonzero((totals >= 500) & ~called.is_cell) > 0


def test_empty_droplets_are_those_of_at_most_100_counts():
    called = call_cells(np.array([0, 99, 100, 101, 5000, 6000], dtype=np.int64))
    assert called.is_empty.tolist() == [True, True, True, False, False, False]


def test_no_cell_among_empty_droplets():
    called = call_cells(np.array([0, 3, 100], dtype=np.int64))
    assert not called.is_cell.any()


def test_unfiltered_is_what_is_mostly_empty():
    totals, _ = droplets()
    assert is_unfiltered(totals)
    assert not is_unfiltered(totals[:20_000])
    assert not is_unfiltered(totals + 100)
