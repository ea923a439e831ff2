import math

import numpy as np
import pytest

from biocross.flow.marker_modes import find_mode
from biocross.flow.negative_modes import (
    MODE_ERROR,
    UNKNOWN,
    Negatives,
    lower_flank,
    measure_near,
    measure_negatives,
    negative_mode,
    negative_shifts,
)

SD = 0.25


@pytest.fixture
def random():
    return np.random.default_rng(5)


def cells(random, number, *classes, shift=0.0, sd=SD):
    """Negatives around `shift`, and classes given as (number per negative, place)."""
    parts = [random.normal(shift, sd, number)]
    parts += [random.normal(place + shift, SD, round(number * ratio)) for ratio, place in classes]
    return np.concatenate(parts).astype(np.float32)


def believed(first, second, response=1.0):
    """Shift from the first sample to the second that is believed."""
    pool = measure_negatives(np.concatenate([first, second]))
    measured = [measure_near(values, pool, 0.5) for values in (first, second)]
    _, shifts = negative_shifts(measured, response)
    return shifts[1] - shifts[0]


@pytest.mark.parametrize("positives", [0.01, 1.0, 9.0])
def test_the_positives_do_not_move_the_mode(random, positives):
    """From 1 % to 90 % positive."""
    found = [negative_mode(cells(random, 5000, (positives, 1.5))) for _ in range(20)]
    assert np.mean(found) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("number", [200, 1000, 10_000])
def test_the_error_of_the_mode(random, number):
    measured = [measure_negatives(cells(random, number, (0.2, 1.5))) for _ in range(150)]
    spread = np.std([one.mode for one in measured])
    assert spread == pytest.approx(MODE_ERROR * SD / math.sqrt(number), rel=0.25)
    assert np.mean([one.error for one in measured]) == pytest.approx(spread, rel=0.3)
    assert np.mean([one.spread for one in measured]) == pytest.approx(SD, rel=0.05)


def test_dirt_below_is_not_the_negatives(random):
    values = cells(random, 10_000, (0.5, 1.5), (0.01, -2.0))
    assert negative_mode(values) == pytest.approx(0, abs=0.03)


def test_few_negatives_are_found_below_many_positives(random):
    assert negative_mode(cells(random, 600, (19.0, 1.5))) == pytest.approx(0, abs=0.06)


def test_nothing_is_known_of_too_few_events(random):
    assert math.isnan(negative_mode(cells(random, 49)))
    pool = measure_negatives(cells(random, 1000))
    assert measure_near(cells(random, 49), pool, 0.5) == UNKNOWN
    assert measure_near(cells(random, 100), UNKNOWN, 0.5) == UNKNOWN
    assert np.isnan(lower_flank(np.array([], dtype=np.float32), 0.0, SD))


@pytest.mark.parametrize("constant", [0.0, -3.3, 262_143.0])
def test_equal_values_are_their_own_mode(constant):
    values = np.full(500, constant, dtype=np.float32)
    found = measure_negatives(values)
    assert found.mode == pytest.approx(constant, rel=1e-6, abs=1e-6)
    assert found.spread == 0
    assert measure_near(values, found, 1.0).mode == pytest.approx(constant, rel=1e-6, abs=1e-6)


def test_values_that_are_no_numbers_are_left_out(random):
    values = cells(random, 1000)
    assert negative_mode(np.append(values, [np.nan, np.inf, -np.inf])) == negative_mode(values)


def test_the_flank_is_the_mode_of_a_normal_distribution(random):
    found = [lower_flank(random.normal(0, SD, 10_000), 0.0, SD) for _ in range(40)]
    assert np.mean(found) == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("number", [1000, 20_000])
@pytest.mark.parametrize("drift", [0.1, -0.1, 0.3])
def test_a_drift_is_believed(random, number, drift):
    found = [
        believed(cells(random, number, (0.2, 1.5)), cells(random, number, (0.2, 1.5), shift=drift))
        for _ in range(30)
    ]
    # Few events: part of it, as it may be noise.
    least = 0.9 if number > 1000 else 0.6
    assert least * abs(drift) < abs(np.mean(found)) < 1.02 * abs(drift)
    assert np.sign(np.mean(found)) == np.sign(drift)


@pytest.mark.parametrize("number", [100, 200, 1000, 20_000])
def test_no_drift_is_none(random, number):
    found = [
        believed(cells(random, number, (0.2, 1.5)), cells(random, number, (0.2, 1.5)))
        for _ in range(40)
    ]
    # Independent errors of two modes would be 1.
    assert np.std(found) < 0.5 * MODE_ERROR * SD * math.sqrt(2 / number)


@pytest.mark.parametrize(
    ("ratio", "place"), [(0.5, 0.375), (0.5, 0.5), (1.0, 0.5), (1.0, 0.75), (3.0, 0.75), (3.0, 1.0)]
)
def test_a_class_that_vanishes_moves_no_border(random, ratio, place):
    """Eosinophils among the negatives fall by 85 %: the mode of all negatives moves, not they."""
    before = cells(random, 20_000, (ratio, place))
    after = cells(random, 20_000, (0.15 * ratio, place))
    moved = believed(before, after)
    # Not found in one of them is as good: it takes the other's border.
    assert np.isnan(moved) or abs(moved) < 0.025
    # The case is worth testing: the mode of all that is below the border does move.
    assert find_mode(after) - find_mode(before) < -0.05


def test_wider_negatives_move_no_border(random):
    """More spillover spreads them; the flank moves, the mode does not."""
    assert abs(believed(cells(random, 20_000), cells(random, 20_000, sd=1.3 * SD))) < 0.02


def test_shifts_are_told_from_a_typical_sample():
    samples = [Negatives(mode, mode, SD, 0.0) for mode in (0.2, 0.2, 0.5)]
    typical, shifts = negative_shifts([*samples, UNKNOWN])
    assert typical.mode == pytest.approx(0.2)
    np.testing.assert_allclose(shifts, [0, 0, 0.3, np.nan])


def test_the_smaller_shift_is_believed_and_none_where_they_disagree():
    pairs = [(0.0, 0.0), (0.1, 0.04), (0.1, 0.4), (0.1, -0.1)]
    for mode, flank in pairs:
        samples = [Negatives(-mode, -flank, SD, 0.0), Negatives(mode, flank, SD, 0.0)]
        _, shifts = negative_shifts(samples)
        expected = min(mode, flank) if flank > 0 else 0.0
        np.testing.assert_allclose(shifts, [-expected, expected], atol=1e-12)


def test_a_shift_is_shrunk_by_its_error():
    """Two samples, 0.1 apart: each lies 0.05 from the typical, with half of the error's square."""
    samples = [Negatives(mode, mode, SD, 0.05) for mode in (0.0, 0.1)]
    _, shifts = negative_shifts(samples)
    np.testing.assert_allclose(shifts, [-0.025, 0.025])
    _, shifts = negative_shifts([one._replace(error=0.08) for one in samples])
    np.testing.assert_array_equal(shifts, [0, 0])


def test_no_sample_is_known():
    typical, shifts = negative_shifts([UNKNOWN, UNKNOWN])
    assert math.isnan(typical.mode)
    assert np.isnan(shifts).all()


def test_a_larger_class_above_does_not_draw_the_mode_up_its_slope():
    """As CD11c on leukocytes: few true negatives below many dim neutrophils, seldom astray."""
    found = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        negatives = random.normal(0.2, 0.05, 3000)
        dim = random.normal(0.45, 0.07, 12_000)
        found.append(measure_negatives(np.concatenate([negatives, dim]).astype(np.float32)).mode)
    assert np.median(np.abs(np.array(found) - 0.2)) < 0.02
    assert (np.abs(np.array(found) - 0.2) < 0.05).mean() >= 0.9
