import numpy as np
import pandas as pd
import pytest
from long_tables import LongTables, one
from scipy import stats

from biocross.statistics.marker_changes import (
    MARKER_CHANGE_COLUMNS,
    find_marker_changes,
)
from biocross.statistics.pairs import read_table

PANEL = (
    "channel\tmarker\tkind\n"
    "PE-A\tCD25\tstate\nFITC-A\tHLA_DR\tstate\nAPC-A\tCD3\tlineage\nFSC-A\tFSC-A\tscatter\n"
)
TRANSFORMS = (
    "marker\tchannel\ttransform\ttop\tdecades\twidth\tcofactor\tn_samples\tnote\n"
    "CD25\tPE-A\tlogicle\t262144\t4.5\t0.5\t\t2\t\n"
    "HLA_DR\tFITC-A\tarcsinh\t\t\t\t150\t2\t\n"
    "CD3\tAPC-A\tlogicle\t262144\t4.5\t0.5\t\t2\t\n"
)


@pytest.fixture
def tables(tmp_path):
    return LongTables(tmp_path)


@pytest.fixture
def find(tables, tmp_path):
    """Test the markers of the tables."""
    panel, transforms = tmp_path / "panel.tsv", tmp_path / "transforms.tsv"
    panel.write_text(PANEL)
    transforms.write_text(TRANSFORMS)

    def run(min_cells=20, files=True):
        paths = tables.write()
        find_marker_changes(
            expression=paths["markers"],
            samples=paths["samples"],
            pairs=paths["pairs"],
            panel=panel if files else None,
            transforms=transforms if files else None,
            min_cells=min_cells,
            seed=1,
            changes_out=tmp_path / "marker_changes.tsv",
        )
        return read_table(tmp_path / "marker_changes.tsv")

    return run


def measured(value, n_cells=200, **others):
    return {"value": value, "sd": 0.2, "n_cells": n_cells, **others}


def patient(tables, name, *visits, population="T_cells", treatment="mepolizumab"):
    """Add a patient; each visit gives the columns of each marker, by marker."""
    for visit, markers in zip(("baseline", "month_4"), visits, strict=False):
        tables.add(name, visit, {population: (500, 1000)}, treatment=treatment)
        for marker, values in markers.items():
            tables.measure(name, visit, population, marker, **values)
    tables.ask(treatment, name)


def test_median_of_equally_well_measured_patients_is_a_paired_t(tables, find):
    rng = np.random.default_rng(1)
    before, after = rng.normal(1, 0.2, (2, 8))
    for number, (low, high) in enumerate(zip(before, after, strict=True)):
        patient(tables, f"P{number}", {"CD25": measured(low)}, {"CD25": measured(high)})
    row = one(find())
    expected = stats.ttest_rel(after, before)
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["effect"] == pytest.approx((after - before).mean())
    low, high = expected.confidence_interval()
    assert (row["effect_low"], row["effect_high"]) == pytest.approx((low, high))
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(after - before).pvalue)
    assert row["baseline_median"] == pytest.approx(np.median(before))
    assert (row["readout"], row["effect_scale"]) == ("median", "logicle")
    assert (row["status"], row["n_pairs"], row["cells_median"]) == ("tested", 8, 200)
    assert row["q_value"] == row["p_value"]


def test_badly_measured_patients_weigh_less(tables, find):
    """Five patients with many cells do not change; the sixth has 25 cells and changes a lot."""
    for number, shift in enumerate((0.01, -0.02, 0.02, -0.01, 0.01)):
        patient(
            *(tables, f"P{number}"),
            {"CD25": measured(1.0, 5000)},
            {"CD25": measured(1.0 + shift, 5000)},
        )
    patient(tables, "P9", {"CD25": measured(1.0, 25)}, {"CD25": measured(1.6, 25)})
    row = one(find())
    assert row["effect"] < np.mean([0.01, -0.02, 0.02, -0.01, 0.01, 0.6])


def test_percent_positive_is_an_odds_ratio(tables, find):
    """Few columns: a plain t of logits; visits of equal depth need no thinning."""
    rng = np.random.default_rng(2)
    positive = rng.integers(30, 170, (7, 2))
    for number, counts in enumerate(positive):
        patient(
            *(tables, f"P{number}"),
            *({"CD25": measured(1.0 + n / 200, n_positive=int(n))} for n in counts),
        )
    row = one(find(), readout="percent_positive")
    logits = np.log((positive + 0.5) / (200 - positive + 0.5))
    expected = stats.ttest_1samp(logits[:, 1] - logits[:, 0], 0)
    assert row["p_value"] == pytest.approx(expected.pvalue)
    assert row["effect"] == pytest.approx(np.exp((logits[:, 1] - logits[:, 0]).mean()))
    assert row["effect_scale"] == "odds_ratio"
    assert row["baseline_median"] == np.median(positive[:, 0]) / 2
    assert row["effect_low"] < row["effect"] < row["effect_high"]
    assert (
        (row["family"])
        == "exploratory: flow, gate, mepolizumab, month_4 - baseline, percent_positive"
    )


def test_only_state_markers_are_asked(tables, find):
    for number in range(3):
        patient(
            *(tables, f"P{number}"),
            *({"CD25": measured(1.0 + number * v), "CD3": measured(2.0)} for v in (0.1, 0.3)),
        )
    table = find()
    assert table["marker"].tolist() == ["CD25"]
    assert tuple(table.columns) == MARKER_CHANGE_COLUMNS


def test_scales_by_marker(tables, find):
    for number in range(3):
        values = {"CD25": measured(1.0 + number), "HLA_DR": measured(2.0 + number)}
        patient(tables, f"P{number}", values, values)
    scales = find().set_index("marker")["effect_scale"]
    assert scales.to_dict() == {"CD25": "logicle", "HLA_DR": "arcsinh(x/150)"}


def test_too_few_cells_take_the_pair(tables, find):
    rng = np.random.default_rng(3)
    for number in range(5):
        n_cells = 19 if number < 2 else 20
        low, high = rng.normal(1, 0.2, 2)
        patient(tables, f"P{number}", {"CD25": measured(low, n_cells)}, {"CD25": measured(high)})
    row = one(find())
    assert (row["status"], row["n_pairs"], row["n_incomplete"]) == ("tested", 3, 2)
    assert row["cells_median"] == 20
    few = one(find(min_cells=21))
    assert (few["status"], few["n_pairs"]) == ("too_few_pairs", 0)
    assert few["note"] == ("0 pairs with at least 21 cells at both visits; a test needs 3")
    assert np.isnan(few["p_value"])


def test_population_without_cells_at_a_visit_keeps_its_row(tables, find):
    for number in range(4):
        patient(tables, f"P{number}", {"CD25": measured(1.0)}, {})
        for visit in ("baseline", "month_4"):
            tables.measure(f"P{number}", visit, "B_cells", "CD25", **measured(1.0))
    row = one(find(), population="T_cells")
    assert (row["status"], row["n_pairs"], row["n_incomplete"]) == ("too_few_pairs", 0, 4)


def test_one_visit_only_and_no_pairs(tables, find):
    for number in range(3):
        patient(tables, f"P{number}", {"CD25": measured(1.0, n_positive=3)})
    table = find()
    assert table["readout"].tolist() == ["median", "percent_positive"]
    assert table["status"].tolist() == ["no_pairs"] * 2
    assert table["note"][0] == "no patient was measured at both of month_4 - baseline"


def test_every_treatment_answers_the_same_questions(tables, find):
    """An arm without pairs, or without positive cells known, has its rows all the same."""
    rng = np.random.default_rng(4)
    for number in range(4):
        values = (measured(float(rng.normal()), n_positive=20 + number) for _ in range(2))
        patient(tables, f"P{number}", *({"CD25": v} for v in values))
    patient(tables, "Q1", {"CD25": measured(1.0, n_positive=3)}, treatment="dupilumab")
    patient(tables, "R1", {"CD25": measured(1)}, {"CD25": measured(2)}, treatment="tezepelumab")
    table = find()
    asked = table.groupby("treatment")["readout"].apply(list)
    assert asked["mepolizumab"] == asked["dupilumab"] == asked["tezepelumab"]
    assert asked["dupilumab"] == ["median", "percent_positive"]
    assert (table["status"] != "").all()


def test_pairs_of_percent_positive_are_those_with_a_border(tables, find):
    """Two patients' border is unknown: their pairs do not count, nor hide the medians."""
    rng = np.random.default_rng(5)
    for number in range(6):
        n_positive = None if number < 2 else 60 + number
        values = (measured(float(rng.normal()), n_positive=n_positive) for _ in range(2))
        patient(tables, f"P{number}", *({"CD25": v} for v in values))
        tables.expression[-1]["n_positive"] = n_positive and 70 - 2 * number
    table = find()
    assert one(table, readout="median")["n_pairs"] == 6
    row = one(table, readout="percent_positive")
    assert (row["status"], row["n_pairs"], row["n_incomplete"]) == ("tested", 4, 2)
    assert row["baseline_median"] == pytest.approx(63.5 / 2)


def test_constant_change(tables, find):
    for number in range(4):
        patient(tables, f"P{number}", {"CD25": measured(1.0)}, {"CD25": measured(1.0)})
    row = one(find())
    assert (row["status"], row["note"]) == ("constant", "the change is the same in every pair")
    assert pd.isna(row["q_value"])


def test_q_values_within_treatment_and_readout(tables, find):
    rng = np.random.default_rng(6)
    for treatment in ("mepolizumab", "dupilumab"):
        for number in range(6):
            visits = [
                {
                    marker: measured(float(value), n_positive=int(rng.integers(20, 180)))
                    for marker, value in zip(("CD25", "HLA_DR"), rng.normal(1, 0.3, 2), strict=True)
                }
                for _ in range(2)
            ]
            patient(tables, f"{treatment}{number}", *visits, treatment=treatment)
    table = find()
    assert table["family"].nunique() == 4
    for _, members in table.groupby("family"):
        assert len(members) == 2
        expected = stats.false_discovery_control(members["p_value"])
        np.testing.assert_allclose(members["q_value"], expected)


def test_study_without_files_has_an_empty_table(tables, find):
    tables.add("P1", "baseline", {"A": (1, 2)})
    tables.ask("mepolizumab", "P1")
    table = find(files=False)
    assert len(table) == 0
    assert tuple(table.columns) == MARKER_CHANGE_COLUMNS


@pytest.fixture
def rna(tables, tmp_path):
    """Test a study whose RNA has a gene set and proteins, beside a flow marker."""
    panel, transforms = tmp_path / "panel.tsv", tmp_path / "transforms.tsv"
    panel.write_text(PANEL)
    transforms.write_text(TRANSFORMS)
    (tmp_path / "gene_sets.tsv").write_text("gene_set\tstatus\nhoming\tscored\n")
    (tmp_path / "populations.yaml").write_text(
        "leukocytes: {parent: null, flow: x}\n"
        "T_cells: {parent: leukocytes, flow: x, adt: [CD3, '-CD19']}\n"
    )
    rng = np.random.default_rng(8)
    changes = {}
    for number in range(6):
        name = f"P{number}"
        for visit in ("baseline", "month_4"):
            values = {"homing": measured(float(rng.normal()), n_cells=30 + 100 * number)}
            values |= {protein: measured(float(rng.normal())) for protein in ("CD69", "ADT_CD3")}
            values["CD19"] = measured(0.1)
            tables.add(name, visit, {}, source="rna", modality="rna")
            for marker, row in values.items():
                tables.measure(name, visit, "T_cells", marker, **row)
                sample = f"rna_{name}_{visit}"
                tables.expression[-1] |= {"sample_id": sample, "modality": "rna"}
                tables.expression[-1]["source"] = "cluster"
                changes.setdefault((marker, visit), []).append(row["value"])
        patient(tables, name, *({"CD25": measured(float(rng.normal()))} for _ in range(2)))

    def run(**others):
        paths = tables.write()
        out = tmp_path / "marker_changes.tsv"
        find_marker_changes(
            *(paths["markers"], paths["samples"], paths["pairs"], panel, transforms),
            *(20, 1, out),
            **({"gene_sets": tmp_path / "gene_sets.tsv"} | others),
        )
        return read_table(out), changes

    return run


def test_scores_and_proteins_of_rna_are_tested_on_their_scales(rna, tmp_path):
    table, changes = rna(populations=tmp_path / "populations.yaml")
    of = table.set_index("marker")
    assert sorted(of.index) == ["CD25", "CD69", "homing"]  # CD3 and CD19 name populations
    assert of["effect_scale"].to_dict() == {
        "CD25": "logicle",
        "CD69": "CLR",
        "homing": "log2 fold over similar genes",
    }
    assert of["readout"].to_dict() == {"CD25": "median", "CD69": "median", "homing": "score"}
    assert of["modality"].to_dict() == {"CD25": "flow", "CD69": "rna", "homing": "rna"}
    # Equal numbers of cells: a plain paired t.
    expected = stats.ttest_rel(changes["CD69", "month_4"], changes["CD69", "baseline"])
    assert of.loc["CD69", "p_value"] == pytest.approx(expected.pvalue)
    assert of["family"].nunique() == 3


def test_without_a_vocabulary_every_protein_is_tested(rna):
    table, _ = rna()
    assert set(table["marker"]) == {"CD25", "CD69", "ADT_CD3", "CD19", "homing"}


def test_score_is_a_mean_and_weighs_as_one(rna, tables):
    from biocross.statistics.kernels.weighted import precision_weighted_paired_t

    table, changes = rna()
    change = np.subtract(changes["homing", "month_4"], changes["homing", "baseline"])[:, None]
    variance = 0.2**2 / (30 + 100 * np.arange(6.0))[:, None]
    expected = precision_weighted_paired_t(change, variance, variance)
    row = one(table, marker="homing")
    assert row["p_value"] == pytest.approx(expected.p[0])
    assert row["effect"] == pytest.approx(expected.estimate[0])


def test_rna_does_not_change_what_flow_shows(rna, tables):
    beside, _ = rna()
    tables.expression = [row for row in tables.expression if row["modality"] == "flow"]
    alone, _ = rna()
    pd.testing.assert_frame_equal(
        beside[beside["modality"] == "flow"].reset_index(drop=True),
        alone,
        check_dtype=False,
    )
