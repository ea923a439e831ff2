"""The notebooks run from top to bottom on the results of a run."""

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from notebook_runs import NOTEBOOKS, execute_cells, run_notebook
from run_folder import two_treatments

import biocross

NAMES = [
    *("01_changes", "02_gates_and_quality", "03_clusters_and_cells"),
    *("04_single_cell_and_concordance", "05_clinic_and_response", "06_reanalysis"),
]
# At least so many pictures on a study with FCS files alone, without a map of cells.
PICTURES = dict(zip(NAMES, (4, 4, 0, 0, 0, 2), strict=True))
# What a notebook says of a study that starts from a table of counts.
LACKS = {
    "02_gates_and_quality": "it has no FCS files, gates or quality",
    "03_clusters_and_cells": "This study has no clusters",
    "04_single_cell_and_concordance": "This study has no single-cell RNA",
    "05_clinic_and_response": "Nothing can be related to the clinic",
}
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def table_study(tmp_path):
    """Results of a study from a table; the settings of pandas are put back afterwards."""
    with pd.option_context("display.max_colwidth", 50, "display.float_format", None):
        yield two_treatments(tmp_path)[1]
    plt.close("all")


def test_all_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == NAMES


@by_name
def test_notebook_is_stored_without_what_it_showed(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert [cell.source for cell in code if "parameters" in cell.metadata.get("tags", [])] == [
        'import os\n\nresults_folder = os.environ.get("BIOCROSS_RESULTS", "../results")'
    ]
    assert max(len(cell.source.splitlines()) for cell in code) <= 25
    assert "## What one may conclude" in notebook.cells[-1].source


@by_name
def test_what_a_study_from_a_table_lacks_is_said(path, table_study, monkeypatch):
    assert LACKS.get(path.stem, "") in execute_cells(path, table_study, monkeypatch)


@pytest.mark.workflow
@by_name
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_notebook_runs(path, finished_project, monkeypatch):
    pictures, _ = run_notebook(path, finished_project.folder / "results", monkeypatch)
    assert pictures >= PICTURES[path.stem]


@pytest.mark.workflow
def test_gates_are_drawn_as_they_were_counted(finished_project):
    results = biocross.open_results(finished_project.folder / "results")
    patient = results.samples["patient_id"].iloc[0]
    axes = results.plot_gate(patient, "Th2")
    counts = results["Th2"].counts.query("source == 'gate' and patient_id == @patient")
    said = [axis.texts[-1].get_text() for axis in axes[-1]]
    assert [text.split("(")[1].split(")")[0] for text in said] == [
        f"{int(count):,}" for count in counts["count"]
    ]
    plt.close("all")
