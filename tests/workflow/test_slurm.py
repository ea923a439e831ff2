"""The steps as jobs of SLURM, on a cluster of one node that the test brings up."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from slurm_node import in_slurm, what_is_missing
from tiny_project import SMALL_MAPS, TWO_VISITS, Project

from biocross.simulate.description import load_description, merge
from biocross.simulate.sheets import write_sheets

pytestmark = pytest.mark.workflow
PROFILE = "workflow/profiles/slurm"
STUDY = {
    **TWO_VISITS,
    "events_per_sample": 1500,
    "treatments": {"mepolizumab": {"patients": 2}, "dupilumab": None},
}
TABLES = [f"results/flow/quality/{name}.tsv" for name in ("ledger", "warnings", "sanity")]
# What the short test takes from the local run: each would only cost it one more job.
FIRST_STEPS = ("simulated", "cohort", "transforms.tsv", "transforms.xml")
# One node with no accounting, whose files are seen at once.
HERE = ("--slurm-no-account", "--slurm-status-command", "squeue", "--latency-wait", "5")
HERE += ("--slurm-init-seconds-before-status-checks", "14")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Return the folder of the logs of a SLURM that can be started here."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="make test installs it")
    folder = tmp_path_factory.mktemp("slurm")
    if missing := what_is_missing(folder / "tried"):
        pytest.skip(f"no SLURM can be started here: {missing}")
    return folder


@pytest.fixture(scope="module")
def project(slurm):
    """Return a tiny study that was run on this machine, without SLURM."""
    folder = slurm / "local"
    folder.mkdir()
    project = Project(folder)
    demo = folder / "config" / "simulation" / "demo.yaml"
    demo.write_text(yaml.safe_dump(merge(load_description(demo), STUDY), sort_keys=False))
    settings = folder / "config" / "config.yaml"
    text = settings.read_text().rstrip().replace("umap_cells: 3000", SMALL_MAPS)
    settings.write_text(text.replace(", month_12]", "]") + "\n  sample_figures: false\n")
    write_sheets(demo, folder / "config", seed=1, modalities=("flow",))
    project.snakemake(*TABLES)
    return project


def submissions(output):
    """Return the numbers of the jobs that SLURM was given."""
    return set(re.findall(r"submitted with SLURM jobid (\d+)", output))


def run_in_slurm(project, logs, *arguments):
    """Run snakemake with the profile in a cluster of its own; return its output."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", PROFILE]
    # What the nodes need they get as on a real cluster: from the environment of the submission.
    paths = [str(project.folder / "workflow" / "src"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        in_slurm(logs, [*command, *HERE, *arguments]),
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def without_results(project, folder, *kept):
    """Return a copy of a project that was run, with nothing left but this of its results."""
    copy = project.copied_to(folder)
    results = copy.folder / "results"
    for made in [*results.iterdir(), *(results / "flow").iterdir()]:
        if made.name not in (*kept, "benchmarks", "logs", "flow"):
            shutil.rmtree(made) if made.is_dir() else made.unlink()
    return copy


def test_tables_are_those_of_a_local_run(project, slurm):
    remote = without_results(project, slurm / "remote", *FIRST_STEPS)
    returncode, output = run_in_slurm(remote, slurm, *TABLES)
    assert returncode == 0, output[-4000:]
    # Four samples share a job; another makes one table of theirs.
    assert len(submissions(output)) == 2, output[-4000:]
    for table in TABLES:
        assert (remote.folder / table).read_bytes() == (project.folder / table).read_bytes()


@pytest.mark.long
def test_all_tables_are_those_of_a_local_run(project, slurm):
    project.snakemake()
    remote = without_results(project, slurm / "all")
    returncode, output = run_in_slurm(remote, slurm)
    assert returncode == 0, output[-4000:]
    results = project.folder / "results"
    tables = [
        file.relative_to(results)
        for folder in ("cohort", "flow", "populations", "statistics")
        for file in sorted((results / folder).rglob("*.tsv"))
    ]
    assert len(tables) > 30
    for table in tables:
        assert remote.table(*table.parts) == project.table(*table.parts), table
