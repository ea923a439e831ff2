import pytest

from biocross.cohort.sheets import (
    Problem,
    caution,
    did_you_mean,
    load_yaml,
    read_sheet,
    schema_problems,
)
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
    assert Problem("samples.tsv", 3, "is odd").is_error
    assert not caution("samples.tsv", "is odd").is_error


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


@pytest.mark.parametrize(
    ("header", "read_as"),
    [
        ("Sample ID", "sample_id"),
        ("SAMPLE-ID", "sample_id"),
        ("sampleId", "sample_id"),
        (" Batch. ", "batch"),
        ("Batches", "Batches"),
    ],
)
def test_headers_as_people_write_them(tmp_path, header, read_as):
    path = tmp_path / "samples.tsv"
    path.write_text(f"{header}\tvisit\n1\tbaseline\n")
    rows, _ = read_sheet(path, "samples")
    assert rows[0].cells == {read_as: "1", "visit": "baseline"}


@pytest.mark.parametrize("header", ["Leukocytes per µl", "LEUKOCYTES_PER_UL", "leukocytes/µL"])
def test_blood_counts_as_people_write_them(read, header):
    text = f"patient_id\tvisit\t{header}\nP1\tbaseline\t5000\n"
    read_as = "leukocytes_per_ul" if "/" not in header else header
    assert read_as in read(text, "clinical")[0][0].cells


def test_two_headers_that_could_be_one_are_left_alone(read):
    """Which of the two would be the patient?"""
    rows, problems = read("Patient ID\tpatient-id\ttreatment\nP1\tP2\ta\n")
    assert rows[0].cells == {"Patient ID": "P1", "patient-id": "P2", "treatment": "a"}
    assert problems == ['sheet.tsv row 1: column "patient_id" is missing']
    rows, _ = read("patient_id\tPatient ID\ttreatment\nP1\tP2\ta\n")
    assert rows[0].cells == {"patient_id": "P1", "Patient ID": "P2", "treatment": "a"}


def test_decimal_commas_where_semicolons_separate(read):
    rows, problems = read(
        "patient_id;visit;feno_ppb;draw_time\nP1;baseline;12,5;8,30\nP2;baseline;7;", "clinical"
    )
    assert problems == []
    assert [row.cells["feno_ppb"] for row in rows] == [12.5, 7]
    assert rows[0].cells["draw_time"] == "8,30"


@pytest.mark.parametrize("value", ["1.234,5", "1,234,567", "12,5 ppb"])
def test_commas_that_are_no_decimal_commas(read, value):
    _, problems = read(f"patient_id;visit;feno_ppb\nP1;baseline;{value}\n", "clinical")
    assert len(problems) == 1
    assert f'"feno_ppb" is "{value}", but must be a number' in problems[0]


def test_a_decimal_comma_between_tabs_is_asked_about(read):
    """7,000 could be seven thousand."""
    _, problems = read("patient_id\tvisit\tfeno_ppb\nP1\tbaseline\t7,000\n", "clinical")
    assert problems == [
        'sheet.tsv row 2: "feno_ppb" is "7,000", but must be a number (with a decimal point, '
        "without commas), or empty if unknown"
    ]


def test_quoted_cells_may_hold_the_separator(read):
    rows, problems = read('"patient_id","treatment"\n"P1","a, then b"\n')
    assert problems == []
    assert rows[0].cells["treatment"] == "a, then b"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.json", b'{"a": 1}', "a .json file is no sheet; give a table, .tsv or .xlsx"),
        ("x.xls", b"\xd0\xcf\x11\xe0", "a .xls file is no sheet; save it as .xlsx"),
        ("x.fcs", b"FCS3.1", "a .fcs file is no sheet; give a table, .tsv or .xlsx"),
        ("x.tsv", b'{"a": 1}', "looks like JSON or XML, not like a table; export it as text"),
        ("x.tsv", b"PK\x03\x04", "is a workbook or archive; name it .xlsx, or export it as text"),
        ("x.tsv", b"a\0\t\0b\0", "is not a text table; export it as tab-separated UTF-8"),
        ("x.json", None, "there is no such file"),
    ],
)
def test_files_that_are_no_sheets(tmp_path, name, content, expected):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert read_sheet(path, "patients") == ([], [Problem(str(path), None, expected)])


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "gating.yaml"
    path.write_text("gates:\n  T_cells: {}\n  B_cells: {}\n  T_cells: {}\n")
    with pytest.raises(ConfigError, match='"T_cells" in line 4 is already in line 2'):
        load_yaml(path)
