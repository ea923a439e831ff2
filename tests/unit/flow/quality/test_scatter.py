from typing import NamedTuple

import numpy as np
import pytest

from biocross.flow.fcs import read_fcs
from biocross.flow.quality.scatter import (
    flag_doublets,
    flag_margin,
    flag_nonfinite,
    height_from_width,
    off_scale_share,
    pulse_channels,
)

# Share of cells, FSC-H, its CV, SSC-A, its CV, FSC-A / FSC-H.
LYMPHOCYTE, BASOPHIL, MONOCYTE, NEUTROPHIL, EOSINOPHIL = range(5)
BLOOD = np.array(
    [
        (0.30, 54_000, 0.10, 17_000, 0.16, 1.20),
        (0.006, 59_000, 0.09, 26_000, 0.18, 1.22),
        (0.07, 78_000, 0.10, 46_000, 0.18, 1.25),
        (0.60, 83_000, 0.09, 98_000, 0.18, 1.25),
        (0.03, 74_000, 0.10, 158_000, 0.15, 1.25),
    ]
)


class Scatter(NamedTuple):
    area: np.ndarray
    height: np.ndarray
    side: np.ndarray
    doublet: np.ndarray
    kind: np.ndarray


def blood(random, number, eosinophils=0.03, eosinophil_ratio=1.25, doublets=0.05, noise=0.03):
    """Whole blood; a doublet has the area of two cells, and a height of 1 to 1.6 of the larger."""
    table = BLOOD.copy()
    table[EOSINOPHIL, [0, 5]] = eosinophils, eosinophil_ratio
    n_doublets = random.binomial(number, doublets)
    kind = random.choice(5, number + n_doublets, p=table[:, 0] / table[:, 0].sum())
    _, fsc, fsc_cv, ssc, ssc_cv, ratio = table[kind].T
    draws = random.standard_normal((3, kind.size))
    height = fsc * np.exp(fsc_cv * draws[0])
    area = height * ratio * np.exp(noise * draws[1])
    side = ssc * np.exp(ssc_cv * (0.3 * draws[0] + 0.95 * draws[2]))
    first, second = slice(0, n_doublets), slice(number, None)
    larger, smaller = (
        np.maximum(height[first], height[second]),
        np.minimum(height[first], height[second]),
    )
    height[first] = larger + random.uniform(0, 0.6, n_doublets) * smaller
    area[first] += area[second]
    side[first] += side[second]
    doublet = np.arange(number) < n_doublets
    columns = (column[:number].astype(np.float32) for column in (area, height, side))
    return Scatter(*columns, doublet, kind[:number])


def loss(events, flagged, kind):
    """Share of a kind's single cells that are flagged."""
    return flagged[~events.doublet & (events.kind == kind)].mean()


@pytest.fixture
def random():
    return np.random.default_rng(7)


@pytest.mark.parametrize("ratio", [1.10, 1.25, 1.40, 1.4375])
@pytest.mark.parametrize("share", [0.005, 0.03, 0.08])
def test_eosinophils_of_any_share_and_shape_are_kept(random, ratio, share):
    """With an area 12 % smaller to 15 % larger for their height than neutrophils have."""
    events = blood(random, 100_000, eosinophils=share, eosinophil_ratio=ratio)
    flagged = flag_doublets(events.area, events.height, events.side)
    for kind in (LYMPHOCYTE, BASOPHIL, MONOCYTE, NEUTROPHIL, EOSINOPHIL):
        assert loss(events, flagged, kind) < 0.01
    assert flagged[events.doublet].mean() > 0.9


@pytest.mark.parametrize("doublets", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("size", [20_000, 100_000])
def test_planted_doublets_are_found(random, doublets, size):
    events = blood(random, size, doublets=doublets)
    flagged = flag_doublets(events.area, events.height, events.side)
    assert flagged[events.doublet].mean() > 0.98
    assert flagged[~events.doublet].mean() < 0.001


def test_without_doublets_hardly_any_cell_is_flagged(random):
    events = blood(random, 50_000, doublets=0)
    assert flag_doublets(events.area, events.height, events.side).mean() < 0.001


@pytest.mark.parametrize("ratio", [1.25, 1.40])
def test_losing_eosinophils_does_not_move_the_loss_of_other_cells(random, ratio):
    losses = []
    for share in (0.08, 0.0):
        events = blood(random, 100_000, eosinophils=share, eosinophil_ratio=ratio)
        flagged = flag_doublets(events.area, events.height, events.side)
        losses.append([loss(events, flagged, kind) for kind in (LYMPHOCYTE, NEUTROPHIL)])
    np.testing.assert_allclose(losses[0], losses[1], atol=0.002)


def test_why_strata(random):
    """Without side scatter, the eosinophils' area is taken for that of two cells."""
    events = blood(random, 100_000, eosinophils=0.005, eosinophil_ratio=1.4375, noise=0.02)
    alone = flag_doublets(events.area, events.height)
    strata = flag_doublets(events.area, events.height, events.side)
    assert loss(events, alone, EOSINOPHIL) > 0.5
    assert loss(events, strata, EOSINOPHIL) < 0.01


def test_without_side_scatter_doublets_are_found_by_height(random):
    events = blood(random, 50_000)
    flagged = flag_doublets(events.area, events.height)
    assert flagged[events.doublet].mean() > 0.9
    assert flagged[~events.doublet].mean() < 0.002


def test_area_that_grows_faster_than_height_is_no_doublet(random):
    """Of one scatter class whose height varies threefold, as in the debris of a tissue."""
    height = 6e4 * np.exp(random.uniform(-0.55, 0.55, 40_000))
    area = height * (height / 6e4) ** 0.2 * np.exp(random.normal(0, 0.02, height.size))
    side = 3e4 * np.exp(random.normal(0, 0.05, height.size))
    flagged = flag_doublets(*(column.astype(np.float32) for column in (area, height, side)))
    assert flagged.mean() < 0.002
    doubled = np.where(np.arange(height.size) < 2000, 1.5, 1) * area
    flagged = flag_doublets(*(column.astype(np.float32) for column in (doubled, height, side)))
    assert flagged[:2000].mean() > 0.98


def test_width_tells_the_same_as_height(random):
    events = blood(random, 20_000)
    width = events.area / events.height * np.float32(65536)
    height = height_from_width(events.area, width)
    again = flag_doublets(events.area, height, events.side)
    flagged = flag_doublets(events.area, events.height, events.side)
    assert (again != flagged).mean() < 1e-3


def test_doublets_do_not_depend_on_the_unit_of_scatter(random):
    area, height, side, *_ = blood(random, 10_000)
    flagged = flag_doublets(area, height, side)
    np.testing.assert_array_equal(flag_doublets(area * 4, height * 4, side * 2), flagged)


def test_a_wider_border_flags_fewer(random):
    area, height, side, *_ = blood(random, 10_000)
    flagged = [flag_doublets(area, height, side, n_mad).sum() for n_mad in (1.0, 2.0, 4.0)]
    assert flagged[0] > flagged[1] > flagged[2] > 0


@pytest.mark.parametrize("size", [0, 1, 5, 29])
def test_too_few_events_are_not_judged(random, size):
    area, height, side, *_ = blood(random, 100)
    assert not flag_doublets(area[:size] * 3, height[:size], side[:size]).any()


@pytest.mark.parametrize("size", [30, 79, 199])
def test_few_events_make_one_stratum_of_side_scatter(random, size):
    area, height, side, *_ = blood(random, size)
    np.testing.assert_array_equal(flag_doublets(area, height, side), flag_doublets(area, height))


def test_integers_with_ties(random):
    area, height, side, doublet, _ = blood(random, 20_000)
    coarse = [np.floor(column / 256) for column in (area, height, side)]
    flagged = flag_doublets(*coarse)
    assert flagged[doublet].mean() > 0.95
    assert flagged[~doublet].mean() < 0.005


def test_equal_events_are_single():
    equal = np.full(500, 1000, dtype=np.float32)
    assert not flag_doublets(equal, equal, equal).any()


@pytest.mark.parametrize("wrong", [0, -3, np.nan, np.inf])
def test_events_without_a_pulse_are_not_judged_and_change_nothing(random, wrong):
    area, height, side, *_ = blood(random, 5000)
    flagged = flag_doublets(area, height, side)
    without = np.full(200, wrong, dtype=np.float32)
    some = np.full(200, 5e4, dtype=np.float32)
    more = flag_doublets(
        np.concatenate([area, some, without]),
        np.concatenate([height, without, some]),
        np.concatenate([side, some, some]),
    )
    assert not more[5000:].any()
    np.testing.assert_array_equal(more[:5000], flagged)


def test_side_scatter_at_or_below_zero_is_no_error(random):
    area, height, side, doublet, _ = blood(random, 10_000)
    side[random.random(side.size) < 0.1] = -5
    assert flag_doublets(area, height, side)[doublet].mean() > 0.9


def test_noise_without_pulses_is_no_error(random):
    area, height = (np.abs(random.normal(0, 500, 3000)).astype(np.float32) for _ in range(2))
    assert flag_doublets(area, height, area).shape == (3000,)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Time", "FSC-A", "FSC-H", "FSC-W", "SSC-A"], ("FSC-A", "FSC-H", "height", "FSC")),
        (["FSC-A", "FSC-W", "SSC-A", "SSC-H"], ("FSC-A", "FSC-W", "width", "FSC")),
        (["FSC-H", "SSC-A", "SSC-W"], ("SSC-A", "SSC-W", "width", "SSC")),
        (
            ["FS INT LIN", "FS PEAK LIN", "SS INT LIN"],
            ("FS INT LIN", "FS PEAK LIN", "height", "FSC"),
        ),
        (["fsc.area", "Fsc_Height"], ("fsc.area", "Fsc_Height", "height", "FSC")),
    ],
)
def test_pulse_channels(names, expected):
    assert pulse_channels(names) == expected


@pytest.mark.parametrize("names", [[], ["FSC-A", "SSC-H"], ["FSC", "SSC"], ["CD3-A", "CD3-H"]])
def test_no_pulse_channels(names):
    assert pulse_channels(names) is None


def test_height_from_width_without_width():
    area, width = np.array([4, 5, 6], dtype=np.float32), np.array([2, 0, -1], dtype=np.float32)
    assert height_from_width(area, width).tolist() == [2, 0, 0]


def test_off_scale_share():
    values = np.array([262143, 262144, 3e5, 261000, -1e5, 0, 5, 9, 10, 11], dtype=np.float32)
    assert off_scale_share(values, 262144) == pytest.approx(0.3)
    assert off_scale_share(values[:0], 262144) == 0


def test_margin_is_scatter_at_or_below_zero():
    area = np.array([-5, -0.0, 0, 1e-3, 262143], dtype=np.float32)
    assert flag_margin(area).tolist() == [True, True, True, False, False]


def test_nonfinite_in_any_channel():
    events = np.zeros((5, 3), dtype=np.float32)
    events[1, 0], events[2, 2], events[4, 1] = np.nan, np.inf, -np.inf
    assert flag_nonfinite(events).tolist() == [False, True, True, False, True]


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "low", "high"),
    [("peacoqc/111.fcs", 0.03, 0.12), ("flowkit/test_comp_example.fcs", 0.002, 0.03)],
)
def test_real_files_lose_a_plausible_share(test_data, file, low, high):
    fcs = read_fcs(test_data / file)
    pulse = pulse_channels(fcs.channels)
    area, second, side = (
        fcs.events[:, fcs.channels.index(name)] for name in (pulse.area, pulse.second, "SSC-A")
    )
    height = second if pulse.kind == "height" else height_from_width(area, second)
    flagged = flag_doublets(area, height, side)
    assert low < flagged.mean() < high
    # Two cells have more than the area of one for their height, and more side scatter.
    ratio = area / height
    assert np.median(ratio[flagged]) > 1.15 * np.median(ratio[~flagged])
    assert np.median(side[flagged]) > np.median(side[~flagged])
