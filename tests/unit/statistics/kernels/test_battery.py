import numpy as np
import pytest
from scipy import stats

from biocross.statistics.kernels.battery import run_battery
from biocross.statistics.kernels.moderation import moderated_paired_t


@pytest.fixture
def changes():
    """Ten patients, eight populations; the first rises in everyone, the last has no variance."""
    rng = np.random.default_rng(11)
    differences = rng.normal(0, 0.3, (10, 8))
    differences[:, 0] += 1.0
    differences[2, 3] = np.nan
    differences[:, 7] = 0.25
    return differences


def test_columns_against_scipy(changes):
    battery = run_battery(changes, None, seed=1)
    for column in range(7):
        d = changes[~np.isnan(changes[:, column]), column]
        assert battery.wilcoxon_p[column] == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)
        i, j = np.triu_indices(len(d))
        assert battery.hodges_lehmann[column] == pytest.approx(np.median((d[i] + d[j]) / 2))
        ranks = stats.rankdata(np.abs(d))
        expected = (ranks[d > 0].sum() - ranks[d < 0].sum()) / ranks.sum()
        assert battery.rank_biserial[column] == pytest.approx(expected)


def test_primary_is_the_moderated_test_with_the_trend(changes):
    abundance = np.linspace(1, 8, 8)
    battery = run_battery(changes, abundance, seed=1)
    expected = moderated_paired_t(changes, abundance)
    np.testing.assert_array_equal(battery.primary.p, expected.p)
    assert not np.allclose(
        battery.primary.p, moderated_paired_t(changes, None).p, equal_nan=True, rtol=1e-6
    )


def test_sign_flips_by_brute_force(changes):
    """All 2^10 sign vectors of patients; one relabelling for all populations (max-T)."""
    changes[2, 3] = 0.1
    battery = run_battery(changes, None, seed=1)
    signs = 1 - 2 * ((np.arange(1024)[:, None] >> np.arange(10)) & 1)
    flipped = signs[:, :, None] * changes[:, :7]
    t = np.abs(stats.ttest_1samp(flipped, 0, axis=1).statistic)
    seen = t[0] * (1 - 1e-9)
    np.testing.assert_allclose(battery.signflip_p[:7], (t >= seen).mean(axis=0))
    corrected = (t.max(axis=1)[:, None] >= seen).mean(axis=0)
    np.testing.assert_allclose(battery.signflip_fwer_p[:7], corrected)


def test_detectable_fold_and_equivalence_of_the_primary(changes):
    primary = run_battery(changes, None, seed=1).primary
    battery = run_battery(changes, None, seed=1)
    reach = stats.t.ppf(0.975, primary.df[1]) + stats.t.ppf(0.8, primary.df[1])
    expected = np.exp(reach * np.sqrt(primary.s2_post[1] / 10))
    assert battery.detectable_fold[1] == pytest.approx(expected)
    small = run_battery(changes * 0.05, None, seed=1)
    assert small.equivalent[1:7].all()
    assert not battery.equivalent[0]


def test_no_variance_gives_no_test(changes):
    battery = run_battery(changes, None, seed=1)
    assert np.isnan(battery.primary.p[7])
    assert not battery.equivalent[7]


def test_agreement_counts_significance_and_sign():
    rng = np.random.default_rng(12)
    clear = rng.normal(1, 0.1, 12)
    nothing = np.array([-1.0, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6.1])
    # One patient outweighs ten small falls: its t is not significant, the ranks are.
    one_outlier = np.array([-0.1, -0.11, -0.12, -0.13, -0.14, -0.15, -0.16, -0.17, -0.18, -0.19])
    one_outlier = np.concatenate([one_outlier, [-0.2, 4.0]])
    battery = run_battery(np.column_stack([clear, nothing, one_outlier]), None, seed=1)
    assert battery.agreement.tolist()[:2] == [3, 3]
    assert battery.primary.p[2] > 0.05 > battery.wilcoxon_p[2]
    assert battery.agreement[2] == 2


def test_seed_decides_where_flips_are_drawn():
    rng = np.random.default_rng(13)
    differences = rng.normal(0.2, 0.5, (20, 3))
    first, again, other = (run_battery(differences, None, seed).signflip_p for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_no_patients():
    battery = run_battery(np.empty((0, 3)), np.full(3, np.nan), seed=1)
    assert np.isnan(battery.primary.p).all()
    assert not battery.equivalent.any()
