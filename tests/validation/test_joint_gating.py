"""A reduced run of joint_gating.py: what joint gating of a patient's visits promises."""

import numpy as np
import pytest
from validation.joint_gating import SCENARIOS, Scenario, conclusions, draw_pair, run, summarise

PAIRS = 24
SAMPLE, ONE, JOINT = range(3)


@pytest.mark.parametrize(
    ("scenario", "most"),
    [
        (Scenario("smeared", 0.01), 0.6),
        (Scenario("smeared", 0.1), 1.0),
        (Scenario("clear", 0.01), 1.01),
        (Scenario("smeared", 0.01, 0.1), 0.7),
        (Scenario("smeared", 0.1, 0.1), 1.0),
        (Scenario("smeared", 0.1, 0.1, method="mixture"), 1.03),
        (Scenario("smeared", 0.1, 0.1, method="tail"), 1.03),
    ],
)
def test_joint_gating_makes_changes_less_variable(scenario, most):
    """Rare and smeared: by far. Clear: the same counts. With drift: never more variable."""
    sd = run(scenario, PAIRS).change.std(axis=1)
    assert sd[JOINT] <= most * sd[SAMPLE]


def test_one_border_loses_under_drift_and_the_joint_one_does_not():
    """Or the scenario would not be worth testing."""
    sd = run(Scenario("smeared", 0.1, 0.1), PAIRS).change.std(axis=1)
    assert sd[ONE] > 1.2 * sd[SAMPLE]
    assert sd[JOINT] < 0.75 * sd[ONE]


def test_a_class_between_that_vanishes_does_not_bias_more_than_one_border_does():
    outcome = run(Scenario("smeared", 0.1, between=(0.3, 0.05)), PAIRS)
    bias = np.abs((outcome.change - outcome.expected).mean(axis=1))
    assert bias[JOINT] <= bias[ONE] + 0.02
    assert bias[JOINT] < bias[SAMPLE]


def test_pairs_are_as_described():
    values, n_positive = draw_pair(np.random.default_rng(1), Scenario("clear", 0.2, 0.1))
    for column, number in zip(values, n_positive, strict=True):
        assert number / column.size == pytest.approx(0.2, rel=0.5)
        assert column.dtype == np.float32
        assert column[-number:].mean() > column[:-number].mean() + 0.2


def test_the_summary_names_both_kinds_of_studies():
    summaries = [summarise(scenario, 12) for scenario in (SCENARIOS[2], SCENARIOS[10])]
    text = "\n".join(conclusions(summaries))
    assert "no drift: root mean square SD sample" in text
    assert "\ndrift: type I" in text
    assert len(summaries[0].cells()) == 22
