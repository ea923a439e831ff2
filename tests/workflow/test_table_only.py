"""A study that has only a table of frequencies, such as a FlowJo export, through snakemake."""

import csv

import pytest
from table_study import POPULATIONS, SIX_PAIRS, TWO_PAIRS, write_study
from tiny_project import Project

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a project whose table was run through all steps."""
    project = Project(tmp_path_factory.mktemp("table"))
    write_study(project.folder / "config")
    # A sheet about gates is nothing that such a study needs.
    (project.folder / "config" / "drug_markers.tsv").unlink()
    project.snakemake("--configfile", "config/table.yaml")
    return project


def changes(project):
    text = project.table("statistics", "paired_changes.tsv").decode()
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_every_question_is_answered(project):
    rows = changes(project)
    questions = {(row["treatment"], row["population"], row["readout"]) for row in rows}
    assert len(questions) == len(rows) == 2 * len(POPULATIONS) * 3
    assert {row["source"] for row in rows} == {"table"}
    assert all(row["note"] for row in rows if row["status"] != "tested")


def test_planted_change_is_the_only_confirmatory_claim(project):
    rows = [row for row in changes(project) if row["readout"] == "percent_of_parent"]
    found = {row["population"]: row for row in rows if row["treatment"] == SIX_PAIRS}
    assert (found["ILC2"]["n_pairs"], found["ILC2"]["n_incomplete"]) == ("6", "1")
    assert 2 < float(found["ILC2"]["effect"]) < 4.5
    claims = [r["population"] for r in rows if r["q_value"] and float(r["q_value"]) < 0.05]
    assert claims == ["ILC2"]
    assert found["ILC2"]["family"] == "confirmatory"
    few = {row["status"] for row in rows if row["treatment"] == TWO_PAIRS}
    assert few == {"too_few_pairs"}


def test_report_without_files(project):
    html = project.table("report.html").decode()
    assert "ILC2 rose from" in html
    assert "007 lacks month_4" in html
    assert "Frequencies were counted elsewhere" in html
    assert "Quality and gates" not in html
    assert not (project.folder / "results" / "flow").exists()
    assert project.table("figures", "paired_changes.pdf").startswith(b"%PDF")


def test_second_run_does_nothing(project):
    assert project.planned_rules("--configfile", "config/table.yaml") == {}


def test_broken_row_stops_before_any_job(project):
    table = project.folder / "config" / "frequencies.tsv"
    sound = table.read_text()
    lines = sound.splitlines()
    table.write_text("\n".join([*lines, lines[1], "P9\tbaseline\tNKT\tX\t9\t5"]) + "\n")
    try:
        done = project.snakemake("--configfile", "config/table.yaml", "-n", check=False)
    finally:
        table.write_text(sound)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in output
    row = len(lines) + 1
    assert f"config/frequencies.tsv row {row}: repeats row 2" in output
    assert f'row {row + 1}: "count" 9 is above its "parent_count" 5' in output
