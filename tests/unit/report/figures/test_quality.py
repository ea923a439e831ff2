import re

import numpy as np
import pytest

from biocross.cohort.overview import SAMPLE_COLUMNS
from biocross.flow.events import write_events
from biocross.report.figures.quality import (
    flagged_stretches,
    plot_losses_by_visit,
    plot_quality_overview,
    plot_time_quality,
)
from biocross.tables import write_rows

LEDGER_COLUMNS = ("sample_id", "step", "events_before", "flagged", "share", "note")
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


@pytest.fixture
def cohort(tmp_path):
    """Write a ledger and a sheet of samples; return what the figures need."""

    def write(losses, treatment="mepolizumab"):
        ledger, samples = [], []
        for (patient, visit), (events, steps) in losses.items():
            name = f"{patient}_{visit}"
            who = {"sample_id": name, "patient_id": patient, "visit": visit, "modality": "flow"}
            samples.append({**who, "treatment": treatment, "unit": patient, "level": visit})
            note = "" if events else "excluded: the file is cut off"
            rows = {"read": 0, **steps} if events else {"read": 0}
            for step, found in rows.items():
                flagged, why = (found, note) if isinstance(found, int) else (0, found)
                ledger.append([name, step, events, flagged, "", why])
        paths = {"ledger": tmp_path / "ledger.tsv", "samples": tmp_path / "samples.tsv"}
        rows = (dict(zip(LEDGER_COLUMNS, cells, strict=True)) for cells in ledger)
        write_rows(paths["ledger"], LEDGER_COLUMNS, rows)
        write_rows(paths["samples"], SAMPLE_COLUMNS, samples)
        return {**paths, "figure_out": tmp_path / "figure.svg"}

    return write


def test_overview_names_every_sample_loss_and_exclusion(cohort):
    losses = {
        (f"P{number}", visit): (
            100_000 + number,
            {"doublet": 5_000, "dead": "not_possible: no dye"},
        )
        for number in range(4)
        for visit in ("month_4", "baseline")
    }
    losses["P3", "baseline"] = (0, {})
    losses["P2", "month_4"] = (200_000, {"doublet": 10_000, "dead": 70_000})
    paths = cohort(losses)
    plot_quality_overview(**paths, levels=["baseline", "month_4"])
    texts = words_of(paths["figure_out"])
    assert [text for text in texts if re.fullmatch(r"P\d", text)] == ["P0", "P1", "P2", "P3"]
    assert [text for text in texts if text in ("baseline", "month 4")] == [
        "baseline",
        "month 4",
    ] * 4
    assert texts.count("5.0 %") + texts.count(" 5.0 %") == 6
    assert any("40.0 %, unusual" in text for text in texts)
    assert {"excluded: the file is cut off", "100,000", "200,000", "0"} <= set(texts)
    assert "not possible: dead cells in 6 of 8 samples" in texts
    assert {"doublets", "dead cells"} <= set(texts)


def test_overview_of_123_samples_keeps_patients_whole_on_one_page(cohort):
    losses = {
        (f"P{number:02d}", visit): (100_000, {"doublet": 5_000})
        for number in range(41)
        for visit in ("baseline", "month_4", "month_12")
    }
    paths = cohort(losses)
    plot_quality_overview(**paths)
    text = paths["figure_out"].read_text()
    width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text).groups()
    assert float(width) / 72 < 10
    assert float(height) / 72 < 12
    texts = words_of(paths["figure_out"])
    assert texts.count("events read") == 2
    second = texts[texts.index("events read") + 1 :]
    names = [text for text in second if re.fullmatch(r"P\d\d|baseline|month 4|month 12", text)]
    assert sum(name.startswith("P") for name in names) == 20
    assert names.count("baseline") == names.count("month 12") == 20


def test_overview_without_any_sample_or_loss_is_drawn(cohort):
    paths = cohort({})
    plot_quality_overview(**paths)
    plot_losses_by_visit(**paths)
    paths = cohort({("P1", "baseline"): (1_000, {"doublet": 0})})
    plot_quality_overview(**paths)
    assert "every step was possible" in words_of(paths["figure_out"])


def test_losses_by_visit_draw_a_line_per_patient(cohort):
    losses = {
        (f"P{number}", visit): (1_000, {"doublet": 10 * number})
        for number in range(1, 4)
        for visit in ("baseline", "month_4")
    }
    del losses["P3", "month_4"]
    paths = cohort(losses)
    plot_losses_by_visit(**paths, levels=["baseline", "month_4"])
    text = paths["figure_out"].read_text()
    assert sorted(set(re.findall(r'id="unit:(P\d)', text))) == ["P1", "P2", "P3"]
    assert {"mepolizumab", "month 4", "events set aside (%)"} <= set(words_of(paths["figure_out"]))


def test_same_input_gives_the_same_bytes(cohort, draw):
    paths = cohort({("P1", "baseline"): (1_000, {"doublet": 10})})
    plot_quality_overview(**paths)
    first = paths["figure_out"].read_bytes()
    plot_quality_overview(**paths)
    assert paths["figure_out"].read_bytes() == first
    first = draw(np.zeros(1_000), np.arange(1_000)).read_bytes()
    assert draw(np.zeros(1_000), np.arange(1_000)).read_bytes() == first
