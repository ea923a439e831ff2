"""Quality flags: bounds, order of events, and units."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.flow.quality.mass import flag_beads, flag_dna, flag_event_length, randomise_counts
from biocross.flow.quality.scatter import flag_doublets, off_scale_share
from biocross.flow.quality.strata import MAX_BINS, merge_bins, scatter_strata, side_bins
from biocross.flow.quality.viability import flag_dead

QUIET = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def clouds(draw, columns):
    """Events of one to three kinds, in any share, with ties and outliers."""
    random = np.random.default_rng(draw(SEEDS))
    size = draw(st.integers(0, 1500))
    kind = random.integers(0, draw(st.integers(1, 3)), size)
    means = random.uniform(-2, 8, (3, columns))
    values = means[kind] + random.normal(0, draw(st.floats(0, 1)), (size, columns))
    values[random.random(size) < draw(st.floats(0, 0.05))] *= 5
    if draw(st.booleans()):
        values = np.round(values)
    return values.astype(np.float32), random


@QUIET
@given(made=clouds(3))
def test_doublets_of_anything(made):
    values, random = made
    area, height, side = np.exp(values.clip(-20, 20)).T
    flagged = flag_doublets(area, height, side)
    order = random.permutation(area.size)
    again = flag_doublets(area[order], height[order], side[order])
    np.testing.assert_array_equal(again, flagged[order])
    unit = flag_doublets(area * 8, height * 8, side * 2)
    np.testing.assert_array_equal(unit, flagged)


@QUIET
@given(made=clouds(3), extra=st.floats(1.01, 10))
def test_a_larger_area_never_makes_a_doublet_single(made, extra):
    """Of one event among many, for which the border stays where it is."""
    values, _ = made
    area, height, side = np.exp(values.clip(-20, 20)).T
    flagged = np.flatnonzero(flag_doublets(area, height, side))
    if flagged.size and area.size > 500:
        area[flagged[0]] *= np.float32(extra)
        assert flag_doublets(area, height, side)[flagged[0]]


@QUIET
@given(made=clouds(2))
def test_dead_cells_of_anything(made):
    values, random = made
    dye, side = values[:, 0], np.exp(values[:, 1].clip(-20, 20))
    found = flag_dead(dye, side, decade=1.0)
    np.testing.assert_array_equal(found.flagged, dye > found.borders[found.stratum])
    assert bool(found.note) == (not found.flagged.any())
    # Cells that are flagged are brighter than all that are kept in their stratum.
    for number in np.unique(found.stratum[found.flagged]):
        here = found.stratum == number
        if (kept := here & ~found.flagged).any():
            assert dye[here & found.flagged].min() > dye[kept].max()
    order = random.permutation(dye.size)
    np.testing.assert_array_equal(
        flag_dead(dye[order], side[order], decade=1.0).flagged, found.flagged[order]
    )


@QUIET
@given(made=clouds(2), n_sd=st.floats(2, 6))
def test_wider_dna_ellipses_contain_narrower_ones(made, n_sd):
    values, random = made
    flagged = flag_dna(*values.T, n_sd)
    wider = flag_dna(*values.T, n_sd + 1)
    assert not (wider & ~flagged).any()
    order = random.permutation(len(values))
    assert (flag_dna(*values[order].T, n_sd) != flagged[order]).sum() <= 1


@QUIET
@given(made=clouds(1))
def test_event_length_keeps_an_interval(made):
    values, _ = made
    flagged = flag_event_length(values[:, 0])
    assert values.size == 0 or not flagged.all()
    kept = values[~flagged, 0]
    if flagged.any():
        outside = values[flagged, 0]
        assert ((outside < kept.min()) | (outside > kept.max())).all()


@QUIET
@given(made=clouds(3))
def test_beads_are_brighter_than_cells_in_every_channel(made):
    values, _ = made
    flagged = flag_beads(values, None)
    lowest = values.min(axis=1)
    assert not flagged.all() or flagged.size == 0
    if flagged.any():
        assert lowest[flagged].min() > lowest[~flagged].max()


@QUIET
@given(seed=SEEDS, top=st.sampled_from([1, 10, 1000, 2**20, 2**23]))
def test_the_ceiling_of_randomised_counts_is_the_count(seed, top):
    random = np.random.default_rng(seed)
    counts = random.integers(0, top + 1, 200).astype(np.float32)
    np.testing.assert_array_equal(np.ceil(randomise_counts(counts, random)), counts)


@QUIET
@given(made=clouds(1), top=st.floats(1, 8))
def test_off_scale_share_is_a_share(made, top):
    values = made[0][:, 0]
    share = off_scale_share(values, top)
    assert 0 <= share <= 1
    assert share <= off_scale_share(values, top / 2)


@given(counts=st.lists(st.integers(0, 300), min_size=1, max_size=60), minimum=st.integers(1, 400))
def test_merged_bins_have_the_minimum(counts, minimum):
    counts = np.array(counts)
    numbers = merge_bins(counts, minimum)
    assert numbers[0] == 0
    assert set(np.diff(numbers)) <= {0, 1}
    merged = np.bincount(numbers, counts)
    assert (merged >= minimum).all() or (merged.size == 1 and counts.sum() < minimum)


@QUIET
@given(made=clouds(2))
def test_strata_are_numbered_without_gaps_and_ordered(made):
    values, _ = made
    side = np.exp(values[:, 0].clip(-20, 20))
    size = values[:, 1]
    if side.size == 0:
        return
    position, centres = scatter_strata(side, size)
    assert set(position) == set(range(len(centres)))
    bins = side_bins(side, 0.15)
    assert ((bins >= 0) & (bins < MAX_BINS)).all()
    order = np.argsort(side, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
