import numpy as np
import pytest

from biocross.flow.clusters.levels import find_levels


def _draw(*modes, n=4000, sd=0.05, seed=3):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(mode, sd, n) for mode in modes]).astype(np.float32)


def test_negative_and_positive():
    levels = find_levels(_draw(0.2, 0.8), zero=0.1)
    assert 0.3 < levels.low < 0.7
    assert np.isnan(levels.high)
    assert levels.source == "valley"
    assert levels.is_clear


def test_negative_dim_and_bright():
    levels = find_levels(_draw(0.15, 0.5, 0.8), zero=0.1)
    assert 0.25 < levels.low < 0.4
    assert 0.6 < levels.high < 0.7


def test_dim_cells_are_seen_below_a_deeper_valley():
    # As NK cells: bright ones stand apart more clearly than dim ones from the many negatives.
    values = np.concatenate([_draw(0.2, n=20_000, sd=0.08), _draw(0.5, n=2000), _draw(0.9, n=2000)])
    levels = find_levels(values, zero=0.1)
    assert 0.3 < levels.low < 0.45
    assert 0.6 < levels.high < 0.8


def test_dim_and_bright_cells_without_negative_ones():
    levels = find_levels(_draw(0.7, 0.9, sd=0.03), zero=0.1)
    assert levels.low == -np.inf
    assert 0.75 < levels.high < 0.85
    assert levels.source == "bright"
    assert not levels.is_clear


def test_all_positive_or_all_negative():
    positive = find_levels(_draw(0.8), zero=0.1)
    assert (positive.low, positive.source) == (-np.inf, "all_positive")
    negative = find_levels(_draw(0.12), zero=0.1)
    assert 0.25 < negative.low < 0.32
    assert negative.source == "tail"
    assert find_levels(_draw(0.8)).source == "tail"


def test_tail_of_mass_cytometry_has_the_width_of_the_upper_flank():
    rng = np.random.default_rng(1)
    values = np.arcsinh((rng.poisson(1.5, 20_000) - rng.random(20_000)) / 5).astype(np.float32)
    levels = find_levels(values, zero=0.0)
    assert levels.source == "tail"
    assert np.mean(values > levels.low) < 0.02


def test_missing_values_and_few_events():
    values = _draw(0.2, 0.8)
    with_gaps = np.concatenate([values, np.full(5000, np.nan, np.float32)])
    assert find_levels(with_gaps, 0.1) == pytest.approx(find_levels(values, 0.1), nan_ok=True)
    assert find_levels(values[:20], 0.1).source == "none"
    assert find_levels(np.full(100, np.nan, np.float32)).source == "none"
    assert np.isfinite(find_levels(np.full(500, 0.3, np.float32)).low)


@pytest.mark.parametrize("n", [60, 300, 1000, 5000])
def test_one_kind_of_cells_is_seldom_divided(n):
    divided = [find_levels(_draw(0.2, n=n, seed=seed)).is_clear for seed in range(40)]
    assert np.mean(divided) < 0.1
