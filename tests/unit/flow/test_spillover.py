import numpy as np
import pytest

from biocross.errors import FcsError
from biocross.flow.spillover import (
    Spillover,
    clean_channel,
    match_channels,
    normalise_spillover,
    parse_spillover,
    spillover_problems,
    unread_compensation,
)

CHANNELS = {"par": "4", "p1n": "FSC-A", "p2n": "FITC-A", "p3n": "PE-A", "p4n": "Time"}


def parse(**keywords):
    return parse_spillover({**CHANNELS, **keywords}, "a.fcs")


def sentences(matrix, names=("A", "B"), channels=None):
    return spillover_problems(Spillover(tuple(names), np.array(matrix, dtype=float)), channels)


@pytest.mark.parametrize(("key", "source"), [("spillover", "$SPILLOVER"), ("spill", "SPILL")])
def test_named_matrix(key, source):
    found = parse(**{key: "2,FITC-A, PE-A,1,0.25,0.01,1"})
    assert found.channels == ("FITC-A", "PE-A")
    assert found.matrix.tolist() == [[1, 0.25], [0.01, 1]]
    assert found.source == source


def test_standard_keyword_before_the_older_ones():
    old = {"spill": "2,FITC-A,PE-A,1,0.5,0,1", "comp": "2,1,0.7,0,1"}
    assert parse(spillover="2,FITC-A,PE-A,1,0.25,0,1", **old).matrix[0, 1] == 0.25
    assert parse(**old).matrix[0, 1] == 0.5
    assert parse(comp=old["comp"]).matrix[0, 1] == 0.7


@pytest.mark.parametrize("text", ["", " ", "0", "0,"])
def test_no_matrix(text):
    assert parse(spillover=text) is None
    assert parse(comp=text) is None
    assert unread_compensation({**CHANNELS, "comp": text}) == ""


def test_channel_names_with_commas_and_numbers_for_names():
    found = parse_spillover(
        {"par": "2", "p1n": "PE,Cy7", "p2n": "B", "spill": "2,PE,Cy7,B,1,0.1,0.2,1"}, "a.fcs"
    )
    assert found.channels == ("PE,Cy7", "B")
    assert found.matrix.tolist() == [[1, 0.1], [0.2, 1]]
    assert parse(spill="2,2,3,1,0.1,0.2,1").channels == ("FITC-A", "PE-A")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2,FITC-A,PE-A,1,0.25,0.01", "cannot be parsed; give"),
        ("2,FITC-A", "cannot be parsed; give"),
        ("3", "cannot be parsed; give"),
        ("two,FITC-A,PE-A,1,0,0,1", "cannot be parsed; give"),
        ("99999999999", "cannot be parsed; give"),
        ("2,FITC-A,PE-A,1,x,0,1", "cannot be parsed; give"),
        ("2,FITC-A,PE-A,1,nan,0,1", "cannot be parsed; give"),
        ("2,FITC-A,PE-A,1,0,25,0,01,1", "written with decimal commas"),
        ("2,PE-A,PE-A,1,0,0,1", "names a channel twice"),
    ],
)
def test_broken_matrix(text, why):
    with pytest.raises(FcsError, match=rf"^a\.fcs: .*{why}"):
        parse(spill=text)


def test_unnamed_matrix_of_fcs_3():
    """For as many channels as the file has, or as many as fluoresce; percent are divided."""
    assert parse(comp="2,100,25,1,100").channels == ("FITC-A", "PE-A")
    np.testing.assert_allclose(parse(comp="2,100,25,1,100").matrix, [[1, 0.25], [0.01, 1]])
    every = ",".join("1" if row == column else "0" for row in range(4) for column in range(4))
    assert parse(comp=f"4,{every}").channels == ("FSC-A", "FITC-A", "PE-A", "Time")


@pytest.mark.parametrize(
    "text",
    ["3,1,0,0,0,1,0,0,0,1", "2,1,-26.1,0,1", "2,2,0,0,1", "2,1,0,0", "2,1,x,0,1"],
    ids=["other channels", "subtractions", "diagonal", "short", "text"],
)
def test_unnamed_matrix_of_unknown_meaning_is_reported_not_applied(text):
    assert parse(comp=text) is None
    assert "$COMP is not applied" in unread_compensation({**CHANNELS, "comp": text})


def test_deferred_compensation_is_reported():
    assert unread_compensation({"dfc1to2": "0.00", "dfc2to1": "0"}) == ""
    found = unread_compensation({"dfc1to2": "0.00", "dfc1to3": "28.40"})
    assert "$DFC1TO3 = 28.40 %" in found


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("Comp-PE-A", "PE-A"),
        ("FJComp-PE-A", "PE-A"),
        (" PE-A :: CD4 ", "PE-A"),
        ("Comp-PE-A :: CD4", "PE-A"),
        ("<PE-A>", "PE-A"),
        ("Compound-A", "Compound-A"),
    ],
)
def test_clean_channel(name, clean):
    assert clean_channel(name) == clean


def test_matrix_takes_the_names_of_the_file():
    matrix = Spillover(("pe cy7-a", "FITC-A", "Z", "B-A", "B A"), np.eye(5))
    found = match_channels(matrix, ["FSC-A", "PE-Cy7-A", "FITC-A", "Fitc A", "B-A", "b_a"])
    assert found.channels == ("PE-Cy7-A", "FITC-A", "Z", "B-A", "B A")


def test_good_matrix_has_no_problem():
    assert sentences([[1, 0.3], [0.01, 1]], channels=("A", "B", "FSC-A", "Time")) == []


@pytest.mark.parametrize(
    ("matrix", "severity", "words"),
    [
        ([[1, np.nan], [0, 1]], "error", "spill of A into B is not a number"),
        ([[1, 0.5]], "error", "not square"),
        ([[1, 0.5], [0, 0]], "error", "diagonal of B is 0 instead of 1"),
        ([[1, 0.5], [0, -1]], "error", "diagonal of B is -1 instead of 1"),
        ([[1, 0.5], [0, 2]], "warning", "diagonal of B is 2 instead of 1; rows are divided"),
        ([[1, 1], [1, 1]], "error", "singular; A and B are most alike"),
        ([[1, 0.9], [0.9, 1]], "warning", "A and B spill nearly alike"),
        ([[1, 1.3], [0, 1]], "warning", "A spills 1.3 into B: the dye would be brighter"),
        ([[1, 0.3], [-0.2, 1]], "warning", "B spills -0.2 into A: light cannot be negative"),
        ([[1, 1e-6], [0, 1]], "warning", "nothing is compensated"),
    ],
)
def test_problem_of_a_matrix(matrix, severity, words):
    found = [problem for problem in sentences(matrix) if words in problem[1]]
    assert [problem[0] for problem in found] == [severity]


def test_borders_of_plausible_spill():
    assert sentences([[1, 0.99], [-0.04, 1]]) == []
    assert sentences([[1, 0.8], [0.8, 1]]) == []


def test_problems_with_the_channels_of_a_file():
    channels = ("FSC-A", "PE-A", "FITC-A", "APC-A", "PE-H", "Time")
    found = sentences([[1, 0.3], [0, 1]], ("FITC-A", "PE-B"), channels)
    assert ("error", 'the spillover matrix names "PE-B", which is no channel of the file') in [
        (severity, text.split(" (did")[0]) for severity, text in found
    ]
    assert any('did you mean "PE-' in text for _, text in found)
    listed = sentences([[1, 0.3], [0, 1]], ("FITC-A", "PE-A"), channels)
    assert listed == [("note", "not in the spillover matrix, so left as measured: APC-A")]


def test_rows_are_scaled_by_their_diagonal():
    found = normalise_spillover(Spillover(("A", "B"), np.array([[2, 1], [1, 4.0]])))
    assert found.matrix.tolist() == [[1, 0.5], [0.25, 1]]
