import math
from typing import NamedTuple

import numpy as np
import pytest

from biocross.flow.joint_thresholds import (
    MAX_LEVER,
    MAX_SHARE,
    MIN_SHARE,
    equal_shares,
    find_border,
    flank_response,
    joint_border,
    lever,
    scale_at,
)
from biocross.flow.negative_modes import measure_negatives
from biocross.flow.thresholds import find_valley
from biocross.flow.transforms import (
    Transform,
    decades_between,
    invert_transform,
    transform_exactly,
)

LOGICLE = Transform("logicle", top=262144.0, decades=4.5, width=0.7)
PER_UNIT = decades_between(0, 1, LOGICLE)


class Rule(NamedTuple):
    method: str = "valley"
    value: float | None = None
    between: tuple[float, float] | None = None


@pytest.fixture
def random():
    return np.random.default_rng(7)


def sample(random, number=20_000, share=0.3, shift=0.0, positive=1.2):
    """Values in decades: negatives around 0 (SD 0.2), positives around `positive` (SD 0.2)."""
    high = round(number * share)
    decades = [random.normal(0, 0.2, number - high), random.normal(positive, 0.2, high)]
    return (np.concatenate(decades) + shift).astype(np.float32)


def light(random, gain=1.0, number=20_000, share=0.2):
    """Values on the logicle scale, of light that a gain multiplies."""
    high = round(number * share)
    decades = np.concatenate([random.normal(2, 0.25, number - high), random.normal(3.9, 0.2, high)])
    noise = random.normal(0, 60, number)
    return transform_exactly(gain * 10**decades + noise, LOGICLE).astype(np.float32)


def test_visits_of_a_batch_that_agree_share_one_border(random):
    values = [sample(random), sample(random, share=0.5), sample(random, shift=0.03)]
    found = joint_border(values, ["a"] * 3, Rule(), 1.0)
    assert found.shared
    assert len(set(found.values)) == 1
    assert found.source == "valley"
    assert found.depth > 0.8
    assert math.isnan(found.separation)
    assert found.n_events == 60_000
    assert found.note == ""
    assert found.values[0] == pytest.approx(0.6, abs=0.15)


@pytest.mark.parametrize("batches", [["a", "a"], ["a", "b"]])
def test_each_visit_has_its_own_border_where_the_negatives_moved(random, batches):
    values = [sample(random), sample(random, shift=0.3)]
    found = joint_border(values, batches, Rule(), 1.0)
    assert not found.shared
    assert found.values[1] - found.values[0] == pytest.approx(0.3, abs=0.02)
    # The patient's offset is common.
    offsets = np.subtract(found.values, found.negative_modes)
    assert offsets[0] == pytest.approx(offsets[1], abs=1e-6)
    assert "0.30 decade apart" in found.note or "0.29 decade apart" in found.note


def test_visits_of_a_batch_keep_one_border_when_another_batch_moved(random):
    values = [sample(random), sample(random, shift=0.02), sample(random, shift=0.3)]
    found = joint_border(values, ["a", "a", "b"], Rule(), 1.0)
    assert found.values[0] == found.values[1]
    assert found.values[2] - found.values[0] == pytest.approx(0.29, abs=0.03)


def test_visits_of_different_batches_follow_even_a_small_shift(random):
    """Within a batch 0.04 decade is composition or chance; between two it may be the staining."""
    values = [sample(random, 50_000), sample(random, 50_000, shift=0.04)]
    assert joint_border(values, ["a", "a"], Rule(), 1.0).shared
    found = joint_border(values, ["a", "b"], Rule(), 1.0)
    assert not found.shared
    assert found.values[1] - found.values[0] == pytest.approx(0.04, abs=0.015)


def test_the_tolerance_is_in_decades(random):
    """0.1 unit is 0.02 decade at 0.2 decade per unit."""
    values = [sample(random), sample(random, shift=0.1)]
    assert joint_border(values, ["a", "a"], Rule(), 0.2).shared
    assert not joint_border(values, ["a", "a"], Rule(), 1.0).shared


def test_on_a_linear_scale_the_logarithm_around_the_negatives_counts(random):
    values = [1000 + 100 * sample(random), 1000 + 100 * sample(random, shift=0.3)]
    assert joint_border(values, ["a", "a"], Rule(), math.nan).shared  # 30 of 1,000: 0.013 decade
    values = [column - 900 for column in values]  # 30 of 100: 0.11 decade
    assert not joint_border(values, ["a", "a"], Rule(), math.nan).shared


def test_a_gain_moves_the_border_by_as_much_as_the_light(random):
    values = [light(random), light(random, gain=10**0.1)]
    found = joint_border(values, ["a", "b"], Rule(), PER_UNIT, (), LOGICLE)
    first, second = np.log10(invert_transform(np.array(found.values), LOGICLE))
    assert second - first == pytest.approx(0.1, abs=0.03)
    # The negatives, on the linear part, move less on the display, and so would the border.
    plain = joint_border(values, ["a", "b"], Rule(), PER_UNIT)
    assert np.ptp(plain.values) < 0.75 * np.ptp(found.values)


def test_eosinophils_that_vanish_do_not_move_the_border(random):
    """They lie among the negatives of CD16: 2.5 SD above the lymphocytes, and as many."""
    before = np.concatenate([sample(random), random.normal(0.5, 0.2, 14_000)]).astype(np.float32)
    after = np.concatenate([sample(random), random.normal(0.5, 0.2, 2_100)]).astype(np.float32)
    for batches in (["a", "a"], ["a", "b"]):
        found = joint_border([before, after], batches, Rule(), 1.0)
        assert np.ptp(found.values) < 0.03


def test_a_sample_with_few_events_takes_the_border_of_its_batch(random):
    values = [sample(random), sample(random, shift=0.3), sample(random, 20, shift=0.3)]
    found = joint_border(values, ["a", "b", "b"], Rule(), 1.0)
    assert found.values[2] == pytest.approx(found.values[1])
    assert math.isnan(found.negative_modes[2])
    assert "sample 3" in found.note
    shared = joint_border([sample(random), sample(random, 0)], ["a", "a"], Rule(), 1.0)
    assert shared.shared
    assert shared.values[0] == shared.values[1]


def test_too_few_events_altogether(random):
    found = joint_border([sample(random, 20), sample(random, 20)], ["a", "a"], Rule(), 1.0)
    assert found.source == "too_few_events"
    assert all(math.isnan(value) for value in found.values)
    assert found.n_events == 40
    assert "40 events" in found.note
    assert joint_border([np.empty(0, np.float32)], ["a"], Rule(), 1.0).n_events == 0


def test_small_samples_are_strong_together(random):
    """Thirty events each have no border; twice as many have."""
    values = [sample(random, 30, 0.5), sample(random, 30, 0.5)]
    assert joint_border(values, ["a", "a"], Rule(), 1.0).source == "valley"


def test_one_sample_alone_is_gated_as_by_itself(random):
    values = sample(random)
    found = joint_border([values], ["a"], Rule(), 1.0)
    assert found.shared
    assert found.values == (pytest.approx(find_valley(values).value),)


def test_a_fixed_border_is_what_was_given(random):
    found = joint_border([sample(random), sample(random, shift=0.4)], "ab", Rule("fixed", 0.7), 1.0)
    assert found.values == (0.7, 0.7)
    assert found.source == "fixed"
    assert found.negative_modes[1] - found.negative_modes[0] == pytest.approx(0.4, abs=0.03)
    assert joint_border([np.empty(0, np.float32)], "a", Rule("fixed", 0.7), 1.0).values == (0.7,)


def test_methods(random):
    values = [sample(random), sample(random)]
    assert joint_border(values, "aa", Rule("mixture"), 1.0).separation == pytest.approx(6, abs=0.5)
    tail = joint_border(values, "aa", Rule("tail"), 1.0)
    assert tail.source == "tail"
    assert tail.values[0] == pytest.approx(0.6, abs=0.05)
    held = joint_border(values, "aa", Rule(between=(0.75, 0.9)), 1.0)
    assert 0.75 <= held.values[0] <= 0.9


@pytest.mark.parametrize("rule", [Rule("vally"), Rule("fixed")])
def test_a_rule_that_is_none_is_refused(random, rule):
    with pytest.raises(ValueError, match="no border can be found"):
        joint_border([sample(random)], ["a"], rule, 1.0)


def test_fmo_controls_give_the_border(random):
    values = [sample(random), sample(random, shift=0.3)]
    controls = [sample(random, 5000, share=0), sample(random, 5000, share=0, shift=0.3)]
    found = joint_border(values, ["a", "b"], Rule("fmo"), 1.0, controls)
    assert found.source == "fmo"
    np.testing.assert_allclose(found.values, [0.6, 0.9], atol=0.05)
    # A visit without a control takes the other's, moved as its negatives are.
    found = joint_border(values, ["a", "b"], Rule("fmo"), 1.0, [controls[0], None])
    np.testing.assert_allclose(found.values, [0.6, 0.9], atol=0.05)
    assert found.n_events == 5000


def test_an_fmo_control_of_two_samples_counts_once(random):
    values, control = [sample(random), sample(random)], sample(random, 300, share=0)
    found = joint_border(values, ["a", "a"], Rule("fmo"), 1.0, [control, control])
    assert found.n_events == 300


@pytest.mark.parametrize(
    ("controls", "note"), [([], "no FMO control"), ([None, None], "no FMO control")]
)
def test_without_an_fmo_control_there_is_no_border(random, controls, note):
    found = joint_border([sample(random), sample(random)], "aa", Rule("fmo"), 1.0, controls)
    assert found.source == "too_few_events"
    assert note in found.note


def test_an_fmo_control_of_few_events_gives_none(random):
    few = sample(random, 199, share=0)
    found = joint_border([sample(random)], "a", Rule("fmo"), 1.0, [few])
    assert math.isnan(found.values[0])
    assert "199 events" in found.note


def test_values_that_are_no_numbers_are_left_out(random):
    values = sample(random)
    spoilt = np.append(values, np.float32([np.nan, np.inf]))
    assert joint_border([spoilt], "a", Rule(), 1.0) == joint_border([values], "a", Rule(), 1.0)


def test_shares_are_equal_but_not_tiny():
    sizes = (10, 3000, 7000, 200_000)
    columns = [np.arange(size, dtype=np.float32) for size in sizes]
    assert [c.size for c in equal_shares(columns)] == [10, 3000, MIN_SHARE, MIN_SHARE]
    assert [c.size for c in equal_shares(columns[2:])] == [7000, 7000]
    assert [c.size for c in equal_shares(columns[3:])] == [MAX_SHARE]
    picked = equal_shares(columns[3:])[0]
    assert (picked[0], picked[-1]) == (0, 199_999)


def test_lever_is_the_ratio_of_slopes():
    gain = 10**0.01
    places = transform_exactly(np.array([300.0, 1000.0, 30_000.0]), LOGICLE)
    mode = float(transform_exactly(np.array([200.0]), LOGICLE)[0])
    moved = transform_exactly(gain * invert_transform(np.append(places, mode), LOGICLE), LOGICLE)
    shifts = moved - np.append(places, mode)
    np.testing.assert_allclose(lever(places, mode, LOGICLE), shifts[:3] / shifts[3], rtol=0.02)
    assert lever(places, mode, None).tolist() == [1, 1, 1]


def test_lever_ends():
    zero = float(transform_exactly(np.array([0.0]), LOGICLE)[0])
    places = np.array([zero - 0.1, zero + 0.5])
    assert lever(places, zero - 0.01, LOGICLE).tolist() == [1, 1]  # no gain can be told below zero
    np.testing.assert_allclose(lever(places, zero + 0.01, LOGICLE), [0, MAX_LEVER])
    assert lever(np.array([]), 0.2, LOGICLE).size == 0


def test_flank_response(random):
    values = light(random)
    negatives = measure_negatives(values)
    assert 0.5 <= flank_response(values, negatives, 0.02, LOGICLE) < 1
    assert flank_response(values, negatives, 0.02, None) == 1
    assert flank_response(np.empty(0, np.float32), measure_negatives(values[:3]), 0.1, LOGICLE) == 1


def test_scale_at():
    assert scale_at(4.2, 17.0) == 4.2
    assert scale_at(math.nan, 100.0) == pytest.approx(math.log10(101) - 2, rel=0.01)
    assert scale_at(math.nan, 0.0) == 0


def test_find_border_of_too_few():
    assert find_border(np.zeros(49, np.float32), "tail").source == "too_few_events"
    assert find_border(np.zeros(60, np.float32), "tail").source == "tail"
    assert find_border(np.zeros(199, np.float32), "fmo").source == "too_few_events"
