"""Runs that are killed again and again, and what they leave."""

import contextlib
import random
import time
from typing import NamedTuple

import psutil

# How often one run may be started before something else is wrong.
MOST_STARTS = 80


class Kills(NamedTuple):
    """How many kills a run met, and how often it was started."""

    snakemake: int
    worker: int
    starts: int


def survive(project, *arguments, kills, seed, longest):
    """Run a project to its end, killing `kills` times its Snakemake or one of its workers.

    The moment is drawn anew for every kill, up to `longest` seconds after the first worker is seen;
    some kills of Snakemake come before. Workers of a killed Snakemake are left to themselves.
    """
    draw, met, starts = random.Random(seed), {"snakemake": 0, "worker": 0}, 0
    while starts < MOST_STARTS:
        starts += 1
        process = project.start("--rerun-incomplete", *arguments)
        if sum(met.values()) < kills:
            victim = "worker" if met["worker"] < met["snakemake"] else "snakemake"
            met[victim] += kill(process, victim, draw, longest)
        _, words = process.communicate()
        assert "Traceback" not in words, words
        if process.returncode == 0:
            if sum(met.values()) == kills:
                return Kills(**met, starts=starts)
            project.start_over()
        elif process.returncode < 0:
            # What a user must do, and all of it.
            project.snakemake("--unlock")
    raise AssertionError(f"not finished after {starts} starts, {met}")


def kill(process, victim, draw, longest):
    """Kill -9 a run or a worker of it at a random moment; return whether it was still there."""
    if victim == "worker" or draw.random() < 0.8:
        wait_for_worker(process)
    time.sleep(draw.uniform(0, longest))
    while process.poll() is None:
        found = [process] if victim == "snakemake" else workers(process)
        if found:
            with contextlib.suppress(psutil.NoSuchProcess):
                draw.choice(found).kill()
                return 1
        time.sleep(0.02)
    return 0


def wait_for_worker(process):
    """Wait until a run has a step at work, or has ended."""
    while process.poll() is None and not workers(process):
        time.sleep(0.02)


def workers(process):
    """Return the processes that run a script of the workflow."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if _runs_script(child)]


def _runs_script(process):
    try:
        return any(".snakemake/scripts/" in word for word in process.cmdline())
    except psutil.Error:
        return False


def tables(folder):
    """Return the bytes of all tables of results, but for those that tell times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.tsv"))
        if path.relative_to(folder).parts[0] not in ("benchmarks", "logs")
    }
