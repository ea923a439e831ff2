"""Compensation and transforms: inverses, order, and independence of events."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from biocross.flow.compensation import compensate
from biocross.flow.quality.scatter import flag_doublets
from biocross.flow.spillover import Spillover
from biocross.flow.transforms import Transform, apply_transform, logicle_decades, logicle_width

QUIET = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 2**32 - 1)
TOPS = st.sampled_from([1024.0, 262144.0, 4194304.0])


@st.composite
def spillovers(draw):
    """A matrix of two to six dyes, each spilling less than it shines, in any detector order."""
    size = draw(st.integers(2, 6))
    random = np.random.default_rng(draw(SEEDS))
    matrix = np.eye(size) + random.uniform(0, 0.5 / size, (size, size)) * (1 - np.eye(size))
    names = [f"D{number}" for number in range(size)]
    return Spillover(tuple(random.permutation(names).tolist()), matrix), random


@QUIET
@given(made=spillovers())
def test_compensation_undoes_spillover(made):
    spillover, random = made
    channels = ("FSC-A", *sorted(spillover.channels), "Time")
    columns = [channels.index(name) for name in spillover.channels]
    true = random.normal(0, 1e4, (50, len(channels)))
    seen = true.copy()
    seen[:, columns] = true[:, columns] @ spillover.matrix
    compensated = compensate(seen.astype(np.float32), channels, spillover)
    np.testing.assert_allclose(compensated, true, rtol=1e-5, atol=0.05)


@QUIET
@given(made=spillovers())
def test_events_are_compensated_one_by_one(made):
    spillover, random = made
    events = random.normal(0, 1e4, (30, len(spillover.channels))).astype(np.float32)
    together = compensate(events, spillover.channels, spillover)
    alone = np.concatenate([compensate(e[None], spillover.channels, spillover) for e in events])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=0.02)


@st.composite
def transforms(draw):
    if draw(st.booleans()):
        return Transform("arcsinh", cofactor=draw(st.sampled_from([5.0, 150.0, 2000.0])))
    top = draw(TOPS)
    decades = logicle_decades(top)
    return Transform("logicle", top, decades, draw(st.floats(0.1, decades / 2)))


@QUIET
@given(transform=transforms(), seed=SEEDS)
def test_transforms_keep_the_order_of_cells(transform, seed):
    random = np.random.default_rng(seed)
    values = np.sort(random.normal(0, transform.top / 5, 300)).astype(np.float32)
    transformed = apply_transform(values, transform)
    assert np.isfinite(transformed).all()
    assert (np.diff(transformed) >= 0).all()
    order = random.permutation(values.size)
    np.testing.assert_array_equal(apply_transform(values[order], transform), transformed[order])


@QUIET
@given(transform=transforms(), value=st.floats(0.001, 1e5))
def test_transforms_are_antisymmetric_about_zero(transform, value):
    low, zero, high = apply_transform(np.array([-value, 0, value], dtype=np.float32), transform)
    np.testing.assert_allclose(high - zero, zero - low, rtol=1e-3, atol=2e-6)


@given(references=st.lists(st.floats(-1e6, -1e-3), min_size=1, max_size=20), top=TOPS)
def test_logicle_width_is_within_its_bounds(references, top):
    assert 0.1 <= logicle_width(references, top) <= logicle_decades(top) / 2 + 1e-9


@given(reference=st.floats(-1e5, -1e-2), more=st.floats(1, 100), top=TOPS)
def test_wider_negatives_need_a_wider_linear_region(reference, more, top):
    assert logicle_width([reference * more], top) >= logicle_width([reference], top)


@QUIET
@given(seed=SEEDS, size=st.integers(0, 1500), strata=st.booleans())
def test_doublets_do_not_depend_on_the_order_of_events(seed, size, strata):
    random = np.random.default_rng(seed)
    height = random.normal(6e4, 9e3, size).clip(2e4).astype(np.float32)
    area = (height * random.normal(1.1, 0.05, size)).astype(np.float32)
    side = random.permutation(size).astype(np.float32) if strata else None
    flagged = flag_doublets(area, height, side)
    order = random.permutation(size)
    again = flag_doublets(area[order], height[order], None if side is None else side[order])
    np.testing.assert_array_equal(again, flagged[order])
    assert flagged.sum() <= size / 2
