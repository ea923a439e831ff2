"""What a chapter of the report is made of: sentences, figures, tables, and files to go on with."""

import os
from pathlib import Path
from typing import NamedTuple

from biocross.report.page.pictures import Picture
from biocross.report.page.sections import Section


class OpenFile(NamedTuple):
    """A file to go on with, and the lines that open it."""

    href: str
    lines: str


class Chapter(NamedTuple):
    """A chapter of the report.

    Parameters
    ----------
    name, title
        Anchor and heading.
    sentences
        What was found, in words.
    pictures, tables
        What supports them.
    file
        Where to go on; None for nowhere.
    tool
        The interactive part that opens it: ``explorer``, ``patients``; empty for none.
    """

    name: str
    title: str
    sentences: list[str]
    pictures: list[Picture]
    tables: list[Section]
    file: OpenFile | None = None
    tool: str = ""


def open_in_scanpy(cells: Path | str, report: Path | str, colour: str) -> OpenFile:
    """Say how to open a file of cells.

    Parameters
    ----------
    cells
        The ``.h5ad``.
    report
        The page, which links to it.
    colour
        Column of ``obs`` to colour by.

    Returns
    -------
    OpenFile
        Its address from the page, and the lines.
    """
    href = Path(os.path.relpath(cells, Path(report).parent)).as_posix()
    lines = (
        f'cells = scanpy.read_h5ad("{Path(cells).as_posix()}")',
        f'scanpy.pl.umap(cells, color="{colour}")',
    )
    return OpenFile(href, "\n".join(lines))
