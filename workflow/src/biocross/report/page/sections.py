"""The report's tables: how a table of results is described, and made a section."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from biocross.report.sources import (
    is_below,
    is_shown,
    is_single,
    records,
    single_clusters_aside,
)
from biocross.report.words import (
    format_effect,
    format_number,
    format_p,
    found_by,
    plain,
)
from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.pairs import read_table

READOUT_WORDS = {
    "percent_of_parent": "% of parent",
    "cells_per_ul": "cells/µl",
    "composition": "composition",
    "median": "median",
    "percent_positive": "% positive",
    "score": "gene-set score",
}
Row = Mapping[str, Any]


class Column(NamedTuple):
    """One column: its heading, how a cell is written, and whether it is a number."""

    heading: str
    cell: Callable[[Row], str]
    numeric: bool = False


class Section(NamedTuple):
    """One table of the report, ready for the template.

    Parameters
    ----------
    name, title, intro
        Anchor, heading, and what to know before reading.
    columns
        Heading and whether it is numeric.
    rows
        Cells as text, and whether the row is below the false discovery rate.
    empty
        What to say where there are no rows.
    file
        The table with all columns.
    aside
        What is left out here; empty for nothing.
    """

    name: str
    title: str
    intro: str
    columns: list[tuple[str, bool]]
    rows: list[tuple[list[str], bool]]
    empty: str
    file: str
    aside: str = ""


class Description(NamedTuple):
    """How a table of results becomes a section."""

    title: str
    intro: str
    columns: tuple[Column, ...]
    empty: str
    shown: Callable[[Row], bool] = lambda row: True  # noqa: ARG005
    aside: Callable[[pd.DataFrame], str] = lambda table: ""  # noqa: ARG005


def words(heading: str, name: str) -> Column:
    """Describe a column of words."""
    return Column(heading, lambda row: plain(row[name]) if pd.notna(row[name]) else "")


def verbatim(heading: str, name: str) -> Column:
    """Describe a column of names that stay as they are."""
    return Column(heading, lambda row: str(row[name]) if pd.notna(row[name]) else "")


def number(heading: str, name: str) -> Column:
    """Describe a column of numbers."""
    return Column(heading, lambda row: format_number(row[name]), True)


def p_value(heading: str, name: str) -> Column:
    """Describe a column of p or q values."""
    return Column(heading, lambda row: format_p(row[name]), True)


def _effect(row: Row) -> str:
    return format_effect(row) if pd.notna(row["effect_low"]) else format_number(row["effect"])


WHO = (words("Treatment", "treatment"), words("Contrast", "contrast"))
WHAT = (words("Population", "population"), words("Parent", "parent"))
FOUND_BY = Column("Found by", found_by)
READOUT = Column("Readout", lambda row: READOUT_WORDS[str(row["readout"])])
EFFECT = Column("Effect (95 % CI)", _effect)
MEDIANS = (number("Before", "baseline_median"), number("After", "followup_median"))
P, Q = p_value("p", "p_value"), p_value("q", "q_value")
STATUS = (words("Status", "status"), words("Note", "note"))
PAIRS = number("Pairs", "n_pairs")
FAMILY = Column("Family", lambda row: str(row["family"]).split(":")[0])


def rows_section(
    name: str,
    title: str,
    intro: str,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, str]],
    empty: str,
    file: str = "",
) -> Section:
    """Prepare rows that are words already.

    Parameters
    ----------
    name, title, intro, empty, file
        As of `Section`.
    columns
        Heading by key of the rows; one that ends in ``#`` is of numbers.
    rows
        The rows.

    Returns
    -------
    Section
        The table as text.
    """
    headings = [(heading.rstrip("#"), heading.endswith("#")) for heading in columns.values()]
    cells = [([str(row[key]) for key in columns], False) for row in rows]
    return Section(name, title, intro, headings, cells, empty, file)


def _strongest_first(table: pd.DataFrame) -> pd.DataFrame:
    """Put confirmatory rows first, single clusters last, and small q values before large ones.

    Tables without q values are left as they are.
    """
    if "q_value" not in table:
        return table
    exploratory = table["family"] != CONFIRMATORY
    single = table["source"].map(is_single) if "source" in table else False
    return table.assign(exploratory=exploratory, single=single).sort_values(
        ["exploratory", "single", "q_value"], kind="stable"
    )


def table_section(
    name: str,
    path: Path | str,
    fdr: float,
    descriptions: Mapping[str, Description],
) -> Section:
    """Prepare one table of results for the template.

    Parameters
    ----------
    name
        Of the table, a key of `descriptions`.
    path
        The TSV.
    fdr
        False discovery rate below which a row is highlighted.
    descriptions
        How tables are shown.

    Returns
    -------
    Section
        The table as text.
    """
    described = descriptions[name]
    table = _strongest_first(read_table(path))
    rows = [
        (
            [column.cell(row) for column in described.columns],
            is_below(row, fdr),
        )
        for row in records(table)
        if described.shown(row) and is_shown(row, fdr)
    ]
    aside = " ".join(filter(None, [described.aside(table), single_clusters_aside(table, fdr)]))
    return Section(
        name,
        described.title,
        described.intro,
        [(column.heading, column.numeric) for column in described.columns],
        rows,
        described.empty if table.empty or not aside else "",
        "/".join(Path(path).parts[-2:]),
        aside,
    )


def table_sections(
    names: Iterable[str],
    tables: Mapping[str, Path | str],
    fdr: float,
    descriptions: Mapping[str, Description],
) -> list[Section]:
    """Prepare those of some tables that a run has; parameters as of `table_section`."""
    return [
        table_section(name, tables[name], fdr, descriptions) for name in names if name in tables
    ]
