import numpy as np
import pytest

from biocross.simulate.flow.cells import (
    DEAD,
    DEBRIS,
    DOUBLET,
    LIVE,
    DeadCells,
    Kinds,
    Optics,
    draw_events,
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


@pytest.fixture(scope="module")
def events():
    return draw_events(np.random.default_rng(3), COUNTS, KINDS, DEAD_CELLS, OPTICS, np.zeros(3))


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
    drawn = draw_events(np.random.default_rng(0), counts, KINDS, DEAD_CELLS, OPTICS, np.zeros(3))
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
    kwargs = {"counts": COUNTS, "kinds": KINDS, "dead": DEAD_CELLS, "optics": OPTICS}
    plain = draw_events(np.random.default_rng(3), shift=np.zeros(3), **kwargs)
    moved = draw_events(np.random.default_rng(3), shift=np.array([0.1, 0, 0]), **kwargs)
    cd4 = (plain.code == 0) & (plain.fate == LIVE)
    ratio = np.median(compensated(moved)[0, cd4]) / np.median(compensated(plain)[0, cd4])
    assert np.log10(ratio) == pytest.approx(0.1, abs=0.005)
