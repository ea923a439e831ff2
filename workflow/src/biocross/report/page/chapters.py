"""What a chapter of the report is made of: sentences, figures, tables, and files to go on with."""

import base64
import io
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from biocross.report.page.flow_quality import inline_svg
from biocross.report.page.sections import Section

# A larger drawing would make the page slow: its picture takes its place.
MOST_BYTES = 500_000
PIXELS_PER_INCH, CSS_PIXELS_PER_INCH = 200, 96
# Enough for what our figures hold, at a third of the size.
COLOURS = 256


class Picture(NamedTuple):
    """A figure in the page.

    Parameters
    ----------
    title
        Above it.
    markup
        An inline drawing or picture.
    caption
        How to read it.
    folded
        Whether the reader unfolds it, because it is long.
    """

    title: str
    markup: Markup
    caption: str
    folded: bool = False


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
    """

    name: str
    title: str
    sentences: list[str]
    pictures: list[Picture]
    tables: list[Section]
    file: OpenFile | None = None


def pictures_of(
    figures: Sequence[Path | str],
    captions: Mapping[str, tuple[str, str]],
    folded: Collection[str] = (),
) -> list[Picture]:
    """Read figures into the page, each in the smaller of its forms that will do.

    Parameters
    ----------
    figures
        Files, SVG and PNG of the same name; others are passed over.
    captions
        Title and caption by name of the file without its ending, in the order wanted. Figures
        without a caption come last, under their name.
    folded
        Names of figures that the reader unfolds.

    Returns
    -------
    list of Picture
        The SVG, or the PNG where there is no SVG of at most `MOST_BYTES`.
    """
    forms: dict[str, dict[str, Path]] = {}
    for figure in map(Path, figures):
        forms.setdefault(figure.stem, {})[figure.suffix] = figure
    order = [
        *(name for name in captions if name in forms),
        *(n for n in forms if n not in captions),
    ]
    pictures = []
    for name in order:
        title, caption = captions.get(name, (name.replace("_", " "), ""))
        if markup := _markup(forms[name], title):
            pictures.append(Picture(title, markup, caption, name in folded))
    return pictures


def _markup(forms: Mapping[str, Path], title: str) -> Markup:
    svg, png = forms.get(".svg"), forms.get(".png")
    if svg and (not png or svg.stat().st_size <= MOST_BYTES):
        return inline_svg(svg)
    return _inline_png(png, title) if png else Markup("")


def _inline_png(path: Path, title: str) -> Markup:
    from PIL import Image

    with Image.open(path) as image:
        reduced = image.convert("RGB").quantize(COLOURS)
    width, height = (round(n * CSS_PIXELS_PER_INCH / PIXELS_PER_INCH) for n in reduced.size)
    buffer = io.BytesIO()
    reduced.save(buffer, format="png", optimize=True)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Markup('<img alt="{}" width="{}" height="{}" src="data:image/png;base64,{}">').format(
        title, width, height, encoded
    )


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
