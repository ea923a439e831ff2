import numpy as np
import pytest

from biocross.errors import ConfigError
from biocross.flow.spillover import Spillover
from biocross.flow.spillover_tables import read_spillover, write_spillover

EXPECTED = [[1, 0.25], [0.01, 1]]


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "matrix.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_spillover(path)

    return read


@pytest.mark.parametrize(
    "text",
    [
        "FITC-A,PE-A\n1,0.25\n0.01,1\n",
        "# FITC-A,PE-A\n1,0.25\n0.01,1\n",
        ",FITC-A,PE-A\nFITC-A,1,0.25\nPE-A,0.01,1\n",
        "Channel\tFITC-A\tPE-A\nFITC-A\t1\t0.25\nPE-A\t0.01\t1\n",
        ",FITC-A,PE-A\nPE-A,0.01,1\nFITC-A,1,0.25\n",
        ",FITC-A :: CD3,Comp-PE-A\nFITC-A,1,0.25\nPE-A :: CD4,0.01,1\n",
        ",FITC-A,PE-A\nFITC,1,0.25\nPE,0.01,1\n",
        ";FITC-A;PE-A\nFITC-A;1;0,25\nPE-A;0,01;1\n",
        "FITC-A,PE-A\n100,25\n1,100\n",
        "FITC-A,PE-A\n100%,25%\n1 %,100%\n",
        '"FITC-A" "PE-A"\n"FITC-A" 1 0.25\n"PE-A" 0.01 1\n',
        "A study\r<\t>\rFITC-A\tPE-A\r1\t0.25\r0.01\t1\r",
        "\ufeffFITC-A,PE-A\r\n1,0.25\r\n\r\n0.01,1\r\n",
        "FITC-A,PE-A,\n1,0.25,\n0.01,1,\n",
    ],
)
def test_layouts(read, text):
    found = read(text)
    assert found.channels == ("FITC-A", "PE-A")
    np.testing.assert_allclose(found.matrix, EXPECTED)
    assert found.source == "matrix.csv"


def test_rows_called_by_numbers(read):
    assert read(",488-A,633-A\n488-A,1,0.25\n633-A,0.01,1\n").matrix.tolist() == EXPECTED


def test_utf16_of_excel(read):
    assert read("FITC-A\tPE-A\n1\t0.25\n0.01\t1\n".encode("utf-16")).matrix.tolist() == EXPECTED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no rows"),
        ("FITC-A,PE-A\n", "has no rows"),
        ("1,0.25\n0.01,1\n", "no channel names above its numbers"),
        ("FITC-A,PE-A\n1,0.25\n", "has 1 rows of numbers for 2 channels"),
        ("FITC-A,PE-A\n1,0.25\n0.01\n", "row 3: has 1 values for 2 channels"),
        ("FITC-A,PE-A\n1,0.25\n0.01,x\n", 'row 3: "x" is no number'),
        ("FITC-A,PE-A\n1,\n0.01,1\n", 'row 2: "" is no number'),
        ("FITC-A,PE-A\n1,nan\n0.01,1\n", 'row 2: "nan" is no number'),
        ("\nFITC-A,PE-A\n\n1,0.25\n0.01,x\n", 'row 5: "x" is no number'),
        ("FITC-A,,PE-A\n1,0,0\n0,1,0\n0,0,1\n", "has a column without a channel name"),
        ("PE-A,PE-A\n1,0.25\n0.01,1\n", 'names the channel "PE-A" twice'),
        (",FITC-A,PE-A\nFITC-A,1,0\nPE-B,0,1\n", 'a row "PE-B" but no column of that name'),
        ('<?xml version="1.0"?>\n<a/>\n', "holds XML; in FlowJo, export"),
    ],
)
def test_faults(read, text, words):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert "matrix.csv" in str(caught.value)
    assert words in str(caught.value)


def test_missing_table(tmp_path):
    with pytest.raises(ConfigError, match="there is no such file"):
        read_spillover(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="cannot be opened"):
        read_spillover(tmp_path)


@pytest.mark.parametrize("name", ["m.csv", "m.tsv"])
def test_round_trip_keeps_every_digit(tmp_path, name):
    matrix = np.eye(3) + np.random.default_rng(0).uniform(0, 0.3, (3, 3)) * (1 - np.eye(3))
    write_spillover(tmp_path / name, Spillover(("A, b", "PE :x", 'q"'), matrix))
    found = read_spillover(tmp_path / name)
    assert found.channels == ("A, b", "PE :x", 'q"')
    np.testing.assert_array_equal(found.matrix, matrix)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "size", "cell"),
    [
        ("flowkit/8_color_data_set/den_comp.csv", 8, (5, 7, 0.127640)),
        ("flowkit/8_color_data_set/den_comp_null_channel.csv", 7, (6, 4, 0.060009)),
        ("flowkit/comp_complete_example.csv", 14, (0, 1, 0.2986)),
        ("single_stains/compref", 4, (2, 3, 0.229593859843027)),
        ("single_stains/compmatrix", 4, (2, 0, 8.69e-3)),
    ],
)
def test_real_tables(test_data, name, size, cell):
    found = read_spillover(test_data / name)
    row, column, value = cell
    assert len(found.channels) == size
    assert found.matrix[row, column] == value
    np.testing.assert_array_equal(np.diag(found.matrix), 1)
