import re

import pytest

from biocross.cohort.overview import SAMPLE_COLUMNS
from biocross.report.figures.quality_overview import plot_losses_by_visit, plot_quality_overview
from biocross.tables import read_rows, write_rows

LEDGER_COLUMNS = ("sample_id", "step", "events_before", "flagged", "share", "note")


def words_of(svg):
    """Return the texts of a figure, in order."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))


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
        return (*paths.values(), tmp_path / "figure.svg", tmp_path / "figure.tsv")

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
    plot_quality_overview(*paths, levels=["baseline", "month_4"])
    texts = words_of(paths[2])
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
    plot_quality_overview(*paths)
    text = paths[2].read_text()
    width, height = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text).groups()
    assert float(width) / 72 < 10
    assert float(height) / 72 < 12
    texts = words_of(paths[2])
    assert texts.count("events read") == 2
    second = texts[texts.index("events read") + 1 :]
    names = [text for text in second if re.fullmatch(r"P\d\d|baseline|month 4|month 12", text)]
    assert sum(name.startswith("P") for name in names) == 20
    assert names.count("baseline") == names.count("month 12") == 20


def test_overview_without_any_sample_or_loss_is_drawn(cohort):
    paths = cohort({})
    plot_quality_overview(*paths)
    plot_losses_by_visit(*paths)
    paths = cohort({("P1", "baseline"): (1_000, {"doublet": 0})})
    plot_quality_overview(*paths)
    assert "every step was possible" in words_of(paths[2])


def test_losses_by_visit_draw_a_line_per_patient(cohort):
    losses = {
        (f"P{number}", visit): (1_000, {"doublet": 10 * number})
        for number in range(1, 4)
        for visit in ("baseline", "month_4")
    }
    del losses["P3", "month_4"]
    paths = cohort(losses)
    plot_losses_by_visit(*paths, levels=["baseline", "month_4"])
    text = paths[2].read_text()
    assert sorted(set(re.findall(r'id="unit:(P\d)', text))) == ["P1", "P2", "P3"]
    assert {"mepolizumab", "month 4", "events set aside (%)"} <= set(words_of(paths[2]))


def test_same_input_gives_the_same_bytes(cohort):
    paths = cohort({("P1", "baseline"): (1_000, {"doublet": 10})})
    plot_quality_overview(*paths)
    first = paths[2].read_bytes()
    plot_quality_overview(*paths)
    assert paths[2].read_bytes() == first


def test_source_tables_hold_what_is_drawn(cohort):
    losses = {
        ("P1", "baseline"): (1_000, {"doublet": 10, "dead": 20}),
        ("P1", "month_4"): (500, {"doublet": 50}),
    }
    paths = cohort(losses)
    plot_quality_overview(*paths)
    rows = read_rows(paths[3])
    found = {(row["sample_id"], row["step"]): float(row["percent"]) for row in rows}
    assert found["P1_baseline", "doublet"] == 1
    assert found["P1_baseline", "dead"] == 2
    assert found["P1_month_4", "doublet"] == 10
    plot_losses_by_visit(*paths)
    rows = read_rows(paths[3])
    assert {row["visit"]: float(row["percent"]) for row in rows} == {"baseline": 3, "month_4": 10}
