import numpy as np
import pytest

from biocross.flow.marker_modes import find_mode, mode_rows


def normal(n, mean, sd, seed=0):
    return np.random.default_rng(seed).normal(mean, sd, n).astype(np.float32)


def test_the_mode_of_normal_values_is_their_mean():
    """The error promised is 1.24 SD / sqrt(n); the mean of 200 samples and their spread show it."""
    found = np.array([find_mode(normal(2000, 0.6, 0.05, seed)) for seed in range(200)])
    assert found.mean() == pytest.approx(0.6, abs=0.0004)
    assert found.std() == pytest.approx(1.24 * 0.05 / np.sqrt(2000), rel=0.25)


def test_the_mode_is_that_of_the_many():
    values = np.concatenate([normal(3000, 0.3, 0.04), normal(1000, 0.8, 0.04, 1)])
    assert find_mode(values) == pytest.approx(0.3, abs=0.005)


def test_a_long_tail_moves_the_mean_but_hardly_the_mode():
    tail = 0.3 + np.random.default_rng(1).exponential(0.3, 800).astype(np.float32)
    values = np.concatenate([normal(4000, 0.3, 0.04), tail])
    assert values.mean() > 0.34
    assert find_mode(values) == pytest.approx(0.3, abs=0.008)


@pytest.mark.parametrize("size", [0, 1, 49])
def test_fewer_than_fifty_events_have_no_mode(size):
    assert np.isnan(find_mode(normal(size, 0.5, 0.1)))
    assert not np.isnan(find_mode(normal(50, 0.5, 0.1)))


def test_equal_values_are_their_own_mode():
    assert find_mode(np.full(100, 0.25, dtype=np.float32)) == 0.25
    spike = np.concatenate([np.zeros(200, dtype=np.float32), normal(100, 2.0, 0.3)])
    assert find_mode(spike) == 0.0


def test_values_that_are_not_finite_are_left_out():
    values = np.concatenate([normal(500, 0.5, 0.05), [np.nan, np.inf]]).astype(np.float32)
    assert find_mode(values) == pytest.approx(0.5, abs=0.01)


def test_rows_count_and_divide_at_the_border():
    values = np.concatenate([normal(400, 0.2, 0.03), normal(120, 0.7, 0.03, 1), [0.45]])
    members = {"T_cells": {"CD4": values.astype(np.float32)}}
    (row,) = mode_rows("S1", [("CD4_bright", "CD4", "T_cells", np.float32(0.45))], members)
    assert (row["n_negative"], row["n_positive"]) == (401, 120)  # on the border: negative
    assert row["negative_mode"] == pytest.approx(0.2, abs=0.01)
    assert row["positive_mode"] == pytest.approx(0.7, abs=0.01)
    assert (row["sample_id"], row["threshold"], row["population"]) == (
        "S1",
        "CD4_bright",
        "T_cells",
    )


def test_without_a_border_there_are_no_sides():
    members = {"root": {"CD4": normal(500, 0.2, 0.1)}}
    (row,) = mode_rows("S1", [("CD4", "CD4", "root", float("nan"))], members)
    assert (row["n_negative"], row["n_positive"]) == (0, 0)
    assert np.isnan(row["negative_mode"])
    assert np.isnan(row["positive_mode"])
