from typing import NamedTuple

import numpy as np
import pytest

from biocross.flow.fcs import read_fcs
from biocross.flow.quality.mass import (
    are_counts,
    flag_beads,
    flag_dna,
    flag_event_length,
    flag_gaussian,
    randomise_counts,
)

CELL, BEAD, DEBRIS, DOUBLET = range(4)


class Run(NamedTuple):
    kind: np.ndarray
    beads: np.ndarray
    dna: np.ndarray
    length: np.ndarray
    gaussian: np.ndarray


def acquire(random, number, bead=0.05, debris=0.10, doublet=0.08):
    """Events of a mass cytometer with known kinds; mass channels are arcsinh-transformed."""
    kind = random.choice(4, number, p=[1 - bead - debris - doublet, bead, debris, doublet])
    shared = random.normal(0, 0.15, number)
    factor = np.choose(
        kind,
        [
            np.ones(number),
            np.full(number, 0.005),
            np.exp(-np.abs(random.normal(1.5, 0.8, number))),
            2 * np.exp(random.normal(0, 0.1, number)),
        ],
    )
    dna = [mean * factor * np.exp(shared + random.normal(0, 0.07, number)) for mean in (300, 550)]
    stained = random.random((number, 5)) < 0.2
    metals = np.where(stained, 100 * np.exp(random.normal(0, 0.8, (number, 5))), 0)
    metals[kind == BEAD] = 300 * np.exp(random.normal(0, 0.15, (np.sum(kind == BEAD), 5)))
    length = np.rint(
        random.normal(20, 3, number) + (kind == DOUBLET) * random.normal(16, 5, number)
    )
    gaussian = np.column_stack(
        [random.normal(mean, sd, number) for mean, sd in ((900, 60), (100, 15), (60, 8))]
        + [random.gamma(4, 20, number)]
    )
    gaussian[kind == DOUBLET] += (150, 60, 45, 150)
    mass = np.arcsinh(random.poisson(np.column_stack([metals, *dna])) / 5)
    columns = (column.astype(np.float32) for column in (mass[:, :5], mass[:, 5:], length, gaussian))
    return Run(kind, *columns)


def shares(run, flagged):
    return [flagged[run.kind == kind].mean() for kind in range(4) if (run.kind == kind).any()]


@pytest.fixture
def random():
    return np.random.default_rng(5)


@pytest.mark.parametrize("mix", [{}, {"doublet": 0.2}, {"debris": 0.3}, {"bead": 0.005}])
def test_planted_events_are_found(random, mix):
    run = acquire(random, 40_000, **mix)
    beads = flag_beads(run.beads, run.dna[:, 0])
    np.testing.assert_allclose(shares(run, beads), [0, 1, 0, 0], atol=0.005)
    length = flag_event_length(run.length)
    gaussian = flag_gaussian(run.gaussian)
    dna = np.zeros_like(beads)
    dna[~beads] = flag_dna(*run.dna[~beads].T)
    for flagged in (length, gaussian, dna):
        assert shares(run, flagged)[CELL] < 0.005
    assert shares(run, dna)[DEBRIS] > 0.85
    assert shares(run, dna)[DOUBLET] > 0.7
    assert shares(run, length)[DOUBLET] > 0.6
    assert shares(run, gaussian)[DOUBLET] > 0.9
    assert shares(run, length | gaussian | dna)[DOUBLET] > 0.99


def test_clean_cells_are_kept(random):
    run = acquire(random, 20_000, bead=0, debris=0, doublet=0)
    assert not flag_beads(run.beads, run.dna[:, 0]).any()
    for flagged in (
        flag_event_length(run.length),
        flag_gaussian(run.gaussian),
        flag_dna(*run.dna.T),
    ):
        assert flagged.mean() < 0.006


def test_debris_is_below_the_ellipse_and_doublets_above(random):
    run = acquire(random, 20_000, bead=0)
    flagged = flag_dna(*run.dna.T)
    middle = np.median(run.dna[:, 0])
    assert (run.dna[flagged & (run.kind == DEBRIS), 0] < middle).mean() > 0.99
    assert (run.dna[flagged & (run.kind == DOUBLET), 0] > middle).mean() > 0.99


def test_the_ellipse_finds_cells_among_as_much_debris(random):
    debris = random.random(20_000) < 0.45
    content = np.where(debris, random.normal(3.5, 0.3, 20_000), random.normal(5, 0.15, 20_000))
    dna = (content + random.normal([[0], [0.6]], 0.07, (2, 20_000))).astype(np.float32)
    flagged = flag_dna(*dna)
    assert flagged[debris].mean() > 0.99
    assert flagged[~debris].mean() < 0.01


def test_a_smaller_ellipse_flags_more(random):
    run = acquire(random, 10_000)
    flagged = [flag_dna(*run.dna.T, n_sd).sum() for n_sd in (2.0, 3.0, 4.0)]
    assert flagged[0] > flagged[1] > flagged[2] > 0


def test_ellipse_holds_its_share_of_a_gaussian(random):
    cloud = random.multivariate_normal([5, 6], [[0.04, 0.03], [0.03, 0.05]], 50_000)
    flagged = flag_dna(*cloud.astype(np.float32).T, n_sd=2.0)
    assert flagged.mean() == pytest.approx(np.exp(-2), abs=0.01)


def test_cells_that_carry_all_bead_metals_are_no_beads(random):
    """A population bright in every bead channel that has the DNA of cells."""
    run = acquire(random, 10_000)
    dna = np.full(run.kind.size, 4, dtype=np.float32) + 0.1 * (run.kind == BEAD)
    assert not flag_beads(run.beads, dna).any()
    assert flag_beads(run.beads, None).any()


def test_a_population_that_is_a_little_brighter_is_no_beads(random):
    lowest = np.concatenate([random.normal(1, 0.2, 5000), random.normal(3, 0.2, 500)])
    beads = np.column_stack([lowest, lowest + 0.1]).astype(np.float32)
    assert not flag_beads(beads, None).any()
    beads[5000:] += 1
    assert flag_beads(beads, None).sum() == 500


def test_a_marker_in_one_bead_channel_makes_no_beads(random):
    run = acquire(random, 10_000, bead=0)
    run.beads[:2000, 0] = 6
    assert not flag_beads(run.beads, run.dna[:, 0]).any()


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_many_doublets_do_not_widen_the_borders(random, share):
    doublet = random.random(20_000) < share
    length = random.normal(50, 5, doublet.size) + 30 * doublet
    flagged = flag_event_length(length.astype(np.float32))
    assert flagged[doublet].mean() > 0.9
    assert flagged[~doublet].mean() < 0.001


def test_skewed_parameter_is_judged_by_its_own_sides(random):
    residual = random.gamma(2, 20, 20_000).astype(np.float32)
    flagged = flag_gaussian(residual[:, None])
    assert not flagged[residual < np.median(residual)].any()
    assert flagged.mean() < 0.03


@pytest.mark.parametrize("size", [0, 1, 49])
def test_few_events_are_not_judged(random, size):
    wide = random.normal(0, 1, (size, 2)).astype(np.float32)
    wide[: size // 10] *= 100
    assert not flag_event_length(wide[:, 0]).any()
    assert not flag_gaussian(wide).any()
    assert not flag_dna(*wide.T).any()
    assert not flag_beads(wide, None).any()


def test_equal_values():
    equal = np.full((100, 2), 3, dtype=np.float32)
    equal_but_one = equal.copy()
    equal_but_one[0] = 9
    assert not flag_dna(*equal.T).any()
    assert not flag_beads(equal, None).any()
    assert not flag_gaussian(equal).any()
    # A count of pushes has a spread of at least half a push.
    assert np.flatnonzero(flag_event_length(equal_but_one[:, 0])).tolist() == [0]


def test_infinite_and_missing_parameters_are_flagged_or_ignored(random):
    values = random.normal(50, 5, 500).astype(np.float32)
    values[:2] = np.nan, np.inf
    flagged = flag_event_length(values)
    assert flagged[:2].tolist() == [False, True]
    assert flagged[2:].mean() < 0.01


def test_randomised_counts_are_spread_below_each_count(random):
    counts = np.repeat(np.arange(4), 5000).astype(np.float32)
    spread = randomise_counts(counts, random)
    np.testing.assert_array_equal(np.ceil(spread), counts)
    for count in range(4):
        below = count - spread[counts == count]
        assert below.min() >= 0
        assert below.max() < 1
        assert below.mean() == pytest.approx(0.5, abs=0.02)
        assert below.std() == pytest.approx(12**-0.5, abs=0.02)


def test_randomised_counts_are_seeded():
    counts = np.arange(100, dtype=np.float32)
    first, again, other = (randomise_counts(counts, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_nothing_is_randomised_twice(random):
    once = randomise_counts(random.poisson(20, 500).astype(np.float32), random)
    assert randomise_counts(once, random) is once


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 2, 300], True),
        ([0, 1, np.nan], True),
        ([0, 1, 2.5], False),
        ([-1, 0, 1], False),
        ([0, 0], False),
        ([], False),
    ],
)
def test_are_counts(values, expected):
    assert are_counts(np.array(values, dtype=np.float32)) is expected


@pytest.mark.data
def test_real_counts_are_randomised_already(test_data):
    for file in ("bcr_xl/PBMC_patient1_Ref.fcs", "cytonorm/Gates_PTLG021_Unstim_Control_1.fcs"):
        fcs = read_fcs(test_data / file)
        masses = [i for i, name in enumerate(fcs.channels) if name.endswith(("Dd", "Di"))]
        assert len(masses) >= 24
        assert not any(are_counts(fcs.events[:, i]) for i in masses)


@pytest.mark.data
def test_gated_cells_are_mostly_kept(test_data):
    """All 14 gates of a well together: cells that were gated by hand, by DNA and event length."""
    files = sorted((test_data / "bodenmiller").glob("*_H05.fcs"))
    events = np.concatenate([read_fcs(file).events for file in files])
    channels = read_fcs(files[0]).channels
    length = events[:, channels.index("Cell_length")]
    dna = np.arcsinh(
        events[:, [channels.index(f"DNA-{n}(Ir19{m})Dd") for n, m in ((1, 1), (2, 3))]] / 5
    )
    assert len(events) > 5000
    assert flag_event_length(length).mean() < 0.01
    assert 0 < flag_dna(*dna.T).mean() < 0.06
    assert not flag_beads(dna, None).any()
