"""A project folder with a simulated flow study of two arms, and Snakemake started in it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from biocross.simulate.sheets import write_sheets

ROOT = Path(__file__).parents[2]
SEED = 1
VISITS = 3


def make_project(folder, patients, events):
    """Copy the workflow and describe a cohort of two arms, three visits for everyone.

    Parameters
    ----------
    folder
        Receives ``Snakefile``, ``workflow`` and ``config``.
    patients
        Of both arms.
    events
        By FCS file.
    """
    for name in ("Snakefile", "workflow", "config"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    demo = folder / "config" / "simulation" / "demo.yaml"
    arms = {name: {"patients": patients // 2} for name in ("mepolizumab", "dupilumab")}
    study = {"extends": ["biocross.yaml"], "treatments": arms, "events_per_sample": events}
    demo.write_text(yaml.safe_dump({**study, "missing_follow_ups": 0}), encoding="utf-8")
    write_sheets(demo, folder / "config", SEED, modalities=("flow",))


def snakemake(folder, *arguments, cores=1, silent=False):
    """Run Snakemake in a project.

    Parameters
    ----------
    folder
        Of `make_project`.
    arguments
        For Snakemake.
    cores
        How many it may use.
    silent
        Whether what it prints is dropped.

    Returns
    -------
    float
        Seconds by the clock.
    """
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder / "workflow" / "src")}
    start = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=silent)
    return time.monotonic() - start
