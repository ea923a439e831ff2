"""How cost grows: with the events of a file, the samples of a cohort, the populations tested."""

import math
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

import clustering
import paired_tests
import preparing
from cohort_project import VISITS, make_project, snakemake
from harness import fresh, medians
from sample_files import write_sample

# The axes of the figure: what grows, and how it is called there.
EVENTS, SAMPLES, POPULATIONS = "events per file", "samples", "populations"
SIZES = {
    EVENTS: (10_000, 100_000, 1_000_000, 10_000_000),
    SAMPLES: (12, 48, 120, 480),
    POPULATIONS: (20, 100, 500, 2_000),
}
COLUMNS = ("axis", "size", "what", "program", "seconds", "memory_mb")
READERS = ("biocross", "FlowIO", "FlowKit")


class Point(NamedTuple):
    """One measurement.

    Parameters
    ----------
    axis, size
        What grows, one of `SIZES`, and how large it was.
    what, program
        What was done, and by whom.
    seconds
        Of the processor, one core; of planning by the clock.
    memory_mb
        Peak memory of the process; None where it was not measured alone.
    """

    axis: str
    size: int
    what: str
    program: str
    seconds: float
    memory_mb: float | None = None


def measure(sizes=SIZES):
    """Measure every size of every axis.

    Parameters
    ----------
    sizes
        By axis.

    Returns
    -------
    list of Point
        Axis by axis, from small to large.
    """
    points = []
    for axis, grow in ((EVENTS, _file), (SAMPLES, _cohort), (POPULATIONS, _tests)):
        for size in sizes[axis]:
            with tempfile.TemporaryDirectory() as folder:
                points += grow(size, Path(folder))
    return points


def _file(n_events, folder):
    """Read a file, beside peers, prepare it, and map it, each in processes of their own."""
    sample = write_sample(folder, n_events)
    runs = 3 if n_events <= 1_000_000 else 1
    for program in READERS:
        seconds = median(fresh("reading.py", program, sample.fcs)[1] for _ in range(runs))
        yield Point(EVENTS, n_events, "read", program, seconds)
    preparing.estimate(sample, folder)
    mapped = _mapped_study(folder, n_events)
    for what, *command in (
        ("prepare_flow_sample", "preparing.py", sample.fcs, sample.panel, folder),
        ("map_flow_sample", "clustering.py", "map", mapped),
    ):
        measured = [fresh(*command)[1] for _ in range(runs)]
        memory, seconds = (max(m for m, _ in measured), median(s for _, s in measured))
        yield Point(EVENTS, n_events, what, "biocross", seconds, memory)


def _mapped_study(folder, n_events):
    """Write what is mapped into a folder of its own: its panel is not that of the FCS file."""
    study = folder / "mapped"
    study.mkdir()
    clustering.write_study(study, n_events)
    return study


def _cohort(n_samples, folder):
    """Plan a study of three visits, and draw the events that its map is trained on."""
    make_project(folder, n_samples // VISITS, events=1_000)
    planned = snakemake(folder, "--dry-run", silent=True)
    yield Point(SAMPLES, n_samples, "plan all jobs", "biocross", planned)
    study = _mapped_study(folder, 100_000)
    memory, seconds = fresh("clustering.py", "pool", study, n_samples)[1]
    what = "pool 100,000 events each"
    yield Point(SAMPLES, n_samples, what, "biocross", seconds, memory)


def _tests(n_populations, folder):
    """Test one contrast beside a loop, and calibrate the tests of four."""
    changes = paired_tests.changes_and_samples(n_populations)[0][:1]
    seconds = medians(
        {
            "biocross": lambda: paired_tests.test_changes(changes),
            "SciPy": lambda: paired_tests.loop(changes),
        },
        repeats=1,
    )
    for program, taken in seconds.items():
        yield Point(POPULATIONS, n_populations, "paired tests, 40 pairs", program, taken)
    paired_tests.write_study(folder, n_populations)
    for what, step in (("find_paired_changes", "test"), ("calibrate_run", "calibrate")):
        memory, taken = fresh("paired_tests.py", step, folder)[1]
        yield Point(POPULATIONS, n_populations, f"{what}, 4 contrasts", "biocross", taken, memory)


def exponent(points):
    """Compute how cost grows from the second largest size to the largest.

    Parameters
    ----------
    points
        Of one line, by size.

    Returns
    -------
    float
        1 where ten times the size takes ten times the seconds.
    """
    before, last = points[-2:]
    return math.log(last.seconds / before.seconds) / math.log(last.size / before.size)


def lines(points):
    """Group points into lines.

    Parameters
    ----------
    points
        Of `measure`.

    Returns
    -------
    dict of list of Point
        By axis, what and program.
    """
    found = defaultdict(list)
    for point in points:
        found[point.axis, point.what, point.program].append(point)
    return dict(found)
