import itertools

import numpy as np
import pandas as pd
import pytest

from biocross.errors import TableError
from biocross.statistics.calibration import calibrate_run
from biocross.statistics.calibration_rows import (
    CALIBRATION_COLUMNS,
    abundance_classes,
    verdict_of_rate,
)
from biocross.statistics.kernels.moderation import (
    moderated_p_values,
    moderated_paired_t,
    summarise_flipped,
    summarise_pairs,
)
from biocross.statistics.kernels.multiplicity import benjamini_hochberg
from biocross.statistics.kernels.permutation import sign_vectors
from biocross.statistics.kernels.relabelling import (
    null_changes,
    rates_of,
    relabelled_levels,
    relabelled_summary,
    signs_of_pair,
)
from biocross.statistics.kernels.scale import equal_depth_logit, frequency_interval
from biocross.statistics.paired_changes import find_paired_changes

DECLARED = ("flow", "gate", "percent_of_parent")
VISITS = ("baseline", "month_4", "month_12")


class Project:
    """Tables of a study with one flat tree of populations, written as the workflow writes them."""

    def __init__(self, folder, n_populations=8, patients=None, visits=VISITS[:2], seed=1):
        self.folder, self.visits = folder, visits
        self.patients = patients or {f"P{number}": "drug" for number in range(1, 7)}
        self.names = [f"population_{number}" for number in range(n_populations)]
        self.rng = np.random.default_rng(seed)
        self.unit_of = {patient: patient for patient in self.patients}
        shape = (len(self.patients), len(visits))
        self.total = self.rng.integers(8000, 16000, shape)
        logit = self.rng.uniform(-6, -2.5, n_populations)
        noise = self.rng.standard_t(3, (*shape, n_populations)) * 0.15
        share = 1 / (1 + np.exp(-(logit + noise)))
        self.count = self.rng.binomial(self.total[..., None], share)
        self.measured = np.ones(shape, dtype=bool)
        (folder / "populations.yaml").write_text(
            "root: {parent: null, flow: all}\n"
            "population_0: {parent: root, flow: a, primary: true}\n"
            "population_1: {parent: root, flow: b, primary: true}\n"
        )

    def path(self, name):
        return self.folder / name

    def write(self):
        counts, samples, pairs = [], [], []
        for i, (patient, treatment) in enumerate(self.patients.items()):
            unit = self.unit_of[patient]
            common = {"patient_id": unit.split()[0], "modality": "flow", "treatment": treatment}
            for j, visit in enumerate(self.visits):
                if not self.measured[i, j]:
                    continue
                sample = {"sample_id": f"{patient}_{visit}", "visit": visit, **common}
                samples.append(sample | {"batch": "lot", "unit": unit, "level": visit})
                counts += [
                    sample
                    | {"source": "gate", "population": name, "parent": "root", "count": x}
                    | {"parent_count": self.total[i, j], "percent": 100 * x / self.total[i, j]}
                    for name, x in zip(self.names, self.count[i, j], strict=True)
                ]
            pairs += [
                common
                | {"contrast": f"{visit} - {self.visits[0]}", "unit": unit}
                | {"followup": visit, "baseline": self.visits[0]}
                for visit in self.visits[1:]
            ]
        for name, rows in (("counts", counts), ("samples", samples), ("pairs", pairs)):
            table = pd.DataFrame(rows)
            if name == "counts":
                table["cells_per_ul"] = np.nan
            table.to_csv(self.path(f"{name}.tsv"), sep="\t", index=False)
        tables = [self.path(f"{name}.tsv") for name in ("counts", "samples", "pairs")]
        changes = self.path("changes.tsv")
        find_paired_changes(*tables, self.path("populations.yaml"), DECLARED, 1, changes)
        return self

    def edit_changes(self, **values):
        changes = pd.read_csv(self.path("changes.tsv"), sep="\t").assign(**values)
        changes.to_csv(self.path("changes.tsv"), sep="\t", index=False)

    def calibrate(self, relabellings=200, seed=1):
        names = ("counts.tsv", "samples.tsv", "pairs.tsv", "populations.yaml", "changes.tsv")
        out = self.path("calibration.tsv")
        tables = [self.path(name) for name in names]
        calibrate_run(*tables, DECLARED, relabellings, 0.05, seed, out)
        return pd.read_csv(out, sep="\t", keep_default_na=False, na_values=[""])


@pytest.fixture
def project(tmp_path):
    def make(**options):
        return Project(tmp_path, **options)

    return make


def rows(table, scope, readout="percent_of_parent"):
    return table[(table["scope"] == scope) & (table["readout"] == readout)]


def read_chain(counts, totals):
    """Changes and trend covariate of counts (patients, visits, populations)."""
    n0, n1 = (totals[:, visit, None] * np.ones(counts.shape[2]) for visit in (0, 1))
    y0, y1 = equal_depth_logit(counts[:, 0], n0, counts[:, 1], n1)
    depth = np.minimum(n0, n1)
    events = counts[:, 0] * (depth / n0) + counts[:, 1] * (depth / n1)
    return y1 - y0, np.log(events / 2 + 0.5).mean(axis=0)


def test_equals_the_chain_rerun_on_every_table_with_swapped_visits(project):
    study = project(n_populations=9).write()
    study.edit_changes(q_value=0.9)
    table = study.calibrate()
    p = []
    for signs in itertools.islice(itertools.product([False, True], repeat=5), 1, None):
        swap = np.array([False, *signs])
        counts = np.where(swap[:, None, None], study.count[:, ::-1], study.count)
        totals = np.where(swap[:, None], study.total[:, ::-1], study.total)
        p.append(moderated_paired_t(*read_chain(counts, totals)).p)
    p = np.array(p)
    assert p.shape == (31, 9)
    found = rows(table, "population")
    np.testing.assert_allclose(found["rate"], (p < 0.05).mean(axis=0), atol=1e-9)
    assert found["rate"].max() > found["rate"].min()
    assert (found["n_relabellings"] == 31).all()
    assert found["note"].str.contains("all 31 relabellings but the observed one").all()
    claimed = (benjamini_hochberg(p[:, 2:]) < 0.05).any(axis=1).mean()
    assert rows(table, "table")["rate"].item() == pytest.approx(claimed)
    claimed = (benjamini_hochberg(p[:, :2]) < 0.05).any(axis=1).mean()
    assert rows(table, "confirmatory")["rate"].item() == pytest.approx(claimed)


def test_permuted_visits_equal_a_rerun_on_permuted_counts(project):
    study = project(n_populations=4, visits=VISITS)
    study.measured[4, 1] = False
    counts = np.where(study.measured[..., None], study.count, np.nan)
    totals = np.where(study.measured, study.total, np.nan)[..., None] * np.ones(4)

    def change(x, n, first, second):
        y0, y1 = equal_depth_logit(x[:, first], n[:, first], x[:, second], n[:, second])
        return y1 - y0

    keys = np.random.default_rng(5).random((20, 6, 3))
    source = relabelled_levels(keys, study.measured)
    pairs = [(0, 1), (0, 2), (1, 2)]
    parts = [(change(counts, totals, *pair), signs_of_pair(source, (0, 2), pair)) for pair in pairs]
    got = relabelled_summary(parts)
    patients = np.arange(6)[:, None]
    for relabelling, permuted in enumerate(source):
        order = np.where(study.measured, permuted, np.arange(3))
        x, n = counts[patients, order], totals[patients, order]
        want = summarise_pairs(change(x, n, 0, 2))
        np.testing.assert_array_equal(got.n_pairs[relabelling], want.n_pairs)
        np.testing.assert_allclose(got.mean[relabelling], want.mean, atol=1e-12)
        np.testing.assert_allclose(got.variance[relabelling], want.variance, atol=1e-12)
    orders, times = np.unique(source[:, 0], axis=0, return_counts=True)
    assert len(orders) == 6
    assert times.max() < 10


def test_three_visits_equal_the_chain_rerun_on_permuted_visits(project):
    study = project(n_populations=7, visits=VISITS, patients=dict.fromkeys("ABCDEFGH", "drug"))
    study.measured[2, 1] = study.measured[5, 2] = False
    study.write().edit_changes(q_value=0.9)
    found = rows(study.calibrate(relabellings=60, seed=8), "population")
    keys = np.random.default_rng(8).random((60, 8, 3))
    for followup in (1, 2):
        own = [0, followup]
        pairs = study.measured[:, own].all(axis=1)
        _, covariate = read_chain(study.count[pairs][:, own], study.total[pairs][:, own])
        called = []
        for key in keys:
            counts, totals = study.count.copy(), study.total.copy()
            for i, visits in enumerate(map(np.flatnonzero, study.measured)):
                source = visits[np.argsort(np.argsort(key[i, visits]))]
                counts[i, visits], totals[i, visits] = (
                    study.count[i, source],
                    study.total[i, source],
                )
            change, _ = read_chain(counts[pairs][:, own], totals[pairs][:, own])
            called.append(moderated_p_values(summarise_pairs(change), covariate) < 0.05)
        rate = found.loc[found["contrast"] == f"{VISITS[followup]} - baseline", "rate"]
        np.testing.assert_allclose(rate, np.mean(called, axis=0), atol=1e-9)
        assert rate.max() > 0


def test_more_visits_are_permuted_and_their_rate_is_right(project):
    patients = {f"P{number:02}": "drug" for number in range(16)}
    study = project(n_populations=12, visits=VISITS, patients=patients).write()
    table = study.calibrate(relabellings=500)
    classes = rows(table, "class")
    assert set(classes["contrast"]) == {"month_4 - baseline", "month_12 - baseline"}
    assert np.average(classes["rate"], weights=classes["n_populations"]) == pytest.approx(
        0.05, abs=0.015
    )
    assert table["note"].str.contains("500 relabellings drawn at random").any()


def test_a_change_leaves_the_null_without_changing_its_spread():
    change = np.random.default_rng(2).normal(1.0, 0.4, (9, 3))
    change[2, 1] = np.nan
    null = null_changes(change, np.array([True, True, False]))
    np.testing.assert_array_equal(null[:, 2], change[:, 2])
    np.testing.assert_allclose(np.nanmean(null[:, :2], axis=0), 0, atol=1e-12)
    spread = np.nanvar(change[:, :2], axis=0, ddof=1)
    np.testing.assert_allclose(np.nanmean(null[:, :2] ** 2, axis=0), spread)


def test_populations_that_changed_are_relabelled_around_their_mean(project):
    patients = {f"P{number:02}": "drug" for number in range(9)}
    study = project(n_populations=12, patients=patients, seed=3)
    study.count[:, 1, 2:6] = study.count[:, 1, 2:6] * 4
    table = study.write().calibrate(relabellings=256)
    assert rows(table, "table")["verdict"].item() == "ok"
    changes = pd.read_csv(study.path("changes.tsv"), sep="\t")
    changed = (changes["q_value"][:12] <= 0.2).to_numpy()
    assert 4 <= changed.sum() < 12
    change, covariate = read_chain(study.count, study.total)
    signs = sign_vectors(9, 1, 256)[0][1:]
    rates = {}
    for name, mask in (("centred", changed), ("raw", np.zeros(12, dtype=bool))):
        summary = summarise_flipped(null_changes(change, mask), signs)
        rates[name] = (moderated_p_values(summary, covariate) < 0.05).mean(axis=0)
    np.testing.assert_allclose(rows(table, "population")["rate"], rates["centred"], atol=1e-9)
    assert np.abs(rates["raw"] - rates["centred"]).max() > 0.01


@pytest.mark.parametrize("n_patients", [8, 20])
def test_null_tables_are_mostly_found_ok(n_patients):
    """The kernels' chain on tables without change: 20 populations, t3 tails."""
    rng = np.random.default_rng(n_patients)
    rates = []
    for _ in range(40):
        changes = rng.standard_t(3, (n_patients, 20)) * rng.uniform(0.2, 0.4, 20)
        signs = 1.0 - 2 * rng.integers(0, 2, (300, n_patients))
        p = moderated_p_values(summarise_flipped(changes, signs), None)
        rates.append((p < 0.05).mean())
    verdicts = [verdict_of_rate(rate, 1 / 6000) for rate in rates]
    assert verdicts.count("ok") >= 32  # else conservative, as heavy tails make few pairs
    assert "inflated" not in verdicts
    assert np.mean(rates) == pytest.approx(0.042, abs=0.006)


def test_uncapped_moderation_would_be_found_inflated():
    """Populations of very different variances: what the check is for."""
    rng = np.random.default_rng(4)
    changes = rng.normal(0, 1, (8, 40)) * np.exp(rng.normal(0, 0.15, 40))
    changes[:, :8] *= 3
    signs = 1.0 - 2 * rng.integers(0, 2, (500, 8))
    summary = summarise_flipped(changes, signs)
    loud = {
        cap: (moderated_p_values(summary, None, cap=cap) < 0.05)[:, :8].mean() for cap in (0, 1)
    }
    assert verdict_of_rate(loud[False], 0.0) == "inflated"
    assert verdict_of_rate(loud[True], 0.0) != "inflated"


def test_treatments_have_draws_of_their_own_in_the_confirmatory_family(project):
    patients = {f"P{number:02}": "ab"[number % 2] for number in range(14)}
    study = project(patients=patients).write()
    row = rows(study.calibrate(relabellings=400), "confirmatory").iloc[0]
    assert (row["treatment"], row["n_populations"], row["n_pairs"]) == ("all", 4, 14)
    assert row["n_relabellings"] == 400
    assert row["rate_low"] < row["rate"] < row["rate_high"]
    study.edit_changes(family="exploratory")
    row = rows(study.calibrate(), "confirmatory").iloc[0]
    assert (row["status"], row["n_populations"]) == ("not_applicable", 0)


def test_a_patients_stimulated_visits_are_flipped_together(project):
    """Two visits of each of five patients make ten pairs, but 2^5 relabellings."""
    study = project(patients={f"S{number}": "drug" for number in range(10)})
    study.unit_of = {f"S{number}": f"P{number // 2} v{number % 2}" for number in range(10)}
    table = study.write().calibrate()
    assert set(rows(table, "population")["n_pairs"]) == {10}
    assert set(rows(table, "population")["n_relabellings"]) == {15}


def test_what_cannot_be_calibrated_says_why(project):
    study = project(patients={f"P{number}": "drug" for number in range(4)}).write()
    table = study.calibrate()
    few = pd.concat([rows(table, "table"), rows(table, "population")])
    assert len(few) == 9
    assert (few["status"] == "too_few_pairs").all()
    assert (few["note"] == "2^4 relabellings are too few to judge 5 %").all()
    assert few["rate"].isna().all()
    assert rows(table, "table", "cells_per_ul")["status"].item() == "not_measured"
    assert rows(table, "table", "composition")["status"].item() == "not_possible"
    assert (rows(table, "population", "composition")["note"] != "").all()


def test_no_pairs_at_all(project):
    study = project()
    study.measured[:, 1] = False
    table = study.write().calibrate()
    assert (rows(table, "table")["status"] == "no_pairs").all()
    assert len(rows(table, "population")) == 8


def test_every_population_and_the_blind_spot_are_told(project):
    study = project()
    study.count[:, :, 3] = 0
    study.count[:, :, 4] = np.minimum(study.count[:, :, 4], 12)
    table = study.write().calibrate()
    assert list(table.columns) == list(CALIBRATION_COLUMNS)
    populations = rows(table, "population").set_index("what")
    assert list(populations.index) == study.names
    assert populations.loc["population_3", "status"] == "all_zero"
    assert "never claimed" in populations.loc["population_4", "note"]
    classes = rows(table, "class").set_index("what")
    assert classes.loc["below 20 events", "n_populations"] == 1
    assert classes["n_populations"].sum() == 7
    assert classes["note"].str.contains("fewer than 10 populations").all()
    for scope in ("table", "confirmatory"):
        assert "aligned with the visit, such as batch" in rows(table, scope)["note"].item()


def test_abundance_classes_have_closed_lower_ends():
    unknown = np.full(4, np.nan)
    by_events = abundance_classes(np.array([19.9, 20, 100, 1000]), unknown)
    assert list(by_events) == [
        *("below 20 events", "20 to 100 events", "100 to 1,000 events", "above 1,000 events"),
    ]
    by_percent = abundance_classes(unknown, np.array([0.5, 1, 10, np.nan]))
    assert list(by_percent) == [
        *("below 1 percent", "1 to 10 percent", "above 10 percent", "abundance not known"),
    ]


def test_verdicts():
    assert [verdict_of_rate(rate, 0.0) for rate in (0.029, 0.03, 0.07, 0.071)] == [
        *("conservative", "ok", "ok", "inflated"),
    ]
    assert [verdict_of_rate(calls / 31, 1 / 31) for calls in range(5)] == [*["ok"] * 4, "inflated"]


def test_the_interval_of_one_population_is_that_of_a_proportion():
    called = np.zeros((400, 2))
    called[:20, 0] = 1
    rates = rates_of(called, exhaustive=False)
    want = frequency_interval([20, 0], 400)
    np.testing.assert_allclose(rates.rate, [0.05, 0])
    np.testing.assert_allclose([rates.low, rates.high], want, rtol=1e-6)
    # Ten populations called together say no more than one, called apart as much as ten.
    rng = np.random.default_rng(1)
    together = np.repeat(rng.random((400, 1)) < 0.05, 10, axis=1).mean(axis=1, keepdims=True)
    apart = (rng.random((400, 10)) < 0.05).mean(axis=1, keepdims=True)
    width = [np.subtract(r.high, r.low)[0] for r in (rates_of(x, False) for x in (together, apart))]
    assert 2.3 < width[0] / width[1] < 4.3
    exact = rates_of(called, exhaustive=True)
    np.testing.assert_array_equal(exact.low, exact.high)


def test_no_relabellings_leave_the_header(project):
    assert project().write().calibrate(relabellings=0).empty


def test_changes_of_another_run_are_refused(project):
    study = project().write()
    changes = pd.read_csv(study.path("changes.tsv"), sep="\t")
    changes[changes["population"] != "population_5"].to_csv(
        study.path("changes.tsv"), sep="\t", index=False
    )
    with pytest.raises(TableError, match="made from other counts"):
        study.calibrate()


def test_same_seed_same_bytes_in_any_order_of_the_rows(project):
    patients = {f"P{number:02}": "ab"[number % 2] for number in range(24)}
    study = project(patients=patients).write()
    study.calibrate(relabellings=100)
    first = study.path("calibration.tsv").read_bytes()
    for name in ("counts", "pairs"):
        table = pd.read_csv(study.path(f"{name}.tsv"), sep="\t")
        order = table.iloc[::-1] if name == "pairs" else table
        order.to_csv(study.path(f"{name}.tsv"), sep="\t", index=False)
    study.calibrate(relabellings=100)
    assert study.path("calibration.tsv").read_bytes() == first
    study.calibrate(relabellings=100, seed=2)
    assert study.path("calibration.tsv").read_bytes() != first
