"""What all benchmarks share: rows, fair timing, and what a process uses."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from biocross.tables import write_rows

COLUMNS = ("what", "ours_s", "peer", "peer_s", "ratio", "target")
# Whatever would start threads of its own is told to use one.
_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMBA")
ONE_THREAD = dict.fromkeys([f"{library}_NUM_THREADS" for library in _LIBRARIES], "1")
ONE_THREAD["VECLIB_MAXIMUM_THREADS"] = "1"
FOLDER = Path(__file__).parent


class Row(NamedTuple):
    """One row of ``peers.tsv``.

    Parameters
    ----------
    what
        What was done, and what the target is a number of.
    ours_s
        Seconds of biocross; None where seconds are not the subject.
    peer
        The other program.
    peer_s
        Its seconds.
    ratio
        ``peer_s / ours_s``; for memory, what was used by what is allowed.
    target
        What is asked for; None where nothing is.
    met
        Whether the target is reached; None without a target.
    """

    what: str
    ours_s: float | None
    peer: str = ""
    peer_s: float | None = None
    ratio: float | None = None
    target: float | None = None
    met: bool | None = None


def beside(what, ours_s, peer, peer_s, target=None):
    """Make a row of two programs; its target is a ratio to reach.

    Parameters
    ----------
    what
        What was done.
    ours_s, peer_s
        Seconds.
    peer
        The other program.
    target
        Least ratio.

    Returns
    -------
    Row
        With the ratio and the verdict.
    """
    ratio = peer_s / ours_s
    if target is None:
        return Row(what, ours_s, peer, peer_s, ratio)
    return Row(f"{what} [ratio >=]", ours_s, peer, peer_s, ratio, target, ratio >= target)


def alone(what, ours_s, target=None):
    """Make a row without a peer; its target is the most seconds that are allowed.

    Parameters
    ----------
    what
        What was done.
    ours_s
        Seconds.
    target
        Most seconds.

    Returns
    -------
    Row
        With the verdict.
    """
    if target is None:
        return Row(what, ours_s)
    return Row(f"{what} [s <=]", ours_s, target=target, met=ours_s <= target)


def within(what, used, allowed):
    """Make a row of memory: what was used as a share of what is allowed.

    Parameters
    ----------
    what
        What was done.
    used, allowed
        Megabytes.

    Returns
    -------
    Row
        The ratio is the share, the target 1.
    """
    peer = f"{used:.0f} of {allowed:.0f} MB"
    return Row(f"{what} [ratio <=]", None, peer, None, used / allowed, 1.0, used <= allowed)


def medians(functions, repeats=3):
    """Time functions in turn.

    The time is that of the processor: with one thread and files in memory it is what a clock
    shows on an idle machine, and other programs hardly change it.

    Parameters
    ----------
    functions
        By name.
    repeats
        How often each is called.

    Returns
    -------
    dict
        By name, the median of its seconds.
    """
    seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.process_time()
            function()
            seconds[name].append(time.process_time() - start)
    return {name: median(taken) for name, taken in seconds.items()}


def fresh(script, *arguments):
    """Run a script of this folder in a new process, and time it from start to end by the clock.

    Parameters
    ----------
    script
        Its file name; the last line that it prints is JSON.
    arguments
        For the script.

    Returns
    -------
    seconds, printed
        By the clock; what it printed last.
    """
    command = [sys.executable, str(FOLDER / script), *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(map(str, arguments))} failed")
    return seconds, json.loads(done.stdout.splitlines()[-1])


def peak_memory():
    """Measure the most memory that this process has used so far.

    Returns
    -------
    float
        Megabytes (10^6 bytes).
    """
    try:
        # Not getrusage, which counts what the parent had before the program was started.
        status = Path("/proc/self/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def use_one_core():
    """Keep this process, and those that it starts, on one core and one thread."""
    os.environ.update(ONE_THREAD)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def write_table(path, rows):
    """Write ``peers.tsv``.

    Parameters
    ----------
    path
        The table.
    rows
        Of all subjects.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, COLUMNS, [dict(zip(COLUMNS, cells_of(row), strict=True)) for row in rows])


def print_table(rows):
    """Print rows for people, with a word for each verdict.

    Parameters
    ----------
    rows
        Of all subjects.
    """
    table = [(*COLUMNS, ""), *((*cells_of(row), verdict(row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        text = [line[0].ljust(widths[0]), line[1].rjust(widths[1]), line[2].ljust(widths[2])]
        text += [cell.rjust(width) for cell, width in zip(line[3:], widths[3:], strict=True)]
        print("  ".join(text).rstrip())


def verdict(row):
    """Say whether a row reaches its target; nothing where there is none."""
    return {True: "pass", False: "FAIL", None: ""}[row.met]


def cells_of(row):
    """Write the cells of a row, numbers with four digits."""
    return tuple(map(_cell, row[: len(COLUMNS)]))


def _cell(value):
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.4g}"
