import pytest
import yaml
from scipy.stats import beta

from biocross.cohort.vocabulary import Population
from biocross.errors import TableError
from biocross.populations import (
    COUNTS_COLUMNS,
    EXPRESSION_COLUMNS,
    cells_per_ul,
    gather_populations,
    import_counts,
)
from biocross.tables import read_rows, write_rows

PARENTS = {
    "live": None,
    "leukocytes": "live",
    "eosinophils": "leukocytes",
    "monocytes": "leukocytes",
    "classical": "monocytes",
    "lymphocytes": "leukocytes",
    "T_cells": "lymphocytes",
}
ANCHORS = {
    "classical": "monocytes_per_ul",
    "monocytes": "monocytes_per_ul",
    "lymphocytes": "lymphocytes_per_ul",
    "T_cells": "lymphocytes_per_ul",
    "eosinophils": "leukocytes_per_ul",
}
VOCABULARY = {
    name: Population(name, parent, parent, ANCHORS.get(name)) for name, parent in PARENTS.items()
}
COUNTS = {
    "live": "1200",
    "leukocytes": "1000",
    "eosinophils": "50",
    "monocytes": "100",
    "classical": "80",
    "lymphocytes": "400",
    "T_cells": "300",
}
BLOOD_COUNTS = {
    "leukocytes_per_ul": "6000",
    "lymphocytes_per_ul": "2000",
    "monocytes_per_ul": "450",
}


def per_ul(name, tissue, counts=COUNTS, blood=BLOOD_COUNTS, vocabulary=VOCABULARY):
    counted = {population: {"count": count} for population, count in counts.items()}
    return cells_per_ul(name, counted, {"tissue": tissue, **blood}, vocabulary)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("leukocytes", 6000),
        ("eosinophils", 50 / 1000 * 6000),
        ("lymphocytes", 400 / 1000 * 6000),
        ("T_cells", 300 / 1000 * 6000),
        ("classical", 80 / 1000 * 6000),
    ],
)
def test_whole_blood_is_scaled_by_leukocytes(name, expected):
    assert per_ul(name, "whole_blood") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lymphocytes", 2000),
        ("T_cells", 300 / 400 * 2000),
        ("monocytes", 450),
        ("classical", 80 / 100 * 450),
    ],
)
def test_pbmc_is_scaled_by_lymphocytes_or_monocytes(name, expected):
    assert per_ul(name, "pbmc") == pytest.approx(expected)


@pytest.mark.parametrize("name", ["leukocytes", "eosinophils"])
def test_pbmc_is_never_scaled_by_leukocytes(name):
    """Its granulocytes are gone; not even a vocabulary that asks for it gets a number."""
    assert per_ul(name, "pbmc") is None


@pytest.mark.parametrize("tissue", ["bal", "lung", "sputum", ""])
def test_other_tissues_have_no_cells_per_microlitre(tissue):
    assert per_ul("T_cells", tissue) is None


def test_a_population_outside_the_anchor_is_not_scaled():
    assert per_ul("live", "whole_blood") is None
    elsewhere = {
        **VOCABULARY,
        "eosinophils": Population("eosinophils", "leukocytes", "leukocytes", "lymphocytes_per_ul"),
    }
    assert per_ul("eosinophils", "pbmc", vocabulary=elsewhere) is None


def test_no_cells_are_zero_but_not_measured_is_nothing():
    assert per_ul("T_cells", "whole_blood", {**COUNTS, "T_cells": "0"}) == 0
    assert per_ul("eosinophils", "whole_blood", {**COUNTS, "eosinophils": ""}) is None


def test_without_anchor_there_is_nothing():
    assert per_ul("T_cells", "pbmc", blood={**BLOOD_COUNTS, "lymphocytes_per_ul": ""}) is None
    assert per_ul("T_cells", "pbmc", blood={}) is None
    assert per_ul("T_cells", "pbmc", {**COUNTS, "lymphocytes": "0"}) is None
    assert per_ul("T_cells", "pbmc", {"T_cells": "300"}) is None


def test_a_population_of_no_vocabulary():
    assert per_ul("NKT", "whole_blood", {**COUNTS, "NKT": "3"}) is None


@pytest.fixture
def cohort(tmp_path):
    """Two samples of one patient, gated, and one more that only a table knows."""
    (tmp_path / "populations.yaml").write_text(
        yaml.safe_dump(
            {
                name: {"parent": parent, "flow": "x", "absolute_anchor": ANCHORS.get(name)}
                for name, parent in PARENTS.items()
            },
            sort_keys=False,
        )
    )
    columns = ("sample_id", "patient_id", "visit", "treatment", "modality", "tissue")
    samples = [
        dict(zip(columns, values, strict=True))
        for values in (
            ("P1_b", "P1", "baseline", "dupilumab", "flow", "whole_blood"),
            ("P1_m", "P1", "month_4", "dupilumab", "flow", "whole_blood"),
            ("table_flow_P2_baseline", "P2", "baseline", "none", "flow", ""),
        )
    ]
    samples[0]["leukocytes_per_ul"] = "6000"
    write_rows(tmp_path / "samples.tsv", (*columns, "leukocytes_per_ul"), samples)
    counts = [
        {"sample_id": sample, "population": name, "parent": parent, "count": n, "parent_count": of}
        for sample in ("P1_m", "P1_b")
        for name, parent, n, of in (
            ("leukocytes", "live", 1000, 1200),
            ("eosinophils", "leukocytes", None, 1000),
            ("T_cells", "leukocytes", 0, 1000),
        )
    ]
    write_rows(
        tmp_path / "gates.tsv",
        ("sample_id", "population", "parent", "count", "parent_count"),
        counts,
    )
    medians = [
        {"sample_id": "P1_b", "population": "leukocytes", "marker": "CD3", "value": 0.5},
        {"sample_id": "P1_m", "population": "T_cells", "marker": "CD3", "value": 0.7},
    ]
    write_rows(tmp_path / "expression.tsv", ("sample_id", "population", "marker", "value"), medians)
    (tmp_path / "table.tsv").write_text(
        "patient_id\tvisit\tpopulation\tpercent\tcells_per_ul\nP2\tbaseline\tT_cells\t12.5\t900\n"
    )
    import_counts(tmp_path / "table.tsv", tmp_path / "populations.yaml", tmp_path / "imported.tsv")
    gather_populations(
        tmp_path / "samples.tsv",
        tmp_path / "populations.yaml",
        {"gate": tmp_path / "gates.tsv", "table": tmp_path / "imported.tsv"},
        [tmp_path / "expression.tsv"],
        tmp_path / "out" / "counts.tsv",
        tmp_path / "out" / "expression.tsv",
    )
    return tmp_path


@pytest.fixture
def counts(cohort):
    rows = read_rows(cohort / "out" / "counts.tsv")
    return {(row["sample_id"], row["population"]): row for row in rows}


def test_one_row_per_sample_and_population(cohort, counts):
    rows = read_rows(cohort / "out" / "counts.tsv")
    assert len(rows) == len(counts) == 7
    assert tuple(rows[0]) == COUNTS_COLUMNS
    assert [row["sample_id"] for row in rows] == ["P1_b"] * 3 + ["P1_m"] * 3 + [
        "table_flow_P2_baseline"
    ]
    assert counts["P1_m", "leukocytes"]["treatment"] == "dupilumab"
    assert counts["P1_m", "leukocytes"]["visit"] == "month_4"
    assert counts["P1_m", "leukocytes"]["source"] == "gate"


def test_percent_with_jeffreys_interval(counts):
    row = counts["P1_b", "leukocytes"]
    assert float(row["percent"]) == pytest.approx(100 * 1000 / 1200)
    low, high = (100 * beta.ppf(tail, 1000.5, 200.5) for tail in (0.025, 0.975))
    assert float(row["percent_low"]) == pytest.approx(low)
    assert float(row["percent_high"]) == pytest.approx(high)
    none = counts["P1_b", "T_cells"]
    assert (none["percent"], none["percent_low"]) == ("0", "0")
    assert float(none["percent_high"]) == pytest.approx(100 * beta.ppf(0.975, 0.5, 1000.5))


def test_what_was_not_measured_has_no_number(counts):
    row = counts["P1_b", "eosinophils"]
    assert [row[key] for key in ("count", "percent", "percent_high", "cells_per_ul")] == [""] * 4


def test_cells_per_ul_of_each_sample(counts):
    assert float(counts["P1_b", "leukocytes"]["cells_per_ul"]) == 6000
    assert counts["P1_m", "leukocytes"]["cells_per_ul"] == ""


def test_a_table_of_percentages_comes_through(counts):
    row = counts["table_flow_P2_baseline", "T_cells"]
    assert (row["source"], row["parent"]) == ("table", "lymphocytes")
    assert (row["count"], row["percent"], row["cells_per_ul"]) == ("", "12.5", "900")


def test_expression_carries_the_keys(cohort):
    rows = read_rows(cohort / "out" / "expression.tsv")
    assert tuple(rows[0]) == EXPRESSION_COLUMNS
    assert [(row["sample_id"], row["population"], row["value"]) for row in rows] == [
        ("P1_b", "leukocytes", "0.5"),
        ("P1_m", "T_cells", "0.7"),
    ]
    assert rows[1]["visit"] == "month_4"
    assert rows[0]["count"] == "1000"


def test_broken_table_is_refused_with_all_its_rows(cohort):
    (cohort / "table.tsv").write_text(
        "patient_id\tvisit\tpopulation\tpercent\nP2\tbaseline\tA\t120\nP2\tbaseline\tB\t\n"
    )
    with pytest.raises(TableError) as caught:
        import_counts(cohort / "table.tsv", cohort / "populations.yaml", cohort / "x.tsv")
    first, second = str(caught.value).splitlines()
    assert " row 2: " in first
    assert " row 3: " in second
    assert not (cohort / "x.tsv").exists()


def test_intervals_are_those_of_jeffreys(counts):
    row = counts["P1_b", "leukocytes"]
    low, high = 100 * beta.ppf([0.025, 0.975], 1000.5, 200.5)
    assert float(row["percent_low"]) == pytest.approx(low)
    assert float(row["percent_high"]) == pytest.approx(high)
    none = counts["P1_b", "T_cells"]
    assert float(none["percent_high"]) == pytest.approx(100 * beta.ppf(0.975, 0.5, 1000.5))


def test_counted_sample_of_no_sheet_is_refused(cohort):
    text = (cohort / "gates.tsv").read_text()
    (cohort / "gates.tsv").write_text(text.replace("P1_m\t", "P1_x\t"))
    with pytest.raises(TableError, match=r'gate: sample "P1_x" was counted but is in no sheet'):
        gather_populations(
            *(cohort / "samples.tsv", cohort / "populations.yaml"),
            {"gate": cohort / "gates.tsv"},
            [],
            *(cohort / "out" / "counts.tsv", cohort / "out" / "expression.tsv"),
        )


def test_a_table_cannot_count_what_the_tissue_has_lost(tmp_path):
    """Eosinophils in PBMC are not measured, whatever the table says; never 0."""
    vocabulary = {
        "leukocytes": {"parent": None, "flow": "x"},
        "eosinophils": {"parent": "leukocytes", "flow": "x", "not_measured_in": ["pbmc"]},
        "T_cells": {"parent": "leukocytes", "flow": "x"},
    }
    (tmp_path / "populations.yaml").write_text(yaml.safe_dump(vocabulary))
    columns = ("sample_id", "patient_id", "visit", "treatment", "modality", "tissue")
    samples = [(f"S{n}", "P1", n, "none", "flow", t) for n, t in enumerate(("pbmc", "whole_blood"))]
    named = (dict(zip(columns, sample, strict=True)) for sample in samples)
    write_rows(tmp_path / "samples.tsv", columns, named)
    columns = ("sample_id", "population", "parent", "count", "parent_count", "percent")
    measured = [
        dict(zip(columns, (f"S{n}", name, "leukocytes", count, 100, count), strict=True))
        for n in (0, 1)
        for name, count in (("eosinophils", 0), ("T_cells", 30))
    ]
    write_rows(tmp_path / "imported.tsv", columns, measured)
    gather_populations(
        *(tmp_path / "samples.tsv", tmp_path / "populations.yaml"),
        {"table": tmp_path / "imported.tsv"},
        [],
        *(tmp_path / "counts.tsv", tmp_path / "expression.tsv"),
    )
    found = {
        (row["sample_id"], row["population"]): (row["count"], row["percent"])
        for row in read_rows(tmp_path / "counts.tsv")
    }
    assert found["S0", "eosinophils"] == ("", "")
    assert found["S1", "eosinophils"] == ("0", "0")
    assert found["S0", "T_cells"] == ("30", "30")


@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        ("P2\tbaseline\tA\t-1\t20\t", "a count is a whole number of events, 0 or more"),
        ("P2\tbaseline\tA\t1.5\t20\t", 'percentages go into the column "percent"'),
        ("P2\tbaseline\tA\t30\t20\t", "are the two swapped?"),
        ("P2\tbaseline\tA\t3\t\t", 'fill in both or give "percent"'),
        ("P2\tbaseline\tA\t\t\t", "fill in one of them"),
        ("P2\tbaseline\tA\t\t\t101", "a percentage lies between 0 and 100"),
        ("P2\tbaseline\tT_cells\t3\t20\t", "keep one of them"),
        ("P2\tbaseline\tT_helper\t4\t20\t", "correct one of them, or name another parent"),
    ],
)
def test_import_names_file_row_and_remedy(cohort, row, remedy):
    if "T_helper" in row:
        row = f"{row}\tT_cells"
    header = "patient_id\tvisit\tpopulation\tcount\tparent_count\tpercent\tparent"
    table = cohort / "table.tsv"
    table.write_text(f"{header}\nP2\tbaseline\tT_cells\t3\t20\n{row}\n")
    with pytest.raises(TableError) as caught:
        import_counts(table, cohort / "populations.yaml", cohort / "x.tsv")
    message = str(caught.value)
    assert message.startswith(f"{table} row 3: ")
    assert remedy in message
    assert len(message.splitlines()) == 1


def test_clusters_name_their_own_source_and_are_anchored_as_what_they_are_a_part_of(cohort):
    columns = ("sample_id", "source", "population", "parent", "count", "parent_count")
    rows = [
        ("P1_b", "cluster", "leukocytes", "", 1000, 1000),
        ("P1_b", "cluster", "T_cells", "leukocytes", 300, 1000),
        ("P1_b", "single_cluster", "cluster_07", "T_cells", 30, 300),
    ]
    write_rows(cohort / "c.tsv", columns, [dict(zip(columns, row, strict=True)) for row in rows])
    medians = ("sample_id", "source", "population", "marker", "value")
    row = dict(zip(medians, ("P1_b", "single_cluster", "cluster_07", "CD3", 0.7), strict=True))
    write_rows(cohort / "e.tsv", medians, [row])
    gather_populations(
        *(cohort / "samples.tsv", cohort / "populations.yaml"),
        {"clusters": cohort / "c.tsv"},
        [cohort / "e.tsv"],
        *(cohort / "counts.tsv", cohort / "medians.tsv"),
    )
    found = {row["population"]: row for row in read_rows(cohort / "counts.tsv")}
    assert found["cluster_07"]["source"] == "single_cluster"
    leukocytes = float(found["leukocytes"]["cells_per_ul"])
    assert float(found["cluster_07"]["cells_per_ul"]) == pytest.approx(leukocytes * 30 / 1000)
    (median,) = read_rows(cohort / "medians.tsv")
    assert (median["source"], median["count"], median["value"]) == ("single_cluster", "30", "0.7")
