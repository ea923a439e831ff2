import re

import numpy as np
import pandas as pd
import pytest
from changed_rows import NAN, changed
from long_tables import LongTables, fill
from matplotlib.figure import Figure

from biocross.report.figures.calibration import calibration_rows, draw_calibration, plot_calibration
from biocross.report.figures.changes import plot_changes
from biocross.report.figures.rare_events import RarePanel, draw_rare_events, rare_subjects
from biocross.report.figures.specifications import (
    draw_specifications,
    ordered_lines,
    plot_specifications,
)
from biocross.report.figures.style import BLUE, VERMILLION
from biocross.statistics.calibration_rows import CALIBRATION_COLUMNS
from biocross.statistics.specifications import SPECIFICATION_COLUMNS
from biocross.tables import read_rows, write_rows

LEVELS = ["baseline", "month_4"]


def specified(aspect, specification, effect=1.5, holds="yes", **more):
    row = changed("ILC2", effect, 0.01, aspect=aspect, specification=specification, holds=holds)
    return row | more


def rate(what, value, scope="class", verdict="ok", **more):
    return {
        **{"scope": scope, "modality": "flow", "source": "gate", "treatment": "mepolizumab"},
        **{"contrast": "month_4 - baseline", "readout": "percent_of_parent", "what": what},
        **{"n_populations": 3, "n_pairs": 8, "n_relabellings": 255, "rate": value},
        **{"rate_low": value - 0.01, "rate_high": value + 0.01, "verdict": verdict},
        **{"status": "tested", "note": "", **more},
    }


def test_rare_are_the_primary_and_what_is_claimed_on_few_events():
    rows = [
        changed("frequent", 2.0, 0.001, events_median=900.0),
        changed("rare", 2.0, 0.001, events_median=90.0),
        changed("unclaimed", 2.0, 0.4, events_median=90.0),
        changed("primary", 1.0, 0.9, family="confirmatory", events_median=900.0),
    ]
    assert [name[2] for name in rare_subjects(rows, 0.05)] == ["rare", "primary"]


def test_rare_events_are_a_line_per_patient_with_zeros_at_the_bottom():
    counts = pd.DataFrame(
        {"baseline": [30, 12, 5], "month_4": [60, 0, NAN]}, index=["P1", "P2", "P3"]
    )
    axis = Figure().subplots()
    draw_rare_events(axis, RarePanel("mepolizumab", [changed("ILC2", 2.0, 0.01)], counts), 0.05)
    lines = {str(line.get_gid()): line for line in axis.get_lines()}
    assert lines["patient:P1"].get_ydata().tolist() == [30, 60]
    assert lines["patient:P2"].get_ydata().tolist() == [12, 0.5]
    assert lines["patient:P3"].get_xdata().tolist() == [0]
    assert lines["patient:P1"].get_color() == VERMILLION
    assert axis.yaxis.get_major_formatter()(0.5, 0) == "0"
    assert [
        list(line.get_ydata()) for line in axis.get_lines() if line.get_linestyle() == "--"
    ] == [[20, 20]]


def test_lines_of_the_curve_by_aspect_patients_on_one():
    rows = [
        specified("leave_one_out", "P1"),
        specified("dropout", "delta 1"),
        specified("dropout", "tipping delta", effect_scale="ratio_of_odds_ratios"),
        specified("leave_one_out", "P2"),
        specified("as_reported", "percent_of_parent"),
    ]
    assert ordered_lines(rows) == [
        ("as_reported", "percent_of_parent"),
        ("leave_one_out", ""),
        ("dropout", "delta 1"),
    ]


def test_curve_marks_the_reported_and_what_holds():
    rows = [
        specified("as_reported", "percent_of_parent", 1.5),
        specified("test", "plain_t", 1.4, holds="no"),
        specified("test", "sign_flip", 1.3, effect_low=NAN, effect_high=NAN),
        specified("batch", "covariate", NAN, status="not_applicable"),
    ]
    axis = Figure().subplots()
    draw_specifications(axis, rows, ordered_lines(rows))
    marks = {
        str(line.get_gid()).removeprefix("specification:"): line
        for line in axis.get_lines()
        if str(line.get_gid()).startswith("specification")
    }
    assert set(marks) == {"as_reported:percent_of_parent", "test:plain_t", "test:sign_flip"}
    assert marks["as_reported:percent_of_parent"].get_marker() == "D"
    assert marks["test:plain_t"].get_color() == BLUE
    assert marks["test:sign_flip"].get_color() == VERMILLION


def test_curves_of_nothing_say_so(tmp_path):
    plot_specifications([], tmp_path / "s.svg", tmp_path / "s.tsv")
    assert "nothing is varied" in (tmp_path / "s.svg").read_text()


def test_calibration_shows_the_declared_table_without_single_populations():
    rows = [
        rate("any confirmatory claim", 0.05, "confirmatory"),
        rate("ILC2", 0.05, "population"),
        rate("below 20 events", 0.05, source="cluster"),
        rate("below 20 events", 0.05),
        rate("below 20 events", 0.05, readout="cells_per_ul"),
    ]
    shown = calibration_rows(rows, ("flow", "gate", "percent_of_parent"))
    assert shown == [rows[0], rows[3]]


def test_calibration_draws_rates_and_colours_inflated_ones():
    axis = Figure().subplots()
    rows = [rate("a", 0.05), rate("b", 0.12, verdict="inflated"), rate("c", NAN, status="too_few")]
    draw_calibration(axis, rows)
    marks = {line.get_gid(): line for line in axis.get_lines() if line.get_gid()}
    assert set(marks) == {"rate:a", "rate:b"}
    assert marks["rate:b"].get_color() == VERMILLION
    assert marks["rate:a"].get_color() == BLUE
    texts = [text.get_text() for text in axis.texts]
    assert {"0.050", "0.120", "not tested"} <= set(texts)
    assert axis.get_xlim()[1] > 0.13


def test_calibration_of_nothing_says_so(tmp_path):
    plot_calibration([], tmp_path / "c.svg")
    assert "could not be calibrated" in (tmp_path / "c.svg").read_text()


@pytest.fixture
def tables(tmp_path):
    return LongTables(tmp_path)


def draw_all(tables, tmp_path):
    changes, paths = tables.changes_file(), tables.write()
    specifications, calibration = tmp_path / "specifications.tsv", tmp_path / "calibration.tsv"
    write_rows(specifications, SPECIFICATION_COLUMNS, [])
    write_rows(calibration, CALIBRATION_COLUMNS, [])
    names = ("forest", "volcano", "heat_map", "rare_events", "specifications", "calibration")
    outs = {name: [tmp_path / f"{name}.{form}" for form in ("svg", "tsv")] for name in names}
    plot_changes(
        **{"changes": changes, "specifications": specifications, "calibration": calibration},
        **{name: paths[name] for name in ("counts", "samples", "pairs")},
        levels=LEVELS,
        fdr=0.05,
        declared=("flow", "gate", "percent_of_parent"),
        figures_out=outs,
    )
    return outs


def test_all_figures_from_the_tables_of_a_run(tables, tmp_path):
    tables.name_primary("pop_2")
    fill(tables, np.random.default_rng(1), 6, populations=4)
    outs = draw_all(tables, tmp_path)
    words = re.findall(r">([^<>]+)</text>", outs["forest"][0].read_text())
    assert "pop 2, % of leukocytes" in words
    assert words.index("pop 2, % of leukocytes") < words.index("pop 0, % of leukocytes")
    source = read_rows(outs["rare_events"][1])
    assert {row["population"] for row in source} == {"pop_2"}
    assert len(source) == 12
    assert all(path.exists() for paths in outs.values() for path in paths)


def test_a_study_without_a_pair_still_has_all_figures(tables, tmp_path):
    tables.add("P1", "baseline", {"pop_0": (10, 100)})
    outs = draw_all(tables, tmp_path)
    assert all(path.exists() for paths in outs.values() for path in paths)
    assert "no two visits compare" in outs["forest"][0].read_text()
