"""Change of populations against change of clinical measurements, from the long tables."""

import csv

import numpy as np
import pandas as pd
import pytest
from long_tables import LongTables, fill, one
from scipy import stats

from biocross.cohort.vocabulary import Population
from biocross.statistics.clinical import (
    ALL_TREATMENTS,
    ASSOCIATION_COLUMNS,
    counted_population,
    find_clinical_associations,
    read_clinical,
    refusal,
)
from biocross.statistics.pairs import read_table
from biocross.tables import read_rows, write_rows

CONTRAST = "month_4 - baseline"
VOCABULARY = {
    "leukocytes": Population("leukocytes", None, None),
    "eosinophils": Population("eosinophils", "leukocytes", "leukocytes"),
    "lymphocytes": Population("lymphocytes", "leukocytes", "leukocytes", "lymphocytes_per_ul"),
    "Th2": Population("Th2", "lymphocytes", "lymphocytes", "lymphocytes_per_ul"),
}


class Study:
    """Long tables with clinical columns: by variable, the value of each patient and visit."""

    def __init__(self, folder, patients=14, arms=("mepolizumab",), seed=0, populations=4):
        self.rng = np.random.default_rng(seed)
        self.tables, self.clinical, self.folder = LongTables(folder), {}, folder
        for arm in arms:
            fill(self.tables, self.rng, patients, populations, treatment=arm)
        for row in self.tables.counts:
            row["cells_per_ul"] = row["count"] * 7000 / row["parent_count"]
        for row in self.tables.samples:
            row["tissue"] = "whole_blood"

    @property
    def patients(self):
        return sorted({row["patient_id"] for row in self.tables.samples})

    def logit_change(self, population):
        """Change by patient; approximate, because depths differ between visits."""
        found = {}
        for row in self.tables.counts:
            if row["population"] == population:
                logit = np.log(row["count"] / (row["parent_count"] - row["count"]))
                sign = 1 if row["visit"] == "month_4" else -1
                found[row["patient_id"]] = found.get(row["patient_id"], 0) + sign * logit
        return found

    def measure(self, variable, change, baseline=50.0):
        """Give every patient a clinical change, from a mapping or at random."""
        for patient in self.patients:
            by = change[patient] if isinstance(change, dict) else change()
            self.clinical.setdefault(variable, {})[patient, "baseline"] = baseline
            self.clinical[variable][patient, "month_4"] = None if by is None else baseline + by

    def measure_at_random(self, *variables):
        for variable in variables:
            self.measure(variable, self.rng.standard_normal)

    def write(self):
        paths = self.tables.write()
        rows = read_rows(paths["samples"])
        for row in rows:
            for variable, values in self.clinical.items():
                row[variable] = values.get((row["patient_id"], row["visit"]))
        columns = [name for name in rows[0] if name not in self.clinical]
        write_rows(paths["samples"], [*columns, *self.clinical], rows)
        return paths

    def associations_file(self, name="associations", seed=1):
        paths = self.write()
        return self.find(paths, name, seed)

    def find(self, paths, name="associations", seed=1):
        out = self.folder / f"{name}.tsv"
        inputs = (paths[key] for key in ("counts", "samples", "pairs"))
        find_clinical_associations(*inputs, self.tables.populations, seed, out)
        return out

    def associations(self):
        return read_table(self.associations_file())


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def _percent(table, population, variable, **wanted):
    return one(
        table, population=population, variable=variable, readout="percent_of_parent", **wanted
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_finds_a_planted_association_with_its_sign(study, sign):
    noise = study.rng.normal(0, 0.05, len(study.patients))
    planted = zip(study.logit_change("pop_1").items(), noise, strict=True)
    study.measure("fev1_percent", {who: sign * change + e for (who, change), e in planted})
    study.measure_at_random("act_score")
    table = study.associations()
    found = _percent(table, "pop_1", "fev1_percent")
    assert found["status"] == "tested"
    assert sign * found["rho"] > 0.8
    assert found["rho_low"] * found["rho_high"] > 0
    assert found["q_value"] < 0.01
    others = table[(table["population"] != "pop_1") | (table["variable"] != "fev1_percent")]
    assert others["q_value"].min() > 0.05


def test_one_treatment_gives_spearmans_rho(study):
    study.measure_at_random("act_score")
    changes, clinical = study.logit_change("pop_0"), study.clinical["act_score"]
    measured = {who: clinical[who, "month_4"] - clinical[who, "baseline"] for who in changes}
    expected = stats.spearmanr(list(changes.values()), [measured[who] for who in changes])
    found = _percent(study.associations(), "pop_0", "act_score")
    assert found["rho"] == pytest.approx(expected.statistic)
    assert found["p_value"] == pytest.approx(expected.pvalue, abs=0.03)
    assert found["n_pairs"] == 14


def test_difference_between_treatments_is_no_association(tmp_path):
    study = Study(tmp_path, 10, ("mepolizumab", "dupilumab"), seed=4)
    for row in study.tables.counts:
        falls = row["treatment"] == "dupilumab" and row["visit"] == "month_4"
        if falls and row["population"] == "pop_0":
            row["count"] //= 4
    shift = {who: -30.0 * who.startswith("dup") + study.rng.normal() for who in study.patients}
    study.measure("feno_ppb", shift)
    changes = study.logit_change("pop_0")
    naive = stats.spearmanr([changes[who] for who in shift], list(shift.values()))
    table = study.associations()
    found = _percent(table, "pop_0", "feno_ppb", treatment=ALL_TREATMENTS)
    assert naive.pvalue < 0.001
    assert found["p_value"] > 0.05
    assert found["n_pairs"] == 20
    assert set(table["treatment"]) == {"mepolizumab", "dupilumab", ALL_TREATMENTS}


def test_pools_evidence_over_treatments(tmp_path):
    study = Study(tmp_path, 8, ("mepolizumab", "dupilumab"), seed=2)
    change = study.logit_change("pop_2")
    study.measure("act_score", {who: c + study.rng.normal(0, 0.15) for who, c in change.items()})
    table = study.associations()
    p_values = {
        row.treatment: row.p_value
        for row in table[table["population"] == "pop_2"].itertuples()
        if row.readout == "percent_of_parent"
    }
    assert p_values.pop(ALL_TREATMENTS) < min(p_values.values())


def test_every_question_has_a_row(tmp_path):
    study = Study(tmp_path, 7, ("mepolizumab", "dupilumab"))
    study.measure_at_random("act_score", "feno_ppb", "leukocytes_per_ul")
    study.tables.pairs[-1]["treatment"] = "placebo"  # one patient; the sheets agree elsewhere
    table = study.associations()
    assert list(table.columns) == list(ASSOCIATION_COLUMNS)
    asked = ["treatment", "population", "readout", "variable"]
    assert len(table) == 4 * 4 * 2 * 3 == len(table[asked].drop_duplicates())
    untested = table[table["status"] != "tested"]
    assert untested["note"].notna().all()
    assert untested["q_value"].isna().all()
    tested = table[table["status"] == "tested"]
    assert (tested["q_value"] >= tested["p_value"]).all()
    assert tested["family"].str.startswith("exploratory: clinic, ").all()
    assert (tested.groupby("family").size() == 4).all()


@pytest.mark.parametrize(
    ("population", "readout", "variable", "source", "tissues", "says"),
    [
        ("Th2", "cells_per_ul", "leukocytes_per_ul", "gate", {"whole_blood"}, "are made from"),
        ("Th2", "percent_of_parent", "leukocytes_per_ul", "gate", {"whole_blood"}, ""),
        ("Th2", "cells_per_ul", "lymphocytes_per_ul", "gate", {"pbmc"}, "are made from"),
        ("Th2", "cells_per_ul", "leukocytes_per_ul", "gate", {"pbmc"}, "its whole"),
        ("Th2", "cells_per_ul", "leukocytes_per_ul", "gate", {"pbmc", "whole_blood"}, "are made"),
        ("Th2", "cells_per_ul", "leukocytes_per_ul", "table", {"pbmc"}, "may have been made"),
        ("Th2", "cells_per_ul", "lymphocytes_per_ul", "table", {""}, "may have been made"),
        ("Th2", "cells_per_ul", "lymphocytes_per_ul", "gate", {"whole_blood"}, "its whole"),
        ("Th2", "percent_of_parent", "lymphocytes_per_ul", "gate", {"whole_blood"}, ""),
        ("Th2", "cells_per_ul", "eosinophils_per_ul", "gate", {"whole_blood"}, ""),
        ("Th2", "cells_per_ul", "feno_ppb", "gate", {"whole_blood"}, ""),
        ("eosinophils", "cells_per_ul", "eosinophils_per_ul", "gate", {"pbmc"}, "concordance"),
        ("eosinophils", "percent_of_parent", "Eosinophils_percent", "gate", {""}, "concordance"),
        ("eosinophils", "percent_of_parent", "eosinophils_per_ul", "gate", {"sputum"}, ""),
        ("cluster_7", "cells_per_ul", "leukocytes_per_ul", "cluster", {"whole_blood"}, "made from"),
        ("cluster_7", "cells_per_ul", "lymphocytes_per_ul", "cluster", {"pbmc"}, ""),
    ],
)
def test_refuses_what_shares_a_measurement(population, readout, variable, source, tissues, says):
    found = refusal(population, readout, variable, VOCABULARY, source, tissues)
    assert bool(found) == bool(says)
    assert says in found


def test_refused_rows_say_why_and_enter_no_family(study):
    for row in study.tables.counts:
        row["population"] = row["population"].replace("pop_0", "eosinophils")
    study.measure_at_random("eosinophils_per_ul", "leukocytes_per_ul")
    table = study.associations()
    refused = table[table["status"] == "refused"]
    asked = set(zip(refused["population"], refused["readout"], refused["variable"], strict=True))
    names = ["eosinophils", "pop_1", "pop_2", "pop_3"]
    assert asked == {
        ("eosinophils", "percent_of_parent", "eosinophils_per_ul"),
        ("eosinophils", "cells_per_ul", "eosinophils_per_ul"),
        *((name, "cells_per_ul", "leukocytes_per_ul") for name in names),
    }
    assert refused[["rho", "p_value", "q_value"]].isna().all(axis=None)
    assert refused["note"].str.contains("eosinophils_per_ul|leukocytes_per_ul").all()


@pytest.mark.parametrize(
    ("column", "population"),
    [("eosinophils_per_ul", "eosinophils"), ("NK_cells_percent", "nk_cells"), ("feno_ppb", "")],
)
def test_counts_name_their_population(column, population):
    assert counted_population(column) == population


def test_time_and_text_are_no_measurements(study):
    study.measure_at_random("day", "days_since_dose", "act_score")
    study.measure("shift", dict.fromkeys(study.patients, 0.0))
    study.clinical["shift"] = dict.fromkeys(study.clinical["shift"], "early")
    assert set(study.associations()["variable"]) == {"act_score"}


def test_without_clinical_columns_only_the_header(study):
    study.measure_at_random("day")
    lines = study.associations_file().read_text().splitlines()
    assert lines == ["\t".join(ASSOCIATION_COLUMNS)]


def test_says_what_stands_in_the_way(study):
    few = set(study.patients[:5])
    study.measure_at_random("act_score")
    study.measure("feno_ppb", {who: 1.0 if who in few else None for who in study.patients})
    study.measure("ocs_mg_day", dict.fromkeys(study.patients, 0.1), baseline=0.2)
    study.measure("ige_iu_ml", dict.fromkeys(study.patients))
    study.tables.ask("placebo", "nobody")
    for row in study.tables.counts:
        if row["population"] == "pop_3":
            row["cells_per_ul"] = None
        if row["population"] == "pop_2":
            row["count"] = int(row["patient_id"].endswith("3"))
        if row["population"] == "pop_1":
            row["count"] = 0
    table = study.associations()
    arm = table[table["treatment"] == "mepolizumab"]
    status = {variable: _percent(arm, "pop_0", variable)["status"] for variable in study.clinical}
    assert status == {
        "act_score": "tested",
        "feno_ppb": "too_few_pairs",
        "ocs_mg_day": "constant",
        "ige_iu_ml": "not_measured",
    }
    too_few = _percent(arm, "pop_0", "feno_ppb")["note"]
    assert "5 pairs" in too_few
    assert "a rank correlation needs 6" in too_few
    assert "ocs_mg_day" in _percent(arm, "pop_0", "ocs_mg_day")["note"]
    assert _percent(arm, "pop_1", "act_score")["status"] == "all_zero"
    rare = _percent(arm, "pop_2", "act_score")
    assert rare["status"] in ("too_few_events", "constant")
    assert np.isnan(rare["q_value"])
    cells = one(arm, population="pop_3", variable="act_score", readout="cells_per_ul")
    assert cells["status"] == "not_measured"
    assert "blood count" in cells["note"]
    assert set(table.loc[table["treatment"] == "placebo", "status"]) == {"no_pairs"}


def test_clinical_values_once_per_unit_and_level(study):
    study.measure_at_random("act_score")
    paths = study.write()
    rows = read_rows(paths["samples"])
    twice = [*rows, *({**row, "sample_id": f"rna_{row['sample_id']}"} for row in rows)]
    write_rows(paths["samples"], list(rows[0]), twice)
    values = read_clinical(paths["samples"])["act_score"]
    assert len(values) == len(rows)
    assert values[study.patients[0], "baseline"] == 50.0


def test_same_seed_same_bytes_in_any_order_of_rows(tmp_path):
    study = Study(tmp_path, 9, ("mepolizumab", "dupilumab"))
    study.measure_at_random("act_score", "feno_ppb")
    first = study.associations_file("first").read_bytes()
    assert study.associations_file("again").read_bytes() == first
    paths = study.write()
    for name in ("counts", "samples", "pairs"):
        rows = read_rows(paths[name])
        study.rng.shuffle(rows)
        write_rows(paths[name], list(rows[0]), rows)
    shuffled = study.find(paths, "shuffled").read_text().splitlines()
    assert sorted(shuffled) == sorted(first.decode().splitlines())


def test_null_p_values_are_not_too_small(tmp_path):
    p_values, claims = [], []
    for seed in range(8):
        study = Study(tmp_path, 10, ("mepolizumab", "dupilumab"), seed=100 + seed, populations=8)
        study.measure_at_random("act_score", "feno_ppb")
        with study.associations_file().open(newline="") as lines:
            table = pd.DataFrame(csv.DictReader(lines, delimiter="\t"))
        tested = table[(table["status"] == "tested") & (table["readout"] == "percent_of_parent")]
        p_values += tested["p_value"].astype(float).tolist()
        claims += (tested["q_value"].astype(float) < 0.05).groupby(tested["family"]).any().tolist()
    assert len(p_values) == 8 * 3 * 2 * 8
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.08
    assert np.mean(claims) < 0.15
