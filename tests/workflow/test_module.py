"""biocross as a module of another workflow, and what the Snakemake workflow catalogue asks for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from table_study import write_study

ROOT = Path(__file__).parents[2]
SNAKEFILE = f"""
configfile: "config/table.yaml"


module biocross:
    snakefile:
        "{(ROOT / "workflow" / "Snakefile").as_posix()}"
    config:
        config


use rule * from biocross as biocross_*


rule count_rows:
    default_target: True
    input:
        rules.biocross_find_paired_changes.output.changes,
    output:
        "rows.txt",
    shell:
        "wc -l < {{input}} > {{output}}"
"""


@pytest.mark.workflow
def test_another_workflow_uses_the_rules(tmp_path):
    (tmp_path / "config").mkdir()
    write_study(tmp_path / "config")
    vocabulary = (ROOT / "config" / "populations.yaml").read_text()
    (tmp_path / "config" / "populations.yaml").write_text(vocabulary)
    # Of the study's own, beside the module's configuration.
    config = yaml.safe_load((tmp_path / "config" / "table.yaml").read_text())
    (tmp_path / "config" / "table.yaml").write_text(yaml.safe_dump({**config, "results": "cells"}))
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow" / "src")},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Testing whether population frequencies changed within patients" in done.stderr
    rows = (tmp_path / "cells" / "statistics" / "paired_changes.tsv").read_text().splitlines()
    assert (tmp_path / "rows.txt").read_text().strip() == str(len(rows))
    assert not (tmp_path / "results").exists()


def test_the_catalogue_finds_what_it_shows():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    deployment = usage["software-stack-deployment"]
    # No rule has an environment of its own: neither way of deploying one would install anything.
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    for name, word in (("conda", "conda:"), ("apptainer", "container:")):
        assert deployment[name] == (f"\n    {word}" in rules)
    assert deployment["report"] is usage["report"] is True
    assert 'report: "report/workflow.rst"' in (ROOT / "workflow" / "Snakefile").read_text()
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert (ROOT / "config" / "README.md").exists()
