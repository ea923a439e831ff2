import pytest

from biocross.cohort.sheets import Problem, did_you_mean, load_yaml, read_sheet, schema_problems
from biocross.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "known", "ending"),
    [
        ("P07", ["P7", "P1"], '; did you mean "P7"?'),
        ("month4", ["baseline", "month_4"], '; did you mean "month_4"?'),
        ("SIGLEC 8", ["Siglec-8", "CD3"], '; did you mean "Siglec-8"?'),
        ("xyz", ["b", "a"], "; known are: a, b"),
        ("xyz", "abcdefghijklm", "; known are: a, b, c, d, e, f, g, h, i, j, k, l ..."),
        ("xyz", [], ""),
        (3, ["CD3"], "; known are: CD3"),
    ],
)
def test_did_you_mean(word, known, ending):
    assert did_you_mean(word, known) == ending


def test_problem_names_file_and_row():
    assert str(Problem("samples.tsv", 3, "is odd")) == "samples.tsv row 3: is odd"
    assert str(Problem("samples.tsv", None, "is odd")) == "samples.tsv: is odd"


@pytest.fixture
def read(tmp_path):
    def run(text, schema="patients"):
        path = tmp_path / "sheet.tsv"
        path.write_text(text)
        rows, problems = read_sheet(path, schema)
        return rows, [str(problem).replace(f"{tmp_path}/", "") for problem in problems]

    return run


def test_cells_are_typed_and_empty_ones_left_out(read):
    rows, problems = read("patient_id\ttreatment\tage\tbmi\tsite\n007\t12\t50\t23.5\t\n")
    assert problems == []
    assert rows[0].cells == {"patient_id": "007", "treatment": "12", "age": 50, "bmi": 23.5}


def test_rows_carry_the_numbers_of_the_file(read):
    rows, _ = read("patient_id\ttreatment\n\nP1\ta\n\t\n\nP2\tb\n\n")
    assert [(row.number, row.cells["patient_id"]) for row in rows] == [(3, "P1"), (6, "P2")]


@pytest.mark.parametrize("word", ["nan", "inf", "-Infinity"])
def test_words_that_python_takes_for_numbers(read, word):
    _, problems = read(f"patient_id\tvisit\tfeno_ppb\nP1\tbaseline\t{word}\n", "clinical")
    assert problems == [
        f'sheet.tsv row 2: "feno_ppb" is "{word}", but must be a number, or empty if unknown'
    ]


def test_missing_column_is_named_once(read):
    _, problems = read("patient_id\tage\nP1\t50\nP2\told\n")
    assert problems == [
        'sheet.tsv row 1: column "treatment" is missing',
        "sheet.tsv row 3: \"age\" is 'old': an age in years is between 0 and 120",
    ]


def test_several_missing_cells_are_one_problem(read):
    _, problems = read("patient_id\ttreatment\tage\n\t\t50\n")
    assert problems == [
        'sheet.tsv row 2: "patient_id", "treatment" are missing; please fill them in'
    ]


def test_numbers_are_still_checked_where_a_column_is_missing(read):
    _, problems = read("patient_id\tfeno_ppb\nP1\tlow\n", "clinical")
    assert len(problems) == 2
    assert problems[1].startswith('sheet.tsv row 2: "feno_ppb" is "low", but must be a number')


def test_schema_problem_of_the_whole_value():
    (problem,) = schema_problems("x.yaml", None, [], {"type": "object"})
    assert str(problem).startswith("x.yaml: ")
    assert str(problem).endswith('is "[]", but must be of type object')


def test_load_yaml(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert load_yaml(path) == {"a": 1}
    path.write_bytes(b"a: \xb5\n")
    with pytest.raises(ConfigError, match=r"x\.yaml: cannot be read as UTF-8 text"):
        load_yaml(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path)
