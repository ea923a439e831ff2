"""Runs that are killed at random moments end, when they are started again, with the same tables."""

import shutil

import pytest
from killed_runs import survive, tables

pytestmark = pytest.mark.workflow

CHANGES = "results/statistics/paired_changes.tsv"
# What a resumed run of `test_two_kills` makes again; reading the files is left out for its time.
AGAIN = ("flow/gating", "flow/counts.tsv", "flow/expression.tsv", "populations", "statistics")


def forget(project, *parts):
    """Remove results, so that they are made again."""
    for part in parts:
        path = project.folder / "results" / part
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def test_two_kills(finished_project, tmp_path):
    project = finished_project.copied_to(tmp_path / "copy")
    project.start_over = lambda: forget(project, *AGAIN)
    project.start_over()
    met = survive(project, CHANGES, kills=2, seed=1, longest=1.5)
    assert (met.snakemake, met.worker) == (1, 1)
    expected, found = (tables(one.folder / "results") for one in (finished_project, project))
    assert CHANGES.removeprefix("results/") in found
    assert {name for name in found if found[name] != expected[name]} == set()
    assert not list(project.folder.rglob("*.part"))


@pytest.mark.long
def test_twenty_kills(finished_project, fresh_project):
    fresh_project.start_over = lambda: forget(fresh_project, "")
    met = survive(fresh_project, kills=20, seed=2, longest=6)
    print(met)
    assert met.snakemake + met.worker == 20
    expected, found = (tables(one.folder / "results") for one in (finished_project, fresh_project))
    assert {name for name in expected if found.get(name) != expected[name]} == set()
    assert set(found) == set(expected)


def test_a_second_run_in_the_same_folder_is_refused(finished_project, tmp_path):
    project = finished_project.copied_to(tmp_path / "copy")
    forget(project, *AGAIN)
    with project.start(CHANGES) as first:
        # Once it tells of its first step it has locked the folder.
        while " 1 of " not in (line := first.stderr.readline()):
            assert line
        second = project.snakemake(CHANGES, check=False)
        first.kill()
        first.communicate()
    words = second.stdout + second.stderr
    assert second.returncode != 0
    # Whichever Snakemake sees first: the lock, or the file that the other run is making.
    assert "another run is at work in this folder" in words
    assert "snakemake --unlock" in words or "--rerun-incomplete" in words
    assert "Traceback" not in words
    assert "1 of" not in words
