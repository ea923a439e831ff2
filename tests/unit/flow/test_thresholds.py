import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from biocross.flow.thresholds import (
    TAIL_SD,
    find_fmo,
    find_mixture,
    find_peaks,
    find_tail,
    find_valley,
)


@pytest.fixture
def random():
    return np.random.default_rng(11)


def mixture(random, number, *parts):
    """Draw from Gaussians given as (share, mean, sd)."""
    sizes = [round(number * share) for share, _, _ in parts]
    values = [
        random.normal(mean, sd, size) for size, (_, mean, sd) in zip(sizes, parts, strict=True)
    ]
    return np.concatenate(values).astype(np.float32)


def antimode(*parts):
    """Where the density of a mixture of two Gaussians is lowest between their means."""
    (_, low, _), (_, high, _) = parts
    return minimize_scalar(
        lambda x: sum(share * norm.pdf(x, mean, sd) for share, mean, sd in parts),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    ).x


@pytest.mark.parametrize(
    "parts",
    [
        ((0.5, 0.2, 0.05), (0.5, 0.7, 0.05)),
        ((0.8, 0.2, 0.08), (0.2, 0.7, 0.08)),
        ((0.3, 0.25, 0.05), (0.7, 0.7, 0.1)),
        ((0.6, -2.0, 0.5), (0.4, 2.0, 1.0)),
    ],
)
def test_valley_is_at_the_antimode(random, parts):
    values = mixture(random, 40_000, *parts)
    found = find_valley(values)
    expected = antimode(*parts)
    distance = parts[1][1] - parts[0][1]
    assert found.source == "valley"
    assert found.value == pytest.approx(expected, abs=0.05 * distance)
    assert 0.8 < found.depth <= 1
    # What matters more than the place: hardly any cell is on the wrong side of it.
    wrong = sum(
        share * norm.sf(side * (found.value - mean) / sd)
        for side, (share, mean, sd) in zip((1, -1), parts, strict=True)
    )
    best = sum(
        share * norm.sf(side * (expected - mean) / sd)
        for side, (share, mean, sd) in zip((1, -1), parts, strict=True)
    )
    assert wrong < best + 0.002


def test_depth_of_a_shallow_valley(random):
    """1 - density at the valley / density at the lower peak, of the smoothed density."""
    parts = ((0.5, 0.0, 1.0), (0.5, 3.0, 1.0))
    found = find_valley(mixture(random, 100_000, *parts))
    density = [sum(s * norm.pdf(x, m, sd) for s, m, sd in parts) for x in (0.02, 1.5)]
    assert found.source == "valley"
    assert found.depth == pytest.approx(1 - density[1] / density[0], abs=0.06)


@pytest.mark.parametrize("share", [0.01, 0.005])
def test_rare_positives(random, share):
    negative, positive = (1 - share, 0.2, 0.05), (share, 0.7, 0.06)
    values = mixture(random, 40_000, negative, positive)
    found = find_valley(values)
    assert found.source == "valley"
    assert 0.2 + 3 * 0.05 < found.value < 0.7 - 2 * 0.06
    assert (values > found.value).mean() == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize(
    ("number", "share"), [(20_000, 0.001), (100_000, 0.0005), (250_000, 0.0002)]
)
def test_very_rare_positives_show_at_a_wider_bandwidth(random, number, share):
    """They lie apart, but so thin that the density of the many does not show them."""
    found = [
        find_valley(mixture(random, number, (1 - share, 0.2, 0.05), (share, 0.8, 0.06)))
        for _ in range(10)
    ]
    assert sum(one.source == "valley" for one in found) >= 9
    assert all(0.2 + 4 * 0.05 < one.value < 0.75 for one in found if one.source == "valley")


def test_one_mode_has_no_valley_but_a_tail(random):
    found = [find_valley(random.normal(0.3, 0.1, 5000).astype(np.float32)) for _ in range(20)]
    assert {threshold.source for threshold in found} == {"tail"}
    assert all(math.isnan(threshold.depth) for threshold in found)
    borders = np.array([threshold.value for threshold in found])
    assert borders.mean() == pytest.approx(0.3 + TAIL_SD * 0.1, abs=0.03)
    assert np.abs(borders - borders.mean()).max() < 0.1


@pytest.mark.parametrize(
    "draw",
    [
        lambda random: random.exponential(1, 5000),
        lambda random: random.standard_t(3, 5000),
        lambda random: random.uniform(0, 1, 5000),
    ],
    ids=["skewed", "heavy tails", "flat"],
)
def test_noise_is_no_valley(random, draw):
    assert find_valley(draw(random).astype(np.float32)).source == "tail"


def test_tail_is_estimated_below_the_mode_alone(random):
    """Positives that smear into the negatives must not widen them."""
    negatives = random.normal(0.3, 0.1, 20_000)
    smear = random.uniform(0.35, 0.6, 4000)
    values = np.concatenate([negatives, smear]).astype(np.float32)
    assert find_tail(values, 0.3).value == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("number", [0, 1, 49])
def test_too_few_events(number):
    found = find_valley(np.linspace(0, 1, number, dtype=np.float32))
    assert found.source == "too_few_events"
    assert math.isnan(found.value)


def test_fifty_events_are_enough(random):
    assert find_valley(mixture(random, 50, (0.5, 0, 0.1), (0.5, 5, 0.1))).source == "valley"


def test_between_chooses_the_valley(random):
    values = mixture(random, 30_000, (0.4, 0, 0.3), (0.3, 3, 0.3), (0.3, 7, 0.3))
    assert 4 < find_valley(values, (4, 6)).value < 6
    assert 1 < find_valley(values, (0.5, 2.5)).value < 2


@pytest.mark.parametrize(("sign", "valley"), [(1, 1.5), (-1, -1.5)])
def test_the_deepest_valley_wins(random, sign, valley):
    """Whichever side it is on, and although the other two modes are the larger ones."""
    values = mixture(random, 30_000, (0.2, 0, 0.3), (0.4, 3, 0.3), (0.4, 4.2, 0.3))
    assert find_valley(sign * values).value == pytest.approx(valley, abs=0.4)


@pytest.mark.parametrize("between", [(0.15, 0.2), (0.8, 0.9)])
def test_between_is_never_left(random, between):
    """No valley within: the tail, brought inside."""
    values = mixture(random, 20_000, (0.5, 0.2, 0.05), (0.5, 0.7, 0.05))
    found = find_valley(values, between)
    assert found.source == "tail"
    assert between[0] <= found.value <= between[1]


@pytest.mark.parametrize("constant", [0.0, 1.0, -3.3, 50_000.0, 262_143.0, 4e6])
def test_equal_values_are_all_negative(constant):
    """A saturated channel, or one in which nothing was stained."""
    values = np.full(100, constant, dtype=np.float32)
    found = find_valley(values)
    assert found.source == "tail"
    assert not (values > found.value).any()
    assert found.value == pytest.approx(constant, rel=1e-5, abs=1e-5)


def test_two_values_are_told_apart():
    values = np.repeat(np.array([0, 262_143], dtype=np.float32), [900, 100])
    found = find_valley(values)
    assert found.source == "valley"
    assert (values > found.value).sum() == 100


def test_many_zeros_of_mass_cytometry(random):
    values = np.concatenate([np.zeros(2000), np.abs(random.normal(3, 0.5, 500))])
    found = find_valley(values.astype(np.float32))
    assert found.source == "valley"
    assert 0 < found.value < 2


def test_peaks_that_are_counting_noise_are_merged():
    grid = np.linspace(-4, 4, 200)
    smooth = 50 + 1000 * np.exp(-0.5 * grid**2)
    noisy = smooth + 5 * np.sin(20 * grid)
    assert len(find_peaks(noisy, effective=1e6)) > 1
    assert len(find_peaks(noisy, effective=5.0)) == 1
    (peak,) = find_peaks(smooth, effective=1e6)
    assert abs(grid[peak]) < 0.05


def test_peak_at_the_end_of_the_grid():
    assert find_peaks(np.array([5.0, 3, 1, 0, 0]), 10) == [0]
    assert find_peaks(np.array([0.0, 0, 1, 3, 5]), 10) == [4]


@pytest.mark.parametrize(
    "parts",
    [
        ((0.5, 0.2, 0.05), (0.5, 0.7, 0.05)),
        ((0.9, 0.2, 0.08), (0.1, 0.6, 0.1)),
        ((0.2, -2.0, 0.5), (0.8, 1.0, 0.8)),
        ((0.99, 0.2, 0.05), (0.01, 0.6, 0.1)),
    ],
)
def test_mixture_is_where_both_components_are_equally_likely(random, parts):
    (low_share, low, low_sd), (high_share, high, high_sd) = parts
    found = find_mixture(mixture(random, 50_000, *parts))
    expected = brentq(
        lambda x: low_share * norm.pdf(x, low, low_sd) - high_share * norm.pdf(x, high, high_sd),
        low,
        high,
    )
    assert found.source == "mixture"
    assert found.value == pytest.approx(expected, abs=0.03 * (high - low))
    separation = (high - low) / math.sqrt((low_sd**2 + high_sd**2) / 2)
    assert found.separation == pytest.approx(separation, rel=0.08)
    assert math.isnan(found.depth)


def test_mixture_agrees_with_scikit_learn(random):
    from sklearn.mixture import GaussianMixture

    values = mixture(random, 20_000, (0.7, 0.2, 0.08), (0.3, 0.55, 0.12))
    model = GaussianMixture(2, tol=1e-8, max_iter=1000, random_state=0).fit(values[:, None])
    means = model.means_.ravel()
    grid = np.linspace(means.min(), means.max(), 2000)
    positive = model.predict_proba(grid[:, None])[:, np.argmax(means)]
    border = grid[np.argmax(positive > 0.5)]
    assert find_mixture(values).value == pytest.approx(border, abs=0.003)


@pytest.mark.parametrize(
    "parts",
    [((0.5, 0.2, 0.1), (0.5, 0.35, 0.1)), ((1.0, 0.2, 0.1),)],
    ids=["too near", "one only"],
)
def test_a_mixture_that_is_none_is_refused(random, parts):
    found = find_mixture(mixture(random, 20_000, *parts))
    assert found.source == "tail"
    assert not found.separation >= 2


def test_a_refused_mixture_tells_its_separation(random):
    """At D = 1.8 the two would be fitted well enough, but one cell in six misplaced."""
    found = find_mixture(mixture(random, 40_000, (0.7, 0.2, 0.1), (0.3, 0.38, 0.1)))
    assert found.source == "tail"
    assert 1.5 < found.separation < 2


def test_a_mixture_with_a_handful_is_refused(random):
    """Eight events of 20,000 are no population, however far away."""
    found = find_mixture(mixture(random, 20_000, (0.9996, 0.2, 0.05), (0.0004, 0.9, 0.02)))
    assert found.source != "mixture"
    assert found.value < 0.9


def test_a_mixture_outside_the_believed_range_is_refused(random):
    values = mixture(random, 20_000, (0.5, 0.2, 0.05), (0.5, 0.7, 0.05))
    found = find_mixture(values, (0.1, 0.25))
    assert found.source == "tail"
    assert 0.1 <= found.value <= 0.25
    assert find_mixture(values, (0.3, 0.6)).source == "mixture"


def test_mixture_of_too_few_and_of_equal_values():
    assert find_mixture(np.zeros(49, dtype=np.float32)).source == "too_few_events"
    assert find_mixture(np.zeros(1000, dtype=np.float32)).source == "tail"


def test_fmo_of_a_normal_control_is_its_tail(random):
    """Of a normal distribution the 99.5th percentile lies at 2.58 SD, the floor at 3."""
    found = find_fmo(random.normal(0.3, 0.1, 50_000).astype(np.float32), 0.3)
    assert found.source == "fmo"
    assert found.value == pytest.approx(0.6, abs=0.01)


def test_fmo_of_a_skewed_control_is_its_percentile(random):
    """Spillover of the other dyes stretches the control upwards: this is what it is for."""
    control = mixture(random, 50_000, (0.9, 0.3, 0.05), (0.1, 0.8, 0.05))
    found = find_fmo(control, 0.3)
    assert found.value == pytest.approx(np.percentile(control, 99.5), abs=1e-6)
    assert (control > found.value).mean() == pytest.approx(0.005, abs=0.0005)


def test_fmo_of_too_few_events_and_within_its_range(random):
    control = random.normal(0.3, 0.1, 200).astype(np.float32)
    assert find_fmo(control[:-1], 0.3).source == "too_few_events"
    assert math.isnan(find_fmo(control[:-1], 0.3).value)
    assert find_fmo(control, 0.3, (0.3, 0.4)).value == pytest.approx(0.4)
