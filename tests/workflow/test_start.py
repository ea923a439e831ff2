"""A newcomer with a folder of FCS files: init, two edits, and a run to the report."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.data]
SOURCES = Path(__file__).parents[2] / "workflow" / "src"


def run(folder, module, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "XDG_CACHE_HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_from_files_to_the_report_with_two_edits(tmp_path, test_data):
    shutil.copytree(test_data / "bcr_xl", tmp_path / "fcs", copy_function=shutil.copyfile)
    begun = run(tmp_path, "biocross.cli", "init", "--fcs", "fcs")
    assert begun.returncode == 0, begun.stderr
    for sheet, open_word, answer in (
        ("patients.tsv", "unknown", "BCR crosslinking"),
        ("samples.tsv", "batch_1", "run_1"),
    ):
        assert f'"{open_word}"' in begun.stdout
        path = tmp_path / "config" / sheet
        path.write_text(path.read_text().replace(open_word, answer))
    checked = run(tmp_path, "biocross.cli", "check")
    assert checked.returncode == 0, checked.stdout
    assert "BCR crosslinking, flow, BCRXL - Ref: 8 of 8 patients" in checked.stdout
    done = run(tmp_path, "snakemake", "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning: config/gating.yaml: primary populations are not counted" in done.stdout
    assert (tmp_path / "results" / "report.html").is_file()
    text = (tmp_path / "results" / "statistics" / "marker_changes.tsv").read_text()
    every = csv.DictReader(text.splitlines(), delimiter="\t")
    rows = [row for row in every if row["source"] == "gate"]
    (ps6,) = (r for r in rows if (r["population"], r["marker"]) == ("B_cells", "pS6"))
    # One patient's stimulated sample has fewer than 20 cells in the gate that was proposed.
    assert int(ps6["n_pairs"]) >= 7
    assert float(ps6["effect_low"]) > 0
