import re

import numpy as np
import pandas as pd
import pytest
from long_tables import LongTables, fill

from biocross.report.figures.paired_changes import (
    VERMILLION,
    change_panels,
    draw_panel,
    plot_paired_changes,
    records,
)
from biocross.statistics.paired_changes import load_changes
from biocross.statistics.pairs import read_long_table, read_pair_sheet

LEVELS = ["baseline", "month_4"]


@pytest.fixture
def tables(tmp_path):
    return LongTables(tmp_path)


def panels_of(tables, levels=LEVELS):
    changes, paths = tables.changes(), tables.write()
    table = read_long_table(paths["counts"], paths["samples"])
    return list(change_panels(changes, table, read_pair_sheet(paths["pairs"]), levels))


def draw(panel, fdr=0.05):
    """Return the axes of a drawn panel."""
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    draw_panel(axis, panel, fdr)
    return axis


def patient_lines(axis):
    return {
        str(line.get_gid()).removeprefix("patient:"): line
        for line in axis.get_lines()
        if str(line.get_gid()).startswith("patient:")
    }


def test_panel_holds_every_patient_of_its_treatment(tables):
    rng = np.random.default_rng(1)
    names = fill(tables, rng, 3, populations=2)
    fill(tables, rng, 2, populations=2, treatment="dupilumab")
    tables.add("alone", "baseline", {"pop_0": (10, 40)})
    tables.ask("mepolizumab", "alone")
    panels = {(panel.treatment, panel.population): panel for panel in panels_of(tables)}
    assert len(panels) == 4
    panel = panels["mepolizumab", "pop_0"]
    assert panel.percent.index.tolist() == sorted([*names, "alone"])
    assert panel.percent.columns.tolist() == LEVELS
    assert panel.percent.loc["alone"].tolist()[0] == 25
    assert np.isnan(panel.percent.loc["alone", "month_4"])
    assert panel.parent == "leukocytes"
    assert len(panel.changes) == 1


def test_several_visits_make_one_panel(tables):
    names = fill(tables, np.random.default_rng(2), 3, populations=1)
    for name in names:
        tables.add(name, "month_12", {"pop_0": (10, 100)})
    tables.ask("mepolizumab", *names, followup="month_12")
    (panel,) = panels_of(tables, [*LEVELS, "month_12"])
    assert panel.percent.shape == (3, 3)
    assert len(panel.changes) == 2
    labels = [label.get_text() for label in draw(panel).get_xticklabels()]
    assert labels == ["baseline", "month 4", "month 12"]


def test_gates_and_a_table_of_the_same_population_stay_apart(tables):
    rng = np.random.default_rng(3)
    for patient in ("P1", "P2", "P3"):
        for visit in LEVELS:
            for source in ("gate", "table"):
                sample = {"ILC2": (int(rng.integers(20, 60)), 1000)}
                tables.add(patient, visit, sample, source=source)
        tables.ask("mepolizumab", patient)
    gate, table = panels_of(tables)
    assert gate.subject != table.subject
    assert (gate.title, table.title) == ("ILC2", "ILC2 (table)")
    assert not gate.percent.equals(table.percent)


def test_lines_zeros_and_lonely_visits(tables):
    """A zero stands at half the smallest value, and the axis calls it 0."""
    for patient, before, after in (("P1", 100, 0), ("P2", 200, 20), ("P3", 50, None)):
        tables.add(patient, "baseline", {"A": (before, 1000)})
        if after is not None:
            tables.add(patient, "month_4", {"A": (after, 1000)})
    tables.ask("mepolizumab", "P1", "P2", "P3")
    (panel,) = panels_of(tables)
    axis = draw(panel)
    lines = patient_lines(axis)
    assert sorted(lines) == ["P1", "P2", "P3"]
    assert lines["P1"].get_ydata().tolist() == [10, 1]
    assert lines["P2"].get_ydata().tolist() == [20, 2]
    assert lines["P3"].get_markerfacecolor() == "white"
    assert lines["P2"].get_markerfacecolor() != "white"
    ticks = [axis.yaxis.get_major_formatter()(value, 0) for value in axis.get_yticks()]
    assert ticks[0] == "0"
    (median,) = [line for line in axis.get_lines() if line.get_linewidth() > 2]
    assert median.get_ydata().tolist() == [15, 1.5]


def test_only_what_is_called_is_orange(tables):
    rng = np.random.default_rng(4)
    for number in range(8):
        tables.add(f"P{number}", "baseline", {"A": (int(rng.integers(90, 110)), 1000)})
        tables.add(f"P{number}", "month_4", {"A": (int(rng.integers(190, 210)), 1000)})
        tables.ask("mepolizumab", f"P{number}")
    (panel,) = panels_of(tables)
    colours = {
        fdr: [line.get_color() for line in draw(panel, fdr).get_lines() if line.get_linewidth() > 2]
        for fdr in (0.05, 1e-30)
    }
    assert colours[0.05] == [VERMILLION]
    assert colours[1e-30] != [VERMILLION]


def test_text_under_the_plot(tables):
    fill(tables, np.random.default_rng(5), 2, populations=1)
    (panel,) = panels_of(tables)
    texts = [text.get_text() for text in draw(panel).texts]
    assert texts == ["n = 2: too few pairs"]


def test_population_that_nobody_had_measured(tables):
    for number in range(3):
        for visit in LEVELS:
            tables.add(f"P{number}", visit, {"eosinophils": (None, 1000)})
        tables.ask("mepolizumab", f"P{number}")
    (panel,) = panels_of(tables)
    axis = draw(panel)
    assert [text.get_text() for text in axis.texts] == ["n = 0: not measured"]


def test_only_zeros(tables):
    for number in range(3):
        for visit in LEVELS:
            tables.add(f"P{number}", visit, {"A": (0, 1000)})
        tables.ask("mepolizumab", f"P{number}")
    (panel,) = panels_of(tables)
    axis = draw(panel)
    assert axis.yaxis.get_major_formatter()(axis.get_yticks()[0], 0) == "0"


@pytest.mark.parametrize("name", ["$x^$", "a_b$", "100 % & <b>", "\\frac{1}{2} $\\bad$"])
def test_names_are_words_not_formulas(tables, tmp_path, name):
    for number in range(3):
        for visit in LEVELS:
            sample = {name: {"count": 50 + number, "parent_count": 100, "parent": name + "s"}}
            tables.add(f"{number}{name}", visit, sample, treatment=name)
        tables.ask(name, f"{number}{name}")
    (panel,) = panels_of(tables)
    axis = draw(panel)
    axis.figure.savefig(tmp_path / "figure.png")
    assert axis.get_title(loc="left").split("\n")[1] == name


def test_figure_in_three_formats_without_dates(tables, tmp_path):
    rng = np.random.default_rng(6)
    fill(tables, rng, 4, populations=2)
    fill(tables, rng, 3, populations=2, treatment="dupilumab")
    changes, paths = tables.changes_file(), tables.write()

    def plot(name):
        outs = {kind: tmp_path / f"{name}.{kind}" for kind in ("pdf", "svg", "png")}
        plot_paired_changes(
            changes,
            *(paths["counts"], paths["samples"], paths["pairs"]),
            levels=LEVELS,
            fdr=0.05,
            declared=("flow", "gate"),
            figures_out=list(outs.values()),
        )
        return {kind: path.read_bytes() for kind, path in outs.items()}

    first = plot("first")
    assert first["pdf"].startswith(b"%PDF")
    assert first["png"].startswith(b"\x89PNG")
    svg = first["svg"].decode()
    assert len(set(re.findall(r'id="patient:[^"]+"', svg))) == 7
    assert plot("second") == first


def test_figure_shows_the_declared_source(tables, tmp_path):
    fill(tables, np.random.default_rng(6), 4, populations=2)
    gates = list(tables.counts)
    for source in ("cluster", "single_cluster"):
        tables.counts += [row | {"source": source} for row in gates]
    changes, paths = tables.changes_file(), tables.write()
    titles = {}
    for source in ("gate", "cluster", "table"):
        out = tmp_path / f"{source}.svg"
        plot_paired_changes(
            changes,
            *(paths["counts"], paths["samples"], paths["pairs"]),
            **{"levels": LEVELS, "fdr": 0.05, "declared": ("flow", source), "figures_out": [out]},
        )
        titles[source] = re.findall(r">(pop [01][^<]*)<", out.read_text())
    assert titles["gate"] == ["pop 0", "pop 1"]
    assert titles["cluster"] == ["pop 0 (clusters)", "pop 1 (clusters)"]
    assert sorted(titles["table"]) == sorted([*titles["gate"], *titles["cluster"]])


def test_treatment_lacking_a_population_leaves_its_place_empty(tables, tmp_path):
    rng = np.random.default_rng(7)
    fill(tables, rng, 3, populations=1)
    names = fill(tables, rng, 3, populations=1, treatment="dupilumab")
    changes = tables.changes()
    assert set(changes["treatment"]) == {"dupilumab", "mepolizumab"}
    only = changes[changes["treatment"] == "dupilumab"]
    paths = tables.write()
    table = read_long_table(paths["counts"], paths["samples"])
    (panel,) = change_panels(only, table, read_pair_sheet(paths["pairs"]), LEVELS)
    assert panel.percent.index.tolist() == names


def test_names_that_look_like_numbers(tables):
    """Clusters are often called 1, 2, 3, and arms of a trial too."""
    rng = np.random.default_rng(8)
    for number in range(3):
        for visit in LEVELS:
            sample = {"07": (int(rng.integers(20, 60)), 1000)}
            tables.add(f"00{number}", visit, sample, treatment="1")
        tables.ask("1", f"00{number}")
    (panel,) = panels_of(tables)
    assert (panel.treatment, panel.population) == ("1", "07")
    assert panel.percent.index.tolist() == ["000", "001", "002"]


def test_records_have_plain_values(tables):
    fill(tables, np.random.default_rng(9), 3, populations=1)
    rows = records(load_changes(tables.changes_file()))
    assert {type(row["effect_is_bound"]) for row in rows} <= {bool, float}
    assert records(pd.DataFrame({"a": [1]})) == [{"a": 1}]
