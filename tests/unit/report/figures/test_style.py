import numpy as np
import pytest
from matplotlib.figure import Figure

from biocross.report.figures.style import MOST_PIXELS, save_figure
from biocross.tables import read_rows


def test_every_format_and_the_source_beside(tmp_path):
    paths = [tmp_path / f"f.{form}" for form in ("pdf", "svg", "png", "tsv")]
    rows = [{"name": "A", "value": 1 / 3, "other": 1}, {"name": "B", "value": np.float32(2)}]
    save_figure(Figure(), *paths, source=iter(rows), columns=("name", "value"))
    assert all(path.stat().st_size for path in paths)
    assert read_rows(paths[3]) == [
        {"name": "A", "value": "0.333333"},
        {"name": "B", "value": "2"},
    ]


def test_nothing_half_written_where_a_row_fails(tmp_path):
    def rows():
        yield {"name": "A"}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        save_figure(Figure(), tmp_path / "f.tsv", source=rows(), columns=("name",))
    assert not list(tmp_path.iterdir())


def test_pictures_of_tall_figures_can_be_opened(tmp_path):
    from PIL import Image

    save_figure(Figure(figsize=(0.5, 200)), tmp_path / "f.png")
    with Image.open(tmp_path / "f.png") as picture:
        assert max(picture.size) <= MOST_PIXELS
