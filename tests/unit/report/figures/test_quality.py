import re

import numpy as np
import pytest

from biocross.flow.events import write_events
from biocross.report.figures.quality import (
    flagged_stretches,
    plot_time_quality,
)

STEPS = "nonfinite,margin,doublet,time,flow_rate"


def words_of(svg):
    """Return the texts of a figure, in order."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))


def shaded(svg, step):
    """Count the stretches shaded for a step, per axis that shows time."""
    return svg.read_text(encoding="utf-8").count(f'id="flag:{step}')


@pytest.fixture
def draw(tmp_path):
    """Draw the time plot of some events and return the SVG."""

    def run(quality, time=None, meta=None, signals=("CD3", "CD19"), **options):
        rng = np.random.default_rng(1)
        n = len(quality)
        values = {name: rng.normal(0.5, 0.1, n).astype(np.float32) for name in signals}
        if time is not None:
            values["Time"] = np.asarray(time, dtype=np.float32)
        named = {"sample_id": "P01_baseline", "flag_steps": STEPS} if meta is None else meta
        path, figure = tmp_path / "events.arrow", tmp_path / "time.svg"
        write_events(path, values, np.asarray(quality, dtype=np.uint8), named)
        plot_time_quality(path, figure, **options)
        return figure

    return run


@pytest.mark.parametrize(
    ("flagged", "gap", "expected"),
    [
        ([0, 0, 0], 1, []),
        ([1, 1, 1], 1, [[0, 2]]),
        ([0, 1, 1, 0, 1], 1, [[1, 2], [4, 4]]),
        ([0, 1, 1, 0, 1], 2, [[1, 4]]),
        ([1, 0, 0, 1, 0, 1, 0], 2, [[0, 0], [3, 5]]),
        ([], 1, []),
    ],
)
def test_stretches_are_runs_of_flagged_events(flagged, gap, expected):
    assert flagged_stretches(np.array(flagged, dtype=bool), gap).tolist() == expected


def test_time_plot_names_sample_unit_channels_and_shares(draw):
    quality = np.zeros(10_000)
    quality[2_000:2_500], quality[6_000:6_100], quality[:50] = 4, 5, 3
    figure = draw(quality, np.linspace(0, 60, 10_000), time_unit="s")
    texts = words_of(figure)
    said = "10,000 events; set aside over time: unsteady signal 5.0 %, flow-rate jump 1.0 %"
    assert {"P01_baseline", "Acquisition time (s)", "CD3", "CD19", said} <= set(texts)
    assert "Time" not in texts
    assert shaded(figure, "time") == shaded(figure, "flow_rate") == 2


def test_events_removed_one_by_one_neither_shade_nor_break_a_stretch(draw):
    quality = np.zeros(5_000)
    quality[1_000:2_000], quality[1_500], quality[3_000:4_000] = 4, 3, 3
    quality[1_700:1_703] = 0  # Too short to be seen.
    figure = draw(quality)
    assert shaded(figure, "time") == 1
    assert shaded(figure, "doublet") == 0


@pytest.mark.parametrize(
    ("time", "axis"),
    [
        (None, "Events, in order of acquisition"),
        (np.zeros(1_000), "Events, in order of acquisition (Time is constant or runs backwards)"),
        (
            np.tile(np.arange(500), 2),
            "Events, in order of acquisition (Time is constant or runs backwards)",
        ),
        (
            np.full(1_000, np.nan),
            "Events, in order of acquisition (Time is constant or runs backwards)",
        ),
        (np.arange(1_000), "Acquisition time (units of the file)"),
        (
            np.arange(1_000) - 0.9 * (np.arange(1_000) % 2) * 1.5,
            "Acquisition time (units of the file)",
        ),
    ],
)
def test_axis_says_what_it_is(draw, time, axis):
    texts = words_of(draw(np.zeros(1_000), time))
    assert axis in texts
    assert ("unit of time" in texts) == axis.startswith("Acquisition")


def test_flow_rate_is_drawn_in_events_per_second(draw):
    figure = draw(np.zeros(4_000), np.linspace(0, 8, 4_000), meta={"time_unit": "s"})
    assert {"second", "400"} <= set(words_of(figure))


def test_file_without_step_names_takes_those_given(draw):
    quality = np.zeros(1_000)
    quality[300:400] = 1
    without = draw(quality, meta={"sample_id": "a$b"})
    assert {"a$b", "1,000 events; set aside over time: not examined"} <= set(words_of(without))
    given = draw(quality, meta={"sample_id": "a$b"}, step_names=["time"])
    assert shaded(given, "time") == 1


def test_excluded_sample_and_sample_without_passing_events_give_a_figure(draw):
    excluded = draw([], meta={"sample_id": "P1", "excluded": "has no events; acquire it again"})
    assert "excluded: has no events; acquire it again" in words_of(excluded)
    assert "no event passed" in words_of(draw(np.full(100, 3)))


def test_one_event_and_forty_channels_fit_one_page(draw):
    assert "no event passed" not in words_of(draw([0], [5.0]))
    figure = draw(np.zeros(500), signals=[f"CD{number}" for number in range(40)])
    width, height = re.search(
        r'width="([\d.]+)pt" height="([\d.]+)pt"', figure.read_text()
    ).groups()
    assert float(width) / 72 < 8.3
    assert float(height) / 72 < 11.7
    assert {"CD0", "CD39"} <= set(words_of(figure))


def median_line(figure):
    """Return the course of the only signal's median: share of the way, and height in points."""
    group = re.search(r'id="LineCollection_1">.*?</g>', figure.read_text(), re.DOTALL).group()
    path = re.search(r' d="([^"]*)"', group).group(1)
    x, y = np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", path), dtype=float).T
    return (x - x[0]) / (x[-1] - x[0]), -y


def test_median_line_shows_a_planted_step(tmp_path):
    n = 50_000
    values = np.random.default_rng(2).normal(0.3, 0.05, n)
    values[20_000:25_000] += 0.1
    columns = {"CD3": values.astype(np.float32)}
    write_events(tmp_path / "e.arrow", columns, np.zeros(n, np.uint8), {})
    plot_time_quality(tmp_path / "e.arrow", tmp_path / "e.svg")
    position, line = median_line(tmp_path / "e.svg")
    inside = (position > 0.41) & (position < 0.49)
    outside = (position < 0.39) | (position > 0.51)
    spread = line[outside].max() - line[outside].min()
    assert inside.sum() > 8
    assert line[inside].min() - line[outside].max() > 2 * spread


def test_same_input_gives_the_same_bytes(draw):
    first = draw(np.zeros(1_000), np.arange(1_000)).read_bytes()
    assert draw(np.zeros(1_000), np.arange(1_000)).read_bytes() == first
