"""What a run found is compared with the truth, and the validation's chain is the workflow's."""

import pytest
from validation.whole_run import run_study

from biocross.simulate.description import load_description
from biocross.tables import read_rows

pytestmark = pytest.mark.workflow
SAME = ("sample_id", "population", "count", "parent_count", "cells_per_ul")


def rows(project, *parts):
    return read_rows(project.folder.joinpath("results", *parts))


def test_gates_and_clusters_find_the_cells_that_were_simulated(finished_project):
    f1 = {
        (row["source"], row["population"]): float(row["f1"])
        for row in rows(finished_project, "evaluation", "events.tsv")
    }
    for name in ("neutrophils", "lymphocytes", "T_cells", "B_cells"):
        assert f1["gate", name] > 0.97, name
    assert f1["cluster", "neutrophils"] > 0.97


def test_every_finding_has_its_true_answer(finished_project):
    findings = rows(finished_project, "evaluation", "findings.tsv")
    eosinophils = next(
        row
        for row in findings
        if (row["treatment"], row["population"], row["source"], row["readout"])
        == ("mepolizumab", "eosinophils", "gate", "percent_of_parent")
    )
    assert 0.1 < float(eosinophils["true_effect"]) < 0.2
    assert eosinophils["verdict"] in ("found", "missed", "not tested")
    assert {row["kind"] for row in findings} == {"frequency", "marker"}
    assert rows(finished_project, "evaluation", "rates.tsv")


def test_the_chain_of_the_validation_is_that_of_the_workflow(finished_project, tmp_path):
    """Whole studies are validated in one process; a run of Snakemake has the same gates."""
    study = load_description(finished_project.folder / "config" / "simulation" / "demo.yaml")
    run = run_study(study, tmp_path, 1, clusters=False)
    ours = [[row[name] for name in SAME] for row in read_rows(run.path("counts.tsv"))]
    theirs = [
        [row[name] for name in SAME]
        for row in rows(finished_project, "populations", "counts.tsv")
        if row["source"] == "gate"
    ]
    assert ours
    assert sorted(ours) == sorted(theirs)
