"""Change of responders against change of non-responders, from the long tables."""

import numpy as np
import pytest
from long_tables import LongTables, fill, one
from scipy import stats

from biocross.errors import ConfigError
from biocross.statistics.pairs import Question, read_table
from biocross.statistics.response import (
    RESPONSE_COLUMNS,
    USES_THESE_CELLS,
    PatientResponse,
    find_response,
    read_responses,
    responds_to,
)
from biocross.tables import read_rows, write_rows

QUESTION = Question("flow", "gate", "mepolizumab", "month_4", "baseline")


class Study:
    """Long tables of one treatment whose every second patient responded."""

    def __init__(self, folder, patients=20, populations=8, seed=0):
        self.tables, self.folder = LongTables(folder), folder
        names = fill(self.tables, np.random.default_rng(seed), patients, populations)
        self.responder = {name: number % 2 == 0 for number, name in enumerate(names)}

    def multiply(self, population, factor, responders=True):
        """Multiply a population of the responders (or the others) at follow-up."""
        for row in self.tables.counts:
            concerned = self.responder[row["patient_id"]] == responders
            if concerned and (row["population"], row["visit"]) == (population, "month_4"):
                row["count"] = int(row["count"] * factor)

    def write(self, words=("no", "yes")):
        paths = self.tables.write()
        paths["patients"] = self.folder / "patients.tsv"
        columns = ("patient_id", "treatment", "responder")
        rows = [
            {"patient_id": name, "treatment": "mepolizumab", "responder": words[int(responds)]}
            for name, responds in self.responder.items()
        ]
        write_rows(paths["patients"], columns, rows)
        return paths

    def find(self, paths, based_on=()):
        out = self.folder / "response.tsv"
        inputs = (paths[name] for name in ("counts", "samples", "pairs"))
        find_response(*inputs, self.tables.populations, paths["patients"], based_on, out)
        return out

    def response(self, based_on=()):
        return read_table(self.find(self.write(), based_on))


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def _percent(table, population):
    return one(table, population=population, readout="percent_of_parent")


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_finds_a_planted_difference_with_its_sign(study, factor):
    study.multiply("pop_3", factor)
    table = study.response()
    found = _percent(table, "pop_3")
    assert found["status"] == "tested"
    assert found["effect_low"] < factor < found["effect_high"]
    assert found["q_value"] < 0.01
    ratio = found["effect_responders"] / found["effect_nonresponders"]
    assert found["effect"] == pytest.approx(ratio)
    assert (found["n_responders"], found["n_nonresponders"]) == (10, 10)
    assert found["effect_scale"] == "odds_ratio"
    others = table[table["population"] != "pop_3"]
    assert others["q_value"].min() > 0.05


def test_same_change_in_both_groups_is_no_response(study):
    study.multiply("pop_3", 2.0, responders=True)
    study.multiply("pop_3", 2.0, responders=False)
    found = _percent(study.response(), "pop_3")
    assert found["effect_responders"] > 1.6
    assert found["p_value"] > 0.05
    assert found["effect_low"] < 1 < found["effect_high"]


def test_is_welchs_test_where_nothing_is_moderated(tmp_path):
    study = Study(tmp_path, patients=9, populations=3)  # too few populations to moderate
    changes = {True: {}, False: {}}
    for row in study.tables.counts:
        row["count"], row["parent_count"] = max(row["count"], 30), 20_000
        if row["population"] == "pop_1":
            sign = 1 if row["visit"] == "month_4" else -1
            logit = sign * np.log((row["count"] + 0.5) / (20_000 - row["count"] + 0.5))
            group = changes[study.responder[row["patient_id"]]]
            group[row["patient_id"]] = group.get(row["patient_id"], 0.0) + logit
    groups = [list(changes[flag].values()) for flag in (True, False)]
    expected = stats.ttest_ind(*groups, equal_var=False)
    low, high = expected.confidence_interval()
    found = _percent(study.response(), "pop_1")
    assert found["statistic"] == pytest.approx(expected.statistic)
    assert found["p_value"] == pytest.approx(expected.pvalue)
    assert found["df"] == pytest.approx(expected.df)
    assert np.log(found["effect_low"]) == pytest.approx(low)
    assert np.log(found["effect_high"]) == pytest.approx(high)


def test_composition_of_each_group_has_its_own_reference(tmp_path):
    """One population vanishes in responders; the shares of the others must not seem to rise."""
    study = Study(tmp_path, patients=24, populations=14)
    study.multiply("pop_0", 0.01)
    table = study.response()
    others = table[(table["readout"] == "composition") & (table["population"] != "pop_0")]
    assert (others["status"] == "tested").sum() >= 12
    assert abs(np.log(others["effect"].dropna()).median()) < 0.08
    assert others["q_value"].min() > 0.05
    assert one(table, population="pop_0", readout="composition")["effect"] < 0.05


@pytest.mark.parametrize(
    ("no", "yes"),
    [
        *(("no", "yes"), ("NO", "Yes"), ("false", "TRUE"), ("0", "1")),
        *(("non-responder", "responder"), ("Non-Responder", "RESPONDER")),
    ],
)
def test_reads_the_usual_spellings(study, no, yes):
    responses = read_responses(study.write((no, yes))["patients"])
    assert {r.patient_id: r.responds for r in responses} == study.responder


def test_names_every_value_that_cannot_be_read(study):
    paths = study.write(("no", "perhaps"))
    with pytest.raises(ConfigError) as error:
        read_responses(paths["patients"])
    lines = str(error.value).splitlines()
    assert len(lines) == 10
    assert lines[0].startswith(f'{paths["patients"]} row 2: responder "perhaps" cannot be read')
    assert "yes or no" in lines[0]


def test_without_the_column_only_the_header(study):
    paths = study.write()
    rows = read_rows(paths["patients"])
    for row in rows:
        del row["responder"]
    write_rows(paths["patients"], list(rows[0]), rows)
    assert study.find(paths).read_text().splitlines() == ["\t".join(RESPONSE_COLUMNS)]


def _said(*rows):
    return [
        PatientResponse("P1", visit, treatment, responds) for visit, treatment, responds in rows
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("", "mepolizumab", True)], True),
        ([("month_4", "mepolizumab", False), ("month_12", "mepolizumab", True)], False),
        ([("baseline", "mepolizumab", None), ("month_12", "mepolizumab", True)], True),
        ([("month_4", "mepolizumab", None), ("month_12", "dupilumab", True)], None),
        ([("month_8", "mepolizumab", True), ("month_12", "mepolizumab", False)], None),
        ([], None),
    ],
)
def test_response_belongs_to_a_visit_or_a_treatment(rows, expected):
    assert responds_to(_said(*rows), "P1", QUESTION) is expected


def test_patients_of_unknown_response_are_left_out_and_counted(study):
    paths = study.write(("no", "yes"))
    rows = read_rows(paths["patients"])
    rows[0]["responder"] = rows[2]["responder"] = ""
    write_rows(paths["patients"], list(rows[0]), rows)
    found = _percent(read_table(study.find(paths)), "pop_0")
    assert (found["n_responders"], found["n_nonresponders"]) == (8, 10)
    assert "2 pairs of unknown response left out" in found["note"]


def test_warns_where_the_definition_uses_the_cells(study):
    for row in study.tables.counts:
        row["population"] = row["population"].replace("pop_1", "eosinophils")
    table = study.response(based_on=["eosinophils_per_ul", "pop_4", "visit"])
    warned = table[table["note"].str.contains(USES_THESE_CELLS, na=False)]
    assert set(warned["population"]) == {"eosinophils", "pop_4"}
    assert len(warned) == 2 * 3
    assert _percent(table, "eosinophils")["status"] == "tested"


def test_a_definition_that_is_nothing_known_is_an_error(study):
    with pytest.raises(ConfigError, match=r'"eosinofils".*did you mean "eosinophils"\?'):
        study.response(based_on=["eosinofils"])


def test_too_few_pairs_gives_the_numbers(study):
    for number, name in enumerate(study.responder):
        study.responder[name] = number < 2
    table = study.response()
    found = _percent(table, "pop_0")
    assert found["status"] == "too_few_pairs"
    assert found["note"] == "pairs: 2 of responders and 18 of non-responders; each group needs 3"
    assert np.isnan(found["p_value"])
    assert np.isnan(found["q_value"])


def test_nobody_responded(study):
    study.responder = dict.fromkeys(study.responder, False)
    found = _percent(study.response(), "pop_0")
    assert found["status"] == "too_few_pairs"
    assert found["n_responders"] == 0
    assert np.isnan(found["effect"])


def test_every_question_has_a_row(study):
    study.tables.ask("placebo", "nobody")
    for row in study.tables.counts:
        if row["population"] == "pop_7":
            row["count"] = 0
        if row["population"] == "pop_6" and study.responder[row["patient_id"]]:
            row["count"] = 2
    table = study.response()
    assert list(table.columns) == list(RESPONSE_COLUMNS)
    asked = table[["treatment", "population", "readout"]]
    assert len(table) == 2 * 8 * 3 == len(asked.drop_duplicates())
    untested = table[table["status"] != "tested"]
    assert untested["note"].notna().all()
    assert untested["q_value"].isna().all()
    tested = table[table["status"] == "tested"]
    assert (tested["q_value"] >= tested["p_value"]).all()
    assert set(tested["family"]) == {
        "exploratory: response, mepolizumab, month_4 - baseline, responder, flow, gate, "
        "percent_of_parent"
    }
    assert set(table.loc[table["treatment"] == "placebo", "status"]) == {"no_pairs"}
    mepolizumab = table[table["treatment"] == "mepolizumab"]
    assert _percent(mepolizumab, "pop_7")["status"] == "all_zero"
    rare = _percent(mepolizumab, "pop_6")
    assert (rare["status"], rare["note"][:11]) == ("too_few_events", "responders:")
    cells = mepolizumab[mepolizumab["readout"] == "cells_per_ul"]
    assert set(cells["status"]) == {"not_measured"}


def test_several_pairs_of_a_patient_are_not_replicates(study):
    for row in study.tables.pairs[:2]:
        row["patient_id"] = "P_twice"
    paths = study.write()
    rows = [*read_rows(paths["patients"]), {"patient_id": "P_twice", "treatment": "mepolizumab"}]
    write_rows(paths["patients"], list(rows[0]), rows)
    found = _percent(read_table(study.find(paths)), "pop_0")
    assert found["status"] == "not_possible"
    assert "several pairs" in found["note"]
    assert np.isnan(found["p_value"])


def test_order_of_rows_does_not_matter(study):
    study.multiply("pop_2", 1.5)
    paths = study.write()
    first = study.find(paths).read_text().splitlines()
    rng = np.random.default_rng(1)
    for path in (paths[name] for name in ("counts", "samples", "pairs", "patients")):
        rows = read_rows(path)
        rng.shuffle(rows)
        write_rows(path, list(rows[0]), rows)
    assert sorted(study.find(paths).read_text().splitlines()) == sorted(first)


def test_null_p_values_are_not_too_small(tmp_path):
    p_values, claims = [], []
    for seed in range(40):
        study = Study(tmp_path, patients=14, populations=10, seed=200 + seed)
        table = study.response()
        tested = table[(table["status"] == "tested") & (table["readout"] == "percent_of_parent")]
        p_values += tested["p_value"].tolist()
        claims.append((tested["q_value"] < 0.05).any())
    assert len(p_values) == 40 * 10
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.08
    assert np.mean(claims) <= 0.15
