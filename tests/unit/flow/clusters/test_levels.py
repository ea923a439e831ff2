import numpy as np
import pytest

from biocross.flow.clusters.levels import (
    FIRM_PARTING,
    find_levels,
    find_levels_of_clusters,
)


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


def _smeared(n_clusters, *parts, seed=4):
    """Draw clusters, each of parts: events, mean, standard deviation."""
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([rng.normal(mean, sd, n) for n, mean, sd in parts]).astype(np.float32)
        for _ in range(n_clusters)
    ]


def _shares(samples, levels):
    return np.array([np.mean(values > levels.low) for values in samples])


def test_clusters_show_the_border_that_smeared_events_hide():
    negative = _smeared(6, (800, 0.1, 0.15))
    positive = _smeared(6, (800, 0.55, 0.25)) + _smeared(2, (400, 1.1, 0.1))
    events = find_levels(np.concatenate([*negative, *positive]), zero=0.0)
    assert events.source == "tail"
    assert _shares(positive, events).max() < 0.1
    found = find_levels_of_clusters([*negative, *positive], zero=0.0)
    assert found.source == "clusters"
    assert _shares(positive, found).min() > 0.75
    assert _shares(negative, found).max() < 0.15
    assert found.is_clear
    # A sixth of a smeared cluster lies on the wrong side.
    assert 0.7 < found.parting < FIRM_PARTING
    assert found.is_doubtful


def test_a_shallow_valley_in_the_wrong_place_is_moved():
    negative = _smeared(6, (800, 0.1, 0.15))
    positive = _smeared(5, (600, 0.5, 0.25), (200, 1.1, 0.12))
    events = find_levels(np.concatenate([*negative, *positive]), zero=0.0)
    assert events.source == "valley"
    assert _shares(positive, events).max() < 0.5
    found = find_levels_of_clusters([*negative, *positive], zero=0.0)
    assert found.source == "clusters"
    assert _shares(positive, found).min() > 0.75
    assert _shares(negative, found).max() < 0.15
    assert not found.high < found.low
    # Upper clusters that bear less than what may be noise show nothing.
    noise = find_levels_of_clusters([*negative, *positive], zero=0.0, least=0.8)
    assert noise.low == events.low


def test_a_deep_valley_stays_and_is_firm():
    samples = [_draw(mode, n=500, seed=i) for i, mode in enumerate([0.2, 0.2, 0.25, 0.8])]
    found = find_levels_of_clusters(samples, zero=0.1)
    assert found._replace(parting=0) == find_levels(np.concatenate(samples), 0.1)._replace(
        high=found.high, parting=0
    )
    assert found.depth > 0.9
    assert found.parting > 0.99
    assert not found.is_doubtful
    # Cells in the middle of two clusters do not make it doubtful.
    mixed = find_levels_of_clusters([_draw(0.2, 0.8, n=400, seed=i) for i in (1, 2)], zero=0.1)
    assert (mixed.source, mixed.parting) == ("valley", 0)
    assert not mixed.is_doubtful


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["counts", "light"])
def test_slices_of_noise_are_not_positive(kind, seed):
    rng, n = np.random.default_rng(seed), 12_000
    if kind == "counts":
        # Half a count on average; alone it would pass, but not against a panel of bright markers.
        values, zero, least = np.arcsinh((rng.poisson(0.5, n) - rng.random(n)) / 5), 0.0, 1.0
    else:
        values, zero, least = rng.normal(0.15, 0.06, n), 0.1, -np.inf
    # As a map slices them that takes noise for structure.
    rank = np.argsort(np.argsort(values + rng.normal(0, values.std() / 2, n)))
    samples = [values[rank * 20 // n == k].astype(np.float32) for k in range(20)]
    found = find_levels_of_clusters(samples, zero, least)
    assert found.source != "clusters"
    if kind == "counts":
        assert find_levels_of_clusters(samples, zero).source == "clusters"


def test_all_positive_cells_are_left_alone():
    samples = [_draw(mode, n=600, sd=0.04, seed=i) for i, mode in enumerate([0.74, 0.8, 0.86])]
    found = find_levels_of_clusters(samples, zero=0.1)
    assert found == pytest.approx(find_levels(np.concatenate(samples), 0.1), nan_ok=True)
    assert found.low == -np.inf


def test_clusters_without_the_marker_are_passed_over():
    samples = [_draw(0.2, n=500), _draw(0.8, n=500)]
    nothing = [np.full(40, np.nan, np.float32), np.zeros(0, np.float32)]
    expected = find_levels_of_clusters(samples, 0.1)
    assert find_levels_of_clusters([*nothing, *samples], 0.1) == pytest.approx(
        expected, nan_ok=True
    )
    assert find_levels_of_clusters(nothing).source == "none"
    assert find_levels_of_clusters([]).source == "none"


@pytest.mark.parametrize("with_fragments", [0, 1])
def test_a_border_of_fragments_is_passed_over(with_fragments):
    """As side scatter: fragments, lymphocytes, granulocytes; at most a cluster is half of them."""
    rng = np.random.default_rng(5)
    fragments = rng.normal(0.05, 0.01, 120)
    low = [np.concatenate([rng.normal(0.3, 0.03, 500), fragments]) for _ in range(8)]
    high = [rng.normal(0.8, 0.08, 500) for _ in range(3)]
    mixed = np.concatenate([fragments, rng.normal(0.3, 0.03, 110)])
    clusters = (*low, *high, *[mixed] * with_fragments)
    samples = [values.astype(np.float32) for values in clusters]
    assert find_levels(np.concatenate(samples)).low < 0.2
    levels = find_levels_of_clusters(samples)
    assert 0.4 < levels.low < 0.65
    assert levels.parting > 0.85
