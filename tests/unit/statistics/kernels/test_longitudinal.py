"""Visits within patients: against R clubSandwich, the paired t-test and simulation."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from biocross.errors import DesignError
from biocross.statistics.kernels.longitudinal import fit_visits

GOLDEN = Path(__file__).parents[3] / "golden" / "clubsandwich"
POPULATIONS = ["a", "b", "c"]
FIELDS = ["estimate", "standard_error", "t", "df", "p", "low", "high"]
TOLERANCE = 1e-6
SCENARIOS = [
    "balanced",
    "balanced_covariate",
    "two_visits",
    "unbalanced",
    "unbalanced_covariates",
    "lone_patient",
]


def _rows(name, scenario):
    with (GOLDEN / name).open() as lines:
        rows = [r for r in csv.DictReader(lines, delimiter="\t") if r["scenario"] == scenario]
    assert rows
    return rows


def _number(text):
    return np.nan if text in ("", "NA") else float(text)


def _golden_fit(scenario):
    samples = _rows("samples.tsv", scenario)
    values = np.array([[_number(r[p]) for p in POPULATIONS] for r in samples])
    x = np.array([[_number(r[c]) for c in ("x1", "x2")] for r in samples])
    x = x[:, ~np.isnan(x).all(axis=0)]
    patient = np.array([int(r["patient"]) for r in samples])
    visit = np.array([int(r["visit"]) for r in samples])
    return fit_visits(values, patient, visit, x if x.shape[1] else None)


def _golden_coefficient(effects, row):
    """The block and the place in it of a row of coefficients.tsv."""
    place = int(row["term"].removeprefix("visit_").removeprefix("x")) - 1
    block = effects.visits if row["term"].startswith("visit_") else effects.covariates
    return block, (place, POPULATIONS.index(row["population"]))


@pytest.fixture
def cohort():
    """10 patients x 4 visits, one covariate, 5 populations; complete, shape as the kernel's."""
    rng = np.random.default_rng(3)
    patient, visit = np.repeat(np.arange(10), 4), np.tile(np.arange(4), 10)
    values = rng.normal(size=(40, 5)) + rng.normal(size=(10, 5))[patient] * 3
    return values, patient, visit, rng.normal(size=(40, 1))


def _assert_same(one, other, rtol=1e-9):
    for block in ("visits", "covariates"):
        for field in FIELDS:
            a, b = getattr(getattr(one, block), field), getattr(getattr(other, block), field)
            np.testing.assert_allclose(a, b, rtol=rtol, err_msg=f"{block} {field}")
    np.testing.assert_allclose(one.any_visit.p, other.any_visit.p, rtol=rtol)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_coefficients_equal_clubsandwich_on_the_full_design(scenario):
    effects = _golden_fit(scenario)
    compared = 0
    for row in _rows("coefficients.tsv", scenario):
        block, place = _golden_coefficient(effects, row)
        fields = ["estimate"] if (scenario, row["term"]) == ("lone_patient", "x1") else FIELDS
        for field in fields:
            assert getattr(block, field)[place] == pytest.approx(
                float(row[field]), rel=TOLERANCE, abs=0
            ), (row["term"], row["population"], field)
            compared += 1
    assert compared >= 7 * 3


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_joint_test_equals_clubsandwich_htz(scenario):
    joint = _golden_fit(scenario).any_visit
    for row in _rows("wald.tsv", scenario):
        p = POPULATIONS.index(row["population"])
        for field in ("f", "df_numerator", "df_denominator", "p"):
            assert getattr(joint, field)[p] == pytest.approx(float(row[field]), rel=TOLERANCE)


def test_two_visits_are_the_paired_t_test():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(16, 6))
    effects = fit_visits(values, np.repeat(np.arange(8), 2), np.tile([0, 1], 8))
    expected = stats.ttest_rel(values[1::2], values[::2])
    interval = expected.confidence_interval()
    np.testing.assert_allclose(effects.visits.t[0], expected.statistic, rtol=1e-10)
    np.testing.assert_allclose(effects.visits.p[0], expected.pvalue, rtol=1e-10)
    np.testing.assert_allclose(effects.visits.df[0], 7, rtol=1e-10)
    np.testing.assert_allclose(effects.visits.low[0], interval.low, rtol=1e-9)
    np.testing.assert_allclose(effects.any_visit.p, expected.pvalue, rtol=1e-9)


def test_visits_without_visit_specific_patients_estimate_the_mean_change():
    rng = np.random.default_rng(8)
    values = rng.normal(size=(30, 2))
    effects = fit_visits(values, np.repeat(np.arange(10), 3), np.tile([0, 4, 12], 10))
    np.testing.assert_array_equal(effects.visit, [4, 12])
    cube = values.reshape(10, 3, 2)
    np.testing.assert_allclose(
        effects.visits.estimate, (cube[:, 1:] - cube[:, :1]).mean(axis=0), rtol=1e-10
    )


def test_order_of_samples_and_names_of_patients_do_not_matter(cohort):
    values, patient, visit, x = cohort
    values[[5, 9, 22]] = np.nan
    order = np.random.default_rng(0).permutation(len(values))
    shuffled = fit_visits(values[order], 1000 - 7 * patient[order], visit[order], x[order])
    _assert_same(fit_visits(values, patient, visit, x), shuffled)


def test_units_of_a_covariate_do_not_matter(cohort):
    values, patient, visit, x = cohort
    plain, scaled = (fit_visits(values, patient, visit, c) for c in (x, 1e6 + 1e4 * x))
    np.testing.assert_allclose(scaled.visits.p, plain.visits.p, rtol=1e-7)
    np.testing.assert_allclose(scaled.covariates.p, plain.covariates.p, rtol=1e-7)
    np.testing.assert_allclose(
        scaled.covariates.estimate * 1e4, plain.covariates.estimate, rtol=1e-7
    )


def test_populations_do_not_influence_each_other(cohort):
    values, patient, visit, x = cohort
    values[3, 1] = values[[8, 20, 33], 2] = values[[8, 20, 33], 4] = np.nan
    together = fit_visits(values, patient, visit, x)
    for p in range(values.shape[1]):
        alone = fit_visits(values[:, [p]], patient, visit, x)
        np.testing.assert_allclose(together.visits.p[:, [p]], alone.visits.p, rtol=1e-10)
        np.testing.assert_allclose(together.any_visit.p[[p]], alone.any_visit.p, rtol=1e-10)


def test_patients_with_one_visit_are_counted_and_change_nothing(cohort):
    values, patient, visit, _ = cohort
    values[0, 0] = values[[4, 5, 6], 1] = np.nan
    effects = fit_visits(values, patient, visit)
    np.testing.assert_array_equal(effects.n_patients, [10, 9, 10, 10, 10])
    np.testing.assert_array_equal(effects.n_single_visit, [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(effects.n_samples, [39, 36, 40, 40, 40])
    values[7, 1] += 1e3
    np.testing.assert_array_equal(
        fit_visits(values, patient, visit).visits.p[:, 1], effects.visits.p[:, 1]
    )


def test_a_sample_without_its_covariate_is_left_out(cohort):
    values, patient, visit, x = cohort
    x[11] = np.nan
    with_gap = fit_visits(values, patient, visit, x)
    keep = np.arange(len(values)) != 11
    _assert_same(with_gap, fit_visits(values[keep], patient[keep], visit[keep], x[keep]))
    np.testing.assert_array_equal(with_gap.n_samples, 39)


def test_an_effect_of_one_patient_alone_has_no_standard_error(cohort):
    values, patient, visit, _ = cohort
    values[(visit == 3) & (patient != 4)] = np.nan
    effects = fit_visits(values, patient, visit)
    assert np.isfinite(effects.visits.estimate).all()
    assert np.isfinite(effects.visits.p[:2]).all()
    assert np.isnan(effects.visits.standard_error[2]).all()
    assert np.isnan(effects.visits.p[2]).all()
    np.testing.assert_array_equal(effects.any_visit.df_numerator, 2)
    lone = _golden_fit("lone_patient").covariates
    assert np.isnan(lone.standard_error[0]).all()
    assert np.isfinite(lone.standard_error[1]).all()


def test_a_visit_or_covariate_that_one_population_lacks_leaves_its_rest(cohort):
    values, patient, visit, x = cohort
    dose = np.where(np.isin(patient, [0, 1]), x[:, 0], 5.0)[:, None]
    values[visit == 2, 0] = np.nan
    values[np.isin(patient, [0, 1]), 1] = np.nan
    values[visit == 0, 2] = np.nan
    effects = fit_visits(values, patient, visit, dose)
    assert np.isnan(effects.visits.p[1, 0])
    assert np.isfinite(effects.visits.p[[0, 2], 0]).all()
    assert np.isnan(effects.covariates.estimate[0, 1])
    without = fit_visits(values[:, [1]], patient, visit)
    np.testing.assert_allclose(effects.visits.p[:, 1], without.visits.p[:, 0], rtol=1e-9)
    assert np.isnan(effects.visits.estimate[:, 2]).all()
    assert np.isfinite(effects.visits.p[:, 3:]).all()


def test_constant_values_have_no_test(cohort):
    values, patient, visit, _ = cohort
    values[:, 0] = 1.7
    values[:, 1] = patient * 0.37 + 0.1 * visit
    values[:, 2] = np.nan
    effects = fit_visits(values, patient, visit)
    np.testing.assert_allclose(effects.visits.estimate[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(effects.visits.estimate[:, 1], [0.1, 0.2, 0.3])
    assert np.isnan(effects.visits.p[:, :3]).all()
    assert np.isnan(effects.any_visit.p[:3]).all()
    assert np.isfinite(effects.visits.p[:, 3:]).all()


def test_more_visits_than_patients_can_carry_leave_the_joint_test_out():
    rng = np.random.default_rng(2)
    effects = fit_visits(rng.normal(size=(12, 3)), np.repeat([0, 1, 2], 4), np.tile(range(4), 3))
    assert np.isfinite(effects.visits.p).all()
    assert np.isnan(effects.any_visit.p).all()


@pytest.mark.parametrize(
    ("make", "position"),
    [
        (lambda x, patient, visit: np.c_[x, 2.0 * visit + patient], 1),
        (lambda x, patient, visit: np.c_[patient * 0.1, x], 0),
        (lambda x, patient, visit: np.c_[x, visit == 2], 1),
        (lambda x, patient, visit: np.c_[x, 3 - x], 1),
    ],
)
def test_a_covariate_that_follows_from_others_is_refused(cohort, make, position):
    values, patient, visit, x = cohort
    with pytest.raises(DesignError, match=rf"positions \[{position}\]"):
        fit_visits(values, patient, visit, make(x, patient, visit))


def test_designs_without_an_answer_are_refused(cohort):
    values, patient, visit, _ = cohort
    with pytest.raises(DesignError, match="Patient 0 has more than one sample of visit 1"):
        fit_visits(values, patient, np.where(visit == 2, 1, visit))
    with pytest.raises(DesignError, match="baseline"):
        fit_visits(values, patient, visit + 1)
    with pytest.raises(DesignError, match="two visits"):
        fit_visits(values, np.arange(len(values)), visit)
    apart = np.where(patient < 5, visit < 2, visit >= 2)
    with pytest.raises(DesignError, match=r"codes \[3\]"):
        fit_visits(np.where(apart[:, None], values, np.nan), patient, visit)
    with pytest.raises(ValueError, match="shape"):
        fit_visits(values[:, 0], patient, visit)


def test_type_one_error_with_unequal_variances_where_pooled_errors_fail():
    rng = np.random.default_rng(11)
    patient, visit = np.repeat(np.arange(12), 3), np.tile(np.arange(3), 12)
    sd = np.array([0.3, 0.3, 1.0])[visit] * np.exp(0.4 * rng.normal(size=12))[patient]
    values = rng.normal(size=(36, 4000)) * sd[:, None]
    values[[4, 13, 20, 29]] = np.nan
    effects = fit_visits(values, patient, visit)
    rates = (effects.visits.p < 0.05).mean(axis=1)
    assert np.all((rates > 0.03) & (rates < 0.07))
    assert 0.03 < (effects.any_visit.p < 0.05).mean() < 0.07

    known = np.isfinite(values[:, 0])
    dummies = np.c_[visit == 2, visit == 1, patient[:, None] == np.arange(12)][known].astype(float)
    inverse = np.linalg.pinv(dummies)
    beta = inverse @ values[known]
    df = known.sum() - 14
    s2 = np.sum((values[known] - dummies @ beta) ** 2, axis=0) / df
    pooled = 2 * stats.t.sf(np.abs(beta[0]) / np.sqrt(s2 * (inverse[0] @ inverse[0])), df)
    assert (pooled < 0.05).mean() > 0.09


def test_500_populations_take_well_under_a_second():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(160, 500))
    patient, visit = np.repeat(np.arange(40), 4), np.tile(np.arange(4), 40)
    start = time.perf_counter()
    fit_visits(values, patient, visit, rng.normal(size=(160, 1)))
    assert time.perf_counter() - start < 0.5
