import pytest

from biocross.flow.summary import COLUMNS, summarise_flow
from biocross.tables import read_rows, write_rows


def table(path, columns, *firsts):
    """Write rows that differ in every cell; the last column stays empty."""
    rows = [
        {column: f"{first}_{column}" for column in columns[:-1]} | {columns[0]: first}
        for first in firsts
    ]
    write_rows(path, columns, rows)
    return path


@pytest.fixture
def summary(tmp_path):
    parts = {
        name: [
            table(tmp_path / f"P2.{name}.tsv", columns, "P2a", "P2b"),
            table(tmp_path / f"P1.{name}.tsv", columns, "P1"),
            table(tmp_path / f"P3.{name}.tsv", columns),
        ]
        for name, columns in COLUMNS.items()
    }
    written = {name: tmp_path / "out" / f"{name}.tsv" for name in COLUMNS}
    summarise_flow(parts, written)
    return parts, written


def test_all_rows_of_all_tables_in_the_order_given(summary):
    parts, written = summary
    for name, path in written.items():
        assert read_rows(path) == [row for part in parts[name] for row in read_rows(part)]
        assert [next(iter(row.values())) for row in read_rows(path)] == ["P2a", "P2b", "P1"]


def test_columns_stay_as_they_are(summary):
    _, written = summary
    for name, path in written.items():
        assert path.read_text().splitlines()[0].split("\t") == list(COLUMNS[name])


def test_a_table_with_other_columns_is_refused(tmp_path):
    alien = tmp_path / "alien.tsv"
    alien.write_text("sample_id\tsomething\nS1\tx\n")
    out = tmp_path / "counts.tsv"
    with pytest.raises(ValueError, match="no such column"):
        summarise_flow({"counts": [alien]}, {"counts": out})
    assert not out.exists()
