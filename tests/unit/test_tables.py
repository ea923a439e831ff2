import csv

import pytest

from biocross.errors import TableError
from biocross.tables import format_cell, read_rows, write_rows, written_whole


@pytest.fixture
def table(tmp_path):
    return tmp_path / "table.tsv"


def refusal(table, content):
    table.write_bytes(content)
    with pytest.raises(TableError) as caught:
        read_rows(table)
    message = str(caught.value)
    assert message.startswith(str(table))
    return message.removeprefix(str(table))


def test_round_trip(table):
    rows = [
        {"name": "CD4 T", "note": 'says "rare"', "count": 3, "share": 0.25, "complete": True},
        {"name": "Jürgen, Ø µl", "note": "a\tb\nc", "count": 0, "share": None, "complete": False},
    ]
    write_rows(table, ["name", "note", "count", "share", "complete"], rows)
    assert read_rows(table) == [
        {
            "name": "CD4 T",
            "note": 'says "rare"',
            "count": "3",
            "share": "0.25",
            "complete": "yes",
        },
        {"name": "Jürgen, Ø µl", "note": "a\tb\nc", "count": "0", "share": "", "complete": "no"},
    ]


def test_other_readers_agree(table):
    write_rows(table, ["a", "b"], [{"a": 'tab\tand "quote"', "b": 1.5}])
    with table.open(newline="", encoding="utf-8") as handle:
        assert list(csv.reader(handle, delimiter="\t")) == [
            ["a", "b"],
            ['tab\tand "quote"', "1.5"],
        ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (float("inf"), "inf"),
        (0.0, "0"),
        (1 / 3, "0.3333333333"),
        (1e-12, "1e-12"),
        (123456789.125, "123456789.1"),
        (1234567890123, "1234567890123"),
        (True, "yes"),
        (False, "no"),
        ("", ""),
        ("text", "text"),
    ],
)
def test_format_cell(value, text):
    assert format_cell(value) == text


def test_missing_key_stays_empty_and_unknown_key_is_an_error(table):
    write_rows(table, ["a", "b"], [{"b": 1}])
    assert table.read_text() == "a\tb\n\t1\n"
    with pytest.raises(ValueError, match=r"table\.tsv: no such column: \['c'\]"):
        write_rows(table, ["a", "b"], [{"a": 1, "c": 2}])


@pytest.mark.parametrize(
    "content",
    [
        "a\tb\n1\tx y\n2\tµ\n".encode(),
        "\ufeffa\tb\n1\tx y\n2\tµ\n".encode(),
        "a\tb\r\n1\tx y\r\n2\tµ\r\n".encode(),
        "a\tb\r1\tx y\r2\tµ\r".encode(),
        " a \tb\n 1\t x y  \n2 \tµ".encode(),
        'a\t"b"\n"1"\t"x y"\n2\tµ\n'.encode(),
        "a\tb\t\t\n1\tx y\t\n2\tµ\t\t\t\n".encode(),
        "a\t\t\tb\n1\t\t \tx y\n2\t\t\tµ\n".encode(),
        "a\tb\r\n1\tx y\r\n2\tµ\r\n".encode("utf-16"),
    ],
    ids=[
        "plain",
        "byte-order mark",
        "Windows",
        "old Mac",
        "blanks",
        "quotation marks",
        "empty columns at the right",
        "empty columns between",
        "UTF-16",
    ],
)
def test_harmless_variants_read_alike(table, content):
    table.write_bytes(content)
    assert read_rows(table) == [{"a": "1", "b": "x y"}, {"a": "2", "b": "µ"}]


def test_blank_lines_keep_row_numbers(table):
    table.write_text("a\tb\n1\t2\n\n\t\n3\n")
    rows = read_rows(table)
    assert rows[3] == {"a": "3", "b": ""}
    assert [any(row.values()) for row in rows] == [True, False, False, True]


def test_only_line_ends_end_a_row(table):
    table.write_bytes("a\tb\nx\x0by\tform\x0cfeed\n\u2028\x85\t1\n".encode())
    assert [row["a"] for row in read_rows(table)] == ["x\x0by", ""]


def test_too_many_cells(table):
    message = refusal(table, b"a\tb\n1\t2\n1\t2\t3\n")
    assert message == " row 3: has 3 cells, but the table has 2 columns"


def test_blank_cells_beyond_the_columns_are_harmless(table):
    table.write_bytes(b"a\tb\n1\t2\t \t\n")
    assert read_rows(table) == [{"a": "1", "b": "2"}]


def test_value_in_a_column_without_name(table):
    assert refusal(table, b"a\t\tb\n1\t\t2\n1\t7\t2\n") == (
        " row 3: has a value in column 2, which has no name in the first line; name the column or "
        "empty it"
    )


def test_commas_and_semicolons_are_text_here(table):
    """Only sheets of users are searched for other separators; see test_sheets.py."""
    table.write_text("a,b;c\n1,2;3\n")
    assert read_rows(table) == [{"a,b;c": "1,2;3"}]


def test_duplicated_column(table):
    assert refusal(table, b"a\tb\ta \n1\t2\t3\n") == ": column 'a' appears more than once"


@pytest.mark.parametrize("content", [b"", b"\n", b"\t\t\n1\t2\n", b"\xef\xbb\xbf"])
def test_empty_table(table, content):
    assert refusal(table, content) == ": is empty; its first line must name the columns"


@pytest.mark.parametrize("content", [b"a\tb\n1\t\xb5\n", b"\xff\xfea\x00\t", b"PK\x03\x04\xff\xfe"])
def test_not_utf8(table, content):
    assert "export it as tab-separated UTF-8" in refusal(table, content)


@pytest.mark.parametrize("length", [1, 200_000])
def test_unclosed_quotation_mark_does_not_swallow_rows(table, length):
    message = refusal(table, b'a\tb\n1\t"' + b"x" * length + b"\n2\ty\n")
    assert "quotation mark" in message


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(TableError, match=r"gone\.tsv: there is no such file"):
        read_rows(tmp_path / "gone.tsv")
    with pytest.raises(TableError, match="cannot be read"):
        read_rows(tmp_path)


def test_table_without_rows(table):
    write_rows(table, ["a", "b"], [])
    assert read_rows(table) == []


def test_failing_writer_leaves_the_old_file_and_nothing_else(table):
    table.write_text("old")

    def rows():
        yield {"a": 1}
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_rows(table, ["a"], rows())
    assert table.read_text() == "old"
    assert [entry.name for entry in table.parent.iterdir()] == [table.name]


def test_killed_writer_leaves_no_table(table):
    def interrupted():
        with written_whole(table) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(table.parent.iterdir()) == []


def test_nothing_is_visible_until_the_end(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with written_whole(path) as temporary:
        assert temporary.parent == path.parent
        temporary.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_existing_table_is_replaced(table):
    write_rows(table, ["a"], [{"a": i} for i in range(100)])
    write_rows(table, ["a"], [{"a": "new"}])
    assert read_rows(table) == [{"a": "new"}]
