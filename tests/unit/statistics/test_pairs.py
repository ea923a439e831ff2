import numpy as np
import pandas as pd
import pytest
from long_tables import LongTables, fill

from biocross.errors import TableError
from biocross.statistics.pairs import (
    Question,
    pair_tables,
    read_long_table,
    read_pair_sheet,
    read_table,
)


@pytest.fixture
def tables(tmp_path):
    return LongTables(tmp_path)


def test_contrast_is_named_as_in_the_tables():
    question = Question("flow", "gate", "dupilumab", "month_12", "month_4")
    assert question.contrast == "month_12 - month_4"
    assert question.columns() == {
        "modality": "flow",
        "source": "gate",
        "treatment": "dupilumab",
        "contrast": "month_12 - month_4",
    }


def test_values_stand_at_their_patient_and_population(tables):
    tables.add("P2", "baseline", {"A": (20, 200), "B": (21, 200)})
    tables.add("P1", "month_4", {"B": (12, 100), "A": (11, 100)})
    tables.add("P1", "baseline", {"A": (10, 100)})
    tables.add("P2", "month_4", {"A": (22, 200), "B": (23, 200)})
    tables.ask("mepolizumab", "P1", "P2")
    (found,) = tables.pair_tables()
    assert found.units == ("P1", "P2")
    assert found.keys["population"].tolist() == ["A", "B"]
    np.testing.assert_array_equal(found.baseline["count"], [[10, np.nan], [20, 21]])
    np.testing.assert_array_equal(found.followup["count"], [[11, 12], [22, 23]])
    np.testing.assert_array_equal(found.followup["parent_count"], [[100, 100], [200, 200]])


def test_patients_with_one_visit_are_counted_as_incomplete(tables):
    for patient in ("P1", "P2", "P3"):
        tables.add(patient, "baseline", {"A": (1, 2)})
    tables.add("P1", "month_4", {"A": (1, 2)})
    tables.add("P4", "month_12", {"A": (1, 2)})
    tables.ask("mepolizumab", "P1", "P2", "P3", "P4")
    (found,) = tables.pair_tables()
    assert found.units == ("P1",)
    assert found.n_incomplete == 2


def test_every_question_has_a_table_even_without_pairs(tables):
    fill(tables, np.random.default_rng(1), 3, populations=2)
    tables.add("P9", "baseline", {"pop_0": (1, 2)}, treatment="dupilumab")
    tables.ask("dupilumab", "P9")
    tables.ask("dupilumab", "P9", followup="month_12", baseline="month_4")
    asked = {(found.question.treatment, found.question.contrast) for found in tables.pair_tables()}
    assert asked == {
        ("mepolizumab", "month_4 - baseline"),
        ("dupilumab", "month_4 - baseline"),
        ("dupilumab", "month_12 - month_4"),
    }


def test_sources_are_kept_apart(tables):
    for visit in ("baseline", "month_4"):
        tables.add("P1", visit, {"A": (10, 100)})
        tables.add("P1", visit, {"A": (50, 100)}, source="table")
    tables.ask("mepolizumab", "P1")
    gate, table = tables.pair_tables()
    assert (gate.question.source, table.question.source) == ("gate", "table")
    assert gate.baseline["count"] == [[10]]
    assert table.baseline["count"] == [[50]]


def test_roots_have_no_frequency(tables):
    sample = {"leukocytes": {"parent": "", "count": 9}, "A": (1, 9)}
    for visit in ("baseline", "month_4"):
        tables.add("P1", visit, sample)
    tables.ask("mepolizumab", "P1")
    (found,) = tables.pair_tables()
    assert found.keys["population"].tolist() == ["A"]


def test_switch_of_treatment_counts_for_the_one_given_at_the_later_visit(tables):
    """P1 got mepolizumab until month 4, then dupilumab: the pair sheet says which pair is whose."""
    for visit, treatment in (
        ("baseline", "none"),
        ("month_4", "mepolizumab"),
        ("month_12", "dupilumab"),
    ):
        tables.add("P1", visit, {"A": (10, 100)}, treatment=treatment)
    tables.ask("mepolizumab", "P1")
    tables.ask("dupilumab", "P1", followup="month_12", baseline="month_4")
    units = {
        (found.question.treatment, found.question.contrast): found.units
        for found in tables.pair_tables()
    }
    assert units == {
        ("mepolizumab", "month_4 - baseline"): ("P1",),
        ("dupilumab", "month_12 - month_4"): ("P1",),
    }


def test_batches_of_both_visits(tables):
    tables.add("P1", "baseline", {"A": (1, 2)}, batch="lot_1")
    tables.add("P1", "month_4", {"A": (1, 2)}, batch="lot_2")
    tables.ask("mepolizumab", "P1")
    (found,) = tables.pair_tables()
    assert found.batches == (("lot_1", "lot_2"),)


def test_select_takes_columns_of_everything(tables):
    fill(tables, np.random.default_rng(2), 2, populations=3)
    (found,) = tables.pair_tables()
    last = found.select(np.array([False, False, True]))
    assert last.keys.index.tolist() == [0]
    assert last.keys["population"].tolist() == ["pop_2"]
    np.testing.assert_array_equal(last.baseline["count"][:, 0], found.baseline["count"][:, 2])
    assert last.units == found.units


def test_sample_of_no_sheet_is_refused(tables):
    tables.add("P1", "baseline", {"A": (1, 2)})
    tables.samples.clear()
    paths = tables.write()
    with pytest.raises(TableError, match=r'counts.tsv: sample "P1_baseline" is not in .*samples'):
        read_long_table(paths["counts"], paths["samples"])


def test_other_values_by_other_keys(tables):
    for visit, value in (("baseline", 1.5), ("month_4", 2.5)):
        tables.add("P1", visit, {"A": (1, 2)})
        tables.measure("P1", visit, "A", "CD25", value=value, n_cells=30)
    tables.ask("mepolizumab", "P1")
    paths = tables.write()
    table = read_long_table(paths["markers"], paths["samples"])
    keys, values = ("population", "marker"), ("value", "n_cells")
    (found,) = pair_tables(table, read_pair_sheet(paths["pairs"]), keys, values)
    assert found.keys.to_dict("records") == [{"population": "A", "marker": "CD25"}]
    assert (found.baseline["value"], found.followup["value"]) == ([[1.5]], [[2.5]])


def test_names_that_look_like_numbers_stay_names(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("treatment\tpopulation\tunit\tn_pairs\tnote\n1\t07\t003\t6\tNA\n1\t7\t3\t\t\n")
    table = read_table(path)
    assert table["treatment"].tolist() == ["1", "1"]
    assert table["population"].tolist() == ["07", "7"]
    assert table["unit"].tolist() == ["003", "3"]
    assert table["n_pairs"][0] == 6
    assert table["note"][0] == "NA"
    assert pd.isna(table["note"][1])
