"""The sheet that maps gates to populations: read, checked and proposed."""

from pathlib import Path

import pytest

from biocross.cohort.vocabulary import load_vocabulary
from biocross.flow.imported.gate_paths import propose_gate_paths, read_gate_paths
from biocross.flow.imported.load import load_gates

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def vocabulary():
    return load_vocabulary(ROOT / "config" / "populations.yaml")


@pytest.fixture
def gates(write_workspace, parts):
    """A workspace: two samples of one tree, of which the second lacks CD8."""

    def drawn(channel="FL1-A", value=5):
        return parts["shape"]("RectangleGate", parts["axis"](channel, value))

    def tree(*last):
        below = [parts["population"](name, drawn()) for name in ("CD4 T cells", *last)]
        below.append(parts["population"]("odd", drawn(value="x")))
        return parts["population"]("T cells", drawn(), *below)

    return load_gates(
        write_workspace(
            parts["sample"]("a.fcs", tree("CD8"), key="1"),
            parts["sample"]("b.fcs", tree(), key="2"),
        )
    )


@pytest.fixture
def read(tmp_path, gates, vocabulary):
    """Read a sheet of these rows."""

    def read_rows(*rows, keys=(("sa", "1"), ("sb", "2")), columns="gate\tpopulation\tparent"):
        path = tmp_path / "gate_paths.tsv"
        path.write_text("\n".join([columns, *("\t".join(row) for row in rows)]), "utf-8")
        return read_gate_paths(path, gates, vocabulary, dict(keys))

    return read_rows


def test_a_right_sheet_has_no_problems(read):
    rows, problems = read(("T cells", "T_cells", ""), ("T cells/CD4 T cells", "CD4_T", "T_cells"))
    assert problems == []
    assert [(row.gate, row.population, row.parent) for row in rows] == [
        ("T cells", "T_cells", None),
        ("T cells/CD4 T cells", "CD4_T", "T_cells"),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("T cels/CD4 T cells", "CD4_T", ""), 'did you mean "T cells/CD4 T cells"?'),
        (("T cells/CD4 T cells", "CD4T", ""), 'did you mean "CD4_T"?'),
        (("T cells/CD4 T cells", "T_cells", ""), 'population "T_cells" is in row 2 already'),
        (("T cells", "CD4_T", ""), 'gate "T cells" is in row 2 already'),
        (("T cells/odd", "CD4_T", ""), '"T cells/odd" cannot be used: its "min" is "x"'),
        (("T cells/CD4 T cells", "CD4_T", "lymphocytes"), '"lymphocytes" has no gate'),
        (("T cells/CD4 T cells", "", ""), '"population" is missing'),
    ],
)
def test_every_mistake_is_named_in_its_row(read, row, message):
    rows, problems = read(("T cells", "T_cells", ""), row)
    assert [row.gate for row in rows] == ["T cells"]
    (problem,) = problems
    assert problem.is_error
    assert problem.row == 3
    assert message in problem.message


def test_a_gate_of_some_samples_is_a_warning_that_promises_no_zero(read):
    rows, problems = read(("T cells/CD8", "CD8_T", ""))
    assert len(rows) == 1
    (problem,) = problems
    assert not problem.is_error
    assert "1 sample of 2 (sb)" in problem.message
    assert "no count of CD8_T, not a count of zero" in problem.message


def test_a_gate_of_no_sample_of_the_cohort_is_an_error(read):
    _, problems = read(("T cells/CD8", "CD8_T", ""), keys=[("sb", "2")])
    assert [p.message for p in problems] == ['"T cells/CD8" is a gate of no sample of this cohort']


def test_an_unknown_column_is_named(read):
    _, problems = read(("T cells", "T_cells"), columns="gate\tpopulations")
    assert any('did you mean "population"?' in p.message for p in problems)


def test_a_proposal_is_a_sheet_without_problems(read, gates, vocabulary):
    proposal = propose_gate_paths(gates, vocabulary)
    rows, problems = read(*((row.gate, row.population, "") for row in proposal.rows))
    assert [(row.gate, row.population) for row in rows] == [
        ("T cells", "T_cells"),
        ("T cells/CD4 T cells", "CD4_T"),
        ("T cells/CD8", "CD8_T"),
    ]
    assert not any(problem.is_error for problem in problems)
    assert "T cells/odd" not in proposal.unmapped


NAMED = {
    "CD4+ T cells": "CD4_T",
    "CD3+ CD4+ CD8-": "CD4_T",
    "Live singlets": "live_singlets",
    "Tregs": "Treg",
    "Regulatory T cells": "Treg",
    "γδ T cells": "gd_T",
    "Non-classical monocytes": "monocytes_nonclassical",
    "B-cells": "B_cells",
    "Eos": "eosinophils",
    "ILC2s": "ILC2",
    "CD3+CD19-": "T_cells",
    # Names that exclude or add something, and are then another population.
    "CD4-": None,
    "CD4- T cells": None,
    "CD45+CD3-": None,
    "IL2+-": None,
    "NK T cells": None,
    "CD4+IFNg+": None,
    "stuff": None,
}


@pytest.mark.parametrize(("name", "population"), NAMED.items())
def test_names_are_understood_or_left_alone(write_gatingml, parts, vocabulary, name, population):
    gate = parts["gatingml_gate"](name, "RectangleGate", parts["axis"]("FL1-A", 1))
    proposal = propose_gate_paths(load_gates(write_gatingml(gate)), vocabulary)
    assert [row.population for row in proposal.rows] == ([population] if population else [])
    assert bool(proposal.unmapped) == (population is None)


def propose(write_gatingml, parts, vocabulary, *chain):
    """Propose for gates drawn under each other, given as name and channel."""
    document, parent = "", None
    for name, channel in chain:
        shape = parts["gatingml_gate"](
            name, "RectangleGate", parts["axis"](channel, 1), parent=parent
        )
        document, parent = document + shape, name
    return propose_gate_paths(load_gates(write_gatingml(document)), vocabulary)


def test_the_gates_above_complete_a_name(write_gatingml, parts, vocabulary):
    chain = ("T cells", "FL1-A"), ("CD4", "FL1-A"), ("naive", "FL2-A")
    proposal = propose(write_gatingml, parts, vocabulary, *chain)
    assert [row.population for row in proposal.rows] == ["T_cells", "CD4_T", "CD4_naive"]


def test_cd4_outside_of_t_cells_is_no_t_cell(write_gatingml, parts, vocabulary):
    """Monocytes express CD4 dimly."""
    proposal = propose(write_gatingml, parts, vocabulary, ("CD3-", "FL1-A"), ("CD4+", "FL2-A"))
    assert proposal.rows == ()


def test_a_scatter_gate_is_not_yet_a_population(write_gatingml, parts, vocabulary):
    chain = ("Lymphocytes", "FSC-A"), ("Monocytes", "FL1-A")
    proposal = propose(write_gatingml, parts, vocabulary, *chain)
    assert proposal.unmapped == {
        "Lymphocytes": "drawn on scatter alone, which is not yet lymphocytes"
    }


def test_of_two_gates_of_one_name_the_upper_is_the_population(write_gatingml, parts, vocabulary):
    chain = ("T cells", "FL1-A"), ("T-cells", "FL2-A")
    proposal = propose(write_gatingml, parts, vocabulary, *chain)
    assert [row.gate for row in proposal.rows] == ["T cells"]
    assert proposal.unmapped == {"T cells/T-cells": '"T cells" is T_cells already'}


def test_a_gate_may_be_that_of_counting_beads(read):
    rows, problems = read(("T cells", "counting_beads", ""))
    assert problems == []
    assert [row.population for row in rows] == ["counting_beads"]
