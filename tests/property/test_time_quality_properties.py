"""What is flagged depends neither on the channels' order nor on the units, and never fails."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.flow.quality.flow_rate import flag_flow_rate
from biocross.flow.quality.time import flag_time_anomalies, overlapping_bins

UNEVENTFUL = settings(deadline=None, max_examples=25)
SEEDS = st.integers(0, 2**32 - 1)


def run_with_clog(seed, n_events=30_000):
    random = np.random.default_rng(seed)
    values = random.normal(0.3, 0.06, (3, n_events)).astype(np.float32)
    start = int(random.integers(0, n_events - 1_500))
    values[:, start : start + 1_500] += np.float32(0.2)
    return values, start


def test_a_clog_is_flagged_wherever_it_is():
    """Not always: where many bins have a second peak by chance, a clog's peaks may pass for it."""
    found_in = 0
    for seed in range(60):
        values, start = run_with_clog(seed)
        flagged = flag_time_anomalies(values).flagged
        found_in += bool(flagged[start + 250 : start + 1_250].all())
        assert flagged.mean() < 0.2
    assert found_in >= 57


@UNEVENTFUL
@given(seed=SEEDS, order=st.permutations(range(3)))
def test_order_of_channels_is_irrelevant(seed, order):
    values, _ = run_with_clog(seed)
    expected = flag_time_anomalies(values).flagged
    np.testing.assert_array_equal(flag_time_anomalies(values[list(order)]).flagged, expected)


@UNEVENTFUL
@given(seed=SEEDS, exponent=st.integers(-10, 18))
def test_scale_is_irrelevant(seed, exponent):
    values, _ = run_with_clog(seed)
    scaled = values * np.float32(2.0**exponent)
    expected = flag_time_anomalies(values)
    found = flag_time_anomalies(scaled)
    np.testing.assert_array_equal(found.reason, expected.reason)


@UNEVENTFUL
@given(
    n_events=st.integers(0, 6_000),
    n_channels=st.integers(0, 3),
    levels=st.integers(1, 6),
    zeros=st.booleans(),
    seed=SEEDS,
)
def test_any_finite_values_are_judged(n_events, n_channels, levels, zeros, seed):
    """Few distinct values are the hardest: no noise, ties everywhere."""
    random = np.random.default_rng(seed)
    values = random.integers(0, levels, (n_channels, n_events)).astype(np.float32)
    found = flag_time_anomalies(values, zeros_missing=zeros)
    assert found.flagged.shape == (n_events if n_channels else 0,)
    assert len(found.reason) == len(found.bins)
    if found.note.startswith("not_possible"):
        assert not found.flagged.any()
    assert found.flagged.any() == (found.reason > 0).any()


@given(n_events=st.integers(1, 100_000), size=st.integers(1, 20).map(lambda n: 500 * n))
def test_bins_cover_every_event(n_events, size):
    bins = overlapping_bins(n_events, size)
    assert bins[0, 0] == 0
    assert bins[-1, 1] == n_events
    assert (np.diff(bins[:, 0]) == size // 2).all()
    assert (bins[:-1, 1] >= bins[1:, 0]).all()
    assert (bins[:, 1] > bins[:, 0]).all()
    # The last bin holds events that no bin before it holds.
    assert len(bins) == 1 or bins[-2, 1] < n_events


@UNEVENTFUL
@given(seed=SEEDS, factor=st.integers(-8, 12), offset=st.integers(0, 1000))
def test_unit_of_time_is_irrelevant(seed, factor, offset):
    random = np.random.default_rng(seed)
    gaps = random.exponential(1.0, 8_000)
    gaps[3_000:3_800] /= 4
    time = np.cumsum(gaps)
    expected = flag_flow_rate(time)
    found = flag_flow_rate((time + offset) * 2.0**factor)
    assert np.mean(found.flagged == expected.flagged) > 0.98
    assert expected.flagged[3_200:3_600].mean() > 0.9


@UNEVENTFUL
@given(
    steps=st.lists(st.sampled_from([-50.0, -1.0, 0.0, 0.0, 1.0, 1000.0]), min_size=2, max_size=60),
    copies=st.integers(1, 200),
)
def test_any_time_is_judged(steps, copies):
    """Standing, running backwards, jumping: an answer, with bins that hold every event once."""
    time = np.cumsum(np.tile(steps, copies))
    found = flag_flow_rate(time)
    assert found.flagged.shape == time.shape
    if found.note.startswith("not_possible"):
        assert not found.flagged.any()
        return
    assert (found.bins[1:, 0] == found.bins[:-1, 1]).all()
    assert (found.bins[0, 0], found.bins[-1, 1]) == (0, time.size)
    assert np.isfinite(found.rate).all()
    assert (np.diff(found.times, axis=1) > 0).all()
