import numpy as np
import pytest
from scipy import stats

from biocross.cohort.overview import PAIR_COLUMNS, SAMPLE_COLUMNS
from biocross.errors import TableError
from biocross.flow.losses import read_losses
from biocross.statistics.pairs import read_table
from biocross.statistics.quality_loss import find_quality_losses
from biocross.tables import write_rows

LEDGER_COLUMNS = ("sample_id", "step", "events_before", "flagged", "share", "note")
NO_HEIGHT, NO_DYE = "not_possible: no FSC-H", "not_possible: no dye"


class Cohort:
    """Ledgers and sheets, filled sample by sample."""

    def __init__(self, folder):
        self.folder = folder
        self.ledger, self.samples, self.pairs = [], [], []

    def add(self, patient, visit, events, losses, treatment="mepolizumab", batch="", note=""):
        """Add a sample; `losses` gives, by step, the events flagged, or why it was not done."""
        sample_id = f"{patient}_{visit}"
        who = {"sample_id": sample_id, "patient_id": patient, "visit": visit}
        sample = {**who, "modality": "flow", "treatment": treatment, "batch": batch}
        self.samples.append({**sample, "unit": patient, "level": visit})
        self._write(sample_id, "read", events, 0, note)
        for step, found in losses.items():
            flagged, why = (found, "") if isinstance(found, int) else (0, found)
            self._write(sample_id, step, events, flagged, why)
            events -= flagged

    def _write(self, *cells):
        self.ledger.append(
            dict(zip(("sample_id", "step", "events_before", "flagged", "note"), cells, strict=True))
        )

    def ask(self, patient, treatment="mepolizumab", visit="month_4", modality="flow"):
        self.pairs.append(
            {
                **{"modality": modality, "treatment": treatment, "contrast": f"{visit} - baseline"},
                **{"followup": visit, "baseline": "baseline", "unit": patient},
                **{"patient_id": patient, "complete": "yes"},
            }
        )

    def pair(self, patient, before, after, treatment="mepolizumab", events=(100_000, 100_000)):
        for visit, n, losses in zip(("baseline", "month_4"), events, (before, after), strict=True):
            self.add(patient, visit, n, losses, treatment)
        self.ask(patient, treatment)

    def write(self):
        paths = {name: self.folder / f"{name}.tsv" for name in ("ledger", "samples", "pairs")}
        write_rows(paths["ledger"], LEDGER_COLUMNS, self.ledger)
        write_rows(paths["samples"], SAMPLE_COLUMNS, self.samples)
        write_rows(paths["pairs"], PAIR_COLUMNS, self.pairs)
        return paths

    def find(self):
        out = [self.folder / "losses.tsv", self.folder / "sample_losses.tsv"]
        find_quality_losses(**self.write(), losses_out=out[0], sample_losses_out=out[1])
        losses, samples = (read_table(path) for path in out)
        return losses.set_index(["treatment", "contrast", "step"]), samples.set_index("sample_id")


@pytest.fixture
def cohort(tmp_path):
    return Cohort(tmp_path)


def row_of(losses, step, treatment="mepolizumab", contrast="month_4 - baseline"):
    return losses.loc[(treatment, contrast, step)]


def logit(x, n):
    return np.log((x + 0.5) / (n - x + 0.5))


def test_step_is_tested_by_the_paired_t_on_the_logit_of_its_own_share(cohort):
    rng = np.random.default_rng(1)
    flagged = rng.integers(2_000, 9_000, (8, 2))
    for number, (before, after) in enumerate(flagged.tolist()):
        # Half of the events are gone before the step that is looked at.
        cohort.pair(
            f"P{number}", {"time": 50_000, "doublet": before}, {"time": 0, "doublet": after}
        )
    losses, _ = cohort.find()
    row = row_of(losses, "doublet")
    # Equal depth: the deeper visit's expectation at 50,000 events differs by less than 1e-4.
    expected = stats.ttest_rel(logit(flagged[:, 1], 100_000), logit(flagged[:, 0], 50_000))
    low, high = expected.confidence_interval()
    assert row["statistic"] == pytest.approx(expected.statistic, rel=1e-3)
    assert row["p_value"] == pytest.approx(expected.pvalue, rel=1e-2)
    assert [row["effect_low"], row["effect_high"]] == pytest.approx(np.exp([low, high]), rel=1e-3)
    difference = logit(flagged[:, 1], 100_000) - logit(flagged[:, 0], 50_000)
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(difference).pvalue)
    assert row["baseline_median"] == pytest.approx(np.median(flagged[:, 0] / 500))
    assert row["followup_median"] == pytest.approx(np.median(flagged[:, 1] / 1000))
    assert (row["status"], row["n_pairs"], row["df"]) == ("tested", 8, 7)


def test_total_counts_all_steps_against_the_events_read(cohort):
    for number in range(4):
        cohort.pair(f"P{number}", {"a": 10_000, "b": 9_000 + number}, {"a": 20_000, "b": 0})
    losses, samples = cohort.find()
    row = row_of(losses, "total")
    assert row["baseline_median"] == pytest.approx(19.0015)
    assert row["followup_median"] == 20
    assert samples.loc["P3_baseline", "lost_percent"] == pytest.approx(19.003)
    assert samples.loc["P3_baseline", "kept"] == 80_997


@pytest.mark.parametrize(("factor", "word"), [(1.6, "more"), (0.5, "fewer")])
def test_planted_difference_is_a_threat_with_direction_and_points(cohort, factor, word):
    rng = np.random.default_rng(2)
    for number in range(10):
        before = int(8_000 * rng.lognormal(0, 0.1))
        after = int(8_000 * factor * rng.lognormal(0, 0.1))
        cohort.pair(
            f"P{number}",
            {"doublet": before, "dead": 3_000 + number},
            {"doublet": after, "dead": 3_005},
        )
    losses, _ = cohort.find()
    row = row_of(losses, "doublet")
    points = abs(row["difference_median"])
    assert points == pytest.approx(8 * abs(factor - 1), rel=0.2)
    assert row["threat"].startswith(f"doublets: {points:.1f} points {word} set aside at month_4")
    assert empty(row_of(losses, "dead")["threat"])


def empty(value):
    return isinstance(value, float) and np.isnan(value)


def test_significant_difference_below_one_point_is_no_threat(cohort):
    for number in range(8):
        cohort.pair(f"P{number}", {"margin": 200 + number}, {"margin": 900 + 2 * number})
    row = row_of(cohort.find()[0], "margin")
    assert row["p_value"] < 1e-6
    assert 0.5 < row["difference_median"] < 1
    assert empty(row["threat"])


def test_large_difference_that_patients_do_not_share_is_no_threat(cohort):
    for number, after in enumerate((5_000, 30_000, 16_000, 2_000, 25_000, 14_000)):
        cohort.pair(f"P{number}", {"time": 10_000 + number}, {"time": after})
    row = row_of(cohort.find()[0], "time")
    assert row["difference_median"] > 1
    assert row["effect"] > 1
    assert row["p_value"] > 0.05
    assert empty(row["threat"])


def test_q_values_correct_over_the_steps_of_one_treatment_and_contrast(cohort):
    rng = np.random.default_rng(3)
    for treatment in ("dupilumab", "mepolizumab"):
        for number in range(7):
            counts = rng.integers(1_000, 5_000, (2, 3)).tolist()
            steps = [dict(zip("abc", values, strict=True)) for values in counts]
            cohort.pair(f"{treatment}{number}", *steps, treatment=treatment)
    losses, _ = cohort.find()
    for treatment in ("dupilumab", "mepolizumab", "all treatments"):
        part = losses.xs(treatment, level="treatment")
        assert part["n_pairs"].tolist() == [14 if treatment == "all treatments" else 7] * 4
        np.testing.assert_allclose(part["q_value"], stats.false_discovery_control(part["p_value"]))


def test_one_treatment_is_not_repeated_as_all(cohort):
    cohort.pair("P1", {"a": 10}, {"a": 20})
    assert set(cohort.find()[0].index.get_level_values("treatment")) == {"mepolizumab"}


@pytest.mark.parametrize(
    ("pairs", "status", "note"),
    [
        ([({"a": 5}, {"a": 9})] * 2, "too_few_pairs", "2 of the 3 pairs"),
        ([({"a": 0}, {"a": 0})] * 4, "all_zero", "no event set aside"),
        ([({"a": 500}, {"a": 900})] * 4, "constant", "the same in every pair"),
        ([({"a": NO_HEIGHT}, {"a": NO_HEIGHT})] * 4, "not_possible", "no FSC-H"),
        ([({"a": NO_DYE}, {"a": 90})] * 4, "not_possible", "one of the two visits only in 4 of 4"),
    ],
)
def test_what_cannot_be_tested_has_a_row_that_says_why(cohort, pairs, status, note):
    for number, (before, after) in enumerate(pairs):
        cohort.pair(f"P{number}", before, after)
    row = row_of(cohort.find()[0], "a")
    assert row["status"] == status
    assert note in row["note"]
    assert empty(row["p_value"])


def test_no_pair_at_all_still_has_rows(cohort):
    cohort.add("P1", "baseline", 1000, {"a": 10})
    cohort.ask("P1")
    losses, _ = cohort.find()
    assert losses["status"].tolist() == ["no_pairs"] * 2
    assert losses["n_incomplete"].tolist() == [1, 1]


def test_pairs_without_the_step_or_without_events_are_incomplete(cohort):
    for number in range(4):
        cohort.pair(f"P{number}", {"a": 100 + number}, {"a": 150})
    cohort.pair("P4", {"a": 100}, {"a": "not_possible: no FSC-H"})
    cohort.pair("P5", {"a": 100}, {}, events=(100_000, 0))
    losses, samples = cohort.find()
    row, total = row_of(losses, "a"), row_of(losses, "total")
    assert (row["n_pairs"], row["n_incomplete"]) == (4, 2)
    assert (total["n_pairs"], total["n_incomplete"]) == (5, 1)
    assert "done at one of the two visits only in 1 of 5 pairs" in total["note"]
    assert "fewer than 6 pairs" in row["note"]
    assert samples.loc["P5_month_4", ["status", "kept"]].tolist() == ["no_events", 0]


def test_batch_that_goes_with_the_visit_is_said(cohort):
    for number in range(6):
        cohort.add(f"P{number}", "baseline", 1000, {"a": 10 + number}, batch="one")
        cohort.add(f"P{number}", "month_4", 1000, {"a": 20}, batch="two")
        cohort.ask(f"P{number}")
    assert "confounded_with_batch" in row_of(cohort.find()[0], "a")["note"]


def test_rna_pairs_and_samples_of_tables_are_left_out(cohort):
    for number in range(3):
        cohort.pair(f"P{number}", {"a": 10 + number}, {"a": 20})
        cohort.ask(f"P{number}", treatment="benralizumab", modality="rna")
    cohort.samples.append({**cohort.samples[0], "sample_id": "of_a_table"})
    losses, samples = cohort.find()
    assert set(losses.index.get_level_values("treatment")) == {"mepolizumab"}
    assert "of_a_table" not in samples.index


def lose(cohort, percents):
    for number, percent in enumerate(percents):
        cohort.add(
            f"P{number}",
            "baseline",
            100_000,
            {"doublet": 4_000, "time": round(1000 * percent) - 4_000},
        )


def test_sample_that_lost_unusually_much_is_named_with_the_step(cohort):
    lose(cohort, [5, 6, 7, 5.5, 6.5, 30])
    _, samples = cohort.find()
    assert samples.index[samples["outlying"] == "yes"].tolist() == ["P5_baseline"]
    note = samples.loc["P5_baseline", "note"]
    assert "P5_baseline lost 30 % of its events (median of the samples 6 %)" in note
    assert "unsteady signal, 26.0 % of the events read against 2.2 %" in note


@pytest.mark.parametrize(
    "percents", [[5, 5.1, 5.2, 5.1, 5, 12], [5, 10, 20, 30, 40, 50], [5, 5, 5, 60]]
)
def test_small_or_common_losses_and_small_cohorts_name_no_sample(cohort, percents):
    lose(cohort, percents)
    assert not (cohort.find()[1]["outlying"] == "yes").any()


def test_null_p_values_are_uniform_although_steps_differ_in_spread(cohort):
    rng = np.random.default_rng(4)
    p = []
    for _ in range(60):
        cohort.ledger, cohort.samples, cohort.pairs = [], [], []
        for number in range(6):
            spread = np.array([0.2, 0.4, 0.6, 0.9, 1.2, 1.5])
            steps = 30_000 / (1 + np.exp(3 + spread * rng.normal(size=(2, 6))))
            both = [dict(zip("abcdef", visit, strict=True)) for visit in steps.astype(int).tolist()]
            cohort.pair(f"P{number}", *both)
        p.append(cohort.find()[0]["p_value"].drop(index="total", level="step"))
    rate = (np.array(p) < 0.05).mean()
    assert 0.02 < rate < 0.08
    assert (np.array(p)[:, -1] < 0.05).mean() < 0.15


def test_unknown_sample_and_broken_counts_are_refused_with_their_place(cohort):
    cohort.pair("P1", {"a": 1}, {"a": 2})
    cohort.ledger[0]["sample_id"] = "stranger"
    with pytest.raises(
        TableError, match=r'ledger\.tsv: sample "stranger" is not in .*samples\.tsv'
    ):
        cohort.find()
    cohort.ledger[2]["flagged"] = "many"
    with pytest.raises(TableError, match=r"ledger\.tsv row 4: .*many"):
        read_losses(cohort.write()["ledger"])
