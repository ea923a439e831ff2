"""What a run shows on the terminal, with workflows of a few steps and real Snakemake."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.workflow

SNAKEFILE = """
from biocross.progress import show_progress

show_progress(workflow)


rule all:
    default_target: True
    input:
        "out/end.txt",


rule prepare:
    output:
        "out/{sample}.txt",
    log:
        "out/logs/{sample}.log",
    message:
        "Preparing {wildcards.sample}"
    script:
        "prepare.py"


rule gather:
    input:
        expand("out/{sample}.txt", sample=["P01", "P02", "P03"]),
    output:
        "out/end.txt",
    message:
        "Gathering all samples"
    run:
        # A process of its own, which reads the Snakefile again.
        open(output[0], "w").close()
"""
SCRIPT = """
import pathlib
import sys

log, (out,) = pathlib.Path(snakemake.log[0]), snakemake.output
if snakemake.wildcards.sample == "P02" and not pathlib.Path("mended").exists():
    log.write_text(f"noise\\n{snakemake.rule}: P02.fcs is truncated; export it again\\n")
    sys.exit(1)
pathlib.Path(out).write_text("")
"""
MODULE = """
module inner:
    snakefile: "Snakefile"


use rule * from inner as inner_*


rule everything:
    default_target: True
    input:
        "out/end.txt",
"""


@pytest.fixture
def study(tmp_path):
    """Return a function that runs a workflow whose second sample is broken."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "prepare.py").write_text(SCRIPT)
    (tmp_path / "Modular").write_text(MODULE)

    def run(*arguments, mended=True):
        if mended:
            (tmp_path / "mended").touch()
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == (0 if mended else 1), done.stderr
        return done.stderr + done.stdout

    run.folder = tmp_path
    return run


def without_clock(text):
    return [line[10:] if line[2:3] == ":" else line for line in text.splitlines()]


def test_a_run_is_told_in_plain_words_and_in_full_in_its_log(study):
    shown = study()
    lines = without_clock(shown)
    assert lines[0] == "5 steps to do"
    (first,) = (line for line in lines if line.startswith("1 of 5"))
    assert "(sample 1 of 3)" in first
    assert "log: out/logs/P0" in first
    assert lines.count("4 of 5  Gathering all samples") == 1
    assert "all 5 steps done" in lines
    assert not any(word in shown for word in ("Reason:", "Select jobs", "Building DAG", "jobid"))
    (log,) = (study.folder / ".snakemake" / "log").iterdir()
    assert "Reason: Missing output files" in log.read_text()
    assert "Nothing to be done" in study()


def test_a_failure_is_summed_up_with_its_sentence_and_its_log(study):
    shown = study("--keep-going", mended=False)
    assert "FAILED  Preparing P02" in shown
    end = shown[shown.index("1 step failed:") :].splitlines()
    assert end[1].startswith("- Preparing P02 (sample ")
    assert end[2:4] == ["  P02.fcs is truncated; export it again", "  log: out/logs/P02.log"]
    assert "CalledProcessError" not in shown
    assert "WorkflowError" not in shown


def test_as_a_module(study):
    lines = without_clock(study("--snakefile", "Modular"))
    assert any(line.startswith("1 of 5  Preparing P0") for line in lines)
    assert "all 5 steps done" in lines


@pytest.mark.parametrize("option", ["--dry-run", "--quiet=progress"])
def test_other_words_are_left_alone(study, option):
    text = study(option)
    assert "Reason: Missing output files" in text
    assert "steps to do" not in text
