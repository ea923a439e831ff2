import datetime
import zipfile

import openpyxl
import pytest

from biocross.cohort.sheets import read_sheet
from biocross.cohort.workbook import read_workbook
from biocross.errors import TableError


@pytest.fixture
def book(tmp_path):
    """Write rows as the first worksheet of a workbook; another one stands behind it."""

    def write(*rows):
        made = openpyxl.Workbook()
        for row in rows:
            made.active.append(row)
        made.create_sheet("notes").append(["not", "this"])
        made.save(tmp_path / "sheet.xlsx")
        return tmp_path / "sheet.xlsx"

    return write


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("P1 ", "P1 "),
        (7, "7"),
        (7.0, "7"),
        (6500.5, "6500.5"),
        (0.1 + 0.2, "0.3"),
        (True, "TRUE"),
        (datetime.datetime(2019, 3, 29), "2019-03-29"),
        (datetime.datetime(2019, 3, 29, 8, 30), "2019-03-29T08:30"),
        (datetime.time(8, 30), "08:30"),
        (datetime.time(8, 30, 15), "08:30:15"),
    ],
)
def test_cells_as_text(book, value, text):
    assert read_workbook(book(["a", "b"], [value, "end"]))[1] == [text, "end"]


def test_rows_have_the_numbers_of_excel(book):
    path = book(["patient_id", "treatment"], [], ["P1", "a"], [None, None], ["P2"])
    rows, problems = read_sheet(path, "patients")
    assert [(row.number, row.cells["patient_id"]) for row in rows] == [(3, "P1"), (5, "P2")]
    assert [problem.row for problem in problems] == [5]


def test_a_size_that_is_stored_wrong(book, tmp_path):
    """Some programs write that the sheet is one cell; openpyxl would believe them."""
    path, wrong = book(["a", "b"], [1, 2], [3, 4]), tmp_path / "wrong.xlsx"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(wrong, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            assert name != "xl/worksheets/sheet1.xml" or b'ref="A1:B3"' in content
            copy.writestr(name, content.replace(b'ref="A1:B3"', b'ref="A1"'))
    assert read_workbook(wrong) == [["a", "b"], ["1", "2"], ["3", "4"]]


@pytest.mark.parametrize("content", [b"", b"a\tb\n", b"PK\x03\x04rest", b"\xd0\xcf\x11\xe0locked"])
def test_no_workbook(tmp_path, content):
    path = tmp_path / "sheet.xlsx"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"sheet\.xlsx: cannot be read as an Excel workbook"):
        read_workbook(path)


def test_missing_and_empty(tmp_path, book):
    with pytest.raises(TableError, match=r"gone\.xlsx: there is no such file"):
        read_workbook(tmp_path / "gone.xlsx")
    (problem,) = read_sheet(book(), "patients")[1]
    assert problem.message == "is empty; its first line must name the columns"


def test_workbooks_of_apsis(test_data):
    metadata = read_workbook(test_data / "apsis" / "Metadata.xlsx")
    assert metadata[0][:4] == ["file_name", "sample_id", "timepoint", "patient_id"]
    assert metadata[1][1:5] == ["p6.1t0", "t0", "2", "yes"]
    rows, problems = read_sheet(test_data / "apsis" / "panel_V3.xlsx", "panel")
    assert rows[0].cells == {
        "name": "BCKG190Di",
        "Antigen": "190BCKG_BCKG",
        "Lineage": "0",
        "Functional": "0",
    }
    assert [problem.row for problem in problems] == [1] * 7
