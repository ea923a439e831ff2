"""The public BCR-XL cohort: the published positive control must come out of the workflow."""

import csv

import pytest
from tiny_project import Project

pytestmark = [pytest.mark.workflow, pytest.mark.data]


def test_ps6_rises_in_b_cells_in_eight_pairs(tmp_path, test_data, monkeypatch):
    monkeypatch.setenv("BIOCROSS_TEST_DATA", str(test_data.resolve()))
    project = Project(tmp_path)
    # To the report, the same files go in test_start.py.
    table = ("results", "bcr_xl", "statistics", "marker_changes.tsv")
    project.snakemake("/".join(table), "--configfile", "config/examples/bcr_xl/config.yaml")
    text = project.table(*table[1:]).decode()
    (row,) = (
        row
        for row in csv.DictReader(text.splitlines(), delimiter="\t")
        if row["population"] == "B_cells" and row["marker"] == "pS6"
    )
    assert row["contrast"] == "BCRXL - Ref"
    assert row["n_pairs"] == "8"
    assert float(row["q_value"]) < 0.05
    assert float(row["effect_low"]) > 0
