import math
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from long_tables import ROOT, LongTables
from run_folder import run_folder, two_treatments

from biocross.cohort.gate_regions import Singlets
from biocross.cohort.panel import Channel
from biocross.errors import BiocrossError
from biocross.flow.applied_gates import AppliedGate, Range
from biocross.flow.events import Events
from biocross.flow.transforms import Transform
from biocross.report.figures.gating_steps import Visit
from biocross.results import Results
from biocross.results.gate_plots import GateFiles, draw_gates


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def results(tmp_path):
    return Results(two_treatments(tmp_path)[1])


def titles(axes):
    return [axis.get_title(loc="left") for axis in np.ravel(axes)]


def patients(axis):
    names = (str(line.get_gid()) for line in axis.get_lines())
    return {name.removeprefix("patient:") for name in names if name.startswith("patient:")}


def test_change_of_one_population(results):
    axes = results.plot_change("pop_1")
    assert titles(axes) == ["pop 1\ndupilumab", "pop 1\nmepolizumab"]
    assert patients(axes[1]) == {f"mep_P0{number}" for number in range(4)}
    assert axes[0].get_ylabel() == "% of leukocytes"


def test_change_under_one_treatment_in_axes_that_are_given(results):
    figure, axis = plt.subplots()
    drawn = results["pop_2"].plot_change(treatment="dupilumab", axes=axis)
    assert list(drawn) == [axis]
    assert titles(axis) == ["pop 2\ndupilumab"]
    assert figure.axes == [axis]


def test_change_in_cells_per_ul(tmp_path):
    tables = LongTables(tmp_path)
    for number in range(3):
        for visit, per_ul in (("baseline", 100.0), ("month_4", 25.0 + number)):
            cells = {"count": 50, "parent_count": 1000, "cells_per_ul": per_ul, "percent": 5.0}
            tables.add(f"P{number}", visit, {"pop_0": cells})
    tables.ask("mepolizumab", "P0", "P1", "P2")
    axis = Results(run_folder(tables)).plot_change("pop_0", "cells_per_ul")[0]
    assert axis.get_ylabel() == "cells/µl"
    (line,) = (one for one in axis.get_lines() if one.get_gid() == "patient:P2")
    assert list(line.get_ydata()) == [100, 27]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"population": "pop1"}, 'no population "pop1"; did you mean "pop_1"?'),
        ({"readout": "composition"}, 'no readout that can be drawn "composition"'),
        ({"treatment": "mepolizumap"}, 'no treatment "mepolizumap"; did you mean "mepolizumab"?'),
        ({"source": "cluster"}, 'no source "cluster"; known are: gate'),
    ],
)
def test_what_cannot_be_drawn_is_said(results, wrong, said):
    with pytest.raises(BiocrossError, match=re.escape(said)):
        results.plot_change(**{"population": "pop_1", **wrong})


def test_too_few_axes_are_refused_with_the_panels(results):
    with pytest.raises(BiocrossError, match=r"1 axes were given for 2 panels \(pop 1 dupilumab, "):
        results.plot_change("pop_1", axes=plt.subplots()[1])


def test_forest_has_a_panel_per_treatment_and_contrast(results):
    axes = results.plot_forest()
    assert len(axes) == 2
    labels = [label.get_text() for label in axes[0].get_yticklabels()]
    assert labels == [f"pop {k}, % of leukocytes" for k in range(3)]
    assert plt.get_fignums(), "a figure that Jupyter shows"


def test_forest_of_chosen_changes_in_given_axes(results):
    _, axis = plt.subplots()
    changes = results.compare(test="wilcoxon", exclude="mep_P00")
    drawn = results.plot_forest("mepolizumab", populations="pop_1", changes=changes, axes=axis)
    assert list(drawn) == [axis]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["pop 1, % of leukocytes"]


def test_marker_in_a_population(tmp_path):
    tables = LongTables(tmp_path)
    for number in range(3):
        for visit, value in (("baseline", 0.2), ("month_4", 0.4 + number)):
            tables.add(f"P{number}", visit, {"pop_0": (50, 1000)})
            tables.measure(f"P{number}", visit, "pop_0", "CD69", value=value, n_cells=50)
    tables.ask("mepolizumab", "P0", "P1", "P2")
    results = Results(run_folder(tables))
    axis = results.plot_marker("pop_0", "CD69")[0]
    assert titles(axis) == ["CD69 in pop 0\nmepolizumab"]
    assert patients(axis) == {"P0", "P1", "P2"}
    assert axis.get_xlabel() == "not tested"
    with pytest.raises(BiocrossError, match=r'no marker "CD6"; did you mean "CD69"\?'):
        results.plot_marker("pop_0", "CD6")


def test_study_without_files_has_no_gates(results):
    with pytest.raises(BiocrossError, match=r"no gates to plot: .*[(]a gating.yaml"):
        results.plot_gate("007", "pop_0")


MARKERS = ("FSC-A", "FSC-H", "CD3", "CD19", "CD4")
FILES = GateFiles(
    *(Path("gating.yaml"), Path("thresholds.tsv"), Path("populations.yaml")),
    [Channel("PE-A", "CD3", "lineage")],
    {marker: Transform("logicle") for marker in MARKERS},
)


def above(marker, border):
    return Range(marker, border, math.inf, f"{marker}+")


SINGLETS = AppliedGate("singlets", "", region=Singlets(("FSC-A", "FSC-H"), 3.0))
T_CELLS = AppliedGate("T_cells", "", (above("CD3", 0.5),))
HELPERS = AppliedGate("CD4_T", "T_cells", (above("CD4", 0.5), above("CD3", 0.6), above("CD19", 0)))
LYMPHOCYTES = AppliedGate("lymphocytes", any_of=("T_cells", "B_cells"))


def visit(title, seed):
    values = {m: np.random.default_rng(seed).random(400).astype(np.float32) for m in MARKERS}
    # The first twenty are doublets: half as high as their area says.
    values["FSC-H"] = values["FSC-A"] * np.where(np.arange(400) < 20, 0.5, 1).astype(np.float32)
    everything = np.arange(400)
    positive = np.flatnonzero(values["CD3"] >= 0.5)
    members = {
        "": everything,
        "T_cells": positive,
        "CD4_T": positive[values["CD4"][positive] > 0.6],
    }
    events = Events(values, np.zeros(400, dtype=np.uint8), {"sample_id": title})
    return Visit(title, events, members, (T_CELLS, HELPERS, LYMPHOCYTES, SINGLETS))


VISITS = [visit("baseline", 1), visit("month 4", 2)]


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_gate_of_one_marker_is_a_histogram_with_its_border_and_share():
    axes = draw_gates(VISITS, "T_cells", FILES, "P1: T cells", None)
    assert axes.shape == (1, 2)
    assert titles(axes) == ["baseline\n400 events that passed", "month 4\n400 events that passed"]
    count = VISITS[0].members["T_cells"].size
    assert texts(axes[0, 0]) == [f"T cells: {100 * count / 400:.1f} % ({count})"]
    (border,) = axes[0, 0].get_lines()
    assert list(border.get_xdata()) == [0.5, 0.5]
    assert axes[0, 0].get_xlabel() == "CD3 PE"


def test_gate_of_three_markers_is_drawn_in_steps_on_the_same_scale():
    axes = draw_gates(VISITS, "CD4_T", FILES, "P1: CD4 T", None)
    assert axes.shape == (2, 2)
    assert [axis.get_xlim() for axis in axes[:, 0]] == [axis.get_xlim() for axis in axes[:, 1]]
    assert len(axes[0, 0].get_images()) == 1
    assert texts(axes[0, 0])[0].startswith("in the gate: ")
    assert texts(axes[1, 0])[0].startswith("CD4 T: ")


def test_singlets_are_shown_among_the_others():
    axes = draw_gates(VISITS, "singlets", FILES, "", None)
    image = np.asarray(axes[0, 0].get_images()[0].get_array())
    assert (image[..., :3] == 190).all(axis=-1).any(), "others in grey"


def test_gate_in_axes_that_are_given():
    _, grid = plt.subplots(1, 2)
    assert list(draw_gates(VISITS, "T_cells", FILES, "", grid)[0]) == list(grid)
    with pytest.raises(BiocrossError, match=r"2 axes were given for 4 panels \(2 steps of 2 visi"):
        draw_gates(VISITS, "CD4_T", FILES, "", grid)


def test_gate_that_combines_others_has_no_plot():
    with pytest.raises(BiocrossError, match=r"no plot .* lymphocytes: it combines .*T cells or B"):
        draw_gates(VISITS, "lymphocytes", FILES, "", None)


def test_the_example_of_the_guide_runs_in_under_ten_lines(results, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "jupyter.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(import biocross\n.*?)```", text, re.DOTALL)[1]
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) < 10
    code = example.replace('"results"', repr(str(results.folder))).replace("ILC2", "pop_0")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "jupyter.md", "exec"), {})
    assert len(list(tmp_path.glob("*.pdf"))) == 1
