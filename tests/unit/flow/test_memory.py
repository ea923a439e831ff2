"""The memory that preparing one sample takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.sample_files import CHANNELS, write_sample

from biocross.flow.events import read_events
from biocross.flow.signals import Compensation
from biocross.flow.transform_choice import estimate_transforms

N_EVENTS = 200_000
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "preparing.py"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Folder and peak memory (bytes) of a sample that a process of its own has prepared."""
    folder = tmp_path_factory.mktemp("sample")
    sample = write_sample(folder, N_EVENTS)
    transforms = folder / "transforms.tsv"
    estimate_transforms(
        *([sample.fcs], sample.panel, "conventional", None, None, [Compensation()]),
        *(transforms, folder / "transforms.xml"),
    )
    command = [sys.executable, str(SCRIPT), sample.fcs, sample.panel, str(folder)]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    megabytes, _ = json.loads(done.stdout.splitlines()[-1])
    return folder, megabytes * 1e6


def test_at_most_six_times_the_single_precision_values_and_300_megabytes(prepared):
    _, used = prepared
    size = 4 * N_EVENTS * len(CHANNELS)
    # The events as read and the transformed ones stand in memory together.
    assert 2 * size < used <= 6 * size + 300e6


def test_the_process_prepared_every_event(prepared):
    folder, _ = prepared
    values, quality, _ = read_events(folder / "S1.events_out")
    assert len(values) == len(CHANNELS)
    assert quality.size == N_EVENTS
    assert 0.8 < (quality == 0).mean() < 0.95
