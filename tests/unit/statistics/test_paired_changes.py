import itertools
import re
from operator import itemgetter

import numpy as np
import pandas as pd
import pytest
from long_tables import GATES, LongTables, fill, one
from scipy import stats

from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.kernels.power import detectable_fold
from biocross.statistics.paired_changes import CHANGE_COLUMNS, NEAR_ZERO, mark_disagreement
from biocross.statistics.readouts import READOUTS
from biocross.tables import read_rows


@pytest.fixture
def tables(tmp_path):
    return LongTables(tmp_path)


def pair(tables, patient, *counts, name="A", treatment="mepolizumab", **sample):
    """Add a patient's two visits, each with (count, parent_count) of one population."""
    for visit, measured in zip(("baseline", "month_4"), counts, strict=True):
        tables.add(patient, visit, {name: measured}, treatment=treatment, **sample)
    tables.ask(treatment, patient)


def percent(table, population, **keys):
    return one(table, population=population, readout="percent_of_parent", **keys)


# No silent gap


def test_every_question_has_exactly_one_row_with_a_status(tables):
    """Two treatments, three visits, one visit that a treatment lacks, one patient by herself."""
    rng = np.random.default_rng(1)
    names = fill(tables, rng, 5, populations=4)
    fill(tables, rng, 1, populations=4, treatment="tezepelumab")
    late = {"pop_0": (5, 100), "only_late": (1, 100), "pop_1": (None, 100), "pop_2": (0, 0)}
    tables.add(names[0], "month_12", late)
    tables.ask("mepolizumab", *names, followup="month_12")
    tables.ask("tezepelumab", "tez_P00", followup="month_12")
    table = tables.changes()
    populations = {row["population"] for row in tables.counts}
    contrasts = ("month_4 - baseline", "month_12 - baseline")
    arms = ("mepolizumab", "tezepelumab")
    asked = sorted(itertools.product(arms, contrasts, populations, READOUTS))
    columns = ["treatment", "contrast", "population", "readout"]
    assert sorted(map(tuple, table[columns].to_numpy())) == asked
    assert table["status"].notna().all()
    assert table.loc[table["status"] != "tested", "note"].notna().all()
    assert table.loc[table["status"] != "tested", "q_value"].isna().all()
    assert (table["n_pairs"] >= 0).all()
    assert tuple(table.columns) == CHANGE_COLUMNS
    month_12 = table[(table["treatment"] == "tezepelumab") & (table["contrast"] == contrasts[1])]
    assert set(month_12["status"]) == {"no_pairs"}


def test_no_pairs(tables):
    tables.add("P1", "baseline", {"A": (10, 100)})
    tables.ask("mepolizumab", "P1")
    table = tables.changes()
    assert table["status"].tolist() == ["no_pairs"] * 3
    assert table["note"][0] == "no patient was measured at both of month_4 - baseline"
    assert table["n_incomplete"].tolist() == [1] * 3


@pytest.mark.parametrize("pairs", [1, 2])
def test_too_few_pairs_are_shown_but_not_tested(tables, pairs):
    for number in range(pairs):
        pair(tables, f"P{number}", (100, 1000), (150 + number, 1000))
    row = percent(tables.changes(), "A")
    assert (row["status"], row["n_pairs"]) == ("too_few_pairs", pairs)
    assert row["note"] == f"{pairs} of the 3 pairs that a test needs"
    assert row["baseline_median"] == 10
    assert row["effect"] > 1.5
    assert np.isnan(row["p_value"])


def test_three_pairs_are_tested_with_a_caveat(tables):
    for number in range(3):
        pair(tables, f"P{number}", (100, 1000), (150 + 9 * number, 1000))
    row = percent(tables.changes(), "A")
    assert row["status"] == "tested"
    assert row["note"] == "fewer than 6 pairs: no exact test can reach 0.05"
    assert row["wilcoxon_p"] == 0.25


def test_pbmc_eosinophils_and_missing_blood_counts_are_not_measured(tables):
    for number in range(4):
        for visit in ("baseline", "month_4"):
            sample = {"eosinophils": (None, 1000), "T_cells": (300 + number, 1000)}
            tables.add(f"P{number}", visit, sample)
        tables.ask("mepolizumab", f"P{number}")
    table = tables.changes()
    eosinophils = percent(table, "eosinophils")
    assert (eosinophils["status"], eosinophils["n_pairs"]) == ("not_measured", 0)
    assert eosinophils["note"] == "not measured in these samples"
    assert eosinophils["n_incomplete"] == 4
    per_ul = one(table, population="T_cells", readout="cells_per_ul")
    assert per_ul["status"] == "not_measured"
    assert per_ul["note"] == "neither counting beads nor a blood count of its anchor at both visits"


def test_composition_needs_parts(tables):
    fill(tables, np.random.default_rng(2), 4, populations=5)
    table = tables.changes()
    rows = table[table["readout"] == "composition"]
    assert set(rows["status"]) == {"not_possible"}
    assert rows["note"].str.startswith("Only 5 disjoint populations").all()


def test_composition_tells_containers_from_empty_and_unmeasured_leaves(tables):
    fill(tables, np.random.default_rng(3), 6, populations=14)
    for sample in tables.samples:
        who = {"sample_id": sample["sample_id"], "modality": "flow", "source": "gate"}
        for name, parent, count in (
            ("subset", "pop_0", 30),
            ("abolished", "leukocytes", 0),
            ("eosinophils", "leukocytes", None),
        ):
            tables.counts.append(
                {**who, "population": name, "parent": parent, "count": count, "parent_count": 9000}
            )
    table = tables.changes()
    rows = table[table["readout"] == "composition"].set_index("population")
    assert rows["status"]["pop_0"] == "not_applicable"
    assert rows["note"]["pop_0"].startswith("not a leaf of the tree")
    assert (rows["status"]["abolished"], rows["n_pairs"]["abolished"]) == ("all_zero", 6)
    assert rows["status"]["eosinophils"] == "not_measured"
    assert rows["status"]["pop_1"] == "tested"


def test_all_zero_constant_and_too_few_events(tables):
    rng = np.random.default_rng(4)
    for number in range(6):
        rare = [int(n) for n in rng.integers(5, 19, 2)]
        for visit, few in zip(("baseline", "month_4"), rare, strict=True):
            sample = {"never": (0, 5000), "same": (200, 5000), "rare": (few, 5000)}
            tables.add(f"P{number}", visit, sample)
        tables.ask("mepolizumab", f"P{number}")
    table = tables.changes()
    assert percent(table, "never")["status"] == "all_zero"
    assert percent(table, "same")["status"] == "constant"
    assert percent(table, "same")["effect"] == 1
    few = percent(table, "rare")
    assert few["status"] == "too_few_events"
    assert few["note"].endswith("events in the median pair, fewer than 20: shown, but nothing is "
                                "claimed")  # fmt: skip
    assert np.isfinite(few["p_value"])
    assert np.isnan(few["q_value"])


def test_abolished_population_stays_in(tables):
    rng = np.random.default_rng(5)
    for number in range(6):
        pair(tables, f"P{number}", (int(rng.integers(80, 120)), 5000), (0, 5000))
    row = percent(tables.changes(), "A")
    assert row["status"] == "tested"
    assert (row["zeros_baseline"], row["zeros_followup"]) == (0, 6)
    assert row["effect_is_bound"]
    assert row["effect"] < 0.01


def test_empty_parent_makes_the_pair_incomplete(tables):
    rng = np.random.default_rng(6)
    for number in range(6):
        late = (0, 0) if number == 0 else (int(rng.integers(80, 120)), 1000)
        pair(tables, f"P{number}", (100, 1000), late)
    row = percent(tables.changes(), "A")
    assert (row["status"], row["n_pairs"], row["n_incomplete"]) == ("tested", 5, 1)


def test_parent_that_vanishes_in_everyone(tables):
    for number in range(6):
        pair(tables, f"P{number}", (100 + number, 1000), (0, 0))
    assert percent(tables.changes(), "A")["status"] == "not_measured"


# Numbers


def test_fewer_than_six_populations_are_tested_by_the_plain_t(tables):
    """With parents of equal size no thinning is needed: the logits are written out here."""
    rng = np.random.default_rng(7)
    counts = rng.integers(40, 400, (7, 2, 3))
    for patient, visits in enumerate(counts):
        for visit, values in zip(("baseline", "month_4"), visits, strict=True):
            sample = {f"pop_{k}": (int(n), 2000) for k, n in enumerate(values)}
            tables.add(f"P{patient}", visit, sample)
        tables.ask("mepolizumab", f"P{patient}")
    table = tables.changes()
    logits = np.log((counts + 0.5) / (2000 - counts + 0.5))
    changes = logits[:, 1] - logits[:, 0]
    for k in range(3):
        row, expected = percent(table, f"pop_{k}"), stats.ttest_1samp(changes[:, k], 0)
        assert row["p_value"] == pytest.approx(expected.pvalue)
        assert row["statistic"] == pytest.approx(expected.statistic)
        assert row["df"] == 6
        low, high = expected.confidence_interval()
        assert np.log([row["effect_low"], row["effect_high"]]) == pytest.approx([low, high])
        assert np.log(row["effect"]) == pytest.approx(changes[:, k].mean())
        expected_p = stats.wilcoxon(changes[:, k], method="exact").pvalue
        assert row["wilcoxon_p"] == pytest.approx(expected_p)
        medians = np.median(counts[:, :, k], axis=0) / 20
        assert [row["baseline_median"], row["followup_median"]] == pytest.approx(medians)


def test_medians_events_and_zeros_over_complete_pairs_only(tables):
    """Events at the depth of the shallower visit; the larger of the two, then the median."""
    pair(tables, "P1", (40, 1000), (10, 1000))
    pair(tables, "P2", (0, 1000), (400, 10_000))  # 40 at depth 1000
    pair(tables, "P3", (30, 500), (0, 5000))
    pair(tables, "P4", (999, 1000), (None, 1000))
    row = percent(tables.changes(), "A")
    assert row["n_pairs"] == 3
    assert row["events_median"] == 40
    assert (row["zeros_baseline"], row["zeros_followup"]) == (1, 1)
    assert (row["baseline_median"], row["followup_median"]) == (4, 1)
    assert (row["baseline_q1"], row["baseline_q3"]) == (2, 5)  # of 0, 4, 6
    assert (row["followup_q1"], row["followup_q3"]) == (0.5, 2.5)  # of 0, 1, 4
    assert not row["effect_is_bound"]


@pytest.mark.parametrize(("late", "bound"), [(NEAR_ZERO - 1, True), (NEAR_ZERO, False)])
def test_effect_near_zero_is_a_bound(tables, late, bound):
    for number in range(4):
        pair(tables, f"P{number}", (90 + number, 1000), (late, 1000))
    assert bool(percent(tables.changes(), "A")["effect_is_bound"]) is bound


def test_percentages_alone_are_tested_without_events(tables):
    rng = np.random.default_rng(8)
    for number in range(6):
        before, after = (round(float(value), 1) for value in rng.uniform(0.5, 5, 2))
        pair(tables, f"P{number}", {"percent": before}, {"percent": after})
    row = percent(tables.changes(), "A")
    assert row["status"] == "tested"
    assert row["note"].startswith("percentages without counts (zero read as 0.05 %)")
    assert np.isnan(row["events_median"])
    assert np.isnan(row["effect_is_bound"])


# Families


def test_confirmatory_family(tables):
    rng = np.random.default_rng(9)
    fill(tables, rng, 8, populations=7)
    fill(tables, rng, 6, populations=7, treatment="dupilumab")
    fill(tables, rng, 5, populations=7, treatment="tezepelumab")
    tables.name_primary("pop_0", "pop_2", "pop_3")
    table = tables.changes()
    inside = table[table["family"] == CONFIRMATORY]
    assert {tuple(row) for row in inside[["treatment", "population"]].to_numpy()} == set(
        itertools.product(("mepolizumab", "dupilumab"), ("pop_0", "pop_2", "pop_3"))
    )
    assert set(inside["readout"]) == {"percent_of_parent"}
    five = percent(table, "pop_0", treatment="tezepelumab")
    assert five["family"].startswith("exploratory: flow, gate, tezepelumab, month_4 - baseline, ")


def test_other_readout_can_be_declared(tables):
    fill(tables, np.random.default_rng(10), 6, populations=7)
    for row in tables.counts:
        row["cells_per_ul"] = row["count"] / 3
    tables.name_primary("pop_1")
    table = tables.changes(("flow", "gate", "cells_per_ul"))
    assert one(table, family=CONFIRMATORY)["readout"] == "cells_per_ul"
    assert (tables.changes(("flow", "cluster", "cells_per_ul"))["family"] != CONFIRMATORY).all()


def test_q_values_are_those_of_scipy_in_every_family(tables):
    rng = np.random.default_rng(11)
    fill(tables, rng, 8, populations=12)
    fill(tables, rng, 7, populations=12, treatment="dupilumab")
    tables.name_primary("pop_0", "pop_1", "pop_11")
    table = tables.changes()
    tested = table[table["status"] == "tested"]
    assert tested["family"].nunique() >= 3
    for _, members in tested.groupby("family"):
        expected = stats.false_discovery_control(members["p_value"])
        np.testing.assert_allclose(members["q_value"], expected)
    assert (tested["q_value"] >= tested["p_value"]).all()
    rest = table[table["status"] != "tested"]
    assert rest["q_value"].isna().all()
    assert rest["detectable_fold_family"].isna().all()


def test_rare_primary_population_keeps_its_family_without_a_q_value(tables):
    rng = np.random.default_rng(12)
    for number in range(6):
        before, after = (int(n) for n in rng.integers(3, 15, 2))
        pair(tables, f"P{number}", (before, 1000), (after, 1000))
    tables.name_primary("A")
    row = percent(tables.changes(), "A")
    assert (row["family"], row["status"]) == (CONFIRMATORY, "too_few_events")
    assert np.isnan(row["q_value"])


def test_detectable_folds(tables):
    fill(tables, np.random.default_rng(13), 8, populations=9)
    table = tables.changes()
    tested = table[table["status"] == "tested"]
    assert len(tested) > 6
    assert (tested["detectable_fold"] > 1).all()
    assert (tested["detectable_fold_family"] > tested["detectable_fold"]).all()
    row = tested.iloc[0]
    # The interval gives the standard error, without looking into the test.
    error = np.log(row["effect_high"] / row["effect"]) / stats.t.ppf(0.975, row["df"])
    sd = error * np.sqrt(row["n_pairs"])
    for name, alpha in (("detectable_fold", 0.05), ("detectable_fold_family", 0.05 / len(tested))):
        expected = detectable_fold(sd, row["n_pairs"], row["df"], alpha=alpha)
        assert row[name] == pytest.approx(expected)


def test_equivalence_needs_the_interval_inside_the_margins(tables):
    rng = np.random.default_rng(14)
    fill(tables, rng, 10, populations=7, noise=0.05)
    fill(tables, rng, 10, populations=7, noise=0.8, treatment="dupilumab")
    table = tables.changes()
    row = percent(table, "pop_0", treatment="mepolizumab")
    assert row["equivalent"]
    t90, t95 = (stats.t.ppf(level, row["df"]) for level in (0.95, 0.975))
    reach = np.log(row["effect_high"] / row["effect"]) * t90 / t95
    assert np.exp(np.log(row["effect"]) + reach) < 1.25
    assert not percent(table, "pop_0", treatment="dupilumab")["equivalent"]


def test_agreement_is_whole(tables):
    rng = np.random.default_rng(15)
    fill(tables, rng, 8, populations=7)
    for row in tables.counts:
        if row["population"] == "pop_3" and row["visit"] == "month_4":
            row["count"] *= 4
    table = tables.changes()
    tested = table[table["status"] == "tested"]
    assert tested["agreement"].between(1, 3).all()
    risen = percent(table, "pop_3")
    assert risen["agreement"] == 3
    assert risen["effect"] > 3
    assert risen["hodges_lehmann"] > 3
    assert risen["rank_biserial"] == 1


# Invariants


def test_order_of_rows_and_of_patients_does_not_matter(tables):
    """Byte for byte, but for the order of the rows, which follows the table of counts."""
    rng = np.random.default_rng(16)
    fill(tables, rng, 16, populations=14)
    fill(tables, rng, 7, populations=14, treatment="dupilumab")
    for row in tables.counts:
        row["cells_per_ul"] = row["count"] / 3
    before = read_rows(tables.changes_file())
    for rows in (tables.counts, tables.samples, tables.pairs):
        rng.shuffle(rows)
    after = read_rows(tables.changes_file())
    keys = ("treatment", "population", "readout")
    before, after = (sorted(rows, key=itemgetter(*keys)) for rows in (before, after))
    for one_row, other in zip(before, after, strict=True):
        # The median part of a composition has a change of 0 but for rounding, and so has its t.
        if one_row["readout"] == "composition" and abs(float(one_row["statistic"])) < 1e-9:
            assert abs(float(other.pop("statistic"))) < 1e-9
            one_row.pop("statistic")
        assert one_row == other


def test_same_input_same_bytes(tables):
    fill(tables, np.random.default_rng(17), 16, populations=14)
    first = tables.changes_file(seed=3).read_bytes()
    assert tables.changes_file(seed=3).read_bytes() == first
    assert tables.changes_file(seed=4).read_bytes() != first


def test_swapped_visits_invert_the_effect(tables):
    rng = np.random.default_rng(18)
    names = fill(tables, rng, 9, populations=14)
    for row in tables.counts:
        row["cells_per_ul"] = row["count"] * (2 if row["visit"] == "baseline" else 1)
    forth = tables.changes()
    tables.pairs.clear()
    tables.ask("mepolizumab", *names, followup="baseline", baseline="month_4")
    back = tables.changes()
    keys = ["population", "readout"]
    both = forth.merge(back, on=keys, suffixes=("", "_back"), validate="one_to_one")
    tested = both[both["status"] == "tested"]
    assert set(tested["readout"]) == set(READOUTS)
    for name in ("effect", "hodges_lehmann"):
        np.testing.assert_allclose(tested[name] * tested[f"{name}_back"], 1)
    np.testing.assert_allclose(tested["effect_low"] * tested["effect_high_back"], 1)
    for name in ("p_value", "q_value", "wilcoxon_p", "signflip_fwer_p", "detectable_fold"):
        np.testing.assert_allclose(tested[name], tested[f"{name}_back"])
    np.testing.assert_allclose(tested["baseline_median"], tested["followup_median_back"])
    np.testing.assert_allclose(tested["events_median"], tested["events_median_back"])


def test_duplicated_population_moves_only_what_is_shared(tables):
    fill(tables, np.random.default_rng(19), 9, populations=8)
    for row in tables.counts:
        row["cells_per_ul"] = row["count"] / 2
    before = tables.changes()
    tables.counts += [
        {**row, "population": "copy"} for row in tables.counts if row["population"] == "pop_2"
    ]
    after = tables.changes()
    columns = ["wilcoxon_p", "hodges_lehmann", "rank_biserial", "n_pairs", "effect", "signflip_p"]
    for readout in ("percent_of_parent", "cells_per_ul"):
        old = before[before["readout"] == readout].set_index("population")[columns]
        new = after[after["readout"] == readout].set_index("population")[columns]
        np.testing.assert_array_equal(new.loc[old.index], old)
        np.testing.assert_array_equal(new.loc["copy"], old.loc["pop_2"])


def test_treatments_do_not_touch_each_other(tables):
    rng = np.random.default_rng(20)
    fill(tables, rng, 7, populations=7)
    alone = tables.changes()
    fill(tables, rng, 7, populations=7, treatment="dupilumab")
    both = tables.changes()
    arm = both[both["treatment"] == "mepolizumab"].reset_index(drop=True)
    pd.testing.assert_frame_equal(arm, alone)


# Notes


def test_batch_that_goes_with_the_visit_is_said_in_every_row(tables):
    rng = np.random.default_rng(21)
    fill(tables, rng, 6, populations=2)
    for sample in tables.samples:
        sample["batch"] = f"lot_{sample['visit']}"
    table = tables.changes()
    measured = table[table["n_pairs"] > 0]
    assert len(measured)
    assert measured["note"].str.contains("confounded_with_batch: every pair changes batch").all()
    assert (measured["status"] == "tested").all()


def test_some_pairs_that_change_batch(tables):
    names = fill(tables, np.random.default_rng(22), 6, populations=2)
    for sample in tables.samples:
        moved = sample["patient_id"] in names[:2] and sample["visit"] == "month_4"
        sample["batch"] = "lot_2" if moved else "lot_1"
    row = percent(tables.changes(), "pop_0")
    assert row["note"] == "2 of 6 pairs change batch with the visit"


def test_one_batch_needs_no_word(tables):
    fill(tables, np.random.default_rng(23), 6, populations=2)
    for sample in tables.samples:
        sample["batch"] = "lot_1"
    assert pd.isna(percent(tables.changes(), "pop_0")["note"])


def reading(readout, effect, p, population="A", status="tested"):
    row = {"population": population, "readout": readout, "effect": effect, "p_value": p}
    return {**row, "status": status, "note": ""}


@pytest.mark.parametrize(
    ("other", "marked"),
    [
        (reading("cells_per_ul", 1.02, 0.8), True),  # neither sure nor half as large
        (reading("cells_per_ul", 0.5, 0.01), True),  # sure, the other way
        (reading("cells_per_ul", 1.9, 0.2), False),  # unsure, but nearly as large
        (reading("cells_per_ul", 1.1, 0.01), False),  # small, but sure
        (reading("cells_per_ul", 0.5, 0.01, population="B"), False),
        (reading("cells_per_ul", 0.5, 0.01, status="too_few_events"), False),
    ],
)
def test_disagreement_of_readouts(other, marked):
    rows = [reading("percent_of_parent", 2.0, 0.01), other]
    mark_disagreement(rows)
    expected = f"cells_per_ul does not show it (× {other['effect']:.2f})" if marked else ""
    assert rows[0]["note"] == expected


def test_disagreement_is_said_of_what_is_significant_only():
    rows = [reading("percent_of_parent", 2.0, 0.2), reading("cells_per_ul", 0.5, 0.3)]
    mark_disagreement(rows)
    assert [row["note"] for row in rows] == ["", ""]


def test_lymphocytes_that_rise_in_percent_only(tables):
    """Eosinophils vanish: T cells rise in percent, in cells per microlitre they do not."""
    rng = np.random.default_rng(24)
    for number in range(8):
        for visit, others in (("baseline", 5000), ("month_4", 2500)):
            cells = int(rng.normal(2000, 60))
            sample = {"count": cells, "parent_count": others + cells, "cells_per_ul": cells / 2}
            tables.add(f"P{number}", visit, {"T_cells": sample})
        tables.ask("mepolizumab", f"P{number}")
    row = percent(tables.changes(), "T_cells")
    assert row["q_value"] < 0.001
    assert re.match(r"cells_per_ul does not show it \(× (1\.0|0\.9)\d\)", row["note"])


def test_file_is_plain_text_with_ten_digits(tables):
    fill(tables, np.random.default_rng(25), 6, populations=7)
    rows = read_rows(tables.changes_file(GATES))
    assert {row["effect_scale"] for row in rows if row["readout"] == "percent_of_parent"} == {
        "odds_ratio"
    }
    assert {row["effect_is_bound"] for row in rows} <= {"yes", "no", ""}
    assert all(len(row["p_value"].lstrip("0.").replace(".", "")) <= 14 for row in rows)


# Enriched samples


def test_enriched_samples_have_no_frequency_tests(tables):
    rng = np.random.default_rng(1)
    fill(tables, rng, 8, populations=14)
    for sample in tables.samples:
        sample["enrichment"] = "ILC"
    table = tables.changes()
    assert set(table["status"]) == {"enriched"}
    assert set(table["note"]) == {"8 of 8 pairs left out: an enriched sample has no frequencies"}
    assert table["effect"].isna().all()


def test_a_pair_with_an_enriched_sample_is_left_out(tables):
    rng = np.random.default_rng(1)
    fill(tables, rng, 8, populations=6)
    before = percent(tables.changes(), "pop_1")
    tables.samples[0]["enrichment"] = "ILC"
    left = percent(tables.changes(), "pop_1")
    assert (before["n_pairs"], left["n_pairs"], left["n_incomplete"]) == (8, 7, 1)
    assert left["status"] == "tested"
    assert "1 of 8 pairs left out: an enriched sample has no frequencies" in left["note"]
    dropped = tables.samples[0]["patient_id"]
    for rows in (tables.samples, tables.counts, tables.pairs):
        rows[:] = [row for row in rows if row["patient_id"] != dropped]
    without = percent(tables.changes(), "pop_1")
    assert without["p_value"] == pytest.approx(left["p_value"])
