"""Prepare a sample as a job of the workflow does: ``python preparing.py FCS PANEL FOLDER``."""

import json
import sys
import time
from inspect import signature
from pathlib import Path
from statistics import median

from harness import alone, fresh, peak_memory, within

TARGET_SECONDS = 5
RUNS = 3
# What one sample may use: a multiple of its single-precision values, and so many megabytes.
MEMORY_FACTOR, MEMORY_MB = 6, 300


def measure(sample, n_events, n_channels):
    """Time whole processes and take their peak memory.

    Parameters
    ----------
    sample
        The sample on disk.
    n_events, n_channels
        Its size.

    Returns
    -------
    list of Row
        Seconds by the clock from process start to end, seconds of the processor, and memory.
    """
    folder = Path(sample.fcs).parent
    estimate(sample, folder)
    runs = [fresh("preparing.py", sample.fcs, sample.panel, folder) for _ in range(RUNS)]
    what = "prepare_flow_sample 1 M x 30, one core, with process start"
    allowed = MEMORY_FACTOR * 4 * n_events * n_channels / 1e6 + MEMORY_MB
    used = max(memory for _, (memory, _) in runs)
    return [
        alone(what, median(seconds for seconds, _ in runs), TARGET_SECONDS),
        alone(f"{what}: of the processor", median(seconds for _, (_, seconds) in runs)),
        within(f"{what}: peak memory of 6 x float32 + 300 MB", used, allowed),
    ]


def estimate(sample, folder):
    """Choose the transforms of the sample, as a rule of the workflow does before.

    Parameters
    ----------
    sample
        The sample on disk.
    folder
        Receives ``transforms.tsv`` and ``transforms.xml``.
    """
    from biocross.flow.signals import Compensation
    from biocross.flow.transform_choice import estimate_transforms

    transforms, gatingml = folder / "transforms.tsv", folder / "transforms.xml"
    estimate_transforms(
        *([sample.fcs], sample.panel, "conventional", None, None, [Compensation()]),
        *(transforms, gatingml),
    )


def prepare(fcs, panel, folder):
    """Do what ``workflow/scripts/prepare_flow_sample.py`` does.

    Parameters
    ----------
    fcs, panel
        The sample.
    folder
        Has the transforms, and receives the outputs.
    """
    from biocross.flow.control_spillover import compensation_of
    from biocross.flow.prepare import prepare_flow_sample

    folder = Path(folder)
    outputs = [name for name in signature(prepare_flow_sample).parameters if name.endswith("_out")]
    prepare_flow_sample(
        fcs=fcs,
        panel=panel,
        transforms=folder / "transforms.tsv",
        cytometry="conventional",
        compensation=compensation_of("file", None, "batch_1"),
        skip_quality=(),
        meta={"sample_id": "S1", "patient_id": "P1", "tissue": "whole_blood"},
        **{name: folder / f"S1.{name}" for name in outputs},
    )
    if "excluded" in (folder / "S1.ledger_out").read_text(encoding="utf-8"):
        raise SystemExit("the sample that is timed was excluded")


if __name__ == "__main__":
    prepare(*sys.argv[1:])
    print(json.dumps([peak_memory(), time.process_time()]))
