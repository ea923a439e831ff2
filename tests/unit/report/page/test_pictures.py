import base64
import io
import re

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from biocross.report.figures.style import save_figure
from biocross.report.page.pictures import (
    MAGNIFICATION,
    MOST_BYTES,
    MOST_SOURCE_BYTES,
    pictures_of,
)

CAPTIONS = {"second": ("Two <b>", "The second."), "first": ("One", "The first.")}


@pytest.fixture
def figures(tmp_path):
    paths = []
    for name in ("first", "second", "third"):
        figure, axis = plt.subplots(figsize=(4, 3))
        axis.plot([1, 2])
        own = [tmp_path / f"{name}.{form}" for form in ("pdf", "svg", "png")]
        save_figure(figure, *own)
        paths += own
    return paths


def test_small_figures_are_drawn(figures):
    pictures = pictures_of(figures, CAPTIONS, folded=("first",))
    assert [picture.title for picture in pictures] == ["Two <b>", "One", "third"]
    assert all("data:image/svg+xml;base64," in picture.markup for picture in pictures)
    size = f'width="{round(384 * MAGNIFICATION)}" height="{round(288 * MAGNIFICATION)}"'
    assert all(size in picture.markup for picture in pictures)
    assert [picture.folded for picture in pictures] == [False, True, False]


def test_large_figures_are_pictures_as_large_as_drawn(figures, tmp_path):
    svg = tmp_path / "second.svg"
    svg.write_text(svg.read_text() + "<!--" + "x" * MOST_BYTES + "-->")
    picture, *_ = pictures_of(figures, CAPTIONS)
    assert 'alt="Two &lt;b&gt;. The second."' in picture.markup
    assert f'width="{round(384 * MAGNIFICATION)}"' in picture.markup
    assert "data:image/webp;base64," in picture.markup
    encoded = re.search(r"base64,([^\"]+)", picture.markup).group(1)
    content = base64.b64decode(encoded)
    assert Image.open(io.BytesIO(content)).size == (800, 600)
    assert len(content) < (tmp_path / "second.png").stat().st_size


def test_words_and_numbers_of_a_drawing_are_those_of_its_file(figures):
    picture, *_ = pictures_of(figures, CAPTIONS)
    encoded = re.search(r"base64,([^\"]+)", picture.markup).group(1)
    shown = base64.b64decode(encoded).decode("utf-8")
    (path,) = (path for path in figures if path.name == "second.svg")
    assert shown.endswith("</svg>\n")
    assert shown.split("<defs>", 1)[1] in path.read_text(encoding="utf-8")


def test_a_large_drawing_is_better_than_none(figures, tmp_path):
    svg = tmp_path / "first.svg"
    svg.write_text(svg.read_text() + "<!--" + "x" * MOST_BYTES + "-->")
    (picture,) = pictures_of([svg], CAPTIONS)
    assert "data:image/svg+xml;base64," in picture.markup


def test_figures_for_papers_alone_have_no_place(figures):
    assert pictures_of([path for path in figures if path.suffix == ".pdf"], CAPTIONS) == []
    assert pictures_of([], CAPTIONS) == []


def test_numbers_of_a_figure_come_along_unless_they_are_many(figures, tmp_path):
    (tmp_path / "first.tsv").write_text("a\tb\n1\t2\n")
    (tmp_path / "second.tsv").write_text("a\n" + "1\n" * MOST_SOURCE_BYTES)
    files = [*figures, tmp_path / "first.tsv", tmp_path / "second.tsv"]
    of = {picture.name: picture.source for picture in pictures_of(files, CAPTIONS)}
    assert of == {"first": "a\tb\n1\t2\n", "second": "", "third": ""}
