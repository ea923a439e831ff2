"""All visits in one model: against SciPy, R clubSandwich, and every way a question can fail."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

from biocross.errors import ConfigError
from biocross.statistics.kernels.multiplicity import benjamini_hochberg
from biocross.statistics.kernels.scale import equal_depth_logit, logit_at_depth
from biocross.statistics.visits import ANY_VISIT, LONGITUDINAL_COLUMNS, find_longitudinal_changes

GOLDEN = Path(__file__).parents[2] / "golden" / "clubsandwich"
LEVELS = ["baseline", "month_4", "month_12"]
NUMBERS = ["effect", "effect_low", "effect_high", "statistic", "df", "p_value"]
KEYS = ["treatment", "population", "readout", "term"]


class Study:
    """Rows of the two tables that the step reads; two populations of 1,000 events unless told."""

    def __init__(self, folder):
        self.folder = folder
        self.samples, self.counts = [], []

    def sample(self, patient, level, treatment="drug", batch="lot", unit=None, **clinical):
        sample_id = f"{patient}_{level}_{len(self.samples)}"
        self.samples.append(
            {
                "sample_id": sample_id,
                "patient_id": patient,
                "visit": level,
                "modality": "flow",
                "batch": batch,
                "tissue": "pbmc",
                "stimulation": "",
                "treatment": treatment,
                "unit": unit or patient,
                "level": level,
                **clinical,
            }
        )
        return sample_id

    def count(self, sample_id, population, count, parent_count=1000, cells_per_ul=None):
        at = next(s for s in self.samples if s["sample_id"] == sample_id)
        percent = 100 * count / parent_count if parent_count else ""
        self.counts.append(
            {
                **{key: at[key] for key in ("sample_id", "patient_id", "visit", "treatment")},
                "modality": "flow",
                "source": "gate",
                "population": population,
                "parent": "lymphocytes",
                "count": count,
                "parent_count": parent_count,
                "cells_per_ul": count * 0.5 if cells_per_ul is None else cells_per_ul,
                "percent": percent,
            }
        )

    def run(self, levels=LEVELS, covariates=(), shuffle=None):
        counts, samples = pd.DataFrame(self.counts), pd.DataFrame(self.samples)
        if shuffle is not None:
            counts, samples = (t.sample(frac=1, random_state=shuffle) for t in (counts, samples))
        counts.to_csv(self.folder / "counts.tsv", sep="\t", index=False)
        samples.to_csv(self.folder / "samples.tsv", sep="\t", index=False)
        out = self.folder / "longitudinal.tsv"
        find_longitudinal_changes(
            self.folder / "counts.tsv", self.folder / "samples.tsv", levels, covariates, out
        )
        table = pd.read_csv(out, sep="\t", keep_default_na=False, na_values=[""])
        assert tuple(table.columns) == LONGITUDINAL_COLUMNS
        assert table.loc[table["status"] != "tested", "note"].notna().all()
        assert table.loc[table["status"] == "tested", "q_value"].notna().all()
        return table


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


@pytest.fixture
def cohort(study):
    """8 patients x 3 visits, two populations, a dose that varies; P0 lacks its last visit."""
    rng = np.random.default_rng(5)
    for patient in range(8):
        for level in LEVELS[: 2 if patient == 0 else 3]:
            sample = study.sample(f"P{patient}", level, dose=rng.integers(0, 20))
            for population in ("ILC2", "Th2"):
                study.count(sample, population, rng.integers(50, 200), rng.integers(800, 1500))
    return study


def _one(table, population, term, readout="percent_of_parent"):
    chosen = table[
        (table["population"] == population)
        & (table["term"] == term)
        & (table["readout"] == readout)
    ]
    assert len(chosen) == 1
    return chosen.iloc[0]


def _of(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table)
    return table


def _assert_same_numbers(one, other):
    index = [table.set_index(KEYS).sort_index()[NUMBERS] for table in (one, other)]
    pd.testing.assert_frame_equal(*index, rtol=1e-7, check_dtype=False)


def test_two_visits_are_the_paired_t_test_on_logits(study):
    rng = np.random.default_rng(1)
    x = rng.integers(20, 300, size=(9, 2))
    for patient in range(9):
        for level, count in zip(LEVELS[:2], x[patient], strict=True):
            study.count(study.sample(f"P{patient}", level), "ILC2", count)
    table = study.run(levels=LEVELS[:2])
    logit = np.log((x + 0.5) / (1000 - x + 0.5))
    expected = stats.ttest_rel(logit[:, 1], logit[:, 0])
    interval = expected.confidence_interval()
    row = _one(table, "ILC2", "month_4")
    assert row["status"] == "tested"
    assert (row["n_patients"], row["n_samples"]) == (9, 18)
    assert row["statistic"] == pytest.approx(expected.statistic, rel=1e-8)
    assert row["p_value"] == pytest.approx(expected.pvalue, rel=1e-8)
    assert row["df"] == pytest.approx(8, rel=1e-8)
    assert row["effect"] == pytest.approx(np.exp((logit[:, 1] - logit[:, 0]).mean()), rel=1e-8)
    assert row["effect_low"] == pytest.approx(np.exp(interval.low), rel=1e-8)
    assert row["effect_high"] == pytest.approx(np.exp(interval.high), rel=1e-8)
    joint = _one(table, "ILC2", ANY_VISIT)
    assert joint["statistic"] == pytest.approx(expected.statistic**2, rel=1e-8)
    assert joint["p_value"] == pytest.approx(expected.pvalue, rel=1e-8)


def test_two_visits_of_unequal_depth_are_read_as_pairs_are(study):
    x, n = np.array([[3, 40], [9, 11], [30, 4], [25, 60]]), np.array([[100, 900]] * 4)
    for patient in range(4):
        for place, level in enumerate(LEVELS[:2]):
            sample = study.sample(f"P{patient}", level)
            study.count(sample, "ILC2", x[patient, place], n[patient, place])
    row = _one(study.run(levels=LEVELS[:2]), "ILC2", "month_4")
    before, after = equal_depth_logit(x[:, 0], n[:, 0], x[:, 1], n[:, 1])
    assert row["p_value"] == pytest.approx(stats.ttest_rel(after, before).pvalue, rel=1e-8)


def test_visits_of_a_patient_are_compared_at_its_shallowest(study):
    rng = np.random.default_rng(2)
    n = rng.integers(300, 3000, size=(6, 3))
    x = rng.binomial(n, 0.02)
    for patient in range(6):
        for place, level in enumerate(LEVELS):
            sample = study.sample(f"P{patient}", level)
            study.count(sample, "ILC2", x[patient, place], n[patient, place])
    depth = n.min(axis=1, keepdims=True)
    y = logit_at_depth(x, n, np.broadcast_to(depth, n.shape))
    row = _one(study.run(), "ILC2", "month_12")
    assert row["effect"] == pytest.approx(np.exp((y[:, 2] - y[:, 0]).mean()), rel=1e-8)


def test_cells_per_ul_reads_zero_as_half_the_resolution_of_its_sample(study):
    per_ul = np.array([[4.0, 0.0], [6.0, 3.0], [5.0, 8.0], [9.0, 2.0]])
    for patient in range(4):
        for place, level in enumerate(LEVELS[:2]):
            sample, value = study.sample(f"P{patient}", level), per_ul[patient, place]
            study.count(sample, "ILC2", int(4 * value), cells_per_ul=value)
            study.count(sample, "Th2", 100, cells_per_ul=25.0)
    row = _one(study.run(levels=LEVELS[:2]), "ILC2", "month_4", "cells_per_ul")
    log = np.log(np.where(per_ul == 0, 0.25 / 2, per_ul))
    expected = stats.ttest_rel(log[:, 1], log[:, 0])
    assert row["effect_scale"] == "fold_change"
    assert row["p_value"] == pytest.approx(expected.pvalue, rel=1e-8)


def _golden(name, scenario):
    with (GOLDEN / name).open() as lines:
        return [r for r in csv.DictReader(lines, delimiter="\t") if r["scenario"] == scenario]


@pytest.mark.parametrize(
    "scenario", ["balanced", "balanced_covariate", "unbalanced", "unbalanced_covariates"]
)
def test_percentages_give_what_clubsandwich_gives_on_their_logits(study, scenario):
    rows = _golden("samples.tsv", scenario)
    covariates = [name for name in ("x1", "x2") if any(r[name] not in ("", "NA") for r in rows)]
    for row in rows:
        doses = {name: row[name].replace("NA", "") for name in covariates}
        sample = study.sample(f"P{row['patient']}", f"v{row['visit']}", **doses)
        for population in "abc":
            if row[population] in ("", "NA"):
                continue
            percent = float(100 * expit(float(row[population])))
            study.count(sample, population, 0)
            study.counts[-1] |= {"count": "", "parent_count": "", "cells_per_ul": ""}
            study.counts[-1] |= {"percent": repr(percent), "source": "table"}
    levels = [f"v{code}" for code in sorted({int(row["visit"]) for row in rows})]
    table = study.run(levels=levels, covariates=covariates)
    assert _of(table, readout="cells_per_ul")["status"].eq("not_measured").all()
    compared = 0
    for expected in _golden("coefficients.tsv", scenario):
        term = expected["term"].replace("visit_", "v")
        row = _one(table, expected["population"], term)
        for column, name in (("statistic", "t"), ("df", "df"), ("p_value", "p")):
            assert row[column] == pytest.approx(float(expected[name]), rel=1e-6)
        assert np.log(row["effect_low"]) == pytest.approx(float(expected["low"]), rel=1e-6)
        compared += 1
    for expected in _golden("wald.tsv", scenario):
        row = _one(table, expected["population"], ANY_VISIT)
        assert row["statistic"] == pytest.approx(float(expected["f"]), rel=1e-6)
        assert row["df"] == pytest.approx(float(expected["df_denominator"]), rel=1e-6)
        compared += 1
    assert compared >= 9


def test_every_question_has_a_row(cohort):
    for patient in ("Q1", "Q2"):
        for level in LEVELS[:2]:
            sample = cohort.sample(patient, level, treatment="other", dose=1)
            cohort.count(sample, "ILC2", 90)
    for level in LEVELS:
        cohort.sample("R1", level, treatment="unread", dose=1)
    table = cohort.run(covariates=["dose"])
    assert not table.duplicated(KEYS).any()
    assert len(table) == 3 * 2 * 2 * 4  # treatments, populations, readouts, terms
    assert set(_of(table, treatment="unread")["status"]) == {"no_pairs"}
    other = _of(table, treatment="other")
    assert set(_of(other, population="ILC2")["status"]) == {"too_few_pairs"}
    assert set(_of(other, population="Th2")["status"]) == {"not_measured"}
    assert other["p_value"].isna().all()
    assert other["effect_low"].isna().all()


def test_patients_with_one_visit_are_counted_and_contribute_nothing(cohort):
    before = cohort.run()
    for patient in ("single_1", "single_2"):
        cohort.count(cohort.sample(patient, "month_4", dose=3), "ILC2", 500)
    after = cohort.run()
    _assert_same_numbers(before, after)
    row = _one(after, "ILC2", "month_12")
    assert (row["n_patients"], row["n_single_visit"], row["n_samples"]) == (8, 2, 23)
    assert _one(after, "Th2", "month_12")["n_single_visit"] == 0


def test_a_visit_that_nobody_had_says_so(study):
    for patient in range(4):
        for level in LEVELS[:2] if patient else LEVELS:
            study.count(study.sample(f"P{patient}", level), "ILC2", 40 + 7 * patient + len(level))
    table = study.run(levels=[*LEVELS, "month_24"])
    nobody, one = (_one(table, "ILC2", term) for term in ("month_24", "month_12"))
    assert (nobody["status"], one["status"]) == ("no_pairs", "too_few_pairs")
    assert "month_24" in nobody["note"]
    assert one["note"].startswith("1 of the 3 patients at month_12")
    only_singles = study.run(levels=["month_12", "month_24"])
    assert set(only_singles["status"]) == {"no_pairs"}


def test_without_a_baseline_nothing_is_possible(study):
    for patient in range(4):
        for level in LEVELS[1:]:
            study.count(study.sample(f"P{patient}", level), "ILC2", 40 + 7 * patient + len(level))
    table = study.run()
    assert set(table["status"]) == {"not_possible"}
    assert table["note"].str.contains("links baseline to later visits").all()


def test_population_never_measured_at_baseline_is_not_called_constant(cohort):
    for row in list(cohort.counts):
        if row["population"] == "ILC2" and row["visit"] != "baseline":
            cohort.counts.append({**row, "population": "late"})
    table = cohort.run()
    assert set(_of(table, population="late")["status"]) == {"not_possible"}
    assert set(_of(table, population="ILC2")["status"]) == {"tested"}


def test_covariate_that_never_varies_is_named_and_harms_no_visit(cohort):
    plain = cohort.run()
    for sample in cohort.samples:
        sample["height"] = 150 + int(sample["patient_id"][1])
    table = cohort.run(covariates=["height"])
    height = _of(table, term="height")
    assert set(height["status"]) == {"not_possible"}
    assert height["note"].str.contains("height never varies within a patient").all()
    visits = table[table["term"] != "height"]
    assert visits["note"].str.contains("height").all()
    _assert_same_numbers(plain, visits)


def test_covariate_that_moves_with_the_visit_is_named(cohort):
    for sample in cohort.samples:
        sample["weeks"] = 10 * LEVELS.index(sample["level"]) + 3 * int(sample["patient_id"][1])
    table = cohort.run(covariates=["dose", "weeks"])
    assert set(table["status"]) == {"not_possible"}
    assert table["note"].str.contains("weeks cannot be told from the visits").all()
    assert not table["note"].str.contains("dose cannot").any()
    assert table["effect"].isna().all()


def test_covariate_that_one_patient_decides_is_not_called_constant(study):
    rng = np.random.default_rng(4)
    for patient, fall in enumerate([5, 5, 5, 5, 10]):
        for level in LEVELS[:2]:
            sample = study.sample(f"P{patient}", level, dose=20 - fall * (level != "baseline"))
            study.count(sample, "ILC2", rng.integers(50, 90))
            study.count(sample, "Th2", rng.integers(50, 90))
        later = study.sample(f"P{patient}", "month_12", dose=rng.integers(0, 20))
        study.count(later, "Th2", rng.integers(50, 90))
    table = study.run(covariates=["dose"])
    assert set(_of(table, population="Th2", term="dose")["status"]) == {"tested"}
    table = _of(table, population="ILC2")
    assert set(_of(table, term="month_12")["status"]) == {"no_pairs"}
    assert set(table.loc[table["term"] != "month_12", "status"]) == {"not_possible"}
    assert table.loc[table["term"] == "dose", "note"].str.contains("one patient alone").all()


def test_samples_without_a_covariate_leave_and_are_counted(cohort):
    gone = [s for s in cohort.samples if s["sample_id"].startswith(("P2_month_4", "P5_month_12"))]
    for sample in gone:
        sample["dose"] = ""
    table = cohort.run(covariates=["dose"])
    assert table["note"].str.contains("2 of 23 samples left out: no dose").all()
    assert set(table["n_samples"]) == {21}
    ids = {sample["sample_id"] for sample in gone}
    cohort.samples = [row for row in cohort.samples if row["sample_id"] not in ids]
    cohort.counts = [row for row in cohort.counts if row["sample_id"] not in ids]
    _assert_same_numbers(table, cohort.run(covariates=["dose"]))


def test_covariate_that_nobody_has_leaves_no_pair_and_says_why(cohort):
    for sample in cohort.samples:
        sample["dose"] = ""
    table = cohort.run(covariates=["dose"])
    assert set(table["status"]) == {"no_pairs"}
    assert table["note"].str.contains("23 of 23 samples left out: no dose").all()


def test_unknown_covariate_is_an_error_that_suggests(cohort):
    with pytest.raises(ConfigError, match=r'names "doze".*did you mean "dose"'):
        cohort.run(covariates=["doze"])


def test_covariate_effect_is_per_unit(cohort):
    per_mg = cohort.run(covariates=["dose"])
    for sample in cohort.samples:
        sample["dose"] = sample["dose"] * 1000
    per_ug = cohort.run(covariates=["dose"])
    one, other = (_one(table, "ILC2", "dose") for table in (per_mg, per_ug))
    assert one["p_value"] == pytest.approx(other["p_value"], rel=1e-7)
    assert np.log(one["effect"]) == pytest.approx(1000 * np.log(other["effect"]), rel=1e-4)


def test_order_of_rows_does_not_matter(cohort):
    table = cohort.run(covariates=["dose"])
    for seed in (1, 2):
        _assert_same_numbers(table, cohort.run(covariates=["dose"], shuffle=seed))


def test_same_input_gives_the_same_bytes(cohort):
    cohort.run(covariates=["dose"])
    first = (cohort.folder / "longitudinal.tsv").read_bytes()
    cohort.run(covariates=["dose"])
    assert (cohort.folder / "longitudinal.tsv").read_bytes() == first


def test_a_switch_of_treatment_is_a_group_of_its_own(cohort):
    for patient in range(4):
        for level, treatment in zip(LEVELS, ("drug", "drug", "other"), strict=True):
            sample = cohort.sample(f"S{patient}", level, treatment=treatment, dose=patient)
            cohort.count(sample, "ILC2", 60 + 11 * patient + len(level) ** 2)
    table = cohort.run(shuffle=3)
    assert set(table["treatment"]) == {"drug", "drug → other"}
    assert set(_of(table, treatment="drug → other", population="ILC2")["n_patients"]) == {4}
    assert set(_of(table, treatment="drug", population="ILC2")["n_patients"]) == {8}


def test_what_cannot_change_is_named(study):
    for patient in range(5):
        for level in LEVELS:
            sample = study.sample(f"P{patient}", level)
            study.count(sample, "absent", 0)
            study.count(sample, "rare", (patient * 7 + len(level)) % 5)
            study.count(sample, "fixed", 100 + 50 * (level != "baseline"))
            study.count(sample, "Th2", 300 + (patient * 31 + len(level) * 17) % 90)
    table = study.run()
    status = _of(table, readout="percent_of_parent").groupby("population")["status"].agg(set)
    assert status.to_dict() == {
        "absent": {"all_zero"},
        "rare": {"too_few_events"},
        "fixed": {"constant"},
        "Th2": {"tested"},
    }
    rare = _one(table, "rare", "month_4")
    assert rare[NUMBERS].notna().all()
    assert np.isnan(rare["q_value"])


def test_batches_that_follow_the_visits_are_said_first(cohort):
    for sample in cohort.samples:
        sample["batch"] = sample["level"] if sample["level"] == "month_12" else "lot"
    table = cohort.run()
    confounded = table["note"].fillna("").str.startswith("confounded_with_batch")
    assert set(table.loc[confounded, "term"]) == {"month_12", ANY_VISIT}
    assert confounded.sum() == 2 * 2 * 2


def test_samples_that_are_no_replicates_are_refused(cohort):
    cohort.count(cohort.sample("P3", "baseline", dose=2), "ILC2", 100)
    twice = cohort.run()
    assert set(twice["status"]) == {"not_possible"}
    assert twice["note"].str.contains("P3 has more than one sample at baseline").all()


def test_units_of_one_patient_are_no_patients(study):
    for patient in range(4):
        for visit in ("before", "after"):
            for place, level in enumerate(("none", "stimulated")):
                sample = study.sample(f"P{patient}", level, unit=f"P{patient} {visit}")
                study.count(sample, "ILC2", 50 + 13 * patient + 20 * place + len(visit))
    table = study.run(levels=["none", "stimulated"])
    assert set(table["status"]) == {"not_possible"}
    assert table["note"].str.contains("P0 takes part several times").all()


def test_q_values_belong_to_one_term_of_one_readout(cohort):
    table = cohort.run(covariates=["dose"])
    tested = table[table["status"] == "tested"]
    families = tested.groupby("family")
    assert len(families) == 2 * 4  # readouts, terms
    for name, members in families:
        assert name == (
            f"exploratory: flow, gate, drug, {members['readout'].iloc[0]}, "
            f"{members['term'].iloc[0]}"
        )
        expected = benjamini_hochberg(members["p_value"].to_numpy())
        np.testing.assert_allclose(members["q_value"], expected, rtol=1e-8)


def test_enriched_samples_are_left_out(cohort):
    for sample in cohort.samples:
        sample["enrichment"] = "ILC"
    table = cohort.run()
    assert set(table["status"]) == {"enriched"}
    cohort.samples[0]["enrichment"] = ""
    assert "samples left out: enriched" in cohort.run()["note"].iloc[0]


def test_hours_to_stain_can_be_a_covariate(cohort):
    rng = np.random.default_rng(4)
    for sample in cohort.samples:
        sample["hours_to_stain"] = round(float(rng.uniform(1, 5)), 1)
    table = cohort.run(covariates=["hours_to_stain"])
    assert (table.loc[table["term"] == "hours_to_stain", "status"] == "tested").any()
