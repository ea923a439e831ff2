"""Changes under two treatments: against Welch's test in SciPy, arm by arm."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from biocross.cohort.vocabulary import load_vocabulary
from biocross.statistics.kernels.moderation import moderated_paired_t, welch_difference
from biocross.statistics.kernels.multiplicity import benjamini_hochberg
from biocross.statistics.paired_changes import find_paired_changes, population_pairs
from biocross.statistics.treatment_differences import (
    DIFFERENCE_COLUMNS,
    arms_by_readout,
    difference_rows,
    find_treatment_differences,
)

VOCABULARY = Path(__file__).parents[3] / "config" / "populations.yaml"
KEYS = ["contrast", "treatment_a", "treatment_b", "population", "readout"]
NUMBERS = ["effect", "effect_low", "effect_high", "statistic", "df", "p_value"]
DEPTH = 5000


class Study:
    """Counts of patients at two or three visits, every population within 5,000 events."""

    def __init__(self, folder):
        self.folder = folder
        self.samples, self.counts, self.pairs = [], [], []

    def patients(self, treatment, events, visits=("baseline", "month_4"), batches=None):
        """Add patients with events of shape (patients, visits, populations); NaN: no sample."""
        for number, of_patient in enumerate(np.asarray(events, dtype=float)):
            patient = f"{treatment}_{number}"
            for visit, counts in zip(visits, of_patient, strict=True):
                if not np.isnan(counts).all():
                    self._sample(patient, treatment, visit, counts, batches or {})
            for visit in visits[1:]:
                self.pairs.append(
                    {
                        "modality": "flow",
                        "treatment": treatment,
                        "contrast": f"{visit} - baseline",
                        "followup": visit,
                        "baseline": "baseline",
                        "unit": patient,
                        "patient_id": patient,
                    }
                )

    def _sample(self, patient, treatment, visit, counts, batches):
        at = {"sample_id": f"{patient}_{visit}", "patient_id": patient, "visit": visit}
        batch = batches.get(visit, "lot")
        self.samples.append({**at, "batch": batch, "unit": patient, "level": visit})
        for number, count in enumerate(counts):
            self.counts.append(
                {
                    **at,
                    "treatment": treatment,
                    "modality": "flow",
                    "source": "gate",
                    "population": f"p{number}",
                    "parent": "lymphocytes",
                    "count": int(count),
                    "parent_count": DEPTH,
                    "cells_per_ul": count / 10,
                    "percent": 100 * count / DEPTH,
                }
            )

    def write(self, shuffle=None):
        paths = []
        for name in ("counts", "samples", "pairs"):
            table = pd.DataFrame(getattr(self, name))
            if shuffle is not None:
                table = table.sample(frac=1, random_state=shuffle)
            paths.append(self.folder / f"{name}.tsv")
            table.to_csv(paths[-1], sep="\t", index=False)
        return paths

    def run(self, shuffle=None):
        out = self.folder / "treatment_differences.tsv"
        find_treatment_differences(*self.write(shuffle), VOCABULARY, out)
        table = pd.read_csv(out, sep="\t", keep_default_na=False, na_values=[""])
        assert tuple(table.columns) == DIFFERENCE_COLUMNS
        assert not table.duplicated(KEYS).any()
        assert table.loc[table["status"] != "tested", "note"].notna().all()
        assert table.loc[table["status"] == "tested", "q_value"].notna().all()
        return table


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def _events(seed, patients, populations, visits=2, low=40, high=400):
    return np.random.default_rng(seed).integers(low, high, (patients, visits, populations))


def _logit_changes(events):
    logit = np.log((events + 0.5) / (DEPTH - events + 0.5))
    return logit[:, 1] - logit[:, 0]


def _percent(table):
    chosen = table[table["readout"] == "percent_of_parent"]
    assert len(chosen)
    return chosen.reset_index(drop=True)


def test_few_populations_give_the_welch_test(study):
    a, b = _events(1, 7, 4), _events(2, 5, 4)
    study.patients("dupilumab", a)
    study.patients("mepolizumab", b)
    table = _percent(study.run())
    changes_a, changes_b = _logit_changes(a), _logit_changes(b)
    expected = stats.ttest_ind(changes_a, changes_b, equal_var=False)
    interval = expected.confidence_interval()
    assert table["population"].tolist() == ["p0", "p1", "p2", "p3"]
    assert (table["treatment_a"] == "dupilumab").all()
    assert (table["treatment_b"] == "mepolizumab").all()
    for column, values in (
        ("statistic", expected.statistic),
        ("df", expected.df),
        ("p_value", expected.pvalue),
        ("effect_low", np.exp(interval.low)),
        ("effect_high", np.exp(interval.high)),
        ("effect_a", np.exp(changes_a.mean(axis=0))),
        ("effect_b", np.exp(changes_b.mean(axis=0))),
        ("effect", np.exp(changes_a.mean(axis=0) - changes_b.mean(axis=0))),
        ("q_value", benjamini_hochberg(expected.pvalue)),
    ):
        np.testing.assert_allclose(table[column], values, rtol=1e-8, err_msg=column)
    assert set(table["n_pairs_a"]) == {7}
    assert set(table["n_pairs_b"]) == {5}


def test_arms_are_moderated_separately_and_as_in_paired_changes(study):
    a, b = _events(3, 6, 9), _events(4, 8, 9)
    study.patients("a", a)
    study.patients("b", b)
    table = _percent(study.run())
    arms = [
        moderated_paired_t(_logit_changes(x), np.log(x.mean(axis=1) + 0.5).mean(axis=0))
        for x in (a, b)
    ]
    expected = welch_difference(*arms)
    plain = stats.ttest_ind(_logit_changes(a), _logit_changes(b), equal_var=False)
    np.testing.assert_allclose(table["p_value"], expected.p, rtol=1e-8)
    assert np.abs(np.log(table["p_value"] / plain.pvalue)).max() > 0.01
    out = study.folder / "paired_changes.tsv"
    where = ["flow", "gate", "percent_of_parent"]
    find_paired_changes(*study.write(), VOCABULARY, where, 1, out)
    paired = _percent(pd.read_csv(out, sep="\t"))
    for arm in ("a", "b"):
        own = paired.loc[paired["treatment"] == arm, "effect"]
        np.testing.assert_allclose(table[f"effect_{arm}"], own, rtol=1e-9)


def test_one_treatment_asks_no_question(study):
    study.patients("only", _events(5, 6, 4))
    assert study.run().empty


def test_every_pair_of_treatments_and_readout_has_its_rows(study):
    for seed, treatment in enumerate(("c", "a", "b")):
        study.patients(treatment, _events(seed, 5, 3, visits=3), ("baseline", "m4", "m12"))
    table = study.run()
    assert len(table) == 3 * 2 * 3 * 3  # pairs of treatments, contrasts, readouts, populations
    pairs = set(zip(table["treatment_a"], table["treatment_b"], strict=True))
    assert pairs == {("a", "b"), ("a", "c"), ("b", "c")}
    composition = table[table["readout"] == "composition"]
    assert set(composition["status"]) == {"not_possible"}
    assert composition["note"].str.contains("a: .*; b: |a: .*; c: |b: .*; c: ").all()
    assert set(table.loc[table["readout"] != "composition", "status"]) == {"tested"}


def test_exchanging_the_names_of_treatments_inverts_the_effect(tmp_path):
    tables = []
    for first, second in (("a", "b"), ("b", "a")):
        study = Study(tmp_path)
        study.patients(first, _events(6, 6, 8))
        study.patients(second, _events(7, 7, 8))
        tables.append(_percent(study.run()))
    one, other = tables
    np.testing.assert_allclose(one["effect"], 1 / other["effect"], rtol=1e-8)
    np.testing.assert_allclose(one["effect_low"], 1 / other["effect_high"], rtol=1e-8)
    np.testing.assert_allclose(one["p_value"], other["p_value"], rtol=1e-8)


def test_a_treatment_without_a_contrast_says_so(study):
    study.patients("a", _events(8, 5, 3, visits=3), ("baseline", "m4", "m12"))
    study.patients("b", _events(9, 5, 3))
    table = _percent(study.run())
    assert len(table) == 3 * 3  # m4 and m12 of a, month_4 of b; three populations
    for contrast, missing in (("m12 - baseline", "b"), ("month_4 - baseline", "a")):
        rows = table[table["contrast"] == contrast]
        assert set(rows["status"]) == {"no_pairs"}
        note = f"{missing}: no patient was measured at both of {contrast}"
        assert set(rows["note"]) == {note}
        assert set(rows[f"n_pairs_{missing}"]) == {0}
        assert rows[["effect", "p_value", "q_value"]].isna().all(axis=None)
        present = {"a": "b", "b": "a"}[missing]
        assert rows[f"effect_{present}"].notna().all()


def test_an_arm_that_cannot_be_tested_is_named(study):
    a, b = _events(10, 6, 5).astype(float), _events(11, 6, 5).astype(float)
    a[:, :, 0] = np.random.default_rng(0).integers(0, 6, (6, 2))
    b[:, :, 1] = 0
    study.patients("a", a)
    study.patients("b", b[:, :, :])
    table = _percent(study.run()).set_index("population")
    rare, absent = table.loc["p0"], table.loc["p1"]
    assert rare["status"] == "too_few_events"
    assert rare["note"].startswith("a: ")
    assert rare[NUMBERS].notna().all()
    assert absent["status"] == "all_zero"
    assert absent["note"] == "b: no event at either visit in any pair"
    assert absent["effect_b"] == 1
    assert np.isnan(absent["p_value"])
    assert table.loc[["p0", "p1"], "q_value"].isna().all()
    tested = table.loc[["p2", "p3", "p4"]]
    assert set(tested["status"]) == {"tested"}
    np.testing.assert_allclose(tested["q_value"], benjamini_hochberg(tested["p_value"]), rtol=1e-8)


def test_trouble_that_leaves_no_numbers_comes_before_too_few_events(study):
    study.patients("a", _events(12, 5, 3, low=0, high=5))
    study.patients("b", _events(13, 2, 3))
    rows = _percent(study.run())
    assert set(rows["status"]) == {"too_few_pairs"}
    assert rows["note"].str.contains("a: .*events.*; b: 2 of the 3 pairs").all()


def test_a_missing_visit_leaves_its_patient_out(study):
    a, b = _events(14, 6, 4).astype(float), _events(15, 6, 4)
    a[2, 1] = np.nan
    study.patients("a", a)
    study.patients("b", b)
    table = _percent(study.run())
    complete = np.delete(a, 2, axis=0)
    expected = stats.ttest_ind(_logit_changes(complete), _logit_changes(b), equal_var=False)
    np.testing.assert_allclose(table["p_value"], expected.pvalue, rtol=1e-8)
    assert set(table["n_pairs_a"]) == {5}


def test_batches_of_one_arm_are_noted_by_its_name(study):
    study.patients("a", _events(16, 5, 3), batches={"month_4": "late"})
    study.patients("b", _events(17, 5, 3))
    rows = _percent(study.run())
    assert rows["note"].str.startswith("a: confounded_with_batch").all()


def test_arms_are_aligned_by_population_not_by_position(study):
    study.patients("a", _events(18, 6, 7))
    study.patients("b", _events(19, 6, 7))
    tables = list(population_pairs(*study.write()))
    vocabulary = load_vocabulary(VOCABULARY)
    a, b = (arms_by_readout(table, vocabulary)[0] for table in tables)
    turned = b._replace(
        pairs=b.pairs._replace(keys=b.pairs.keys.iloc[::-1].reset_index(drop=True)),
        test=type(b.test)(*(field[::-1] for field in b.test)),
        verdicts=b.verdicts[::-1],
    )
    assert difference_rows(a, turned) == difference_rows(a, b)


def test_order_of_rows_does_not_matter(study):
    study.patients("a", _events(20, 6, 9))
    study.patients("b", _events(21, 6, 9))
    plain, shuffled = (
        study.run(shuffle).set_index(KEYS).sort_index()[NUMBERS] for shuffle in (None, 5)
    )
    pd.testing.assert_frame_equal(plain, shuffled, rtol=1e-7)
