import re

import numpy as np
import pytest

from biocross.flow.transforms import Transform
from biocross.report.figures.thresholds import mean_density, plot_thresholds

TRANSFORMS = {"CD3": Transform("logicle"), "SSC-A": Transform("linear")}


def row(patient, threshold="CD3", marker="CD3", value="0.5", **other):
    cells = {
        "patient_id": patient,
        "sample_id": f"{patient}_baseline",
        "threshold": threshold,
        "marker": marker,
        "population": "leukocytes",
        "source": "valley",
        "value": value,
        "depth": "0.8",
        "cohort_value": "0.5",
        "distance": "0.01",
        "flag": "",
    }
    return {**cells, **other}


@pytest.fixture
def draw(tmp_path):
    def run(rows, densities=None, name="thresholds.svg"):
        plot_thresholds(rows, TRANSFORMS, densities or {}, {"CD3": "CD3 PE"}, tmp_path / name)
        return tmp_path / name

    return run


def words_of(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))


def test_flagged_thresholds_come_first_then_the_farthest(draw):
    rows = [
        row("P1"),
        row("P1", "CD3_high", distance="0.3"),
        row("P1", "SSC", marker="SSC-A", value="50000", distance="", flag="from_cohort"),
    ]
    texts = words_of(draw(rows))
    order = [text for text in texts if text in ("CD3", "CD3 high", "SSC")]
    assert order == ["SSC", "CD3 high", "CD3"]


def test_flagged_patients_are_named_and_coloured(draw):
    rows = [row(f"P{i}", value=f"{0.5 + i / 1000}") for i in range(8)]
    rows[3] |= {"flag": "pulled", "distance": "-0.31", "value": "0.4"}
    figure = draw(rows)
    texts = words_of(figure)
    assert [text for text in texts if re.fullmatch(r"P\d", text)] == ["P3"]
    assert "8 patients, 1 with a flagged threshold" in " ".join(texts)
    assert {"flagged: pulled 1", "valley 8", "up to 0.31 decades from the cohort's"} <= set(texts)
    content = figure.read_text(encoding="utf-8").lower()
    # Legend and one dot; the word beside the strip and the name are text.
    assert content.count("#d55e00") > draw(rows[:3]).read_text().lower().count("#d55e00")


def test_unknown_values_are_counted_and_not_drawn(draw):
    texts = words_of(draw([row("P1"), row("P2", value="", cohort_value="", distance="")]))
    assert "unknown in 1 of 2 samples" in texts


def test_many_flags_name_the_farthest_only(draw):
    rows = [
        row(f"P{i}", value=f"{0.3 + i / 100}", flag="pulled", distance=f"{i / 10}")
        for i in range(9)
    ]
    named = [text for text in words_of(draw(rows)) if re.fullmatch(r"P\d", text)]
    assert sorted(named) == ["P5", "P6", "P7", "P8"]


def test_density_weighs_samples_alike():
    few, many = np.full(10, 0.15, np.float32), np.full(1000, 0.85, np.float32)
    density = mean_density([few, many, few[:0]], 0.0, 1.0, bins=10)
    assert density.height[1] == density.height[8] == 0.5
    assert density.height.sum() == 1
    assert not mean_density([few[:0]], 0.0, 1.0).height.any()


def test_density_is_drawn_under_the_dots(draw):
    values = np.random.default_rng(1).normal(0.4, 0.1, 1000).astype(np.float32)
    densities = {("CD3", "leukocytes"): mean_density([values], 0.0, 1.0)}
    rows = [row("P1"), row("P2")]
    with_density = draw(rows, densities).read_text()
    assert with_density.count("#d5d9dd") == 1
    assert "#d5d9dd" not in draw(rows).read_text()


def test_pages_are_a4_repeat_and_hold_every_threshold(draw):
    rows = [row(f"P{i}", f"t{number}") for i in range(2) for number in range(16)]
    content = draw(rows, name="a.pdf").read_bytes()
    assert content.count(b"/Type /Page ") == 2
    assert draw(rows, name="b.pdf").read_bytes() == content
    assert len([text for text in words_of(draw(rows)) if re.fullmatch(r"t\d+", text)]) == 16


def test_no_thresholds_give_an_empty_sheet(draw):
    assert "Thresholds of the cohort" in words_of(draw([]))
    assert draw([], name="none.pdf").stat().st_size > 500
