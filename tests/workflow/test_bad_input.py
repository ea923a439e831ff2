"""A user's mistake stops the run before any job, with one sentence that names sheet and row."""

import pytest

pytestmark = pytest.mark.workflow


def edited(project, sheet, old, new):
    path = project.folder / "config" / sheet
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def refused(project):
    done = project.snakemake(check=False)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in output
    assert not (project.folder / "results").exists()
    return output


def test_unknown_visit(fresh_project):
    edited(fresh_project, "samples.tsv", "P02\tmonth_4", "P02\tmonth4")
    output = refused(fresh_project)
    assert 'config/samples.tsv row 5: visit "month4" is not in design.levels' in output
    assert 'did you mean "month_4"?' in output


def test_patient_in_one_sheet_only(fresh_project):
    edited(fresh_project, "patients.tsv", "P03\t", "P33\t")
    output = refused(fresh_project)
    assert 'config/samples.tsv row 6: patient "P03" is not in config/patients.tsv' in output
    assert 'config/patients.tsv row 4: patient "P33" has no sample' in output


def test_missing_fcs(fresh_project):
    config = fresh_project.folder / "config" / "config.yaml"
    config.write_text(fresh_project.configuration_without_simulation())
    (fresh_project.folder / "results" / "simulated").mkdir(parents=True)
    done = fresh_project.snakemake(check=False)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in output
    assert 'samples.tsv row 2: there is no file "results/simulated/P01_baseline.fcs"' in output


def test_all_problems_at_once(fresh_project):
    edited(fresh_project, "samples.tsv", "P02\tmonth_4", "P02\tmonth4")
    edited(fresh_project, "patients.tsv", "P03\t", "P33\t")
    output = refused(fresh_project)
    assert 'samples.tsv row 5: visit "month4"' in output
    assert 'samples.tsv row 6: patient "P03"' in output
    assert 'clinical.tsv row 6: patient "P03"' in output
    assert 'patients.tsv row 4: patient "P33"' in output
