import re

import numpy as np
from changed_rows import changed, untested

from biocross.report.figures.label_places import label_places
from biocross.report.figures.volcano import plot_volcano
from biocross.tables import read_rows


def overlap(one, other):
    (x0, y0, w0, h0), (x1, y1, w1, h1) = one, other
    return x0 < x1 + w1 and x1 < x0 + w0 and y0 < y1 + h1 and y1 < y0 + h0


def test_names_never_hide_each_other_and_stay_within_the_plot():
    rng = np.random.default_rng(1)
    points = np.column_stack([rng.uniform(60, 100, 14), rng.uniform(60, 100, 14)])
    sizes = np.column_stack([rng.uniform(20, 40, 14), np.full(14, 8.0)])
    corners = label_places(points, sizes, (200.0, 200.0), points)
    boxes = [(*corner, *size) for corner, size in zip(corners, sizes, strict=True)]
    pairs = [(a, b) for n, a in enumerate(boxes) for b in boxes[n + 1 :]]
    assert not [pair for pair in pairs if overlap(*pair)]
    assert all(x >= 0 and y >= 0 and x + w <= 200 and y + h <= 200 for x, y, w, h in boxes)


def test_a_lonely_name_stands_right_beside_its_point():
    point = np.array([[50.0, 50.0]])
    ((x, y),) = label_places(point, np.array([[30.0, 8.0]]), (200.0, 200.0), point)
    assert 50 < x < 60
    assert y < 50 < y + 8


def test_claims_are_named_and_others_are_not(tmp_path):
    rows = [
        changed("ILC2", 1.8, 0.001, family="confirmatory"),
        changed("Th2", 1.1, 0.6),
        untested("Tc2"),
    ]
    plot_volcano(rows, 0.05, tmp_path / "v.svg", tmp_path / "v.tsv")
    svg = (tmp_path / "v.svg").read_text()
    words = re.findall(r">([^<>]+)</text>", svg)
    assert "ILC2" in words
    assert "Th2" not in words
    assert set(re.findall(r'id="change:(\w+)"', svg)) == {"ILC2", "Th2"}
    assert [row["population"] for row in read_rows(tmp_path / "v.tsv")] == ["ILC2", "Th2"]


def test_a_treatment_without_a_test_has_an_empty_panel(tmp_path):
    rows = [changed("A", 2.0), untested("A", treatment="dupilumab")]
    plot_volcano(rows, 0.05, tmp_path / "v.svg")
    assert "nothing tested" in (tmp_path / "v.svg").read_text()


def test_nothing_tested_is_said_in_words(tmp_path):
    plot_volcano([untested("A")], 0.05, tmp_path / "v.svg", tmp_path / "v.tsv")
    assert "No change of percentages could be tested" in (tmp_path / "v.svg").read_text()
