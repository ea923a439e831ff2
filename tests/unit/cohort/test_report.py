import shutil

import numpy as np
import pytest
import yaml

from biocross.cohort import report
from biocross.cohort.report import check


@pytest.fixture
def told(study, capsys, monkeypatch):
    """Run the check on the study; return its exit code and what it printed, names made short."""

    def run(**keys):
        study.config.update(keys)
        path = study.folder / "config.yaml"
        path.write_text(yaml.safe_dump(study.config))
        code = check(path)
        return code, capsys.readouterr().out.replace(f"{study.folder}/", "").splitlines()

    # The FCS files of the study are empty; their headers have tests of their own below.
    monkeypatch.setattr(report, "header_problems", lambda config, cohort: [])
    return run


def test_a_sound_study(told):
    code, lines = told()
    assert code == 0
    assert lines[-1] == "0 errors, 3 warnings."
    assert "# The design of this study" in lines
    assert lines[0].startswith('warning: samples.tsv: mepolizumab, flow, "month_4 - baseline"')


def test_errors_stand_before_warnings_and_decide_the_exit_code(study, told):
    study.edit("samples", "P1_month_4.fcs", "P1.fcs")
    study.edit("panel", "lineage", "linage")
    code, lines = told()
    assert code == 1
    kinds = [line.split(":")[0] for line in lines if line.startswith(("error:", "warning:"))]
    assert kinds[:2] == ["error", "error"]
    assert "error" not in kinds[2:]
    assert lines[-1].startswith("2 errors, ")


def test_an_unknown_patient_has_no_design_yet(study, told):
    study.edit("patients", "P2\t", "P3\t")
    code, lines = told()
    assert code == 1
    assert not any("design of this study" in line for line in lines)


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n", "inputs: {}\n", "design: {level: x}\n"])
def test_a_broken_configuration_is_a_sentence(tmp_path, capsys, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert check(path) == 1
    assert capsys.readouterr().out.startswith(f"error: {path}: ")
    assert check(tmp_path / "gone.yaml") == 1
    assert "there is no such file" in capsys.readouterr().out


def test_headers_are_compared_too(study, write_fcs, tmp_path, capsys):
    good = write_fcs("good.fcs", np.ones((2000, 2)), ["FSC-A", "PE-A"])
    for path in (study.folder / "fcs").iterdir():
        shutil.copy(good, path)
    bad = write_fcs("bad.fcs", np.ones((2000, 2)), ["FSC-A", "FITC-A"])
    shutil.copy(bad, study.folder / "fcs" / "P2_month_4.fcs")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(study.config))
    assert check(path) == 0
    found = [line for line in capsys.readouterr().out.splitlines() if "PE-A" in line]
    assert found
    assert all("P2_month_4.fcs" in line and "get no count in it" in line for line in found)
