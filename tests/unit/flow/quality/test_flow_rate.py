import numpy as np
import pytest

from biocross.flow.quality.flow_rate import deviating_rates, flag_flow_rate, running_median


@pytest.fixture
def random():
    return np.random.default_rng(5)


def acquisition(random, rates, seconds=60.0, tick=None):
    """Times of Poisson events whose rate is constant in each of equally long parts."""
    part = seconds / len(rates)
    times = [
        np.sort(random.random(random.poisson(rate * part))) * part + number * part
        for number, rate in enumerate(rates)
    ]
    time = np.concatenate(times)
    return (np.floor(time / tick) if tick else time).astype(np.float32)


@pytest.mark.parametrize("tick", [None, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("rate", [50, 200, 2_000])
def test_steady_rate_is_never_flagged(random, rate, tick):
    for _ in range(20):
        found = flag_flow_rate(acquisition(random, [rate], tick=tick))
        assert not found.flagged.any()
        assert found.note == ""


@pytest.mark.parametrize("factor", [0.1, 0.4, 2.0, 4.0])
@pytest.mark.parametrize("tick", [None, 0.1])
def test_surges_and_drops_are_found(random, factor, tick):
    rates = np.full(20, 1_000.0)
    rates[7] *= factor
    time = acquisition(random, rates, tick=tick)
    found = flag_flow_rate(time)
    seconds = time * (tick or 1.0)
    planted = (seconds > 21) & (seconds < 24)
    assert found.flagged[planted].mean() > 0.9
    assert found.flagged[~planted].mean() < 0.02


def test_the_last_tick_of_a_coarse_clock_is_incomplete(random):
    time = np.floor(acquisition(random, [500.0], seconds=20.3))
    found = flag_flow_rate(time)
    assert found.rate[-1] < 0.5 * found.usual[-1]
    assert not found.flagged.any()


@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_small_changes_are_not_flagged(random, factor):
    rates = np.full(20, 5_000.0)
    rates[7] *= factor
    assert not flag_flow_rate(acquisition(random, rates)).flagged.any()


def test_drifting_rate_is_followed(random):
    time = acquisition(random, np.linspace(500, 1_500, 60))
    found = flag_flow_rate(time)
    assert not found.flagged.any()
    assert found.usual[-1] > 2 * found.usual[0]


def test_restless_rate_has_a_wider_limit(random):
    """Rates that vary by 20 % between bins are this instrument's habit."""
    rates = 1_000 * random.gamma(25, 1 / 25, 300)
    assert flag_flow_rate(acquisition(random, rates)).flagged.mean() < 0.005


def test_rate_is_in_the_unit_of_time(random):
    time = acquisition(random, [1_000.0])
    seconds = flag_flow_rate(time)
    milliseconds = flag_flow_rate(time * np.float32(1_000))
    assert np.median(seconds.rate) == pytest.approx(1_000, rel=0.05)
    np.testing.assert_allclose(milliseconds.rate * 1_000, seconds.rate, rtol=0.05)


def test_pauses_are_left_out(random):
    time = acquisition(random, [500.0])
    time[10_000:] += 45
    time[20_000:] += 300
    found = flag_flow_rate(time)
    assert found.note == "2 pauses left out"
    assert not found.flagged.any()
    assert found.rate.min() > 300


def test_joined_acquisitions(random):
    """Time starts anew, and the bins too."""
    first, second = acquisition(random, [500.0]), acquisition(random, [500.0])
    found = flag_flow_rate(np.concatenate((first, second)))
    assert found.note == "time starts anew 1 times: joined acquisitions"
    assert not found.flagged.any()
    assert found.bins[:, 0].tolist().count(first.size) == 1


def test_events_out_of_order(random):
    rates = np.full(20, 1_000.0)
    rates[7] *= 4
    time = acquisition(random, rates)
    expected = flag_flow_rate(time)
    shuffle = random.permutation(time.size)
    found = flag_flow_rate(time[shuffle])
    assert found.note == "events are not in order of time"
    assert expected.flagged.any()
    np.testing.assert_array_equal(found.flagged, expected.flagged[shuffle])


def test_slight_disorder(random):
    time = acquisition(random, [1_000.0])
    time[100], time[101] = time[101], time[100]
    found = flag_flow_rate(time)
    assert found.note == "time runs backwards at 1 events"
    assert not found.flagged.any()


@pytest.mark.parametrize(
    ("time", "why"),
    [
        (np.zeros(5_000), "time does not change"),
        (np.full(5_000, 7.0), "time does not change"),
        (np.arange(1_999.0), "fewer than 2000 events"),
        (np.zeros(0), "fewer than 2000 events"),
        (np.repeat(np.arange(5.0), 1_000), "fewer than 10 bins of time"),
        (np.append(np.arange(5_000.0), np.nan), "time has missing values"),
    ],
)
def test_not_possible(time, why):
    found = flag_flow_rate(time)
    assert found.note == f"not_possible: {why}"
    assert found.flagged.shape == time.shape
    assert not found.flagged.any()


def test_both_limits_must_be_passed():
    expected = np.full(50, 400.0)
    counts = np.full(50, 400)
    counts[[3, 8]] = [640, 520]
    np.testing.assert_array_equal(np.flatnonzero(deviating_rates(counts, expected, 6, 1.5)), [3])
    np.testing.assert_array_equal(np.flatnonzero(deviating_rates(counts, expected, 5, 1.2)), [3, 8])
    few = np.where(np.arange(50) == 3, 16, 10)
    assert not deviating_rates(few, np.full(50, 10.0), 6, 1.5).any()


def test_running_median_keeps_its_width_at_the_ends():
    rate = np.ones(300)
    rate[:20] = 9
    assert (running_median(rate) == 1).all()
    np.testing.assert_array_equal(running_median(np.arange(5.0)), np.full(5, 2.0))


def test_time_that_only_runs_backwards_says_nothing():
    found = flag_flow_rate(np.arange(5000.0)[::-1])
    assert found.note == "not_possible: time does not run forwards"
    assert not found.flagged.any()
