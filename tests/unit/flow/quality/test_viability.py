import numpy as np
import pytest

from biocross.flow.quality.viability import MIN_SEPARATION, flag_dead
from biocross.flow.transforms import Transform, apply_transform

LOGICLE = Transform("logicle", top=262144.0, decades=4.5, width=0.8)
DECADE = 1 / 4.5
ZERO = float(apply_transform(np.zeros(1, dtype=np.float32), LOGICLE)[0])
# Share, SSC-A, its CV, brightness of living cells in decades.
BLOOD = np.array(
    [
        (0.30, 17_000, 0.16, 2.2),
        (0.07, 46_000, 0.18, 2.6),
        (0.60, 98_000, 0.18, 2.5),
        (0.03, 158_000, 0.15, 3.1),
    ]
)
EOSINOPHIL = 3


def stained(random, number, dead, eosinophils=0.03, autofluorescence=3.1):
    """Whole blood with a dye; returns dye (logicle), SSC, truth and kind of cell."""
    table = BLOOD.copy()
    table[EOSINOPHIL, [0, 3]] = eosinophils, autofluorescence
    kind = random.choice(4, number, p=table[:, 0] / table[:, 0].sum())
    _, ssc, cv, level = table[kind].T
    side = ssc * np.exp(cv * random.standard_normal(number))
    light = 10 ** (level + 0.2 * random.standard_normal(number)) + random.normal(0, 60, number)
    is_dead = random.random(number) < dead
    light[is_dead] += 10 ** random.normal(4.3, 0.25, is_dead.sum())
    dye = apply_transform(light.astype(np.float32), LOGICLE)
    return dye, side.astype(np.float32), is_dead, kind


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.mark.parametrize("dead", [0.002, 0.01, 0.05, 0.3, 0.6])
def test_share_of_dead_cells(random, dead):
    dye, side, is_dead, kind = stained(random, 100_000, dead)
    found = flag_dead(dye, side, DECADE, ZERO)
    assert found.flagged.mean() == pytest.approx(is_dead.mean(), abs=0.001)
    assert found.flagged[is_dead].mean() > 0.98
    lost = found.flagged[~is_dead & (kind == EOSINOPHIL)].mean()
    assert lost < (0.01 if dead < 0.5 else 0.02)
    assert found.note == ""


def test_why_strata(random):
    """One border for all cells takes bright eosinophils for dead."""
    dye, side, is_dead, kind = stained(random, 50_000, dead=0.3, autofluorescence=3.4)
    eosinophils = ~is_dead & (kind == EOSINOPHIL)
    assert flag_dead(dye, None, DECADE).flagged[eosinophils].mean() > 0.5
    assert flag_dead(dye, side, DECADE).flagged[eosinophils].mean() < 0.08


def test_eosinophils_beyond_the_valley_of_the_others_are_kept(random):
    """So bright that most of them are above the border of lymphocytes."""
    dye, side, is_dead, kind = stained(random, 100_000, 0.05, autofluorescence=3.6)
    found = flag_dead(dye, side, DECADE)
    eosinophils = ~is_dead & (kind == EOSINOPHIL)
    assert np.median(dye[eosinophils]) > found.borders[0]
    assert found.flagged[eosinophils].mean() < 0.1
    assert found.flagged[is_dead].mean() > 0.99


@pytest.mark.parametrize("autofluorescence", [2.5, 3.1, 3.4, 3.7])
@pytest.mark.parametrize("eosinophils", [0.005, 0.2])
def test_without_dead_cells_nothing_is_flagged(random, autofluorescence, eosinophils):
    dye, side, *_ = stained(random, 50_000, 0, eosinophils, autofluorescence)
    found = flag_dead(dye, side, DECADE, ZERO)
    assert not found.flagged.any()
    assert np.isinf(found.borders).all()
    assert found.note == "no dead cells could be told apart"


def test_a_sample_of_dead_cells_alone_is_doubted(random):
    dye, side, *_ = stained(random, 5000, dead=1)
    found = flag_dead(dye, side, DECADE, ZERO)
    assert not found.flagged.any()
    assert "as bright as dead ones" in found.note
    assert "as bright" not in flag_dead(dye, side, DECADE).note


def test_border_follows_the_living_cells_of_a_stratum(random):
    dye, side, _, _ = stained(random, 50_000, dead=0.1)
    found = flag_dead(dye, side, DECADE)
    top = found.stratum == found.stratum.max()
    assert np.median(side[top]) > 130_000
    assert found.borders[-1] > found.borders[0] + 0.2 * DECADE
    np.testing.assert_array_equal(found.flagged, dye > found.borders[found.stratum])


def test_two_kinds_of_living_cells_nearer_than_dead_ones_are_both_kept(random):
    gap = 0.9 * MIN_SEPARATION
    dye = np.concatenate([random.normal(0, 0.05, 5000), random.normal(gap, 0.05, 500)])
    assert not flag_dead(dye.astype(np.float32), None, decade=1).flagged.any()
    dye = np.concatenate([random.normal(0, 0.05, 5000), random.normal(2 * gap, 0.05, 500)])
    assert flag_dead(dye.astype(np.float32), None, decade=1).flagged.sum() == 500


def test_cisplatin_of_mass_cytometry(random):
    """Counts on an arcsinh scale, many of them 0; no side scatter."""
    living, dead = random.poisson(random.gamma(1, 2, 20_000)), random.poisson(300, 1500)
    dye = np.arcsinh(np.concatenate([living, dead]) / 5).astype(np.float32)
    found = flag_dead(dye, None, decade=np.log(10), zero=0)
    assert found.flagged[20_000:].mean() > 0.99
    assert found.flagged[:20_000].mean() < 0.001


@pytest.mark.parametrize("size", [0, 1, 10, 60])
def test_few_events(random, size):
    dye, side, *_ = stained(random, size, dead=0)
    found = flag_dead(dye, side, DECADE, ZERO)
    assert found.flagged.shape == found.stratum.shape == (size,)
    assert not found.flagged.any()


def test_equal_values_and_missing_side_scatter():
    found = flag_dead(np.ones(500, dtype=np.float32), np.zeros(500, dtype=np.float32))
    assert not found.flagged.any()
