from dataclasses import replace

import numpy as np
import pytest

from biocross.simulate.flow.cells import (
    BEAD,
    DEAD,
    DEBRIS,
    DOUBLET,
    LIVE,
    MARGIN,
    DeadCells,
    Kinds,
    Optics,
    Tube,
    clog,
    draw_events,
    pass_times,
    record_light,
)

SPILLOVER = np.array([[1, 0.15, 0], [0.02, 1, 0.1], [0, 0.03, 1]])
# Signals: CD3, CD4, dye. Kinds: CD4 T cells, other cells, debris.
KINDS = Kinds(
    level=np.array([[4.2, 4.4, 1.6], [1.6, 3.0, 1.6], [1.6, 1.6, 1.6]], dtype=np.float32),
    spread=np.array([[0.1, 0.1, 0.3], [0.3, 0.2, 0.3], [0.3, 0.3, 0.3]], dtype=np.float32),
    share=np.array([[1, 1, 1], [1, 0.25, 1], [1, 1, 1]], dtype=np.float32),
    negative=1.6,
    negative_spread=0.3,
    fsc=np.array([70_000, 100_000, 12_000], dtype=np.float32),
    fsc_cv=np.full(3, 0.1, dtype=np.float32),
    ssc=np.array([17_000, 200_000, 6_000], dtype=np.float32),
    ssc_cv=np.full(3, 0.2, dtype=np.float32),
    autofluorescence=np.array([50, 200, 30], dtype=np.float32),
)
DEAD_CELLS = DeadCells(2, 4.5, 0.2, 0.75, 2.5, 0.3)
OPTICS = Optics(SPILLOVER, np.array([1.0, 0.5, 0.2]), 8.0, 60.0, 262143.0)
COUNTS = np.array([[3000, 4000, 300], [100, 150, 0], [200, 200, 0], [150, 250, 0]])
NO_PAIRS = np.zeros((2, 0), dtype=np.intp)


def draw(counts=COUNTS, kinds=KINDS, stuck=NO_PAIRS, n_margins=0, shift=(0, 0, 0), seed=3):
    tube = Tube(np.asarray(counts), 2, np.asarray(stuck), n_margins)
    return draw_events(
        np.random.default_rng(seed), tube, kinds, DEAD_CELLS, OPTICS, np.array(shift)
    )


@pytest.fixture(scope="module")
def events():
    return draw()


def compensated(events):
    return (events.signals.T @ np.linalg.inv(SPILLOVER)).T


def test_every_event_asked_for_is_drawn(events):
    assert events.scatter.shape == (3, 7950)
    assert np.bincount(events.fate).tolist() == [7000, 250, 400, 300]
    live = events.code[events.fate == LIVE]
    assert np.bincount(live).tolist() == [3000, 4000]
    assert events.signals.dtype == np.float32


def test_events_come_mixed(events):
    assert (np.diff(events.code) != 0).mean() > 0.3


def test_compensation_returns_the_stains(events):
    cd4 = (events.code == 0) & (events.fate == LIVE)
    medians = np.median(compensated(events)[:, cd4], axis=1)
    np.testing.assert_allclose(medians[:2], [10**4.2, 10**4.4], rtol=0.03)
    assert abs(medians[2]) < 120


def test_spillover_is_in_the_recorded_values(events):
    cd4 = (events.code == 0) & (events.fate == LIVE)
    assert np.median(events.signals[2, cd4]) > 0.9 * 0.1 * 10**4.4


def test_negatives_spread_around_zero_and_more_where_light_spills(events):
    values = compensated(events)[2]
    bright = values[(events.code == 0) & (events.fate == LIVE)]
    dim = values[(events.code == 1) & (events.fate == LIVE)]
    assert (bright < 0).mean() > 0.15
    assert bright.std() > 1.5 * dim.std()


def test_only_the_share_has_the_marker(events):
    other = (events.code == 1) & (events.fate == LIVE)
    assert (compensated(events)[1, other] > 500).mean() == pytest.approx(0.25, abs=0.05)


def test_doublets_have_area_without_height(events):
    ratio = events.scatter[0] / events.scatter[1]
    single, double = ratio[events.fate == LIVE], ratio[events.fate == DOUBLET]
    assert np.median(double) > 1.25 * np.median(single)
    assert np.quantile(double, 0.1) > np.quantile(single, 0.9)


def test_doublets_join_unlike_cells():
    counts = np.zeros((4, 3), dtype=int)
    counts[2], counts[3] = [500, 500, 0], [500, 500, 0]
    drawn = draw(counts, seed=0)
    t_with_other = (drawn.code == 0) & (drawn.scatter[2] > 80_000)
    assert 0.35 < t_with_other.sum() / 500 < 0.65


def test_dead_cells_take_the_dye_and_shrink(events):
    dye = compensated(events)[2]
    assert np.quantile(dye[events.fate == DEAD], 0.01) > np.quantile(dye[events.fate == LIVE], 0.99)
    small = np.median(events.scatter[0, (events.fate == DEAD) & (events.code == 1)])
    assert small == pytest.approx(75_000, rel=0.08)


def test_debris_is_small(events):
    assert np.median(events.scatter[0, events.fate == DEBRIS]) < 20_000


def test_values_saturate(events):
    assert events.scatter[2].max() == 262143
    blinding = record_light(
        np.random.default_rng(0), np.full((3, 9), 1e6, np.float32), np.zeros(9, np.float32), OPTICS
    )
    assert (blinding == 262143).all()


def test_a_staining_shift_moves_the_positives():
    plain, moved = draw(), draw(shift=(0.1, 0, 0))
    cd4 = (plain.code == 0) & (plain.fate == LIVE)
    ratio = np.median(compensated(moved)[0, cd4]) / np.median(compensated(plain)[0, cd4])
    assert np.log10(ratio) == pytest.approx(0.1, abs=0.005)


def test_cells_that_stick_have_the_height_and_the_light_of_both():
    stuck = np.array([[0] * 200, [1] * 200])
    events = draw(stuck=stuck)
    assert events.code.size == 7950 + 200
    ratio = events.scatter[0] / events.scatter[1]
    double = (events.fate == DOUBLET) & (ratio < np.quantile(ratio[events.fate == LIVE], 0.99))
    assert double.sum() == pytest.approx(200, abs=12)
    assert np.median(events.scatter[1, double]) == pytest.approx(0.8 * 170_000, rel=0.05)
    assert np.median(compensated(events)[0, double]) == pytest.approx(10**4.2, rel=0.05)
    assert (events.code[double] == 0).mean() > 0.95


def test_margins_lie_at_both_ends_of_forward_scatter():
    events = draw(n_margins=40)
    area = events.scatter[0]
    assert (events.fate == MARGIN).sum() == 40
    assert np.unique(area[events.fate == MARGIN]).tolist() == [0, 262143]
    assert (area[events.fate == MARGIN] == 0).sum() == 20
    assert not ((area == 0) & (events.fate != MARGIN)).any()
    assert (events.fate == DEBRIS).sum() == 260


def test_beads_are_no_cells():
    beads = np.pad(COUNTS, ((0, 0), (0, 1)))
    beads[0, 3] = 120
    bright = {"level": 4.8, "spread": 0.02, "share": 1, "fsc": 6e4, "fsc_cv": 0.05}
    bright |= {"ssc": 9e4, "ssc_cv": 0.05, "autofluorescence": 0}
    with_beads = {
        name: np.concatenate([old, np.full_like(old[:1], bright[name])])
        for name in bright
        for old in [getattr(KINDS, name)]
    }
    kinds = replace(KINDS, **with_beads)
    events = draw(beads, kinds)
    assert (events.fate == BEAD).sum() == 120
    assert (events.code[events.fate == BEAD] == 3).all()
    assert (events.fate == DEBRIS).sum() == 300
    own = np.median(compensated(events)[:, events.fate == BEAD], axis=1)
    np.testing.assert_allclose(own, 10**4.8, rtol=0.02)


def test_a_clog_dims_a_stretch_and_nothing_else():
    plain, dimmed = draw(), clog(draw(), 2000, 4000, 0.3)
    lost = np.log10(dimmed.signals / plain.signals)
    np.testing.assert_allclose(lost[:, 3000], -0.3, atol=0.001)
    np.testing.assert_allclose(lost[:, 2500], -0.3 * np.sin(np.pi / 4), atol=0.001)
    assert not lost[:, :2000].any()
    assert not lost[:, 4000:].any()
    np.testing.assert_array_equal(dimmed.scatter, plain.scatter)
    np.testing.assert_array_equal(clog(draw(), 0, 0, 0.3).signals, plain.signals)


def test_events_pass_slowly_in_a_clog():
    seconds = pass_times(np.random.default_rng(4), 9000, 400, (3000, 6000), 5)
    gaps = np.diff(seconds)
    assert (gaps >= 0).all()
    assert gaps[3000:5999].mean() == pytest.approx(5 / 400, rel=0.08)
    assert gaps[:2998].mean() == pytest.approx(1 / 400, rel=0.08)
    assert gaps[6001:].mean() == pytest.approx(1 / 400, rel=0.08)
