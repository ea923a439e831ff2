import re

import pytest
from changed_rows import changed, untested
from matplotlib.figure import Figure

from biocross.report.figures.heat_map import draw_heat_map, plot_heat_map
from biocross.report.figures.panels import subject_of
from biocross.tables import read_rows


def test_cells_show_number_frame_and_hatch():
    rows = [changed("A", 2.0, 0.01), changed("B", 0.5, 0.3), untested("C")]
    key = ("mepolizumab", "month_4 - baseline")
    axis = Figure().subplots()
    cells = {(subject_of(row), key): row for row in rows}
    draw_heat_map(axis, cells, [subject_of(row) for row in rows], [key], 0.05)
    assert {text.get_text(): text.get_weight() for text in axis.texts} == {
        "2.00": "bold",
        "0.50": "normal",
    }
    frames = [patch for patch in axis.patches if patch.get_linewidth() == 1]
    assert [frame.get_y() + 0.5 for frame in frames] == [0]
    hatched = [patch for patch in axis.patches if patch.get_hatch()]
    assert [patch.get_y() + 0.5 for patch in hatched] == [2]
    red, blue = (patch.get_facecolor() for patch in axis.patches if patch not in frames + hatched)
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_readouts_side_by_side_and_those_never_tested_left_out(tmp_path):
    rows = [
        changed("A", 2.0),
        changed("A", 3.0, readout="cells_per_ul", effect_scale="fold_change"),
        untested("A", readout="composition"),
    ]
    plot_heat_map(rows, 0.05, tmp_path / "h.svg", tmp_path / "h.tsv")
    words = re.findall(r">([^<>]+)</text>", (tmp_path / "h.svg").read_text())
    assert {"percent of parent", "cells/µl", "2.00", "3.00"} <= set(words)
    assert "composition" not in words
    source = read_rows(tmp_path / "h.tsv")
    assert [float(row["log2_effect"] or 0) for row in source] == pytest.approx(
        [1, 1.58496, 0], abs=1e-4
    )


def test_visits_stand_in_their_order(tmp_path):
    rows = [
        changed("A", treatment=arm, contrast=f"{visit} - baseline")
        for visit in ("month_4", "month_12")
        for arm in ("b", "a")
    ]
    plot_heat_map(rows, 0.05, tmp_path / "h.svg")
    words = re.findall(r">([ab], month \d+)</text>", (tmp_path / "h.svg").read_text())
    assert words == ["a, month 4", "a, month 12", "b, month 4", "b, month 12"]


def test_nothing_tested_is_said_in_words(tmp_path):
    plot_heat_map([untested("A")], 0.05, tmp_path / "h.svg")
    assert "No change could be tested" in (tmp_path / "h.svg").read_text()
