from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from biocross.statistics.kernels.moderation import (
    moderated_p_values,
    moderated_paired_t,
    moderated_t_of_summary,
    plain_paired_t,
    summarise_flipped,
    summarise_pairs,
    welch_difference,
)
from biocross.statistics.kernels.variance_prior import fit_variance_prior

GOLDEN = Path(__file__).parents[3] / "golden" / "limma"
TOLERANCE = 1e-9


def read_golden(path):
    names = path.read_text(encoding="utf-8").splitlines()[0].split("\t")
    rows = np.genfromtxt(path, delimiter="\t", skip_header=1, missing_values="NA")
    table = dict(zip(names, np.atleast_2d(rows).T, strict=True))
    covariate = table["covariate"]
    table["covariate"] = None if np.isnan(covariate).all() else covariate
    return table


def golden(kind):
    paths = sorted(GOLDEN.glob(f"{kind}_*.tsv"))
    return pytest.mark.parametrize("path", paths, ids=[p.stem for p in paths])


def test_golden_tables_are_all_there():
    names = {p.stem for p in GOLDEN.glob("*.tsv")}
    assert {f"test_trend_{n}" for n in (2, 5, 6, 29, 30, 100)} <= names
    assert {"test_missing_30", "test_infinite_40", "test_plain_30", "prior_unequal_df"} <= names


@golden("test")
def test_uncapped_equals_limma(path):
    table = read_golden(path)
    changes = np.array([v for name, v in table.items() if name.startswith("change_")])
    test = moderated_paired_t(changes, table["covariate"], cap=False)
    tested = ~np.isnan(table["t"])
    for ours, theirs in {
        "t": "t",
        "p": "p",
        "df": "df_total",
        "s2": "s2",
        "s2_post": "s2_post",
    }.items():
        np.testing.assert_allclose(getattr(test, ours), table[theirs], rtol=TOLERANCE, err_msg=ours)
    np.testing.assert_allclose(test.estimate[tested], table["estimate"][tested], rtol=TOLERANCE)

    prior = fit_variance_prior(test.s2, test.n_pairs - 1, table["covariate"])
    np.testing.assert_allclose(prior.s2_prior[tested], table["s2_prior"][tested], rtol=TOLERANCE)
    np.testing.assert_allclose(prior.df_prior, table["df_prior"][tested][0], rtol=TOLERANCE)


@golden("prior")
def test_prior_equals_limma(path):
    table = read_golden(path)
    prior = fit_variance_prior(table["variance"], table["df"], table["covariate"])
    np.testing.assert_allclose(prior.s2_prior, table["s2_prior"], rtol=TOLERANCE)
    np.testing.assert_allclose(prior.df_prior, table["df_prior"][0], rtol=TOLERANCE)


def study(seed, populations=20, patients=10, missing=0.0, effect=0.0, df_prior=4):
    """Changes and covariate with variances that fall with it and differ beyond it."""
    rng = np.random.default_rng(seed)
    covariate = rng.uniform(0, 9, populations)
    variance = (
        (0.05 + 0.5 * np.exp(-covariate / 2)) * df_prior / rng.chisquare(df_prior, populations)
    )
    changes = rng.normal(effect, np.sqrt(variance), (patients, populations))
    changes[rng.random(changes.shape) < missing] = np.nan
    return changes, covariate


def reference_test(changes, covariate):
    """The design's formulas, population by population, with scipy.stats."""
    plain = [stats.ttest_1samp(d[~np.isnan(d)], 0) for d in changes.T]
    s2, df = np.nanvar(changes, axis=0, ddof=1), np.array([r.df for r in plain])
    s2_prior, d0 = fit_variance_prior(s2, df, covariate)
    for i, own in enumerate(plain):
        n, weight = df[i] + 1, min(d0, df[i])
        s2_post = (df[i] * s2[i] + weight * s2_prior[i]) / (df[i] + weight)
        total = min(df[i] + weight, df.sum())
        mean, error = np.nanmean(changes[:, i]), np.sqrt(s2_post / n)
        p = 2 * stats.t.sf(abs(mean / error), total)
        limits = stats.t.interval(0.95, total, mean, error)
        limit = (
            stats.chi2.ppf(0.95, df[i]) / df[i] if np.isinf(d0) else stats.f.ppf(0.95, df[i], d0)
        )
        outlying = s2[i] / s2_prior[i] > limit
        if outlying and own.pvalue > p:
            p, limits = own.pvalue, own.confidence_interval()
        yield p, *limits, outlying


@pytest.mark.parametrize("missing", [0.0, 0.25])
@pytest.mark.parametrize(("seed", "df_prior"), [(1, 2), (2, 4), (28, 1e9)])
def test_capped_equals_the_formulas(seed, df_prior, missing):
    changes, covariate = study(seed, 40, 9, missing, df_prior=df_prior)
    test = moderated_paired_t(changes, covariate)
    p, low, high, outlying = np.array(list(reference_test(changes, covariate))).T
    assert 0 < outlying.sum() < 15
    np.testing.assert_allclose(test.p, p, rtol=1e-9)
    np.testing.assert_allclose(test.low, low, rtol=1e-9)
    np.testing.assert_allclose(test.high, high, rtol=1e-9)
    np.testing.assert_array_equal(test.moderated, outlying == 0)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_fields_belong_to_one_test(missing):
    changes, covariate = study(4, 60, 8, missing, effect=0.2)
    for test in (moderated_paired_t(changes, covariate, level=0.9), plain_paired_t(changes, 0.9)):
        np.testing.assert_allclose(test.standard_error, np.sqrt(test.s2_post / test.n_pairs))
        np.testing.assert_allclose(test.t, test.estimate / test.standard_error)
        low, high = stats.t.interval(0.9, test.df, test.estimate, test.standard_error)
        np.testing.assert_allclose([test.low, test.high], [low, high], rtol=1e-9)
        plain = ~test.moderated
        np.testing.assert_array_equal(test.s2_post[plain], test.s2[plain])
        np.testing.assert_array_equal(test.df[plain], test.n_pairs[plain] - 1)


def test_the_prior_never_outweighs_a_populations_own_pairs():
    changes, covariate = study(2, 40, 6, df_prior=1e9)
    assert fit_variance_prior(changes.var(axis=0, ddof=1), 5, covariate).df_prior > 100
    capped = moderated_paired_t(changes, covariate)
    np.testing.assert_array_equal(capped.df[capped.moderated], 10)
    assert moderated_paired_t(changes, covariate, cap=False).df.max() > 100


def test_plain_equals_scipy():
    changes, _ = study(6, 30, 7, missing=0.2, effect=0.1)
    test = plain_paired_t(changes)
    theirs = [stats.ttest_1samp(d[~np.isnan(d)], 0) for d in changes.T]
    np.testing.assert_allclose(test.t, [r.statistic for r in theirs], rtol=1e-10)
    np.testing.assert_allclose(test.p, [r.pvalue for r in theirs], rtol=1e-10)
    interval = np.array([r.confidence_interval() for r in theirs]).T
    np.testing.assert_allclose([test.low, test.high], interval, rtol=1e-10)
    assert not test.moderated.any()


@pytest.mark.parametrize(("populations", "moderated"), [(5, False), (6, True)])
def test_few_populations_are_not_moderated(populations, moderated):
    changes, covariate = study(7, populations)
    changes = np.c_[changes, np.zeros(10), np.full(10, np.nan)]  # not testable: do not count
    test = moderated_paired_t(changes, np.r_[covariate, 0, np.nan])
    assert test.moderated.any() == moderated
    if not moderated:
        for ours, plain in zip(test, plain_paired_t(changes), strict=True):
            np.testing.assert_array_equal(ours, plain)


def test_untestable_populations_leave_before_moderation():
    changes, covariate = study(8, 12)
    hopeless = np.full((10, 5), np.nan)
    hopeless[:2, 1] = 0.4, 0.6
    hopeless[:, 2] = 0.1
    hopeless[:, 3] = 0.0
    hopeless[0, 4] = 0.3
    test = moderated_paired_t(np.c_[hopeless, changes], np.r_[[np.nan] * 5, covariate])
    np.testing.assert_array_equal(test.n_pairs[:5], [0, 2, 10, 10, 1])
    np.testing.assert_allclose(test.estimate[:5], [np.nan, 0.5, 0.1, 0.0, 0.3])
    for field in set(test._fields) - {"n_pairs", "estimate", "moderated"}:
        assert np.isnan(getattr(test, field)[:5]).all(), field
    assert not test.moderated[:5].any()
    alone = moderated_paired_t(changes, covariate)
    for with_others, without in zip(test, alone, strict=True):
        np.testing.assert_allclose(with_others[5:], without, rtol=1e-9)


def test_nothing_testable_gives_nan_and_no_warning():
    test = moderated_paired_t(np.zeros((5, 3)), np.arange(3.0))
    assert np.isnan(test.p).all()
    assert moderated_paired_t(np.empty((4, 0)), None).p.shape == (0,)
    prior = fit_variance_prior([np.nan, np.nan], [0, 0])
    assert np.isnan(prior.df_prior)
    assert np.isnan(prior.s2_prior).all()


def test_three_pairs_are_enough():
    test = moderated_paired_t(study(9, 10, patients=3)[0], None)
    assert np.isfinite(test.p).all()


@pytest.mark.parametrize("covariate", [[1.0, 2.0], [np.nan] + [1.0] * 19])
def test_a_covariate_that_does_not_fit_is_refused(covariate):
    with pytest.raises(ValueError, match="trend covariate"):
        moderated_paired_t(study(10)[0], covariate)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("trend", [True, False])
def test_a_stack_equals_its_tables_one_by_one(missing, trend):
    changes, covariate = study(11, 25, 6, missing)
    covariate = covariate if trend else None
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (7, 6))
    stack = signs[:, :, None] * changes
    stack[3, :, 4] = 0.2  # a table with one testable population fewer
    together = moderated_paired_t(stack, covariate)
    for i, table in enumerate(stack):
        for ours, alone in zip(together, moderated_paired_t(table, covariate), strict=True):
            np.testing.assert_allclose(ours[i], alone, rtol=1e-10, atol=1e-14)
    light = moderated_p_values(summarise_pairs(stack), covariate)
    np.testing.assert_array_equal(light, together.p)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_flipping_the_summary_equals_flipping_the_changes(missing):
    changes, covariate = study(12, 25, 8, missing, effect=0.3)
    changes[:, 3] = 0.25  # no variance until flipped
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (20, 8))
    signs[0] = 1
    flipped = summarise_flipped(changes, signs)
    slow = moderated_paired_t(signs[:, :, None] * changes, covariate)
    for ours, theirs in zip(moderated_t_of_summary(flipped, covariate), slow, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-12)
    assert np.isnan(slow.p[0, 3])
    assert np.isfinite(slow.p[1:, 3]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_orders_units_and_signs_do_not_matter(seed, unit):
    changes, covariate = study(seed, 15, 7, missing=0.1)
    rng = np.random.default_rng(seed)
    patients, populations = rng.permutation(7), rng.permutation(15)
    test = moderated_paired_t(changes, covariate)
    other = moderated_paired_t(
        -unit * changes[patients][:, populations], 5 + 3 * covariate[populations]
    )
    np.testing.assert_allclose(other.p, test.p[populations], rtol=1e-6)
    np.testing.assert_allclose(other.t, -test.t[populations], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(other.high, -unit * test.low[populations], rtol=1e-6, atol=1e-9)
    assert ((test.p < 0.05) == ((test.low > 0) | (test.high < 0))).all()


def test_type_one_error_and_coverage_hold_and_the_prior_buys_power():
    changes, covariate = study(13, 30, 6)
    rng = np.random.default_rng(2)
    scale = changes.std(axis=0)
    null = moderated_paired_t(rng.normal(0, scale, (2_000, 6, 30)), covariate)
    assert 0.04 < (null.p < 0.05).mean() < 0.06
    assert 0.94 < ((null.low < 0) & (null.high > 0)).mean() < 0.96
    shifted = rng.normal(scale, scale, (300, 6, 30))
    power = (moderated_paired_t(shifted, covariate).p < 0.05).mean()
    assert power > (plain_paired_t(shifted).p < 0.05).mean() + 0.03


def test_welch_of_plain_arms_equals_scipy():
    (a, _), (b, _) = study(14, 12, 9, effect=0.4), study(15, 12, 6, df_prior=2)
    ours = welch_difference(plain_paired_t(a), plain_paired_t(b), level=0.9)
    theirs = stats.ttest_ind(a, b, equal_var=False)
    np.testing.assert_allclose(ours.t, theirs.statistic, rtol=1e-10)
    np.testing.assert_allclose(ours.df, theirs.df, rtol=1e-10)
    np.testing.assert_allclose(ours.p, theirs.pvalue, rtol=1e-10)
    np.testing.assert_allclose([ours.low, ours.high], theirs.confidence_interval(0.9), rtol=1e-9)
    np.testing.assert_allclose(ours.estimate, a.mean(axis=0) - b.mean(axis=0))


def test_welch_uses_the_moderated_arms_and_passes_gaps_on():
    (a, covariate), (b, _) = study(16, 12, 9), study(17, 12, 6)
    a[:8, 3] = np.nan
    arms = moderated_paired_t(a, covariate), moderated_paired_t(b, covariate)
    ours, swapped = welch_difference(*arms), welch_difference(*arms[::-1])
    np.testing.assert_allclose(
        ours.standard_error, np.hypot(arms[0].standard_error, arms[1].standard_error)
    )
    assert np.isnan(ours.p[3])
    assert np.isfinite(np.delete(ours.p, 3)).all()
    assert (np.delete(ours.df, 3) <= np.delete(arms[0].df + arms[1].df, 3) + 1e-9).all()
    np.testing.assert_allclose(swapped.p, ours.p)
    np.testing.assert_allclose(swapped.low, -ours.high)
