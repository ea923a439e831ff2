import subprocess
import sys

import numpy as np
import pytest

from biocross.cli import main


@pytest.fixture
def fcs(write_fcs, tmp_path, monkeypatch):
    """Four files of two patients, in a working folder that is otherwise empty."""
    (tmp_path / "fcs").mkdir()
    for patient in ("P1", "P2"):
        for visit in ("baseline", "month_4"):
            write_fcs(f"fcs/{patient}_{visit}.fcs", np.ones((3, 2)), ["CD3", "CD4"])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "fcs"


def test_init_says_what_it_guessed_and_asks(fcs, capsys):
    assert main(["init", "--fcs", "fcs"]) == 0
    said = capsys.readouterr().out
    assert "4 FCS files in fcs, conventional cytometry" in said
    assert "2 patients, visits in order: baseline, month_4" in said
    assert "OPEN QUESTIONS" in said
    assert "config/patients.tsv row 2: treatment" in said
    assert "biocross check --config config/config.yaml" in said
    assert (fcs.parent / "config" / "gating.yaml").is_file()


def test_a_mistake_is_one_sentence(fcs, capsys):
    assert main(["init", "--fcs", "fsc"]) == 1
    assert capsys.readouterr().err == (
        "biocross init: fsc: there is no such folder; give the folder of the FCS files\n"
    )


def test_init_does_not_overwrite(fcs, capsys):
    assert main(["init", "--fcs", "fcs", "--out", "mine"]) == 0
    assert main(["init", "--fcs", "fcs", "--out", "mine"]) == 1
    assert "mine/samples.tsv" in capsys.readouterr().err
    assert main(["init", "--fcs", "fcs", "--out", "mine", "--force"]) == 0


def test_check_finds_what_init_wrote_and_a_typo(fcs, capsys):
    assert main(["init", "--fcs", "fcs"]) == 0
    main(["check"])
    capsys.readouterr()
    patients = fcs.parent / "config" / "patients.tsv"
    patients.write_text(patients.read_text().replace("P2", "P22"))
    assert main(["check"]) == 1
    assert 'patient "P2" is not in config/patients.tsv' in "".join(capsys.readouterr())


def test_check_without_a_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 1
    assert "config/config.yaml" in "".join(capsys.readouterr())


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from biocross.cohort import start; from biocross import cli; "
        "sys.exit(bool({'pandas', 'scanpy', 'flowkit', 'anndata'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_gates_of_a_file_are_proposed_as_a_sheet(tmp_path, capsys, pytestconfig):
    from biocross.flow.applied_gates import AppliedGate, Range
    from biocross.flow.gatingml_gates import GateSet, write_gates
    from biocross.flow.transforms import Transform

    gates = (
        AppliedGate("CD4_T", ranges=(Range("CD4", low=0.4),)),
        AppliedGate("strange", ranges=(Range("CD8", low=0.5),)),
    )
    one = GateSet(("S1",), gates, {"CD4": "PE-A", "CD8": "APC-A"})
    document, sheet = tmp_path / "gates.xml", tmp_path / "gate_paths.tsv"
    write_gates(document, {name: Transform("logicle") for name in ("CD4", "CD8")}, [one])
    populations = str(pytestconfig.rootpath / "config" / "populations.yaml")
    command = ["gates", str(document), "--out", str(sheet), "--populations", populations]
    assert main(command) == 0
    assert sheet.read_text().splitlines()[1].startswith("CD4_T\tCD4_T")
    assert "  strange: " in capsys.readouterr().out
    assert main(command) == 1
    assert "would be overwritten" in capsys.readouterr().err


def test_plan_answers_from_assumptions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "--fold", "1.5", "--patients", "30", "10", "10", "--missing", "0.2"]) == 0
    said = capsys.readouterr().out
    assert "ILC2 (of lymphocytes)\n  × 1.5: " in said
    assert "20 % of the patients without a second visit" in said
    rows = (tmp_path / "plan" / "plan.tsv").read_text().splitlines()
    patients = [row.split("\t")[10] for row in rows[:3]]
    assert patients == ["n_patients", "10", "30"]


def test_plan_says_what_is_wrong_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "--results", "resluts"]) == 1
    assert capsys.readouterr().err == (
        "biocross plan: resluts: there is no such folder; give the results of a run\n"
    )
    assert main(["plan", "--missing", "15"]) == 1
    assert "such as 0.15" in capsys.readouterr().err
    assert not (tmp_path / "plan").exists()
