"""A reduced run of the validation: the design's demands on some hundred studies a cell.

Every limit is the design's, widened by three Monte Carlo standard errors of the measured rate and
by nothing else. Seeds are fixed: a failure means that the statistics changed. The tests that must
*exceed* a limit show that the simulated studies can tell a bad test from a good one.
"""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from validation import validate
from validation.chain import q_values, run_chain
from validation.grid import PARENT_CENTRE, Requirement, full_grid, requirements
from validation.scenarios import Cell, Rate, rate_of, run_cell, run_cells
from validation.studies import pair_table, simulate_depletion, simulate_table

from biocross.statistics.families import assign_families
from biocross.statistics.paired_changes import change_rows, population_pairs

STANDARD_ERRORS = 3


def assert_within(rate: Rate, low: float, high: float):
    slack = STANDARD_ERRORS * (rate.high - rate.low) / (2 * 1.96)
    assert low - slack <= rate.value <= high + slack, rate


@pytest.fixture(scope="module")
def null_studies():
    cell = Cell.of("null", n_patients=8, n_populations=20, tails="t3", peers=True)
    return run_cell(cell, 500)


@pytest.fixture(scope="module")
def planted_studies():
    cell = Cell.of("planted", n_patients=12, n_populations=20, tails="t3", planted_share=0.2)
    return run_cell(cell, 500)


# --- the simulated studies ----------------------------------------------------------------------


def test_a_true_change_is_what_many_patients_show():
    rng = np.random.default_rng(1)
    study = simulate_table(rng, 20_000, 8, planted_share=0.5, frequencies=(0.01, 0.4), missing=0.15)
    change = run_chain(pair_table(study)).test
    assert np.any(study.log_effect != 0)
    assert np.any(study.log_effect == 0)
    error = (change.estimate - study.log_effect) / change.standard_error
    assert np.abs(error).max() < 4


@pytest.mark.parametrize("tails", ["normal", "t3"])
def test_changes_vary_as_the_study_says(tails):
    study = simulate_table(np.random.default_rng(2), 20_000, 6, tails=tails, frequencies=(0.1, 0.4))
    change = run_chain(pair_table(study)).readout.change
    # The SD of t3 converges slowly; the counting of 2,000 events and more adds next to nothing.
    expected = np.sqrt(2) * study.visit_sd
    np.testing.assert_allclose(np.nanstd(change, axis=0), expected, rtol=0.15)
    tail = np.mean(np.abs(change) > 4 * np.nanstd(change, axis=0))
    assert (tail > 0.001) == (tails == "t3")


def test_depths_missing_visits_and_the_tree_are_as_described():
    rng = np.random.default_rng(3)
    studies = [simulate_table(rng, 20, 20) for _ in range(200)]
    attended = np.mean([study.attended[1].mean() for study in studies])
    assert attended == pytest.approx(0.85, abs=0.02)
    ratios = []
    for study in studies:
        lineage = np.array([parent.startswith("lineage") for parent in study.parents])
        totals = study.total[..., lineage]
        assert totals.min() >= 19_999
        assert totals.max() <= 500_001
        ratios.append(np.median(totals[1] / totals[0]))
        for column in np.flatnonzero(~lineage):
            above = study.names.index(study.parents[column])
            np.testing.assert_array_equal(study.total[..., column], study.count[..., above])
    assert min(ratios) < 0.15
    assert max(ratios) > 7
    assert any(not parent.startswith("lineage") for s in studies for parent in s.parents)


def test_depletion_moves_the_eosinophils_alone():
    study = simulate_depletion(np.random.default_rng(4), 5_000, 0.10)
    eosinophils = study.names.index("eosinophils")
    naive = study.names.index("CD4_naive")
    ratio = np.log(study.count[..., eosinophils] / study.count[..., naive])
    assert np.mean(ratio[1] - ratio[0]) == pytest.approx(np.log(0.15), abs=0.05)
    assert np.flatnonzero(study.log_effect).tolist() == [eosinophils]


# --- the chain ----------------------------------------------------------------------------------


def test_the_chain_is_the_workflows():
    study = simulate_table(np.random.default_rng(5), 9, 20, planted_share=0.3)
    pairs = pair_table(study)
    primary = study.names[:4]
    rows = [r for r in change_rows(pairs, {}, seed=1) if r["readout"] == "percent_of_parent"]
    assign_families(rows, primary, ("flow", "gate", "percent_of_parent"))
    tested = run_chain(pairs)
    q, confirmatory = q_values([tested], primary)
    assert {"tested", "too_few_events"} <= set(tested.status)
    np.testing.assert_array_equal(tested.status, [row["status"] for row in rows])
    np.testing.assert_array_equal(tested.test.p, [row.get("p_value", np.nan) for row in rows])
    np.testing.assert_array_equal(tested.events, [row["events_median"] for row in rows])
    np.testing.assert_array_equal(q[0], [row.get("q_value", np.nan) for row in rows])
    family = [row["family"] == "confirmatory" and row["status"] == "tested" for row in rows]
    np.testing.assert_array_equal(confirmatory[0], family)


def test_the_table_of_pairs_is_the_workflows(tmp_path):
    study = simulate_table(np.random.default_rng(6), 12, 8)
    ours = pair_table(study)
    counts, samples = [], []
    for patient, visit in itertools.product(range(12), range(2)):
        if not study.attended[visit, patient]:
            continue
        level = ("baseline", "month_4")[visit]
        sample, unit = f"S{patient:02d}_{level}", f"P{patient + 1:03d}"
        samples.append({"sample_id": sample, "unit": unit, "level": level, "batch": ""})
        for column, population in enumerate(study.names):
            x, n = (int(a[visit, patient, column]) for a in (study.count, study.total))
            counts.append(
                {
                    **{"sample_id": sample, "patient_id": unit, "visit": level},
                    **{"treatment": "treatment", "modality": "flow", "source": "gate"},
                    **{"population": population, "parent": study.parents[column]},
                    **{"count": x, "parent_count": n, "percent": 100 * x / n if n else ""},
                    "cells_per_ul": "",
                }
            )
    pairs = [
        {"treatment": "treatment", "followup": "month_4", "baseline": "baseline", "unit": s["unit"]}
        for s in samples
        if s["level"] == "baseline"
    ]
    for name, rows in (("counts", counts), ("samples", samples), ("pairs", pairs)):
        pd.DataFrame(rows).to_csv(tmp_path / name, sep="\t", index=False)
    (theirs,) = population_pairs(*(tmp_path / name for name in ("counts", "samples", "pairs")))
    assert theirs.question == ours.question
    assert theirs.units == ours.units
    assert theirs.n_incomplete == ours.n_incomplete > 0
    assert theirs.keys.equals(ours.keys)
    for value in ("count", "parent_count", "percent"):
        np.testing.assert_allclose(theirs.baseline[value], ours.baseline[value])
        np.testing.assert_allclose(theirs.followup[value], ours.followup[value])


# --- the design's demands -----------------------------------------------------------------------


def test_type_one_error_in_every_abundance_class(null_studies):
    classes = [name for name in null_studies if name.startswith("type I, ") and "events" in name]
    assert len(classes) == 6
    for name in classes:
        assert_within(null_studies[name], 0.03, 0.07)


def test_type_one_error_with_six_patients_of_whom_some_are_lost():
    rates = run_cell(Cell.of("null", n_patients=6, n_populations=8, tails="t3"), 500)
    assert_within(rates["type I"], 0.03, 0.07)
    assert_within(rates["type I, most variable fifth"], 0, 0.08)


def test_the_most_variable_fifth(null_studies):
    assert_within(null_studies["type I, most variable fifth"], 0, 0.08)


def test_any_claim_in_a_null_family(null_studies):
    assert_within(null_studies["any claim, exploratory"], 0, 0.075)
    family = run_cell(Cell.of("confirmatory", n_patients=12, n_populations=20), 250)
    assert_within(family["any claim"], 0, 0.075)


def test_coverage(null_studies, planted_studies):
    assert_within(null_studies["coverage"], 0.93, 0.97)
    assert_within(planted_studies["coverage, changed"], 0.93, 0.97)


def test_false_discovery_rate(planted_studies):
    for family in ("exploratory", "confirmatory"):
        assert_within(planted_studies[f"FDR, {family}"], 0, 0.05)
        assert planted_studies[f"power, {family}"].value > 0.7


def test_power_at_twenty_pairs():
    settings = {"planted_share": 0.2, "odds_ratios": (1.5, 1 / 1.5), "frequencies": (0.01, 0.4)}
    noise = {"within_sd": 0.20, "staining_sd": 0.196, "missing": 0.0}
    cell = Cell.of("power", n_patients=20, n_populations=20, **settings, **noise)
    rates = run_cell(cell, 200)
    for family in ("exploratory", "confirmatory"):
        assert_within(rates[f"power, {family}"], 0.90, 1)


def test_composition_where_eosinophils_fall():
    rates = run_cell(Cell.of("depletion", n_patients=20, eosinophils=0.10), 150)
    assert_within(rates["composition"], 0.03, 0.07)
    assert_within(rates["eosinophils found"], 0.95, 1)
    assert rates["plain CLR"].low > 0.10
    assert rates["percent of leukocytes"].low > 0.10


def test_equal_depth_is_needed_and_suffices():
    settings = {"missing": 0.0, "frequencies": (1 / PARENT_CENTRE,) * 2, "depth_ratio": 10.0}
    rates = run_cell(Cell.of("depth", n_patients=12, n_populations=20, **settings), 150)
    assert_within(rates["equal depth"], 0.03, 0.07)
    assert rates["own depth"].low > 0.10


def test_cells_are_not_replicates(null_studies):
    assert null_studies["type I, pooled_cells"].low > 0.5
    assert null_studies["any claim, pooled_cells"].low > 0.9


def test_an_abolished_population_is_tested_and_found():
    settings = {"planted_share": 0.1, "odds_ratios": (0.01,), "frequencies": (2e-3, 2e-2)}
    rates = run_cell(Cell.of("abolished", n_patients=8, n_populations=20, **settings), 60)
    assert rates["tested"].value == 1
    assert rates["found"].low > 0.9


# --- the run itself -----------------------------------------------------------------------------


def test_a_study_does_not_depend_on_how_many_there_are():
    cell = Cell.of("planted", n_patients=8, n_populations=8, planted_share=0.2)
    assert run_cell(cell, 5) == run_cells([cell], [5])[0]
    five, twenty = run_cell(cell, 5), run_cell(cell, 20)
    assert twenty["type I"].n_tests > five["type I"].n_tests


def test_the_interval_counts_studies_not_tests():
    together = rate_of([(10, 10), (0, 10)] * 50)
    apart = rate_of([(5, 10)] * 100)
    assert together.value == apart.value == 0.5
    assert apart.high == apart.low
    assert together.high - 0.5 == pytest.approx(1.96 * 0.05)
    assert rate_of([(0, 10)] * 30).high == pytest.approx(0.01)


def test_verdicts():
    def verdict(low, value, high):
        return Requirement("", 0.03, 0.07, {"a": Rate(value, low, high, 100, 100)}).verdict

    assert verdict(0.04, 0.05, 0.08) == "pass"
    assert verdict(0.06, 0.08, 0.09) == "within error"
    assert "fail" in verdict(0.075, 0.08, 0.09)
    assert "fail" in verdict(0.0, 0.01, 0.02)


def test_the_full_run_writes_its_document(tmp_path, monkeypatch, capsys):
    document = tmp_path / "validation.md"
    document.write_text(f"before\n{validate.BEGIN}\nold\n{validate.END}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(validate, "DOCUMENT", document)
    assert validate.main(["--studies", "2", "--jobs", "1", "--write"]) in (0, 1)
    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert capsys.readouterr().out.strip() in text


def test_the_document_answers_every_demand():
    text = Path(validate.DOCUMENT).read_text(encoding="utf-8")
    measured = text.split(validate.BEGIN)[1].split(validate.END)[0]
    few = dict(zip(grid := full_grid(), run_cells(grid, [2] * len(grid)), strict=True))
    for demand in requirements(few):
        assert f"| {demand.text} |" in measured
