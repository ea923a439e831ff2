"""A reduced run: studies find as much as was planned, by known variation or by a pilot's."""

import pytest
from validation.planned_power import CASES, PILOTS, Case, measure, measure_pilot

STANDARD_ERRORS = 3
# What the plan leaves aside: the average of a power is not the power of an average.
SLACK = 0.02


def assert_found(rate, planned):
    error = (rate.high - rate.low) / (2 * 1.96)
    assert rate.value == pytest.approx(planned, abs=STANDARD_ERRORS * error + SLACK)


@pytest.mark.parametrize("case", [CASES[0], CASES[5], Case(12, 1.5, within_sd=None)])
def test_studies_find_what_was_planned(case):
    outcome = measure(case, 60)
    assert_found(outcome.found["one test"], outcome.planned[0])
    assert_found(outcome.found["corrected"], outcome.planned[1])
    # The correction of the workflow lies between.
    claimed = outcome.found["claimed"]
    assert outcome.planned[1] - SLACK < claimed.high
    assert claimed.low < outcome.planned[0] + SLACK


def test_the_range_of_a_pilot_holds_what_is_needed():
    covered, (_, middle, _) = measure_pilot(*PILOTS[1], 6)
    assert covered.high > 0.93
    assert middle == pytest.approx(1.0, abs=0.25)
