"""Copies of the project with a tiny cohort, for tests that run snakemake."""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from biocross.simulate.description import load_description, merge
from biocross.simulate.sheets import write_sheets

ROOT = Path(__file__).parents[1]
# Two visits, of which the last patient of an arm lacks the second.
TWO_VISITS = {"visits": {"month_12": None}, "missing_follow_ups": 0}
TINY = {
    **TWO_VISITS,
    "events_per_sample": 3000,
    "treatments": {
        "mepolizumab": {"patients": 3},
        "dupilumab": {"patients": 3, "without_visit": {"month_4": 1}},
    },
}

# RNA of four patients, three of them in one arm, so that genes are tested there: a hashed library
# of two patients, and four plain ones. Few genes keep their test short.
TINY_RNA = {
    **TWO_VISITS,
    "treatments": {"mepolizumab": {"patients": 3}, "dupilumab": {"patients": 1}},
    "events_per_sample": 1000,
    "rna": {
        "cells_per_sample": [110, 140],
        "batches": ["run_1"],
        "pools": [2, 0, 0],
        "background": {"genes": 30},
    },
}

SMALL_MAPS = "umap_cells: 0\n    zoom_grid: 10\n    zoom_number: 40"


class Project:
    """A copy of the project's workflow and configuration with its own results."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("Snakefile", "workflow", "config"):
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)
        shutil.rmtree(folder / "workflow" / "src")
        (folder / "workflow" / "src").symlink_to(ROOT / "workflow" / "src")

    def copied_to(self, folder):
        """Return a copy of the project and its results, to be changed."""
        shutil.copytree(self.folder, folder, symlinks=True)
        project = copy.copy(self)
        project.folder = folder
        return project

    def start(self, *arguments, cores=2, environment=None, **options):
        """Start snakemake in the copy and return its process, with its words in a pipe each."""
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(self.folder / "workflow" / "src"),
                "XDG_CACHE_HOME": str(self.folder / ".cache"),
                **(environment or {}),
            },
            **options,
        )

    def snakemake(self, *arguments, cores=2, check=True, environment=None):
        """Run snakemake in the copy and return the finished process."""
        with self.start(*arguments, cores=cores, environment=environment) as process:
            output, words = process.communicate()
        done = subprocess.CompletedProcess(process.args, process.returncode, output, words)
        if check and done.returncode != 0:
            logs = sorted((self.folder / "results" / "logs").rglob("*.log"))
            tails = "\n".join(f"{log}:\n{log.read_text()[-1500:]}" for log in logs)
            raise AssertionError(f"{done.stdout[-3000:]}\n{done.stderr[-5000:]}\n{tails[-4000:]}")
        return done

    def planned_rules(self, *arguments):
        """Return the rules that a run would execute now, with their number of jobs."""
        output = self.snakemake("--dry-run", *arguments).stdout
        if "Nothing to be done" in output:
            return {}
        lines = output.split("Job stats:")[1].split("total")[0].splitlines()
        pairs = (line.split() for line in lines if line[:1].isalpha())
        return {rule: int(n) for rule, n in pairs if rule not in ("job", "all")}

    def configuration_without_simulation(self):
        """Return the text of the configuration without its demo section."""
        text = (self.folder / "config" / "config.yaml").read_text()
        return re.sub(r"^simulate:\n(?:  .*\n)+", "", text, flags=re.M)

    def table(self, *parts):
        """Return the bytes of a result."""
        return self.folder.joinpath("results", *parts).read_bytes()


@pytest.fixture
def fresh_project(tmp_path):
    return make_tiny(tmp_path)


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory):
    """A tiny project that was run once; tests that change it must put back what they change."""
    project = make_tiny(tmp_path_factory.mktemp("project"))
    project.snakemake()
    return project


def make_tiny(folder, rna=False):
    """Make a project of a few patients; with `rna`, of fewer, and without clusters of events."""
    project = Project(folder)
    config = folder / "config"
    demo = config / "simulation" / "demo.yaml"
    study = merge(load_description(demo), TINY_RNA if rna else TINY)
    demo.write_text(yaml.safe_dump(study, sort_keys=False))
    # Pictures of every sample would take most of the time; test_demo.py asks for some by name.
    settings = config / "config.yaml"
    text = settings.read_text().rstrip().replace("umap_cells: 3000", SMALL_MAPS)
    text = text.replace(", month_12]", "]")
    if rna:
        text = text.replace(SMALL_MAPS, "method: none")
        text = text.replace(
            "\nstatistics:", "\ncells: {resolutions: [0.6], n_genes: 300}\n\nstatistics:"
        )
    settings.write_text(text + "\n  sample_figures: false\n")
    modalities = ("flow", "rna") if rna else ("flow",)
    write_sheets(demo, config, seed=1, modalities=modalities)
    return project
