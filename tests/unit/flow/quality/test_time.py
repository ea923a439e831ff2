from pathlib import Path

import numpy as np
import pytest
from golden.peacoqc.runs import SIZES, simulated_run

from biocross.flow.quality.peaks import follow_peaks
from biocross.flow.quality.time import (
    DEVIATING,
    GOOD,
    ISOLATED,
    SHORT_STRETCH,
    deviating_bins,
    drift_direction,
    events_per_bin,
    flag_time_anomalies,
    judge_bins,
    largest_leaf,
    overlapping_bins,
    smoothing_matrix,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "peacoqc"


@pytest.fixture
def random():
    return np.random.default_rng(3)


def golden_bins(name):
    """Reason, peaks and smoothed peaks of every bin, as R has them."""
    header, *lines = (GOLDEN / f"{name}_bins.tsv").read_text().splitlines()
    columns = header.split("\t")
    table = np.array([[float(value) for value in line.split("\t")] for line in lines])
    peaks = table[:, [column.startswith("peak") for column in columns]]
    smooth = table[:, [column.startswith("smooth") for column in columns]]
    return table[:, 0].astype(int), peaks, smooth


def golden_flagged(name, n_events):
    flagged = np.zeros(n_events, dtype=bool)
    for line in (GOLDEN / f"{name}_flagged.tsv").read_text().splitlines()[1:]:
        start, stop = (int(place) for place in line.split())
        flagged[start:stop] = True
    return flagged


def steady_run(random, n_events=40_000, n_channels=4):
    """Two populations per channel, one of them rare in the last channel."""
    channels = []
    for channel in range(n_channels):
        share = 0.001 if channel == n_channels - 1 else 0.3
        positive = random.random(n_events) < share
        noise = random.standard_normal(n_events)
        channels.append(np.where(positive, 0.7 + 0.06 * noise, 0.2 + 0.05 * noise))
    return np.array(channels, dtype=np.float32)


@pytest.mark.parametrize("name", SIZES)
def test_same_events_as_peacoqc(name):
    values = simulated_run(name).astype(np.float32)
    found = flag_time_anomalies(values)
    expected = golden_flagged(name, values.shape[1])
    assert np.mean(found.flagged == expected) > 0.975
    if expected.mean() > 0.01:
        assert found.flagged.mean() > 0.85 * expected.mean()


@pytest.mark.parametrize("name", [*SIZES, "peacoqc_111"])
def test_smoother_is_r_smooth_spline(name):
    _, peaks, smooth = golden_bins(name)
    error = np.abs(smoothing_matrix(len(peaks)) @ peaks - smooth)
    assert (error.max(axis=0) < 0.06 * smooth.std(axis=0)).all()
    assert (error.mean(axis=0) < 0.012 * smooth.std(axis=0)).all()


@pytest.mark.parametrize("name", [name for name in SIZES if SIZES[name] >= 40_000])
def test_isolation_tree_is_peacoqcs(name):
    reason, peaks, _ = golden_bins(name)
    np.testing.assert_array_equal(largest_leaf(peaks, 0.6), reason != ISOLATED)


@pytest.mark.parametrize(("name", "isolated"), [("clog", 23), ("spike", 4), ("steady", 0)])
def test_the_tree_isolates_what_was_planted(name, isolated):
    found = flag_time_anomalies(simulated_run(name).astype(np.float32))
    assert np.count_nonzero(found.reason == ISOLATED) == isolated
    assert found.note == ""


def test_short_runs_have_no_tree():
    found = flag_time_anomalies(simulated_run("short").astype(np.float32))
    assert set(found.reason) == {GOOD, DEVIATING}
    assert found.note == "isolation tree not_possible: fewer than 150 bins"


def test_drift_is_named_not_flagged():
    values = simulated_run("drift").astype(np.float32)
    values[0] = 1 - values[2]
    found = flag_time_anomalies(values)
    assert found.drifting == ((0, -1), (2, 1))
    assert not found.flagged.any()


def test_steady_runs_are_not_flagged(random):
    shares = [
        flag_time_anomalies(steady_run(random, n_events)).flagged.mean()
        for n_events in (3_000, 6_000, 12_000, 40_000)
        for _ in range(8)
    ]
    assert np.median(shares) == 0
    assert np.quantile(shares, 0.95) < 0.02


def test_unstable_start_is_found(random):
    values = steady_run(random, 20_000)
    values += (0.1 * np.exp(-np.arange(20_000) / 1_000)).astype(np.float32)
    found = flag_time_anomalies(values)
    assert found.flagged[:1_000].all()
    assert not found.flagged[4_000:].any()


def test_every_event_of_a_bad_bin_is_flagged(random):
    values = simulated_run("spike").astype(np.float32)
    found = flag_time_anomalies(values)
    expected = np.zeros(values.shape[1], dtype=bool)
    for start, stop in found.bins[found.reason != GOOD]:
        expected[start:stop] = True
    np.testing.assert_array_equal(found.flagged, expected)
    assert 0 < expected.mean() < 0.1


@pytest.mark.parametrize("n_events", [0, 1, 499, 2_500])
def test_too_few_events(random, n_events):
    found = flag_time_anomalies(random.normal(size=(3, n_events)).astype(np.float32))
    assert found.note == "not_possible: no more than 2500 events"
    assert found.flagged.shape == (n_events,)
    assert not found.flagged.any()
    assert len(found.reason) == len(found.bins)


def test_no_channels():
    found = flag_time_anomalies([])
    assert found.note.startswith("not_possible")
    assert found.flagged.size == 0


def test_constant_and_zero_channels_say_nothing(random):
    values = steady_run(random, 20_000)
    values[1] = 5.0
    values[2] = 0.0
    values[:, 9_000:11_000] += 0.15
    values[1:3] = values[1:3, :1]
    alone = flag_time_anomalies(values[[0, 3]])
    together = flag_time_anomalies(values)
    assert alone.flagged.any()
    np.testing.assert_array_equal(together.flagged, alone.flagged)
    nothing = flag_time_anomalies(values[1:3])
    assert not nothing.flagged.any()
    assert nothing.drifting == ()


def mass_run(random, shares, n_events=30_000):
    """Mass cytometry: exact zeros, the rest around 2 in units of arcsinh."""
    values = random.normal(2.0, 0.4, (len(shares), n_events))
    return np.where(random.random(values.shape) < np.array(shares)[:, None], values, 0.0)


def test_zeros_left_out(random):
    """A share of zeros that grows moves the median of all values, not of the others."""
    values = mass_run(random, [1.0, 0.9])
    values[0, random.random(30_000) < np.linspace(0.05, 0.95, 30_000)] = 0
    assert flag_time_anomalies(values.astype(np.float32), False).drifting == ((0, -1),)
    found = flag_time_anomalies(values.astype(np.float32), zeros_missing=True)
    assert found.drifting == ()
    assert not found.flagged.any()


def test_anomaly_of_mass_cytometry_is_found(random):
    values = mass_run(random, [0.9, 0.5])
    values[:, 10_000:13_000] *= 1.6
    found = flag_time_anomalies(values.astype(np.float32), zeros_missing=True)
    assert found.flagged[10_500:12_500].all()
    assert found.flagged.mean() < 0.3


def test_a_channel_of_zeros_does_not_hinder_the_others(random):
    values = mass_run(random, [0.9, 0.5, 0.0, 0.001])
    values[:, 10_000:13_000] *= 1.6
    found = flag_time_anomalies(values.astype(np.float32), zeros_missing=True)
    without = flag_time_anomalies(values[:2].astype(np.float32), zeros_missing=True)
    np.testing.assert_array_equal(found.flagged, without.flagged)


def test_only_zeros():
    found = flag_time_anomalies(np.zeros((2, 20_000), dtype=np.float32), zeros_missing=True)
    assert found.note == "not_possible: no channel with 3000 values other than zero"


def test_columns_or_matrix(random):
    values = simulated_run("clog").astype(np.float32)
    columns = flag_time_anomalies(list(values))
    np.testing.assert_array_equal(columns.flagged, flag_time_anomalies(values).flagged)


@pytest.mark.parametrize(
    ("n_events", "size"),
    [(1, 500), (124_750, 500), (125_000, 1_000), (250_000, 1_500), (1_000_000, 4_500)],
)
def test_published_bin_sizes(n_events, size):
    assert events_per_bin(n_events) == size
    assert len(overlapping_bins(n_events, size)) <= 500


def test_bins_of_sparse_channels_are_larger():
    """30,000 events, 3,000 of them other than zero: 20 bins at most, so 3,000 and then 500."""
    assert events_per_bin(30_000, 3_000) == 3_500
    assert events_per_bin(30_000, 30_000) == 500


def test_bins_overlap_by_half_and_cover_the_run():
    np.testing.assert_array_equal(
        overlapping_bins(1_100, 500), [[0, 500], [250, 750], [500, 1000], [750, 1100]]
    )
    np.testing.assert_array_equal(overlapping_bins(1_000, 500)[-1], [500, 1000])
    np.testing.assert_array_equal(overlapping_bins(1_001, 500)[-1], [750, 1001])
    np.testing.assert_array_equal(overlapping_bins(7, 500), [[0, 7]])
    assert overlapping_bins(0, 500).shape == (0, 2)


def test_peaks_are_followed():
    """Ten bins: two peaks in most, one missing, one doubled, one of its own in a single bin."""
    rows = np.repeat(np.arange(10), 2)
    places = np.tile([10.0, 30.0], 10)
    rows, places = np.delete(rows, 7), np.delete(places, 7)
    rows, places = np.insert(rows, 11, 5), np.insert(places, 11, 13.0)
    found = follow_peaks(rows, places, 10)
    np.testing.assert_array_equal(found, np.tile([10.0, 30.0], (10, 1)))


def test_rare_trajectories_are_dropped():
    """Two peaks in three of ten bins: only the one that all bins have is followed."""
    rows = np.array([0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9])
    places = np.array([10.0, 30.0] * 3 + [10.0] * 7)
    np.testing.assert_array_equal(follow_peaks(rows, places, 10), np.full((10, 1), 10.0))


def test_the_smoother_keeps_lines():
    for n_bins in (10, 49, 200, 499):
        line = 3.0 - 0.2 * np.arange(n_bins)
        np.testing.assert_allclose(smoothing_matrix(n_bins) @ line, line, atol=1e-6)


def test_four_good_bins_are_too_few_and_five_are_enough(random):
    """The tree splits off two blocks exactly, so that the stretch between them is known."""
    for gap, expected in ((4, SHORT_STRETCH), (5, GOOD)):
        trajectory = random.normal(0, 0.5, 200)
        trajectory[50:60] = 1000.0
        trajectory[60 + gap : 70 + gap] = 1000.0
        reason = judge_bins(trajectory[:, None], 50.0, 0.6, 5)
        assert (reason[50:60] == ISOLATED).all()
        assert (reason[60 : 60 + gap] == expected).all()
        assert np.count_nonzero(reason) == 20 + gap * (expected == SHORT_STRETCH)


def test_noise_at_the_ends_is_not_a_deviation(random):
    """The smoother averages less at the ends; the limit is wider there."""
    flagged = [deviating_bins(random.normal(0, 1, (40, 10)), 6.0) for _ in range(200)]
    assert np.mean(flagged) < 1e-3


@pytest.mark.parametrize("sign", [1, -1])
def test_drift_direction(random, sign):
    noise = random.normal(0, 2, 200)
    assert drift_direction(noise) == 0
    assert drift_direction(noise + sign * np.linspace(0, 20, 200)) == sign
    hump = 20 * np.sin(np.linspace(0, np.pi, 200))
    assert drift_direction(noise + sign * hump) == 0
    assert drift_direction(sign * np.linspace(0, 4, 200)) == 0


def test_a_peak_that_jumps_to_and_fro_is_not_split(random):
    """Two values, either in half of the bins at random: nothing changes in the run."""
    trajectory = random.choice([10.0, 40.0], (200, 1))
    assert (judge_bins(trajectory, 6.0, 0.6, 5) == GOOD).all()
    assert not largest_leaf(trajectory, 0.6).all()
