import numpy as np
import pytest
from long_tables import LongTables, one
from run_folder import CONFIG, run_folder, two_treatments
from scipy.stats import ttest_1samp, wilcoxon

from biocross.errors import BiocrossError
from biocross.report.sources import records
from biocross.results import Results
from biocross.statistics.kernels.scale import equal_depth_logit
from biocross.statistics.paired_changes import CHANGE_COLUMNS
from biocross.tables import write_rows

PERCENT = {"readout": "percent_of_parent"}


@pytest.fixture
def study(tmp_path):
    tables, folder = two_treatments(tmp_path)
    return tables, Results(folder)


@pytest.fixture
def three_visits(tmp_path):
    tables = LongTables(tmp_path)
    rng = np.random.default_rng(2)
    for number in range(7):
        for visit in ("baseline", "month_4", "month_12"):
            depth = int(rng.integers(9_000, 11_000))
            counts = {f"pop_{k}": (int(rng.integers(50, 150)), depth) for k in range(7)}
            tables.add(f"P{number}", visit, counts)
    patients = [f"P{number}" for number in range(7)]
    tables.ask("mepolizumab", *patients)
    tables.ask("mepolizumab", *patients, followup="month_12")
    design = {"levels": ["baseline", "month_4", "month_12"]}
    return tables, Results(run_folder(tables, design=design))


def changes_of(tables, population, followup="month_4", baseline="baseline", without=()):
    """Compute the changes of a population from the counts, patient by patient."""
    counts = {
        (row["patient_id"], row["visit"]): (row["count"], row["parent_count"])
        for row in tables.counts
        if row["population"] == population and row["patient_id"] not in without
    }
    both = sorted(p for p, visit in counts if visit == followup and (p, baseline) in counts)
    before, after = (
        np.array([counts[p, visit] for p in both], dtype=float) for visit in (baseline, followup)
    )
    y_0, y_1 = equal_depth_logit(before[:, :1], before[:, 1:], after[:, :1], after[:, 1:])
    return both, (y_1 - y_0)[:, 0]


def test_without_arguments_it_is_the_report_to_the_byte(study, tmp_path):
    _, results = study
    again = tmp_path / "again.tsv"
    write_rows(again, CHANGE_COLUMNS, records(results.compare()))
    assert again.read_bytes() == (results.folder / "statistics" / "paired_changes.tsv").read_bytes()


def test_choosing_rows_changes_no_number(three_visits):
    _, results = three_visits
    shown = results.compare("pop_1", contrast="month_4 - baseline", **PERCENT)
    assert len(shown) == 1
    reported = one(results.changes, population="pop_1", contrast="month_4 - baseline", **PERCENT)
    row = shown.iloc[0]
    assert row["q_value"] == pytest.approx(reported["q_value"], rel=1e-9)
    assert row["family"] == reported["family"]
    assert "exploratory: chosen" not in row["note"]


def test_plain_t_is_that_of_scipy(study):
    tables, results = study
    row = one(
        results.compare(test="plain_t", **PERCENT), treatment="mepolizumab", population="pop_1"
    )
    everyone, change = changes_of(tables, "pop_1")
    own = np.array([name.startswith("mep") for name in everyone])
    assert row["p_value"] == pytest.approx(ttest_1samp(change[own], 0).pvalue)


def test_wilcoxon_without_a_patient_is_that_of_scipy(three_visits):
    tables, results = three_visits
    row = one(
        results.compare(
            test="wilcoxon",
            exclude="P3",
            contrast=("month_12", "month_4"),
            readout="percent_of_parent",
        ),
        population="pop_2",
    )
    _, change = changes_of(tables, "pop_2", "month_12", "month_4", without=["P3"])
    assert row["n_pairs"] == len(change) == 6
    assert row["contrast"] == "month_12 - month_4"
    assert row["p_value"] == pytest.approx(wilcoxon(change, method="exact").pvalue)
    averages = [(a + b) / 2 for i, a in enumerate(change) for b in change[i:]]
    assert row["effect"] == pytest.approx(np.exp(np.median(averages)))
    assert row["effect_low"] < row["effect"] < row["effect_high"]
    assert np.isnan(row["detectable_fold"])
    assert row["equivalent"] is None


def test_every_row_of_another_analysis_is_exploratory_and_says_what_was_chosen(three_visits):
    _, results = three_visits
    rows = results.compare(test="wilcoxon", exclude=["P3", "P4"])
    said = "exploratory: chosen after seeing the data (test wilcoxon, without P3, P4)"
    assert rows["note"].str.startswith(said).all()
    assert rows["family"].str.startswith("exploratory: ").all()
    assert rows["family"].str.endswith("(test wilcoxon, without P3, P4)").all()


def test_fewer_pairs_are_a_status_and_no_error(study):
    _, results = study
    row = one(
        results.compare("pop_1", exclude="dup_P00", test="wilcoxon", **PERCENT),
        treatment="dupilumab",
    )
    assert row["status"] == "too_few_pairs"
    assert np.isnan(row["p_value"])


def test_treatments_together_are_one_group(study):
    tables, results = study
    row = one(results.compare("pop_2", together=True, test="plain_t", **PERCENT))
    assert row["treatment"] == "dupilumab + mepolizumab"
    assert row["n_pairs"] == 7
    assert row["p_value"] == pytest.approx(ttest_1samp(changes_of(tables, "pop_2")[1], 0).pvalue)
    only = one(results.compare("pop_2", together=True, treatment="dupilumab", **PERCENT))
    assert only["treatment"] == "dupilumab"
    assert only["n_pairs"] == 3


def test_a_new_contrast_belongs_to_the_treatment_at_its_later_visit(tmp_path):
    tables = LongTables(tmp_path)
    for number in range(4):
        for visit, given in (("baseline", "placebo"), ("month_4", "placebo"), ("month_8", "drug")):
            tables.add(f"P{number}", visit, {"pop_0": (100 + number, 1000)}, treatment=given)
    tables.ask("placebo", *(f"P{number}" for number in range(4)))
    design = {"levels": ["baseline", "month_4", "month_8"]}
    results = Results(run_folder(tables, **{**CONFIG, "design": design}))
    rows = results.compare(contrast="month_8 - month_4")
    assert set(rows["treatment"]) == {"drug"}
    assert set(rows["n_pairs"].iloc[:1]) == {4}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"test": "t"}, 'no test "t"; known are: moderated, plain_t, wilcoxon'),
        ({"exclude": "mep_P0"}, 'no patient "mep_P0"; did you mean "mep_P0'),
        ({"contrast": "month4 - baseline"}, 'no visit "month4"; did you mean "month_4"'),
        ({"contrast": "month_4"}, "must read like"),
        ({"populations": "pop_9"}, 'no population "pop_9"; did you mean "pop_'),
        ({"treatment": "dupilimab", "together": True}, 'no treatment "dupilimab"; did you mean'),
        ({"source": "gates"}, 'no source "gates"; did you mean "gate"'),
    ],
)
def test_wrong_names_are_refused_with_the_nearest(study, wrong, said):
    with pytest.raises(BiocrossError) as caught:
        study[1].compare(**wrong)
    assert said in str(caught.value)
