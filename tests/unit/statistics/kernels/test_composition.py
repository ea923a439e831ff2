"""Composition: disjoint parts of trees, log-ratios and their reference, by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biocross.errors import DesignError
from biocross.statistics.kernels.composition import (
    _log_at_depth,
    centred_log_ratio_change,
    leaves_and_remainders,
    part_counts,
)

# leukocytes > (lymphocytes > (T > CD4, NK), monocytes)
TREE = [-1, 0, 1, 2, 1, 0]
COUNTS = np.array([[1000.0, 600, 400, 250, 150, 100], [10, 10, 10, 0, 0, 0]])


def _study(rng, n, parts, *, eosinophils=1.0, doubled=0.0, depth=1.0, sd=0.25):
    """Counts of both visits of n patients; part 0 is the eosinophils, 8 % at baseline."""
    share = np.exp(rng.normal(scale=1.5, size=parts))
    share[0] = 0.08 * share.sum()
    own = share * np.exp(0.5 * rng.normal(size=(n, parts)))
    before, after = own * np.exp(sd * rng.normal(size=(2, n, parts)))
    after[:, 0] *= eosinophils * np.exp(0.3 * rng.normal(size=n))
    after[:, 1 : 1 + round(doubled * parts)] *= 2
    total = np.exp(rng.uniform(np.log(2e4), np.log(2e5), size=(2, n, 1)))
    total[1] *= depth
    return (
        rng.poisson(total[0] * before / before.sum(axis=1, keepdims=True)).astype(float),
        rng.poisson(total[1] * after / after.sum(axis=1, keepdims=True)).astype(float),
    )


def _called(change):
    return stats.ttest_1samp(change, 0, axis=0).pvalue < 0.05


@pytest.fixture
def counts():
    """Both visits of 8 patients, 15 parts."""
    return _study(np.random.default_rng(4), 8, 15, sd=0.4)


@st.composite
def trees(draw):
    """A random forest with counts in which children never exceed their parent."""
    n = draw(st.integers(1, 12))
    parents = [draw(st.integers(-1, i - 1)) for i in range(n)]
    remainders = draw(st.lists(st.integers(0, 10**6), min_size=n, max_size=n))
    counts = list(remainders)
    for i in reversed(range(n)):
        if parents[i] >= 0:
            counts[parents[i]] += counts[i]
    order = draw(st.permutations(range(n)))
    place = {old: new for new, old in enumerate(order)}
    moved = [place[parents[old]] if parents[old] >= 0 else -1 for old in order]
    return moved, [counts[old] for old in order], [remainders[old] for old in order]


def test_parts_of_a_tree():
    parts = leaves_and_remainders(TREE)
    np.testing.assert_array_equal(parts.population, [0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(parts.is_remainder, [1, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(
        part_counts(COUNTS, parts), [[300, 50, 150, 250, 150, 100], [0, 0, 10, 0, 0, 0]]
    )
    np.testing.assert_array_equal(COUNTS @ parts.matrix.T, part_counts(COUNTS, parts))


@given(trees())
def test_parts_are_disjoint_and_sum_to_their_roots(tree):
    parents, counts, remainders = tree
    got = part_counts(np.array([counts]), leaves_and_remainders(parents))
    np.testing.assert_array_equal(got[0], remainders)
    roots = np.array(parents) < 0
    assert got.sum() == np.array(counts)[roots].sum()


def test_overlapping_children_leave_no_negative_remainder():
    got = part_counts([[100.0, 80, 70]], leaves_and_remainders([-1, 0, 0]))
    np.testing.assert_array_equal(got, [[0, 80, 70]])


def test_a_missing_count_hides_only_the_parts_that_need_it():
    counts = COUNTS.copy()
    counts[0, 4] = np.nan
    got = part_counts(counts, leaves_and_remainders(TREE))
    np.testing.assert_array_equal(np.isnan(got[0]), [False, True, False, False, True, False])
    assert not np.isnan(got[1]).any()


def test_trees_that_are_none_are_refused():
    with pytest.raises(DesignError, match="descend from themselves"):
        leaves_and_remainders([-1, 2, 1])
    with pytest.raises(DesignError, match="positions from 0 to 1"):
        leaves_and_remainders([-1, 2])


def test_logarithm_at_depth_is_the_hypergeometric_expectation():
    x = np.array([0.0, 1, 3, 50, 400, 950, 1000])
    for depth in (1, 10, 100, 999, 1000):
        k = np.arange(depth + 1)
        expected = [
            np.sum(stats.hypergeom.pmf(k, 1000, int(a), depth) * np.log(k + 0.5)) for a in x
        ]
        got = _log_at_depth(x, np.array(1000.0), np.array(float(depth)))
        np.testing.assert_allclose(got, expected, atol=3e-4)


def test_a_vanished_part_moves_alone():
    before = np.tile(np.arange(1000.0, 2500.0, 100.0), (5, 1)) * np.arange(1, 6)[:, None]
    after = 3 * before
    after[:, 2] = np.round(0.15 * after[:, 2])
    result = centred_log_ratio_change(before, after)
    np.testing.assert_allclose(result.change[:, 2], np.log(0.15), atol=0.01)
    np.testing.assert_allclose(np.delete(result.change, 2, axis=1), 0, atol=1e-3)
    assert not result.reference_uncertain


def test_exchanging_the_visits_turns_the_sign(counts):
    forth, back = centred_log_ratio_change(*counts), centred_log_ratio_change(*counts[::-1])
    np.testing.assert_allclose(forth.change, -back.change, atol=1e-9)
    assert forth.share_up == back.share_down


def test_order_of_patients_and_parts_does_not_matter(counts):
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(8), rng.permutation(15)
    shuffled = centred_log_ratio_change(*(c[np.ix_(rows, columns)] for c in counts))
    expected = centred_log_ratio_change(*counts).change[np.ix_(rows, columns)]
    np.testing.assert_allclose(shuffled.change, expected, atol=1e-9)


def test_the_median_effect_of_the_reference_is_zero(counts):
    result = centred_log_ratio_change(*counts)
    assert np.median(result.change[:, result.in_reference].mean(axis=0)) == pytest.approx(0)


def test_patients_without_a_visit_are_nan_and_change_nothing(counts):
    x0, x1 = counts
    x0[3] = np.nan
    x1[5] = 0
    result = centred_log_ratio_change(x0, x1)
    keep = [0, 1, 2, 4, 6, 7]
    assert np.isnan(result.change[[3, 5]]).all()
    np.testing.assert_allclose(
        result.change[keep], centred_log_ratio_change(x0[keep], x1[keep]).change, atol=1e-9
    )


def test_a_part_missing_in_one_patient_does_not_move_his_other_parts():
    x0, x1 = _study(np.random.default_rng(2), 12, 15, eosinophils=0.02, sd=0.05)
    whole = centred_log_ratio_change(x0, x1).change
    x0[4, 0] = np.nan
    gap = centred_log_ratio_change(x0, x1).change
    assert np.isnan(gap[4, 0])
    # Centring over the parts that are left would move them by about 3.9 / 15.
    assert np.abs(gap - whole)[4, 1:].max() < 0.05


def test_rare_parts_stay_out_of_the_reference_and_empty_ones_have_no_change(counts):
    x0, x1 = (np.c_[c, np.zeros((8, 2)), np.full(8, 5.0)] for c in counts)
    x1[:, 16] = 30
    result = centred_log_ratio_change(x0, x1)
    np.testing.assert_array_equal(result.in_reference[14:], [True, False, True, False])
    assert np.isnan(result.change[:, 15]).all()
    assert np.isfinite(result.change[:, 16:]).all()


def test_unequal_depth_does_not_pull_rare_parts():
    rng = np.random.default_rng(12)
    share = np.r_[np.full(15, 1000.0), np.full(300, 0.7)]
    x0, x1 = rng.poisson(np.broadcast_to(share, (40, 315)) * np.array([1, 20])[:, None, None])
    plain = np.log((x1 + 0.5) / (x0 + 0.5)) - np.log(20)
    assert abs(plain[:, 15:].mean()) > 0.1
    change = centred_log_ratio_change(x0, x1).change
    assert abs(change[:, 15:].mean()) < 0.02


def test_too_little_is_refused():
    x = np.full((4, 12), 100.0)
    centred_log_ratio_change(x, x)
    with pytest.raises(DesignError, match="Only 11 disjoint populations"):
        centred_log_ratio_change(x[:, :11], x[:, :11])
    x[:, 0] = 19
    with pytest.raises(DesignError, match="20 or more events"):
        centred_log_ratio_change(x, x)
    with pytest.raises(DesignError, match="Only 2 patients"):
        centred_log_ratio_change(x[:2], x[:2])
    with pytest.raises(ValueError, match="shape"):
        centred_log_ratio_change(x, x[:, :5])


@pytest.mark.parametrize(("n", "plain_calls"), [(8, 0.08), (20, 0.15)])
def test_unchanged_parts_are_not_called_when_eosinophils_vanish(n, plain_calls):
    rng = np.random.default_rng(30 + n)
    called, called_plain, uncertain = [], [], []
    for _ in range(150):
        x0, x1 = _study(rng, n, 20, eosinophils=0.15, depth=3)
        result = centred_log_ratio_change(x0, x1)
        unchanged = result.in_reference & (np.arange(20) > 0)
        called.append(_called(result.change[:, unchanged]).mean())
        plain = np.log((x1 + 0.5) / (x0 + 0.5))
        plain -= plain.mean(axis=1, keepdims=True)
        called_plain.append(_called(plain[:, unchanged]).mean())
        uncertain.append(result.reference_uncertain)
    assert 0.03 < np.mean(called) < 0.07
    assert np.mean(called_plain) > plain_calls
    assert np.mean(uncertain) < 0.03


def test_the_reference_is_uncertain_only_when_many_parts_move():
    rng = np.random.default_rng(77)
    rates = {
        doubled: np.mean(
            [
                centred_log_ratio_change(*_study(rng, 8, 20, doubled=doubled)).reference_uncertain
                for _ in range(60)
            ]
        )
        for doubled in (0.0, 0.1, 0.4, 0.6)
    }
    assert rates[0.0] == 0
    assert rates[0.1] < 0.1
    assert rates[0.4] > 0.9
    assert rates[0.6] > 0.9
