import math

import pytest

from biocross.cohort.frequency_table import frequency_samples, read_frequencies
from biocross.cohort.vocabulary import Population

VOCABULARY = {
    "leukocytes": Population("leukocytes", None, None),
    "T_cells": Population("T_cells", "leukocytes", "leukocytes"),
}
HEADER = "patient_id\tvisit\tpopulation\tcount\tparent_count\tpercent\tparent\tcells_per_ul"


@pytest.fixture
def read(tmp_path):
    def run(*rows, header=HEADER):
        path = tmp_path / "counts.tsv"
        path.write_text("\n".join([header, *rows]) + "\n")
        frequencies, problems = read_frequencies(path, VOCABULARY)
        return frequencies, [str(problem).replace(f"{tmp_path}/", "") for problem in problems]

    return run


def test_counts(read):
    (row,), problems = read("P1\tbaseline\tT_cells\t30\t120\t\t\t210.5")
    assert problems == []
    assert (row.count, row.parent_count, row.percent) == (30, 120, 25.0)
    assert row.parent == "leukocytes"
    assert row.cells_per_ul == 210.5
    assert row.sample.patient_id == "P1"
    assert row.sample.visit == "baseline"
    assert row.sample.modality == "flow"


def test_percentages_alone(read):
    (row,), problems = read("P1\tbaseline\tNKT\t\t\t0.5\tT cells\t")
    assert problems == []
    assert (row.count, row.parent_count, row.percent) == (None, None, 0.5)
    assert row.parent == "T cells"


def test_an_empty_parent_gives_no_percentage(read):
    (row,), problems = read("P1\tbaseline\tT_cells\t0\t0\t\t\t")
    assert problems == []
    assert math.isnan(row.percent)


def test_samples_are_named_once(read):
    frequencies, _ = read(
        "P1\tbaseline\tT_cells\t1\t2",
        "P1\tbaseline\tNKT\t1\t2",
        "P1\tmonth_4\tNKT\t1\t2",
        "P2\tbaseline\tNKT\t1\t2",
    )
    samples = frequency_samples(frequencies)
    assert [(sample.patient_id, sample.visit) for sample in samples] == [
        ("P1", "baseline"),
        ("P1", "month_4"),
        ("P2", "baseline"),
    ]
    assert len({sample.sample_id for sample in samples}) == 3


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("P1\tb\tA\t30\t20", '"count" 30 is above its "parent_count" 20'),
        ("P1\tb\tA\t3.5\t20", "counts are whole numbers of events"),
        ("P1\tb\tA\t3", '"count" and "parent_count" go together; fill in both or give "percent"'),
        ("P1\tb\tA", 'has neither "count" with "parent_count" nor "percent"'),
        ("P1\tb\tA\t-3\t20", '"count" is -3: a count is a whole number of events, 0 or more'),
        ("P1\tb\tA\t\t\t101", '"percent" is 101.0: a percentage lies between 0 and 100'),
        ("P1\tb\tA\tmany\t20", "\"count\" is 'many': a count is a whole number of events"),
        ("P1\t\tA\t3\t20", '"visit" is missing; please fill it in'),
    ],
)
def test_broken_row(read, row, sentence):
    frequencies, problems = read("P9\tbaseline\tA\t1\t2", row)
    assert frequencies == []
    assert len(problems) == 1
    assert problems[0].startswith(f"counts.tsv row 3: {sentence}")


def test_repeated_row(read):
    _, problems = read("P1\tb\tA\t1\t2", "P1\tb\tB\t1\t2", "P1\tb\tA\t2\t2")
    (problem,) = problems
    assert problem.startswith("counts.tsv row 4: repeats row 2: the same population of the same")


def test_unknown_column(read):
    _, problems = read("P1\tb\tA\t5", header="patient_id\tvisit\tpopulation\tpercnt")
    assert 'counts.tsv row 1: unknown column "percnt"; did you mean "percent"?' in problems


def test_child_above_its_parent_names_both_rows(read):
    """The parent's own row counts, by the table's parent or else by the vocabulary's."""
    frequencies, problems = read(
        "P1\tb\tleukocytes\t100\t200",
        "P1\tb\tT_cells\t120\t150",
        "P1\tb\tTh2\t130\t140\t\tT_cells",
        "P1\tm\tT_cells\t120\t150",  # another sample, whose leukocytes have no row
    )
    assert frequencies == []
    assert problems == [
        'counts.tsv row 3: "count" 120 of T_cells is above the 100 of its parent leukocytes in '
        "row 2; correct one of them, or name another parent",
        'counts.tsv row 4: "count" 130 of Th2 is above the 120 of its parent T_cells in row 3; '
        "correct one of them, or name another parent",
    ]


def test_parent_may_come_later_and_be_as_large(read):
    frequencies, problems = read("P1\tb\tT_cells\t100\t150", "P1\tb\tleukocytes\t100\t200")
    assert problems == []
    assert len(frequencies) == 2
    _, problems = read("P1\tb\tT_cells\t101\t150", "P1\tb\tleukocytes\t100\t200")
    assert [problem.split(":")[0] for problem in problems] == ["counts.tsv row 2"]


def test_percentages_have_no_counts_to_compare(read):
    _, problems = read("P1\tb\tleukocytes\t\t\t10", "P1\tb\tT_cells\t\t\t90")
    assert problems == []


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["P1\tb\tA\t1\t2\t\tA"], "counts.tsv row 2: A within A: a population cannot lie within"),
        (
            ["P1\tb\tA\t1\t2\t\tB", "P1\tb\tB\t1\t2\t\tA", "P1\tb\tC\t1\t2\t\tA"],
            "counts.tsv row 2: A within B within A: a population cannot lie within itself; "
            "correct its parent",
        ),
    ],
)
def test_population_within_itself(read, rows, sentence):
    _, problems = read(*rows)
    assert problems[0].startswith(sentence)
    assert len(problems) == (1 if len(rows) == 1 else 2)


def test_two_tissues_of_one_sample(read):
    _, problems = read(
        "P1\tb\tA\t5\tpbmc",
        "P1\tb\tB\t5\t",
        "P1\tm\tA\t5\twhole_blood",
        header="patient_id\tvisit\tpopulation\tpercent\ttissue",
    )
    assert problems == [
        'counts.tsv row 3: tissue "" of the sample that has tissue "pbmc" in row 2; '
        "write the same in all its rows"
    ]


def test_every_message_has_a_remedy(read):
    _, problems = read("P1\tb\tA\t30\t20", "P1\tb\tB", "P1\tb\tC\t3.5\t20", "P1\tb\tA\t1\t2")
    remedies = ("are the two swapped?", "fill in one of them", "percentages go into", "keep one")
    for problem, remedy in zip(problems, remedies, strict=True):
        assert remedy in problem
