"""Read an FCS file into memory, beside FlowIO and FlowKit: ``python reading.py PROGRAM FILE``.

Beside them stands numpy fetching the bytes, without making anything of them: no reader that
leaves the values in memory is faster.
"""

import json
import sys
import time
from statistics import median

from harness import beside, fresh, medians

WHAT = "read 1 M x 30 float32"
TARGET = 15
FRESH_RUNS = 5


def biocross_reader():
    """Return a function of a path that gives the events of a file."""
    from biocross.flow.fcs import read_fcs

    return lambda path: read_fcs(path).events


def flowio_reader():
    """Return a function of a path that gives the events of a file."""
    import flowio

    return lambda path: flowio.FlowData(path).as_array()


def flowkit_reader():
    """Return a function of a path that gives the events of a file."""
    import flowkit

    return lambda path: flowkit.Sample(path).get_events("raw")


def numpy_reader():
    """Return a function of a path that gives the bytes of a file."""
    import numpy as np

    return lambda path: np.fromfile(path, dtype=np.uint8)


PEERS = {"FlowIO": flowio_reader, "FlowKit": flowkit_reader}
FLOOR = "numpy.fromfile, bytes only"
READERS = {"biocross": biocross_reader, **PEERS, FLOOR: numpy_reader}


def measure(sample):
    """Time reading in new processes, as a workflow's jobs do, and again and again in one.

    Parameters
    ----------
    sample
        The sample on disk.

    Returns
    -------
    list of Row
        Two for each peer and for the bytes.
    """
    one_process = _in_one_process(sample.fcs)
    runs = {name: [] for name in READERS}
    for _ in range(FRESH_RUNS):
        for name in READERS:
            _, seconds = fresh("reading.py", name, sample.fcs)
            runs[name].append(seconds)
    new_process = {name: median(seconds) for name, seconds in runs.items()}
    return [
        beside(f"{WHAT}, {how}", seconds["biocross"], peer, seconds[peer], target)
        for how, seconds, targets in (
            ("first call of a process", new_process, {"FlowIO": TARGET}),
            ("median call of one process", one_process, {}),
        )
        for peer in (*PEERS, FLOOR)
        for target in (targets.get(peer),)
    ]


def _in_one_process(path):
    import numpy as np

    readers = {name: make() for name, make in READERS.items()}
    ours = readers["biocross"](path)
    for peer in PEERS:
        theirs = readers[peer](path).astype(np.float32)
        np.testing.assert_array_equal(theirs, ours)
    del ours, theirs
    return medians({name: lambda read=read: read(path) for name, read in readers.items()})


def first_call(program, path):
    """Time the first reading in this process; importing the program is not part of it.

    Parameters
    ----------
    program
        One of `READERS`.
    path
        The FCS file.

    Returns
    -------
    float
        Seconds of the processor.
    """
    read = READERS[program]()
    start = time.process_time()
    read(path)
    return time.process_time() - start


if __name__ == "__main__":
    print(json.dumps(first_call(*sys.argv[1:])))
