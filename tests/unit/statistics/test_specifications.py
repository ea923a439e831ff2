"""The specification curve of primary findings, on small tables written for each test."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from biocross.errors import TableError
from biocross.flow.gate_shifts import SHIFTED_COLUMNS, SPECIFICATION_SHIFTS
from biocross.statistics.kernels.moderation import moderated_paired_t
from biocross.statistics.kernels.scale import equal_depth_logit
from biocross.statistics.paired_changes import find_paired_changes
from biocross.statistics.specifications import ASPECTS, GATE_SHIFTS, vary_specifications

POPULATIONS = ("ILC2", "Th2", "Tc2", "B", "NK", "monocytes", "basophils", "pDC")
PARENT = "leukocytes"
DEPTH = 20_000
CONFIRMATORY = ("flow", "gate", "percent_of_parent")
STEADY = np.array([0.50, 0.72, 0.61, 0.44, 0.55, 0.68, 0.39, 0.58])


class Study:
    """Tables of a study under construction; P01, P02, ... with a baseline and month_4."""

    def __init__(self, folder, changes, batches=(), covariate=None, dropouts=0, seed=1):
        """`changes`: log odds ratios of ILC2 per patient; the other populations only vary."""
        self.folder, self.seed = folder, seed
        rng = np.random.default_rng(seed)
        n = len(changes)
        self.patients = [f"P{i + 1:02}" for i in range(n + dropouts)]
        base = np.log(0.01 * np.arange(1, 9)) + rng.normal(0, 0.2, size=(n + dropouts, 8))
        later = base[:n] + rng.normal(0, 0.15, size=(n, 8))
        later[:, 0] = base[:n, 0] + changes
        self.counts = np.stack(
            [self._count(base), self._count(np.vstack([later, np.full((dropouts, 8), np.nan)]))]
        )
        rows, sheet, pairs = [], [], []
        for i, patient in enumerate(self.patients):
            for visit, level in enumerate(("baseline", "month_4")[: 1 + (i < n)]):
                sample = f"{patient}_{level}"
                batch = batches[i][visit] if batches else "lot"
                sheet.append([sample, patient, level, "flow", batch, "drug", patient, level])
                if covariate is not None:
                    sheet[-1].append(covariate[i][visit])
                keys = [sample, patient, level, "drug", "flow", "gate"]
                rows.append([*keys, PARENT, "", DEPTH, np.nan, np.nan, np.nan])
                for name, count in zip(POPULATIONS, self.counts[visit, i], strict=True):
                    percent = 100 * count / DEPTH
                    rows.append([*keys, name, PARENT, count, DEPTH, np.nan, percent])
            complete = ["yes", ""] if i < n else ["no", "month_4"]
            asked = ["flow", "drug", "month_4 - baseline", "month_4", "baseline"]
            pairs.append([*asked, patient, patient, *complete])
        self._write("counts", rows, COUNT_COLUMNS)
        extra = [] if covariate is None else ["ocs_mg_day"]
        self._write("samples", sheet, [*SAMPLE_COLUMNS, *extra])
        self._write("pairs", pairs, PAIR_COLUMNS)
        entry = "{{parent: {}, flow: x{}}}\n"
        primary = ", primary: true"
        (folder / "populations.yaml").write_text(
            f"{PARENT}: {entry.format('null', '')}"
            + "".join(
                f"{name}: {entry.format(PARENT, primary if name == 'ILC2' else '')}"
                for name in POPULATIONS
            )
        )

    @staticmethod
    def _count(log_share):
        return np.round(DEPTH * np.exp(log_share))

    def _write(self, name, rows, columns):
        pd.DataFrame(rows, columns=columns).to_csv(
            self.folder / f"{name}.tsv", sep="\t", index=False
        )

    def edit(self, name, change):
        """Rewrite one table."""
        path = self.folder / f"{name}.tsv"
        change(pd.read_csv(path, sep="\t")).to_csv(path, sep="\t", index=False)

    def paths(self):
        names = ("counts", "samples", "pairs")
        tables = {name: self.folder / f"{name}.tsv" for name in names}
        return tables | {"populations": self.folder / "populations.yaml"}

    def changes(self):
        out = self.folder / "paired_changes.tsv"
        find_paired_changes(
            **self.paths(), confirmatory=CONFIRMATORY, seed=self.seed, changes_out=out
        )
        return pd.read_csv(out, sep="\t", keep_default_na=False, na_values=[""])

    def shifted(self, thresholds, shifts=GATE_SHIFTS, lost=()):
        """Write counts of ILC2; `thresholds`: the share that leaves per decade at both visits."""
        rows = []
        for i, patient in enumerate(self.patients):
            for visit, level in enumerate(("baseline", "month_4")):
                count = self.counts[visit, i, 0]
                sample = f"{patient}_{level}"
                if np.isnan(count):
                    continue
                for name, slopes in thresholds.items():
                    for shift in (*shifts, 0.0):
                        # The parent is made of this population among others.
                        total = DEPTH - round(30_000 * (1 + visit) * shift)
                        at = [round(count * (1 - slopes[visit] * shift)), total]
                        rows.append([sample, "ILC2", name, shift, *at])
                        if sample in lost:
                            rows[-1][4:] = [np.nan, np.nan]
        self._write("shifts", rows, SHIFTED_COLUMNS)
        return self.folder / "shifts.tsv"

    def vary(self, **options):
        self.changes()
        return self.vary_again(**options)

    def vary_again(self, **options):
        out = self.folder / "specifications.tsv"
        vary_specifications(
            **self.paths(),
            changes=self.folder / "paired_changes.tsv",
            confirmatory=CONFIRMATORY,
            seed=self.seed,
            specifications_out=out,
            **options,
        )
        return pd.read_csv(out, sep="\t", keep_default_na=False, na_values=[""])

    def logits(self):
        """Changes of all populations, shape (pairs, populations)."""
        y0, y1 = equal_depth_logit(self.counts[0], DEPTH, self.counts[1], DEPTH)
        return (y1 - y0)[~np.isnan(y1[:, 0])]


COUNT_COLUMNS = (
    *("sample_id", "patient_id", "visit", "treatment", "modality", "source", "population"),
    *("parent", "count", "parent_count", "cells_per_ul", "percent"),
)
SAMPLE_COLUMNS = (
    *("sample_id", "patient_id", "visit", "modality", "batch", "treatment", "unit", "level"),
)
PAIR_COLUMNS = (
    *("modality", "treatment", "contrast", "followup", "baseline", "unit", "patient_id"),
    *("complete", "missing"),
)


def rows_of(table, aspect):
    found = table[table["aspect"] == aspect]
    return found.set_index("specification")


def only(table, aspect):
    found = table[table["aspect"] == aspect]
    assert len(found) == 1
    return found.iloc[0]


def test_every_aspect_of_every_finding_has_rows(tmp_path):
    study = Study(tmp_path, STEADY, dropouts=1)
    path = tmp_path / "populations.yaml"
    path.write_text(path.read_text().replace("x}\nB:", "x, primary: true}\nB:"))
    table = study.vary()
    assert set(table["population"]) == {"ILC2", "Tc2"}
    for _, rows in table.groupby("population"):
        assert tuple(rows["aspect"].unique()) == ASPECTS
        assert rows["specification"].is_unique
        assert rows["aspect"].value_counts()["leave_one_out"] == 8
    assert table["status"].notna().all()
    assert table.loc[table["status"] != "tested", "note"].notna().all()


def test_the_reported_row_is_repeated_and_summed_up(tmp_path):
    study = Study(tmp_path, STEADY)
    reported = study.changes().query("family == 'confirmatory'").iloc[0]
    row = only(study.vary_again(), "as_reported")
    for name in ("n_pairs", "effect", "effect_low", "effect_high", "p_value"):
        assert row[name] == pytest.approx(reported[name])
    assert row["holds"] == "yes"
    assert "leave_one_out: holds in 8 of 8" in row["note"]
    assert "test: holds in 4 of 4" in row["note"]


def test_tests_equal_the_reported_ones_and_scipy(tmp_path):
    study = Study(tmp_path, STEADY)
    reported = study.changes().query("family == 'confirmatory'").iloc[0]
    tests = rows_of(study.vary_again(), "test")
    change = study.logits()[:, 0]
    assert tests.loc["plain_t", "p_value"] == pytest.approx(stats.ttest_1samp(change, 0).pvalue)
    interval = stats.ttest_1samp(change, 0).confidence_interval()
    assert tests.loc["plain_t", "effect_low"] == pytest.approx(np.exp(interval.low))
    assert tests.loc["wilcoxon", "p_value"] == pytest.approx(stats.wilcoxon(change).pvalue)
    assert tests.loc["wilcoxon", "effect"] == pytest.approx(reported["hodges_lehmann"])
    assert tests.loc["sign_flip", "p_value"] == pytest.approx(reported["signflip_p"])
    assert np.isnan(tests.loc["sign_flip", "effect_low"])
    events = np.log(study.counts.mean(axis=0) + 0.5).mean(axis=0)  # both visits are equally deep
    uncapped = moderated_paired_t(study.logits(), events, cap=False)
    assert tests.loc["uncapped_moderated_t", "p_value"] == pytest.approx(uncapped.p[0])
    assert tests.loc["uncapped_moderated_t", "p_value"] < 0.9 * reported["p_value"]


def test_leaving_one_out_is_the_study_without_that_patient(tmp_path):
    study = Study(tmp_path, STEADY)
    left_out = rows_of(study.vary(), "leave_one_out")
    assert left_out.index.tolist() == study.patients
    for patient in ("P01", "P05"):
        study.edit("counts", lambda table, p=patient: table[table["patient_id"] != p])
        direct = study.changes().query("population == 'ILC2' and readout == 'percent_of_parent'")
        for name in ("n_pairs", "effect", "effect_low", "effect_high", "p_value"):
            assert left_out.loc[patient, name] == pytest.approx(direct[name].iloc[0], rel=1e-9)
        study = Study(tmp_path, STEADY)


def test_a_patient_with_two_units_leaves_with_both(tmp_path):
    study = Study(tmp_path, STEADY)
    study.edit("pairs", lambda t: t.assign(patient_id=t["patient_id"].replace("P02", "P01")))
    left_out = rows_of(study.vary(), "leave_one_out")
    assert left_out.index.tolist() == [p for p in study.patients if p != "P02"]
    assert left_out.loc["P01", "n_pairs"] == 6
    assert left_out.loc["P03", "n_pairs"] == 7


def test_the_patient_who_carries_a_finding_is_named(tmp_path):
    """P09 lifts a rise that the others hardly show over the line; no one else is needed."""
    carried = np.array([0.11, 0.10, 0.05, 0.07, 0.07, -0.04, 0.02, 0.41, 0.30])
    table = Study(tmp_path, carried).vary()
    assert only(table, "as_reported")["holds"] == "yes"
    left_out = rows_of(table, "leave_one_out")
    assert left_out.index[left_out["holds"] == "no"].tolist() == ["P09"]
    assert left_out["p_value"].idxmax() == "P09"
    assert "leave_one_out: holds in 8 of 9 (lost: P09)" in only(table, "as_reported")["note"]


def test_a_row_without_a_claim_says_nothing_about_holding(tmp_path):
    table = Study(tmp_path, np.array([0.3, -0.2, 0.1, -0.25, 0.2, -0.1]), dropouts=1).vary()
    assert table["holds"].isna().all()
    assert "no change is claimed" in only(table, "as_reported")["note"]
    assert rows_of(table, "dropout").loc["tipping delta", "status"] == "not_applicable"


def test_the_false_discovery_rate_decides_what_is_claimed(tmp_path):
    table = Study(tmp_path, STEADY).vary(fdr=1e-12)
    assert table["holds"].isna().all()


def test_a_rare_population_is_shown_without_a_claim(tmp_path):
    study = Study(tmp_path, STEADY)
    study.counts[:, :, 0] = [[2, 3, 1, 4, 2, 3, 2, 1], [9, 12, 5, 14, 8, 10, 11, 6]]
    counts = {
        f"{patient}_{level}": study.counts[visit, i, 0]
        for i, patient in enumerate(study.patients)
        for visit, level in enumerate(("baseline", "month_4"))
    }

    def rare(table):
        mine = table["population"] == "ILC2"
        table.loc[mine, "count"] = table.loc[mine, "sample_id"].map(counts)
        table.loc[mine, "percent"] = 100 * table.loc[mine, "count"] / DEPTH
        return table

    study.edit("counts", rare)
    table = study.vary()
    assert only(table, "as_reported")["status"] == "too_few_events"
    tests = rows_of(table, "test")
    assert (tests["status"] == "too_few_events").all()
    assert (tests["p_value"] < 0.05).all()
    assert table["holds"].isna().all()


def test_readouts_that_were_not_measured_say_so(tmp_path):
    rows = rows_of(Study(tmp_path, STEADY).vary(), "readout")
    assert rows.loc["cells_per_ul", "status"] == "not_measured"
    assert np.isnan(rows.loc["cells_per_ul", "effect"])
    assert rows.loc["composition", "status"] == "not_possible"


def test_the_gate_is_shifted_as_far_as_was_counted():
    assert set(GATE_SHIFTS) == set(SPECIFICATION_SHIFTS)


def test_a_shifted_gate_is_the_study_with_its_counts(tmp_path):
    study = Study(tmp_path, STEADY, dropouts=1)
    path = study.shifted({"CRTH2": (2.0, 5.0)}, shifts=(*GATE_SHIFTS, 0.02, -0.3))
    rows = rows_of(study.vary(shifts=path), "gate")
    labels = [f"CRTH2 {shift} decade" for shift in ("-0.1", "-0.05", "+0.05", "+0.1")]
    assert rows.index.tolist() == labels
    shifted = pd.read_csv(path, sep="\t")
    for label, shift in zip(labels, GATE_SHIFTS, strict=True):
        at = shifted[shifted["shift"] == shift].set_index("sample_id")

        def moved(table, at=at):
            mine = table["population"] == "ILC2"
            for name in ("count", "parent_count"):
                table.loc[mine, name] = table.loc[mine, "sample_id"].map(at[name])
            return table

        study.edit("counts", moved)
        direct = study.changes().query("population == 'ILC2' and readout == 'percent_of_parent'")
        for name in ("n_pairs", "effect", "effect_low", "effect_high", "p_value"):
            assert rows.loc[label, name] == pytest.approx(direct[name].iloc[0], rel=1e-9)
    assert (rows["holds"] == "yes").all()
    # More leave at follow-up the higher the border is, so that less of the rise is left.
    assert rows["effect"].is_monotonic_decreasing


def test_all_thresholds_are_shifted_before_each_alone(tmp_path):
    study = Study(tmp_path, STEADY)
    slopes = {"CD127": (0, 0), "CRTH2": (0, 3.5), "all": (0, 6)}
    rows = rows_of(study.vary(shifts=study.shifted(slopes)), "gate")
    assert len(rows) == 12
    assert [name.split(" ")[0] for name in rows.index[::4]] == ["all", "CD127", "CRTH2"]
    assert rows.index[0] == "all thresholds -0.1 decade"
    at = rows["effect"].filter(like="+0.1 decade")
    assert at.iloc[0] < at.iloc[2] < at.iloc[1]


def test_a_finding_lost_at_a_shift_is_counted_and_named(tmp_path):
    study = Study(tmp_path, STEADY)
    table = study.vary(shifts=study.shifted({"CRTH2": (0, 5.5)}))
    assert rows_of(table, "gate")["holds"].tolist() == ["yes", "yes", "yes", "no"]
    note = only(table, "as_reported")["note"]
    assert "gate: holds in 3 of 4 (lost: CRTH2 +0.1 decade)" in note


def test_pairs_without_shifted_counts_are_left_out(tmp_path):
    study = Study(tmp_path, STEADY)
    path = study.shifted({"CRTH2": (2, 2)}, lost=("P02_baseline", "P05_month_4"))
    rows = rows_of(study.vary(shifts=path), "gate")
    assert (rows["n_pairs"] == 6).all()
    assert (rows["note"] == "2 pairs without counts at this shift left out").all()


def test_no_shifted_counts_is_said(tmp_path):
    study = Study(tmp_path, STEADY)
    row = only(study.vary(), "gate")
    assert row["status"] == "not_applicable"
    assert row["note"] == "nothing was counted with shifted thresholds"
    path = study.shifted({"CRTH2": (2, 2)})
    study.edit("shifts", lambda table: table.assign(population="Th2"))
    table = study.vary_again(shifts=path)
    row = only(table, "gate")
    assert row["status"] == "not_applicable"
    assert row["note"].startswith("ILC2 was not counted with shifted thresholds")
    assert "gate: holds" not in only(table, "as_reported")["note"]


def test_shifted_counts_of_others_do_not_count(tmp_path):
    study = Study(tmp_path, STEADY, dropouts=1)
    path = study.shifted({"CRTH2": (2, 2)})
    study.edit("shifts", lambda table: table[table["sample_id"] == "P09_baseline"])
    row = only(study.vary(shifts=path), "gate")
    assert row["status"] == "not_applicable"
    assert row["note"].startswith("ILC2 was not counted with shifted thresholds")


def test_shifted_counts_of_another_gating_are_an_error(tmp_path):
    study = Study(tmp_path, STEADY)
    path = study.shifted({"CRTH2": (2, 2)})
    study.edit("shifts", lambda table: table.assign(count=table["count"] + 1))
    with pytest.raises(TableError, match=r"of ILC2 in P01 at a shift of 0 is not that of counts"):
        study.vary(shifts=path)


def test_no_batch_changes(tmp_path):
    row = only(Study(tmp_path, STEADY).vary(), "batch")
    assert row["status"] == "not_applicable"
    assert row["note"] == "no pair changes batch between the visits"


def test_no_batch_is_recorded(tmp_path):
    table = Study(tmp_path, STEADY, batches=[("", "")] * 8).vary()
    assert only(table, "batch")["note"] == "no batch is recorded"


def test_batches_that_go_with_the_visit_are_refused(tmp_path):
    row = only(Study(tmp_path, STEADY, batches=[("a", "b")] * 8).vary(), "batch")
    assert row["status"] == "refused"
    assert "batch and visit cannot be told apart" in row["note"]
    assert np.isnan(row["effect"])
    assert np.isnan(row["p_value"])


def test_some_changes_of_batch_are_adjusted_for(tmp_path):
    """Batch b adds 0.8: a rise by batch alone is not one."""
    batches = [("a", "b")] * 5 + [("a", "a")] * 5
    rng = np.random.default_rng(2)
    changes = rng.normal(0, 0.08, size=10) + 0.8 * (np.arange(10) < 5)
    study = Study(tmp_path, changes, batches=batches)
    table = study.vary()
    assert only(table, "as_reported")["holds"] == "yes"
    row = only(table, "batch")
    design = sm.add_constant((np.arange(10) < 5).astype(float))
    expected = sm.OLS(study.logits()[:, 0], design).fit()
    assert row["effect"] == pytest.approx(np.exp(expected.params[0]))
    assert row["p_value"] == pytest.approx(expected.pvalues[0])
    assert row["holds"] == "no"
    assert row["note"].startswith("5 of 10 pairs change batch")


def test_a_sure_change_in_the_other_direction_does_not_hold(tmp_path):
    moved = np.arange(10) < 8
    batches = [("a", "b" if move else "a") for move in moved]
    noise = np.random.default_rng(2).normal(0, 0.05, size=10)
    table = Study(tmp_path, 1.4 * moved - 0.5 + noise, batches=batches).vary()
    assert only(table, "as_reported")["effect"] > 1
    row = only(table, "batch")
    assert row["effect"] < 1
    assert row["p_value"] < 0.001
    assert row["holds"] == "no"


def test_the_steroid_dose_is_adjusted_for(tmp_path):
    doses = [(10, 10), (10, 5), (20, 5), (5, 5), (15, 10), (7.5, 2.5), (0, 0), (12, "")]
    study = Study(tmp_path, STEADY, covariate=doses)
    row = only(study.vary(), "covariate")
    change = np.array([later - first for first, later in doses[:-1]])
    expected = sm.OLS(study.logits()[:-1, 0], sm.add_constant(change)).fit()
    assert row["specification"] == "change of ocs_mg_day"
    assert row["n_pairs"] == 7
    assert row["effect"] == pytest.approx(np.exp(expected.params[0]))
    assert row["effect_high"] == pytest.approx(np.exp(expected.conf_int()[0, 1]))
    assert row["p_value"] == pytest.approx(expected.pvalues[0])
    assert "3 of 7 pairs have (changes from -15 to 0)" in row["note"]
    assert "1 without ocs_mg_day at both visits left out" in row["note"]


@pytest.mark.parametrize(
    ("doses", "status", "words"),
    [
        (None, "not_applicable", "not known at both visits of any pair"),
        ([(5, 5)] * 8, "not_applicable", "the same at both visits of every pair"),
        ([(10, 5)] * 8, "refused", "by the same amount in every pair"),
        ([(10, 5), (10, 10)] + [("", "")] * 6, "too_few_pairs", "2 pairs are too few"),
    ],
    ids=["not in the sheet", "no change", "one taper for all", "hardly known"],
)
def test_a_dose_that_says_nothing(tmp_path, doses, status, words):
    row = only(Study(tmp_path, STEADY, covariate=doses).vary(), "covariate")
    assert row["status"] == status
    assert words in row["note"]
    assert np.isnan(row["p_value"])


def test_nobody_dropped_out(tmp_path):
    row = only(Study(tmp_path, STEADY).vary(), "dropout")
    assert row["status"] == "not_applicable"


@pytest.mark.parametrize("direction", [1, -1], ids=["rise", "fall"])
def test_dropouts_tip_a_finding(tmp_path, direction):
    changes = direction * np.array([0.9, 0.2, 0.7, 0.1, 0.8, 0.6, 0.4])
    study = Study(tmp_path, changes, dropouts=2)
    table = study.vary()
    reported = only(table, "as_reported")
    rows = rows_of(table, "dropout")
    assert rows.loc["delta 0", "p_value"] == pytest.approx(reported["p_value"])
    assert rows.loc["delta 0", "effect_low"] == pytest.approx(reported["effect_low"])
    log_change = np.log(reported["effect"])
    assert np.log(rows.loc["delta 0.5", "effect"]) == pytest.approx(
        log_change - direction * 0.5 * 2 / 9
    )
    deltas = rows.filter(like="delta ", axis=0)
    assert deltas["p_value"].is_monotonic_increasing
    tipping = rows.loc["tipping delta"]
    assert tipping["effect_scale"] == "ratio_of_odds_ratios"
    assert tipping["effect"] > 1
    assert np.isnan(tipping["p_value"])
    stands = {name: float(name.removeprefix("delta ")) for name in deltas.index}
    for name, delta in stands.items():
        assert (deltas.loc[name, "holds"] == "yes") == (delta < np.log(tipping["effect"]))
    theirs = reported["effect"] / tipping["effect"] ** direction
    assert f"changed × {theirs:.3g} where" in tipping["note"]


def test_baselines_of_dropouts_are_shown_beside_the_others(tmp_path):
    study = Study(tmp_path, STEADY, dropouts=3)
    note = rows_of(study.vary(), "dropout").loc["tipping delta", "note"]
    percent = 100 * study.counts[0, :, 0] / DEPTH
    lost, kept = percent[8:], percent[:8]
    assert f"the 3 whose change is not known: median {np.median(lost):.3g} (" in note
    assert f"the 8 others: median {np.median(kept):.3g} ({kept.min():.3g} to" in note


def test_a_follow_up_without_this_population_is_a_dropout_too(tmp_path):
    study = Study(tmp_path, STEADY)

    def lose(table):
        lost = (table["sample_id"] == "P03_month_4") & (table["population"] == "ILC2")
        return table[~lost]

    study.edit("counts", lose)
    table = study.vary()
    assert only(table, "as_reported")["n_pairs"] == 7
    assert "the 1 whose change is not known" in rows_of(table, "dropout").loc["delta 0", "note"]
    left_out = rows_of(table, "leave_one_out")
    assert left_out.loc["P03", "n_pairs"] == 7
    assert "only the moderation differs" in left_out.loc["P03", "note"]
    assert left_out.loc["P01", "n_pairs"] == 6


def test_percentages_without_counts(tmp_path):
    study = Study(tmp_path, STEADY, batches=[("a", "b")] * 4 + [("a", "a")] * 5, dropouts=1)
    study.edit("counts", lambda t: t.assign(count=np.nan, parent_count=np.nan))
    table = study.vary()
    assert tuple(table["aspect"].unique()) == ASPECTS
    assert only(table, "as_reported")["holds"] == "yes"
    assert only(table, "batch")["status"] == "tested"
    assert (rows_of(table, "leave_one_out")["status"] == "tested").all()
    assert rows_of(table, "dropout").loc["tipping delta", "effect"] > 1
    assert rows_of(table, "readout").loc["composition", "status"] == "not_possible"


def test_one_population_alone_has_no_variance_to_learn_from(tmp_path):
    study = Study(tmp_path, STEADY)
    study.edit("counts", lambda t: t[t["population"].isin(["ILC2", PARENT])])
    tests = rows_of(study.vary(), "test")
    assert tests.loc["uncapped_moderated_t", "status"] == "not_applicable"
    assert tests.loc["plain_t", "holds"] == "yes"


@pytest.mark.parametrize("n_populations", [2, 3])
def test_two_or_three_populations_are_varied(tmp_path, n_populations):
    study = Study(tmp_path, STEADY)
    kept = [*POPULATIONS[:n_populations], PARENT]
    study.edit("counts", lambda t: t[t["population"].isin(kept)])
    tests = rows_of(study.vary(), "test")
    assert tests["p_value"].between(0, 1).all()


def test_no_confirmatory_family_gives_a_header(tmp_path):
    study = Study(tmp_path, STEADY[:5])
    table = study.vary()
    assert table.empty
    assert table.columns[6] == "aspect"


def test_changes_of_other_counts_are_an_error(tmp_path):
    study = Study(tmp_path, STEADY)
    study.changes()
    study.edit("counts", lambda t: t[t["population"] != "ILC2"])
    with pytest.raises(TableError, match=r"ILC2 in leukocytes is not in counts\.tsv"):
        study.vary_again()
    study.edit("counts", lambda t: t.assign(source="cluster"))
    with pytest.raises(TableError, match="flow, gate, drug, month_4 - baseline is not in"):
        study.vary_again()


def test_the_same_input_gives_the_same_bytes(tmp_path):
    study = Study(tmp_path, STEADY, dropouts=2)
    study.vary()
    first = (tmp_path / "specifications.tsv").read_bytes()
    study.edit("counts", lambda t: t.iloc[::-1])
    study.edit("samples", lambda t: t.iloc[::-1])
    study.edit("pairs", lambda t: t.iloc[::-1])
    study.vary_again()
    assert (tmp_path / "specifications.tsv").read_bytes() == first
