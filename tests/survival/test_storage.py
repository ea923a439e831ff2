"""A full disk and a read-only folder: one sentence, and no file that is not whole."""

import errno
import os
import subprocess

import pytest
from tiny_project import make_tiny

from biocross.errors import StorageError
from biocross.flow.events import read_events
from biocross.storage import as_sentence, refuse_unwritable
from biocross.tables import written_whole

EVENTS = "results/flow/events/P01_baseline.arrow"


def test_each_way_to_fail_has_its_sentence():
    full = OSError(errno.ENOSPC, "No space left on device", "out.tsv")
    assert as_sentence(full).startswith("out.tsv: there is no room left on its disk")
    quota = as_sentence(OSError(errno.EDQUOT, "Quota exceeded"), "results")
    assert quota.startswith("results: there is nothing left of your quota")
    read_only = as_sentence(OSError(errno.EROFS, "Read-only file system", "x"))
    assert 'is read-only; name another folder as "results"' in read_only
    assert "access is denied" in as_sentence(PermissionError(errno.EACCES, "denied", "x"))
    # HDF5 tells in its own words, of an error that has another for its cause.
    hdf5 = RuntimeError("unable to extend file (errno = 28, error message = 'No space left')")
    later = ValueError("closing")
    later.__cause__ = hdf5
    assert "no room left" in as_sentence(later, "cells.h5ad")
    assert as_sentence(KeyError("CD3")) is None
    assert as_sentence(FileNotFoundError(errno.ENOENT, "no such file", "x")) is None


def test_what_a_killed_process_left_is_removed(tmp_path):
    path = tmp_path / "table.tsv"
    dead = subprocess.Popen(["true"])
    dead.wait()
    with written_whole(path) as temporary:
        temporary.write_text("whole")
        left = temporary.with_name(temporary.name.replace(f".{os.getpid()}.", f".{dead.pid}."))
        alive = temporary.with_name(temporary.name.replace(f".{os.getpid()}.", f".{os.getppid()}."))
        left.touch()
        alive.touch()
        with written_whole(path) as again:
            assert again == temporary
            again.write_text("whole")
        temporary.write_text("whole")
    assert not left.exists()
    assert alive.exists()
    assert path.read_text() == "whole"


def mounted(folder, options):
    """Mount a file system of memory, or skip."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def mount():
    """Return a function that mounts a file system of memory on a folder until the test ends."""
    folders = []

    def mount(folder, options):
        mounted(folder, options)
        folders.append(folder)

    yield mount
    for folder in reversed(folders):
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_folder_is_refused(tmp_path, mount):
    mount(tmp_path / "results", "size=1m,ro")
    with pytest.raises(StorageError, match="results/of/mine: is read-only; name another folder"):
        refuse_unwritable(tmp_path / "results" / "of" / "mine")


def test_a_full_disk_is_refused(tmp_path, mount):
    mount(tmp_path / "results", "size=64k")
    with pytest.raises(OSError, match="No space"):
        (tmp_path / "results" / "big").write_bytes(bytes(1_000_000))
    with pytest.raises(StorageError, match=r"results: there is no room left on its disk"):
        refuse_unwritable(tmp_path / "results")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "results").touch()
    with pytest.raises(StorageError, match="results/of/mine: cannot be written to"):
        refuse_unwritable(tmp_path / "results" / "of" / "mine")


def test_a_folder_that_is_not_there_yet_is_left_to_be_made(tmp_path):
    refuse_unwritable(tmp_path / "results" / "of" / "mine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.workflow
def test_a_run_in_a_read_only_folder_ends_before_its_first_step(fresh_project, mount):
    mount(fresh_project.folder / "results", "size=1m,ro")
    done = fresh_project.snakemake(check=False)
    words = done.stdout + done.stderr
    assert done.returncode != 0
    assert 'results: is read-only; name another folder as "results"' in words
    assert "Traceback" not in words
    assert "1 of" not in words


@pytest.mark.workflow
@pytest.mark.parametrize(("place", "size"), [("results", "3m"), (".", "6m")])
def test_a_disk_that_fills_up_costs_one_sentence(tmp_path, mount, place, size):
    folder = tmp_path / "study"
    mount(folder / place, f"size={size}")
    project = make_tiny(folder)
    done = project.snakemake(EVENTS, check=False)
    words = done.stdout + done.stderr
    assert done.returncode != 0
    assert "there is no room left on its disk; make room and run again" in words
    assert "Traceback" not in words
    assert not list(folder.rglob("*.part"))
    more = ["mount", "-o", "remount,size=64m", str(folder / place)]
    subprocess.run(more, check=True)
    project.snakemake(EVENTS)
    assert read_events(folder / EVENTS).quality.size == 3000
