"""One reduced study from FCS files to findings; and the tallies, on made-up findings."""

import numpy as np
import pandas as pd
import pytest
from validation import whole_studies
from validation.scenarios import Tally
from validation.whole_run import TWO_VISITS, describe, run_study

from biocross.evaluation.findings import FALSE, FOUND, MISSED, RIGHT, UNTESTED, WRONG
from biocross.statistics.pairs import read_table

REDUCED = {
    "treatments": {"mepolizumab": {"patients": 8}, "dupilumab": {"patients": 8}},
    "events_per_sample": 20_000,
    "rna": None,
}
PRIMARY = ["eosinophils", "Th2", "Tc2", "ILC2"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    study = describe("demo", TWO_VISITS, REDUCED)
    run = run_study(study, tmp_path_factory.mktemp("study"), seed=1, clusters=False)
    return {
        name: read_table(run.path("evaluation", f"{name}.tsv")) for name in whole_studies.TABLES
    }


@pytest.fixture(scope="module")
def percent(tables):
    findings = tables["findings"]
    percent = findings[findings["readout"] == "percent_of_parent"]
    return percent.set_index(["treatment", "population"])


@pytest.mark.parametrize(
    ("treatment", "population"),
    [("mepolizumab", "eosinophils"), ("mepolizumab", "ILC2"), ("dupilumab", "ILC2")],
)
def test_planted_changes_are_found(percent, treatment, population):
    row = percent.loc[(treatment, population)]
    assert (row["family"], row["verdict"]) == ("confirmatory", FOUND)
    assert 0.5 < np.log(row["effect"]) / np.log(row["true_effect"]) < 2


def test_unchanged_populations_are_not_called_more_often_than_they_may(percent):
    null = percent[percent["verdict"].isin([RIGHT, FALSE])]
    assert len(null) > 15
    assert not (null["verdict"] == FALSE).any()
    called = int((null["p_value"] < 0.05).sum())
    assert called <= 4  # of about 20: the binomial chance of more is .003


def test_frequencies_are_right_at_both_visits(tables):
    """Within 10 % of the odds, by far for most: a file this small has some 20 to 100 rare cells."""
    rows = tables["frequencies"]
    assert set(rows["visit"]) == {"baseline", "month_4"}
    common = rows[rows["n_samples"] >= 12]
    assert len(common) > 50
    assert (common["bias"].abs() < 0.1 + 3 * common["bias_se"]).all()
    for _, own in common.groupby("visit"):
        assert own["bias"].abs().median() < 0.01
    assert common["change_bias"].abs().median() < 0.01


def test_gates_hold_the_cells_that_they_name(tables):
    f1 = tables["events"].set_index("population")["f1"]
    assert len(f1) > 30
    assert (f1[PRIMARY] >= 0.9).all()
    assert f1.median() > 0.97


# --- the tallies ----------------------------------------------------------------------------------


def made_up(*rows, source="gate", readout="percent_of_parent", family="exploratory"):
    columns = ["population", "verdict", "p_value", "covered", "events_median", "true_effect"]
    table = pd.DataFrame(rows, columns=columns)
    claimed = table["verdict"].isin([FOUND, FALSE, WRONG])
    return table.assign(
        source=source,
        readout=readout,
        family=family,
        treatment="dupilumab",
        contrast="month_4 - baseline",
        q_value=np.where(claimed, 0.01, 0.5),
        n_pairs=18,
    )


PLANTED = made_up(
    ("Th2", FOUND, 0.001, "yes", 100, 1.5),
    ("Tc2", MISSED, 0.2, "yes", 60, 1.5),
    ("NK_cells", RIGHT, 0.6, "yes", 900, 1.0),
    ("B_cells", FALSE, 0.001, "no", 900, 1.0),
    ("pDC", RIGHT, 0.04, "no", 30, 1.0),
    ("plasmablasts", UNTESTED, np.nan, "", 9, 1.5),
)
NULL = made_up(("NK_cells", RIGHT, 0.6, "yes", 900, 1.0), ("pDC", RIGHT, 0.2, "yes", 30, 1.0))


def test_the_demands_are_answered_by_counting_tests_and_families():
    clusters = PLANTED.assign(source="cluster", verdict=UNTESTED)
    rows = whole_studies.error_rates([pd.concat([PLANTED, clusters])], [NULL])
    found = {name: (rate.value, rate.n_tests) for name, _, rate in rows}
    assert found["type I error, 20-50 events"] == (1 / 2, 2)
    assert found["type I error, 200-1,000 events"] == (1 / 3, 3)
    assert found["type I error, gates, percent of the parent"] == (2 / 5, 5)
    assert found["coverage, unchanged, gates, percent of the parent"] == (3 / 5, 5)
    assert found["coverage, changed, gates, percent of the parent"] == (1, 2)
    assert found["FDR, exploratory family"] == (1 / 2, 1)
    assert found["any claim in an exploratory family, nothing planted"] == (0, 1)
    assert not any("clusters" in name or "confirmatory" in name for name in found)


def test_the_most_variable_fifth_is_that_of_the_description():
    within = {
        name: one["within"]
        for name, one in whole_studies.KINDS["planted"].study["populations"].items()
        if one.get("within")
    }
    names = sorted(within, key=within.get)[-10:]
    rows = pd.DataFrame({"population": [*names, "leukocytes"]})
    chosen = rows["population"][whole_studies._most_variable(rows)]
    assert set(names[-2:]) <= set(chosen)
    assert "leukocytes" not in set(chosen)


@pytest.mark.parametrize(
    ("hits", "verdict"), [(50, "pass"), (72, "within error"), (200, "**fail**"), (0, "**fail**")]
)
def test_verdicts_know_their_error(hits, verdict):
    tally = Tally()
    for study in range(100):
        tally.add("type I", np.arange(10) < (hits // 100) + (study < hits % 100))
    assert whole_studies._verdict(tally.rates()["type I"], ".03-.07") == verdict


def test_power_is_that_of_the_confirmatory_family(monkeypatch):
    monkeypatch.setattr(whole_studies, "_predictions", lambda *_: lambda *_: (0.9, 0.8))
    confirmatory = PLANTED.assign(family="confirmatory")
    lost = confirmatory.replace({"verdict": {FOUND: MISSED}})
    rows = [*whole_studies.power_rows([confirmatory, lost, PLANTED])]
    by_name = {row.population: row for row in rows}
    assert set(by_name) == {"Th2", "Tc2"}
    th2 = by_name["Th2"]
    assert (th2.odds_ratio, th2.pairs, th2.events) == (1.5, 18, 100)
    assert (th2.power.found.value, th2.power.found.n_studies) == (1 / 2, 2)
    assert (th2.power.single, th2.power.family) == (0.9, 0.8)
    assert by_name["Tc2"].power.found.value == 0


def test_recall_stands_under_size_and_events():
    rows = {row[0]: row[1:] for row in whole_studies.recall_rows([PLANTED, PLANTED])}
    of_size = next(cells for size, cells in rows.items() if "1.3-1.7" in size)
    assert of_size == ["", ".500 (4)", "", ""]
    assert {tuple(cells) for size, cells in rows.items() if "1.3-1.7" not in size} == {("",) * 4}


def test_events_of_all_studies_are_summed():
    columns = ["source", "population", "true", "found", "both"]
    one = pd.DataFrame(
        [("gate", "Th2", 100, 100, 90), ("cluster", "Th2", 100, 0, 0)], columns=columns
    )
    other = pd.DataFrame(
        [("gate", "Th2", 300, 300, 270), ("cluster", "Th2", 300, 200, 200)], columns=columns
    )
    (row,) = whole_studies.agreement_rows([one, other])
    assert row == ["Th2", "200", ".900", ".667", "1"]


def test_bias_is_averaged_over_the_studies():
    shared = {"source": "gate", "population": "Th2", "true_percent": 2, "median_error": 0.04}
    pairs = {"n_pairs": 18, "true_change": 0.4}
    studies = [
        pd.DataFrame(
            [
                {**shared, "visit": "baseline", "n_pairs": np.nan, "change_bias": np.nan},
                {**shared, **pairs, "visit": "month_4", "change_bias": bias},
                {**shared, **pairs, "visit": "month_12", "change_bias": -bias},
                {**shared, **pairs, "visit": "month_4", "change_bias": 9, "n_pairs": 4},
            ]
        )
        for bias in (0.01, 0.03)
    ]
    (row,) = whole_studies.bias_rows(studies, "gate")
    assert row[:3] == ["Th2", "2", "4.0 %"]
    assert row[3] == "+0.0200 ± 0.0196 of +0.40"
    assert row[4] == "-0.0200 ± 0.0196 of +0.40"
