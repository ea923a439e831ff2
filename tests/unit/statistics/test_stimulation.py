import numpy as np
import pandas as pd
import pytest
from long_tables import LongTables, TableStudy, fill, one
from scipy import stats

from biocross.statistics.net_changes import CHANGE_COLUMNS, change_rows
from biocross.statistics.pairs import read_long_table, read_table
from biocross.statistics.stimulation import RESPONSE_COLUMNS, find_stimulated_responses


class Stimulated(LongTables):
    """Long tables with stimulated samples beside the unstimulated ones."""

    def stimulate(self, patient, visit, counts, stimulation="PMA", source="gate", **sample):
        """Add a stimulated sample: no unit and no level."""
        treatment = sample.pop("treatment", "mepolizumab")
        self.add(patient, f"{visit}_{stimulation}", counts, treatment, source)
        here = {"visit": visit, "stimulation": stimulation, "unit": "", "level": ""}
        self.samples[-1] |= here | sample
        name = self.samples[-1]["sample_id"]
        for row in self.counts:
            if row["sample_id"] == name:
                row["visit"] = visit

    def respond(self, patient, *nets, background=0.01, total=20_000, population="IL5", **others):
        """Add both samples of each visit; `nets` are shares of the parent."""
        for visit, net in zip(("baseline", "month_4"), nets, strict=False):
            own = {population: (round(background * total), total)}
            self.add(patient, visit, own, **others)
            own = {population: (round((background + net) * total), total)}
            self.stimulate(patient, visit, own, **others)


@pytest.fixture
def tables(tmp_path):
    return Stimulated(tmp_path)


@pytest.fixture
def find(tables, tmp_path):
    """Find responses and their changes."""

    def run():
        paths, out = tables.write(), [tmp_path / "responses.tsv", tmp_path / "changes.tsv"]
        find_stimulated_responses(
            paths["counts"], paths["samples"], paths["pairs"], 0.05, out[0], out[1]
        )
        responses, changes = map(read_table, out)
        assert tuple(responses.columns) == RESPONSE_COLUMNS
        assert tuple(changes.columns) == CHANGE_COLUMNS
        return responses, changes

    return run


def study(tables, nets, **others):
    names = [f"P{number}" for number in range(len(nets))]
    for name, visits in zip(names, nets, strict=True):
        tables.respond(name, *visits, **others)
    tables.ask(others.get("treatment", "mepolizumab"), *names)
    return names


def test_a_response_is_what_the_stimulation_adds(tables, find):
    tables.add("P1", "baseline", {"IL5": (100, 10_000), "IL4": (200, 10_000)})
    tables.stimulate("P1", "baseline", {"IL5": (600, 20_000), "IL4": (390, 20_000)})
    responses, _ = find()
    row = one(responses, population="IL5")
    assert (row["background_sample"], row["background_count"]) == ("P1_baseline", 100)
    assert (row["percent"], row["background_percent"]) == (3, 1)
    assert row["net"] == 2
    assert row["net_low"] < 2 < row["net_high"]
    expected = stats.fisher_exact([[600, 19_400], [100, 9900]], alternative="greater").pvalue
    assert row["fisher_p"] == pytest.approx(expected)
    assert row["q_value"] == pytest.approx(2 * expected)
    assert (row["call"], row["status"]) == ("positive", "tested")
    negative = one(responses, population="IL4")
    assert negative["net"] == pytest.approx(-0.05)
    assert negative["call"] == "negative"


def test_a_small_difference_between_two_tubes_is_no_response(tables, find):
    """1.3 times as many of 100,000 events: sure to differ, but tubes do."""
    tables.add("P1", "baseline", {"IL5": (10_000, 100_000)})
    tables.stimulate("P1", "baseline", {"IL5": (13_000, 100_000)})
    row = one(find()[0])
    assert row["q_value"] < 1e-10
    assert row["odds_ratio"] == pytest.approx(1.345, abs=0.001)
    assert (row["call"], row["status"]) == ("negative", "tested")
    assert row["note"].startswith("more frequent than unstimulated, but by less than 2 times")


def test_calls_of_a_sample_do_not_depend_on_other_samples(tables, find):
    study(tables, [(0.004, 0.02), (0.001, 0.03), (0.02, 0.02)])
    alone, _ = find()
    tables.respond("P9", 0.5, -0.005)
    together, _ = find()
    merged = alone.merge(together, on=["sample_id", "population"])
    assert len(merged) == 6
    np.testing.assert_array_equal(merged["q_value_x"], merged["q_value_y"])
    assert (merged["call_x"] == merged["call_y"]).all()


def test_what_cannot_be_called_says_why(tables, find):
    tables.add("P1", "baseline", {"IL5": (5, 1000), "IL4": (5, 1000), "IL9": (0, 12)})
    tables.stimulate("P1", "baseline", {"IL5": (90, 1000), "IL9": (8, 900), "IL2": (5, 90)})
    tables.stimulate("P1", "month_4", {"IL5": (90, 1000)})
    tables.add("P2", "baseline", {"IL5": {"percent": 1.0}})
    tables.stimulate("P2", "baseline", {"IL5": {"percent": 3.5}})
    responses, _ = find()
    wanted = {
        ("P1_baseline_PMA", "IL5"): ("tested", ""),
        ("P1_baseline_PMA", "IL4"): ("not_measured", "not measured in the stimulated sample"),
        ("P1_baseline_PMA", "IL9"): ("too_few_events", "12 events of the parent in one of"),
        ("P1_baseline_PMA", "IL2"): ("no_background", "no unstimulated sample of this patient"),
        ("P1_month_4_PMA", "IL5"): ("no_background", "no unstimulated sample of this patient"),
        ("P1_month_4_PMA", "IL4"): ("not_measured", "not measured in the stimulated sample"),
        ("P2_baseline_PMA", "IL5"): ("not_counted", "only percentages are known"),
    }
    for (sample, population), (status, note) in wanted.items():
        row = one(responses, sample_id=sample, population=population)
        assert row["status"] == status, (sample, population)
        assert str(row["note"]).replace("nan", "").startswith(note)
        assert row["call"] == ("positive" if status == "tested" else status)
    assert one(responses, sample_id="P2_baseline_PMA", population="IL5")["net"] == 2.5
    assert one(responses, sample_id="P1_month_4_PMA", population="IL5")[["net"]].isna().all()
    assert len(responses) == 3 * 4


def test_a_stimulated_sample_without_any_count_has_its_rows(tables, find):
    """The file held no events: a row for every population of the others says so."""
    tables.respond("P1", 0.02, 0.03)
    tables.stimulate("P2", "baseline", {})
    responses, _ = find()
    assert one(responses, sample_id="P2_baseline_PMA")["status"] == "not_measured"


def test_change_of_the_net_response_is_a_paired_t_of_points(tables, find):
    """One population: the moderated test is the plain one."""
    rng = np.random.default_rng(1)
    nets = np.round(rng.uniform(0.01, 0.1, (8, 2)), 4)
    study(tables, nets)
    _, changes = find()
    row = one(changes)
    expected = stats.ttest_rel(100 * nets[:, 1], 100 * nets[:, 0])
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["statistic"] == pytest.approx(expected.statistic)
    assert row["effect"] == pytest.approx(100 * (nets[:, 1] - nets[:, 0]).mean())
    low, high = expected.confidence_interval()
    assert (row["effect_low"], row["effect_high"]) == pytest.approx((low, high))
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(nets[:, 1] - nets[:, 0]).pvalue)
    assert row["baseline_median"] == pytest.approx(100 * np.median(nets[:, 0]))
    assert (row["effect_scale"], row["n_pairs"], row["status"]) == ("points", 8, "tested")
    assert row["q_value"] == row["p_value"]
    assert row["family"] == (
        "exploratory: flow, gate, mepolizumab, month_4 - baseline, PMA, net response"
    )


def test_responders_are_counted_and_negative_responses_kept(tables, find):
    study(tables, [(-0.004, 0.02), (-0.003, 0.03), (0.001, 0.025), (0.02, 0.03)])
    row = one(find()[1])
    assert (row["responders_baseline"], row["responders_followup"]) == (1, 4)
    assert row["baseline_median"] == pytest.approx(100 * (-0.003 + 0.001) / 2)
    assert row["effect"] == pytest.approx(100 * np.mean([0.024, 0.033, 0.024, 0.01]))


def test_a_higher_background_at_both_tubes_is_no_response(tables, find):
    """The background doubles with the visit, what the stimulation adds does not."""
    rng = np.random.default_rng(2)
    for number in range(8):
        for visit, background in (("baseline", 0.02), ("month_4", 0.04)):
            share = background * rng.uniform(0.9, 1.1)
            own, stimulated = (rng.binomial(20_000, s) for s in (share, share + 0.03))
            tables.add(f"P{number}", visit, {"IL5": (own, 20_000)})
            tables.stimulate(f"P{number}", visit, {"IL5": (stimulated, 20_000)})
        tables.ask("mepolizumab", f"P{number}")
    assert one(find()[1])["p_value"] > 0.05
    assert one(tables.changes(), readout="percent_of_parent")["p_value"] < 1e-6


@pytest.mark.parametrize(
    ("change", "status", "note"),
    [
        ("one visit", "no_pairs", "no patient was stimulated with PMA at both of month_4"),
        ("two pairs", "too_few_pairs", "2 of the 3 pairs that a test needs"),
        ("no background", "no_background", "0 of the 3 pairs that a test needs; 4 of 4 pairs lack"),
        ("zero", "all_zero", "no event in any sample of any pair"),
        ("same", "constant", "the change is the same in every pair"),
        ("few", "too_few_events", "4 events in the median pair, fewer than 20"),
    ],
)
def test_what_cannot_be_tested_says_why(tables, find, change, status, note):
    nets = [(0.02, 0.03), (0.01, 0.04), (0.02, 0.06), (0.01, 0.07)]
    if change == "one visit":
        study(tables, [before[:1] for before in nets])
    elif change == "two pairs":
        study(tables, [*nets[:2], *(before[:1] for before in nets[2:])])
    elif change == "zero":
        study(tables, [(0, 0)] * 4, background=0)
    elif change == "same":
        study(tables, [(0.02, 0.03)] * 4)
    elif change == "few":
        study(tables, nets, total=80, background=0)
    else:
        study(tables, nets)
        lost = {row["sample_id"] for row in tables.samples if row["level"] == "baseline"}
        tables.samples = [row for row in tables.samples if row["sample_id"] not in lost]
        tables.counts = [row for row in tables.counts if row["sample_id"] not in lost]
    row = one(find()[1])
    assert (row["status"], np.isnan(row["q_value"])) == (status, True)
    assert row["note"].startswith(note)


def test_every_treatment_contrast_and_stimulation_is_asked(tables, find):
    study(tables, [(0.01, 0.02), (0.02, 0.05), (0.01, 0.06)])
    tables.stimulate("P0", "baseline", {"IL5": (900, 20_000)}, stimulation="HDM")
    tables.ask("mepolizumab", "P0", followup="month_12")
    tables.add("P7", "baseline", {"IL5": (90, 2000)}, treatment="dupilumab")
    tables.ask("dupilumab", "P7")
    _, changes = find()
    found = {
        (row["treatment"], row["contrast"], row["stimulation"]): row["status"]
        for _, row in changes.iterrows()
    }
    assert found == {
        ("dupilumab", "month_4 - baseline", "HDM"): "no_pairs",
        ("dupilumab", "month_4 - baseline", "PMA"): "no_pairs",
        ("mepolizumab", "month_4 - baseline", "HDM"): "no_pairs",
        ("mepolizumab", "month_4 - baseline", "PMA"): "tested",
        ("mepolizumab", "month_12 - baseline", "HDM"): "no_pairs",
        ("mepolizumab", "month_12 - baseline", "PMA"): "no_pairs",
    }


def test_patients_who_lack_a_visit_or_a_background_are_counted(tables, find):
    study(tables, [(0.01, 0.02), (0.02, 0.05), (0.01, 0.06), (0.03,)])
    tables.stimulate("P8", "baseline", {"IL5": (900, 20_000)})
    tables.stimulate("P8", "month_4", {"IL5": (900, 20_000)})
    row = one(find()[1])
    assert (row["n_pairs"], row["n_incomplete"], row["status"]) == (3, 2, "tested")
    assert row["note"] == (
        "1 of 4 pairs lack an unstimulated sample; fewer than 6 pairs: no exact test can reach 0.05"
    )


def test_batches_that_may_pass_for_a_response_are_named(tables, find):
    study(tables, [(0.01, 0.02), (0.02, 0.05), (0.01, 0.06)])
    for row in tables.samples:
        stimulated = row["unit"] == ""
        row["batch"] = "lot_2" if stimulated and row["visit"] == "month_4" else "lot_1"
    note = one(find()[1])["note"]
    assert "confounded_with_batch: every pair changes batch with the visit" in note
    assert "3 of 3 pairs have a stimulated sample of another batch than its unstimulated" in note


def test_stimulated_samples_enter_no_other_statistic(tables):
    """Frequencies of the unstimulated are tested as if the stimulated had not been measured."""
    names = fill(tables, np.random.default_rng(3), 7)
    before = tables.changes()
    for name in names:
        for visit in ("baseline", "month_4"):
            tables.stimulate(name, visit, {f"pop_{k}": (9, 10) for k in range(8)})
    after = tables.changes()
    assert after.equals(before)
    paths = tables.write()
    assert len(read_long_table(paths["counts"], paths["samples"])) == 7 * 2 * 8
    everything = read_long_table(paths["counts"], paths["samples"], with_stimulated=True)
    assert len(everything) == 2 * 7 * 2 * 8


def test_from_the_sheets_to_the_responses(tmp_path):
    """A study that starts from a table, with blood counts: what each later table holds."""
    rows, clinical = [], []
    for number, (first, second) in enumerate(((20, 60), (30, 50), (25, 90), (20, 70))):
        for visit, count in (("baseline", first), ("month_4", second)):
            who = {"patient_id": f"P{number}", "visit": visit, "tissue": "whole_blood"}
            clinical.append(f"P{number}\t{visit}\t7000\n")
            for stimulation, events in (("Medium", 10), ("PMA", 10 + count)):
                for name, parent, x in (
                    ("leukocytes", "live_singlets", 1000),
                    ("eosinophils", "leukocytes", events),
                ):
                    numbers = {"parent": parent, "count": x, "parent_count": 1000}
                    rows.append({**who, "stimulation": stimulation, "population": name, **numbers})
    treatments = {f"P{number}": "mepolizumab" for number in range(4)}
    study = TableStudy(tmp_path, rows, treatments, ("baseline", "month_4"))
    text = "patient_id\tvisit\tleukocytes_per_ul\n" + "".join(clinical)
    (tmp_path / "clinical.tsv").write_text(text)
    study.config["inputs"]["clinical"] = str(tmp_path / "clinical.tsv")
    changes = study.changes()
    out = [tmp_path / name for name in ("responses.tsv", "net.tsv")]
    counts, samples, pairs = (tmp_path / f"{n}.tsv" for n in ("counts", "samples", "pairs"))
    find_stimulated_responses(counts, samples, pairs, 0.05, *out)

    everything = read_long_table(counts, samples, with_stimulated=True)
    cells = everything[everything["population"] == "eosinophils"].set_index("sample_id")
    assert set(cells.loc[cells["unit"] != "", "cells_per_ul"]) == {70.0}
    assert cells.loc[cells["unit"] == "", "cells_per_ul"].isna().all()
    frequency = one(changes, population="eosinophils", readout="percent_of_parent")
    assert (frequency["n_pairs"], frequency["status"]) == (4, "constant")
    net = one(read_table(out[1]), population="eosinophils")
    assert (net["stimulation"], net["n_pairs"], net["status"]) == ("PMA", 4, "tested")
    assert net["effect"] == pytest.approx(np.mean([4, 2, 6.5, 5]))


def test_changes_that_are_planted_are_found_and_no_others():
    """200 populations of 10 patients: in 180 the response stays, in 20 it trebles."""
    rng = np.random.default_rng(6)
    share = np.exp(rng.uniform(np.log(0.002), np.log(0.1), 200))
    planted = np.arange(200) >= 180
    rows = []
    for patient in range(10):
        own = share * np.exp(rng.normal(0, 0.5, 200))
        for visit in ("baseline", "month_4"):
            fold = np.where(planted & (visit == "month_4"), 3, 1)
            background = own / 5 * np.exp(rng.normal(0, 0.2, 200))
            stimulated = background + own * fold * np.exp(rng.normal(0, 0.25, 200))
            x0, x = (
                rng.binomial(30_000, background),
                rng.binomial(20_000, np.minimum(stimulated, 1)),
            )
            percent, percent_0 = x / 200, x0 / 300
            for k in range(200):
                rows.append(
                    {
                        **{"modality": "flow", "source": "gate", "sample_id": "", "batch": ""},
                        **{"patient_id": f"P{patient}", "visit": visit, "treatment": "a"},
                        **{"stimulation": "PMA", "population": f"pop_{k}", "parent": "T_cells"},
                        **{"count": x[k], "background_count": x0[k], "background_batch": ""},
                        **{"percent": percent[k], "background_percent": percent_0[k]},
                        **{"net": percent[k] - percent_0[k], "call": "", "status": "tested"},
                    }
                )
    asked = {"modality": "flow", "treatment": "a", "followup": "month_4", "baseline": "baseline"}
    sheet = pd.DataFrame([{**asked, "patient_id": f"P{patient}"} for patient in range(10)])
    p = np.array([row["p_value"] for row in change_rows(pd.DataFrame(rows), sheet)])
    assert 0.02 < np.mean(p[~planted] < 0.05) < 0.08
    assert np.mean(p[planted] < 0.05) > 0.9


def test_a_study_without_stimulation_gives_empty_tables(tables, find):
    fill(tables, np.random.default_rng(4), 3)
    responses, changes = find()
    assert responses.empty
    assert changes.empty


def test_tables_of_frequencies_are_read_against_their_own_background(tables, find):
    """Gates and table of one patient: each source has its own pair of samples."""
    tables.respond("P1", 0.02, 0.03)
    tables.add("P1", "baseline", {"IL5": (300, 1000)}, source="table")
    tables.stimulate("P1", "baseline", {"IL5": (600, 1000)}, source="table")
    responses, _ = find()
    assert len(responses) == 3
    assert one(responses, source="table")["net"] == pytest.approx(30)
    assert set(responses.loc[responses["source"] == "gate", "net"]) == {2, 3}
