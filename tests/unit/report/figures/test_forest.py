import re

import pytest
from changed_rows import changed, untested
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from biocross.report.figures.forest import FOREST_COLUMNS, draw_forest, plot_forest
from biocross.report.figures.style import BLUE, VERMILLION
from biocross.tables import read_rows

PRIMARY = {"family": "confirmatory"}


def draw(*rows, fdr=0.05):
    axis = Figure().subplots()
    draw_forest(axis, rows, fdr)
    return axis


def texts(axis):
    return [text.get_text() for text in axis.texts]


def effect_marks(axis):
    """Return the marks of the effects by population."""
    lines = {line.get_gid(): line for line in axis.get_lines()}
    return {gid.split(":")[1]: line for gid, line in lines.items() if str(gid).startswith("effect")}


def test_lines_stand_in_the_given_order_with_their_numbers():
    axis = draw(changed("ILC2", 1.62, 0.0012, **PRIMARY), changed("Th2", 0.9))
    labels = axis.get_yticklabels()
    names = [label.get_text() for label in labels]
    assert names == ["ILC2, % of lymphocytes", "Th2, % of lymphocytes"]
    assert [label.get_weight() for label in labels] == ["bold", "normal"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]
    said = texts(axis)
    assert {"1.2 → 2.4", "8", "× 1.62 (1.25 to 2.11)", "0.0006", "0.0012"} <= set(said)
    ends = [line.get_xdata() for line in axis.get_lines() if len(line.get_xdata()) == 2]
    (interval,) = [end for end in ends if max(end) > 2]
    assert list(interval) == pytest.approx([1.62 / 1.3, 1.62 * 1.3])


def test_only_claims_are_coloured():
    marks = effect_marks(draw(changed("A", 2.0, 0.01), changed("B", 2.0, 0.2)))
    assert to_hex(marks["A"].get_color()).upper() == VERMILLION
    assert to_hex(marks["B"].get_color()).upper() == BLUE


def test_untested_rows_say_why_and_have_no_effect():
    axis = draw(untested("Tc2", "too_few_events"), changed("Th2"))
    assert "too few events" in texts(axis)
    assert set(effect_marks(axis)) == {"Th2"}
    assert axis.get_yticklabels()[0].get_color() != axis.get_yticklabels()[1].get_color()


def test_bounds_point_outwards_and_equivalence_is_hollow():
    rows = (
        changed("fell", 0.1, effect_is_bound=True),
        changed("rose", 9.0, effect_is_bound=True),
        changed("same", 1.01, equivalent=True),
    )
    marks = effect_marks(draw(*rows))
    assert [marks[name].get_marker() for name in ("fell", "rose", "same")] == ["<", ">", "D"]
    assert marks["same"].get_markerfacecolor() == "white"


def test_a_huge_effect_ends_in_an_arrow_within_the_plot():
    axis = draw(changed("gone", 1e-9))
    low, high = axis.get_xlim()
    inside = [x for line in axis.get_lines() for x in line.get_xdata() if x != 0]
    assert low <= min(inside)
    assert max(inside) <= high
    assert any(line.get_marker() == "<" for line in axis.get_lines())


def test_a_page_per_treatment_and_contrast_and_the_source_beside(tmp_path):
    rows = [
        changed(name, treatment=arm, contrast=f"{visit} - baseline")
        for arm in ("mepolizumab", "dupilumab")
        for visit in ("month_4", "month_12")
        for name in ("ILC2", "Th2")
    ]
    outs = [tmp_path / f"forest.{form}" for form in ("pdf", "svg", "png", "tsv")]
    plot_forest(rows, 0.05, *outs)
    assert len(re.findall(rb"/Type /Page\b", outs[0].read_bytes())) == 4
    assert b"/FontFile2" in outs[0].read_bytes()
    words = re.findall(r">([^<>]+ against baseline)<", outs[1].read_text())
    assert words == [
        f"{arm}: {visit} against baseline"
        for arm in ("dupilumab", "mepolizumab")
        for visit in ("month 4", "month 12")
    ]
    source = read_rows(outs[3])
    assert len(source) == 8
    assert list(source[0]) == list(FOREST_COLUMNS)


def test_no_question_at_all_is_said_in_words(tmp_path):
    plot_forest([], 0.05, tmp_path / "f.svg", tmp_path / "f.pdf", tmp_path / "f.tsv")
    assert "no two visits compare" in (tmp_path / "f.svg").read_text()
    assert read_rows(tmp_path / "f.tsv") == []
    assert (tmp_path / "f.pdf").read_bytes().startswith(b"%PDF")


def test_same_rows_give_the_same_files(tmp_path):
    rows = [changed("ILC2"), untested("Th2")]
    for name in ("a", "b"):
        plot_forest(rows, 0.05, *(tmp_path / f"{name}.{form}" for form in ("pdf", "svg", "png")))
    for form in ("pdf", "svg", "png"):
        assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()
