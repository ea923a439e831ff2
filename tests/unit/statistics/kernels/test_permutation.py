"""Sign-flip tests: against brute force, and their error rates under the null hypothesis."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from biocross.errors import TableError
from biocross.statistics.kernels.exact import wilcoxon_signed_rank
from biocross.statistics.kernels.permutation import sign_flip_test, sign_vectors


def _t(differences):
    """|t| and degrees of freedom per population."""
    n = np.isfinite(differences).sum(axis=0)
    sd = np.nanstd(differences, axis=0, ddof=1)
    return np.abs(np.nanmean(differences, axis=0)) / (sd / np.sqrt(n)), n - 1


def _wallace(t, df):
    """Normal equivalent of t."""
    return (8 * df + 1) / (8 * df + 3) * np.sqrt(df * np.log(1 + t**2 / df))


def _brute_force(differences, statistic):
    """p and family-wise p over all 2^n sign vectors, t computed anew for each."""
    observed = statistic(*_t(differences))
    flips = [np.array(signs)[:, None] for signs in product([1, -1], repeat=len(differences))]
    flipped = np.array([statistic(*_t(differences * signs)) for signs in flips])
    p = (flipped >= observed - 1e-9).mean(axis=0)
    fwer_p = (flipped.max(axis=1)[:, None] >= observed - 1e-9).mean(axis=0)
    return p, fwer_p


def _correlated(rng, n_patients, n_populations):
    return rng.normal(size=(n_patients, n_populations)) + 0.7 * rng.normal(size=(n_patients, 1))


@pytest.mark.parametrize("n_patients", [3, 6, 8])
def test_exhaustive_equals_brute_force_with_the_plain_t(n_patients):
    differences = np.random.default_rng(n_patients).normal(0.4, 1, size=(n_patients, 6))
    result = sign_flip_test(differences, seed=0)
    p, fwer_p = _brute_force(differences, lambda t, df: t)
    assert result.exhaustive
    assert result.n_flips == 2 ** (n_patients - 1)
    np.testing.assert_allclose(result.p, p, rtol=1e-12)
    np.testing.assert_allclose(result.fwer_p, fwer_p, rtol=1e-12)


def test_exhaustive_equals_brute_force_with_missing_pairs():
    rng = np.random.default_rng(8)
    differences = rng.normal(0.6, 1, size=(8, 6))
    for column, n_missing in enumerate([0, 1, 2, 3, 4, 5]):
        differences[rng.choice(8, n_missing, replace=False), column] = np.nan
    result = sign_flip_test(differences, seed=0)
    p, fwer_p = _brute_force(differences, _wallace)
    np.testing.assert_allclose(result.p, p, rtol=1e-12)
    np.testing.assert_allclose(result.fwer_p, fwer_p, rtol=1e-12)


def test_ties_count_whatever_the_rounding():
    rng = np.random.default_rng(5)
    differences = rng.choice([-0.3, -0.1, 0.1, 0.2], size=(9, 30))
    result = sign_flip_test(differences, seed=0)
    whole = np.rint(differences * 10).astype(int)
    signs = np.array(list(product([1, -1], repeat=9)))
    expected = (np.abs(signs @ whole) >= np.abs(whole.sum(axis=0))).mean(axis=0)
    np.testing.assert_allclose(result.p, expected, rtol=1e-12)


def test_nearly_equal_changes_keep_the_observed_labelling_among_all():
    rng = np.random.default_rng(4)
    differences = 1 + 2e-3 * rng.normal(size=(10, 200))
    for order in (np.arange(10), rng.permutation(10)):
        result = sign_flip_test(differences[order], seed=0)
        np.testing.assert_array_equal(result.p, 2 / 2**10)
        assert result.fwer_p.min() == 2 / 2**10


def test_up_to_14_patients_every_relabelling_is_tried():
    differences = np.random.default_rng(16).normal(size=(15, 2))
    differences[:14, 0] = np.r_[1, np.full(13, 10.0)]  # flipping the first hardly moves t
    few = sign_flip_test(differences[:14], seed=0, n_flips=100)
    assert few.p[0] == 2 / 2**14
    assert (few.exhaustive, few.n_flips) == (True, 2**13)
    more = sign_flip_test(differences, seed=0, n_flips=100)
    assert (more.exhaustive, more.n_flips) == (False, 100)


def test_population_with_few_pairs_does_not_rule_the_family():
    rng = np.random.default_rng(2)
    differences = rng.normal(size=(12, 4))
    differences[:, 0] += 1.4
    few = differences.copy()
    few[3:, 3] = np.nan
    few[:3, 3] = [1.0, 1.1, 0.8]  # t of 11 on 2 degrees of freedom
    assert sign_flip_test(few, seed=0).fwer_p[0] <= 0.05
    _, plain_t = _brute_force(few, lambda t, df: t)
    assert plain_t[0] > 0.2  # what the normal scale is for


def test_seeded_flips_approximate_the_exhaustive_p():
    rng = np.random.default_rng(6)
    differences = rng.normal(0.35, 1, size=(17, 12))
    exact = sign_flip_test(differences, seed=0, n_flips=2**16)
    drawn = sign_flip_test(differences, seed=11)
    assert exact.exhaustive
    assert (drawn.exhaustive, drawn.n_flips) == (False, 10_000)
    for estimate, truth in ((drawn.p, exact.p), (drawn.fwer_p, exact.fwer_p)):
        error = np.sqrt(truth * (1 - truth) / 10_000) + 1e-4
        assert (np.abs(estimate - truth) < 4.5 * error).all()
        assert (estimate != truth).any()


def test_seeded_p_is_never_zero_and_follows_the_seed():
    differences = np.random.default_rng(7).normal(size=(30, 5))
    differences[:, 0] += 5
    first, again, other = (sign_flip_test(differences, seed=seed) for seed in (1, 1, 2))
    assert first.p[0] == first.fwer_p[0] == 1 / 10_001
    np.testing.assert_array_equal(first.p, again.p)
    np.testing.assert_array_equal(first.fwer_p, again.fwer_p)
    assert (first.p != other.p).any()


def test_many_populations_are_cut_into_pieces_without_effect():
    differences = np.random.default_rng(9).normal(0.3, 1, size=(20, 700))
    whole = sign_flip_test(differences, seed=3)  # several chunks of flips
    part = sign_flip_test(differences[:, :40], seed=3)  # one chunk
    np.testing.assert_array_equal(whole.p[:40], part.p)


def test_sparse_and_constant_populations_are_left_out():
    rng = np.random.default_rng(10)
    good = rng.normal(0.5, 1, size=(7, 2))
    bad = np.column_stack([np.zeros(7), np.full(7, 0.1), np.r_[1.0, 2.0, [np.nan] * 5]])
    bad[3:, 1] = np.nan
    result = sign_flip_test(np.column_stack([bad, good]), seed=0)
    alone = sign_flip_test(good, seed=0)
    assert np.isnan(result.p[:3]).all()
    assert np.isnan(result.fwer_p[:3]).all()
    np.testing.assert_array_equal(result.fwer_p[3:], alone.fwer_p)
    nothing = sign_flip_test(bad, seed=0)
    assert nothing.n_flips == 0
    assert np.isnan(nothing.p).all()


@pytest.mark.parametrize("shape", [(0, 3), (5, 0)])
def test_empty_tables(shape):
    result = sign_flip_test(np.empty(shape), seed=0)
    assert result.p.shape == result.fwer_p.shape == (shape[1],)


def test_patients_without_values_do_not_count():
    rng = np.random.default_rng(12)
    differences = np.full((20, 3), np.nan)
    differences[4:14] = rng.normal(size=(10, 3))
    result = sign_flip_test(differences, seed=0)
    assert (result.exhaustive, result.n_flips) == (True, 512)
    np.testing.assert_array_equal(result.p, sign_flip_test(differences[4:14], seed=0).p)


def test_units_do_not_matter():
    differences = np.random.default_rng(13).normal(0.4, 1, size=(16, 5))
    scale = np.array([1.0, 1e-200, 1e200, -3.0, 1e-9])
    plain = sign_flip_test(differences, seed=1, n_flips=999)
    np.testing.assert_array_equal(
        sign_flip_test(differences * scale, seed=1, n_flips=999).fwer_p, plain.fwer_p
    )


@pytest.mark.parametrize(("n_patients", "n_flips", "n_studies"), [(9, 10_000, 600), (16, 499, 600)])
def test_chance_of_any_claim_among_unchanged_populations(n_patients, n_flips, n_studies):
    """The smallest family-wise p-value is uniform where nothing changed."""
    rng = np.random.default_rng(14)
    smallest, single = [], []
    for study in range(n_studies):
        differences = _correlated(rng, n_patients, 15)
        differences[rng.random(differences.shape) < 0.1] = np.nan
        result = sign_flip_test(differences, seed=study, n_flips=n_flips)
        smallest.append(np.nanmin(result.fwer_p))
        single.append(result.p)
    # The steps of the p-value are below .01: nearly continuous.
    assert stats.kstest(smallest, "uniform").pvalue > 0.01
    claims = np.mean(np.array(smallest) <= 0.05)
    assert abs(claims - 0.05) < 3 * np.sqrt(0.05 * 0.95 / n_studies)
    # Without the adjustment some claim would be made in a good part of the studies.
    assert np.mean(np.nanmin(single, axis=1) <= 0.05) > 0.2


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.integers(3, 9),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.25]),
)
def test_exhaustive_test_ignores_order_of_patients_and_swapped_visits(n, seed, missing):
    rng = np.random.default_rng(seed)
    differences = rng.normal(0.5, 1, size=(n, 5)).round(1)
    differences[rng.random(differences.shape) < missing] = np.nan
    plain = sign_flip_test(differences, seed=0)
    for other in (differences[rng.permutation(n)], -differences):
        changed = sign_flip_test(other, seed=1)
        np.testing.assert_array_equal(plain.p, changed.p)
        np.testing.assert_array_equal(plain.fwer_p, changed.fwer_p)
    tested = np.isfinite(plain.p)
    assert (plain.fwer_p[tested] >= plain.p[tested]).all()


def test_sign_flips_of_ranks_are_the_wilcoxon_test():
    ranks = np.arange(1.0, 11.0)
    rng = np.random.default_rng(15)
    differences = ranks[:, None] * rng.choice([-1, 1], size=(10, 8))
    np.testing.assert_allclose(
        sign_flip_test(differences, seed=0).p, wilcoxon_signed_rank(differences), rtol=1e-12
    )


def test_sign_vectors_are_all_distinct_up_to_a_mirror():
    signs, exhaustive = sign_vectors(5, seed=0, n=16)
    assert exhaustive
    assert signs.shape == (16, 5)
    assert signs.dtype == np.int8
    assert (signs[0] == 1).all()
    both = {tuple(row) for row in np.vstack([signs, -signs]).tolist()}
    assert both == set(product([1, -1], repeat=5))


def test_sign_vectors_are_drawn_where_there_are_too_many():
    signs, exhaustive = sign_vectors(40, seed=1, n=4000)
    assert not exhaustive
    assert signs.shape == (4000, 40)
    assert set(np.unique(signs)) == {-1, 1}
    assert np.abs(signs.mean(axis=0)).max() < 4.5 / np.sqrt(4000)
    correlation = np.corrcoef(signs, rowvar=False)[np.triu_indices(40, 1)]
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)
    np.testing.assert_array_equal(signs, sign_vectors(40, seed=1, n=4000)[0])
    assert (signs != sign_vectors(40, seed=2, n=4000)[0]).any()
    assert sign_vectors(200, seed=0, n=3)[0].shape == (3, 200)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="at least 1"):
        sign_vectors(0, seed=0, n=10)
    with pytest.raises(ValueError, match="n_flips must be at least 1"):
        sign_flip_test(np.eye(4), seed=0, n_flips=0)
    with pytest.raises(ValueError, match="shape"):
        sign_flip_test(np.arange(3.0), seed=0)
    with pytest.raises(TableError, match="infinite"):
        sign_flip_test(np.full((3, 1), np.inf), seed=0)
