"""What stands between Snakemake and the library: logs, user errors, and code digests."""

import hashlib
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from biocross.errors import BiocrossError
from biocross.storage import as_sentence

_PACKAGE = Path(__file__).parent
_CPU = Path("/proc/cpuinfo")
# Snakemake's own: so many jobs in so many seconds.
_JOBS_PER_SECONDS = (100, 1)
# What a page is made of beside Python.
PAGE_PARTS = ("*.html", "*.css", "*.js")
# `from biocross.x import a, b`, over several lines where the names stand in parentheses. Parsing
# the syntax tree instead would cost every dry run a third of a second.
_IMPORT = re.compile(r"^\s*(?:from|import)\s+(biocross[\w.]*)(?:\s+import\s+(\([^)]*\)|.*))?", re.M)


@contextmanager
def logged(snakemake: Any) -> Iterator[None]:
    """Send everything a script prints, native code included, to the rule's log.

    A mistake of the user's and a disk that takes no more end the job with one sentence, in the
    log and on the terminal; any other failure leaves its traceback in the log.

    Parameters
    ----------
    snakemake
        The object that Snakemake gives to a script.
    """
    log = Path(snakemake.log[0])
    started = time.monotonic()
    terminal = os.dup(2)
    try:
        _write_to(log)
        yield
        print(f"{snakemake.rule} finished in {time.monotonic() - started:.1f} s")
    except Exception as error:
        sentence = (
            str(error)
            if isinstance(error, BiocrossError)
            else as_sentence(error, next(iter(getattr(snakemake, "output", ())), log))
        )
        words = (
            f"{snakemake.rule}: {sentence}" if sentence else f"{snakemake.rule} failed; see {log}"
        )
        os.write(terminal, f"{words}\n".encode())
        # The log may be on a full disk itself.
        with suppress(OSError):
            sys.stderr.write(f"{words}\n" if sentence else traceback.format_exc())
        sys.exit(1)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


def _write_to(log: Path) -> None:
    """Send both streams of this process to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as out:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(out.fileno(), stream.fileno())


def settle_kernels(cpu: Path = _CPU) -> None:
    """Have matrix products round alike on all x86 processors with AVX2.

    OpenBLAS, which makes numpy's products, has kernels of its own for each generation of
    processors. They round differently, in the seventh digit of compensated values, which is enough
    to move single events between clusters: the nodes of a cluster computer would not agree. Those
    of 2013 run on all that came later. What the user's environment says stands.

    Parameters
    ----------
    cpu
        What Linux tells of the processor; elsewhere nothing is settled.
    """
    with suppress(OSError):
        flags = cpu.read_text(encoding="utf-8").split()
        if {"avx2", "fma"} <= set(flags):
            os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")


def start_at_once(workflow: Any) -> None:
    """Let local jobs start as soon as a core is free, whatever Snakemake's jobs per second.

    Keeping to its limit, 100 jobs a second unless told otherwise, Snakemake 9 looks at all waiting
    jobs again one second after each look. Every job that ends adds such a look in every second,
    until hundreds of them occupy a core of their own. On one machine the cores are limit enough.

    Parameters
    ----------
    workflow
        Snakemake's object of that name, when the run starts; a limit that its user set is kept.
    """
    with suppress(AttributeError):
        limit = workflow.scheduler.job_rate_limiter
        if workflow.local_exec and (limit.max_jobs, limit.timespan) == _JOBS_PER_SECONDS:
            workflow.scheduler.job_rate_limiter = None


def split(values: Sequence[Any], sizes: Iterable[int]) -> list[list[Any]]:
    """Cut a list into pieces of these sizes, one after the other."""
    waiting = iter(values)
    return [list(islice(waiting, size)) for size in sizes]


@cache
def code_digest(module: str) -> str:
    """Digest a module of the library with all that it imports from the library.

    Given to rules as a parameter, so that an edit reruns the steps it touches, and no others.

    Parameters
    ----------
    module
        Dotted name, such as ``biocross.flow.gating``.

    Returns
    -------
    str
        Twelve hexadecimal digits.
    """
    sources: dict[str, bytes] = {}
    _collect(module, sources)
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(name.encode())
        digest.update(sources[name])
    return digest.hexdigest()[:12]


def _collect(module: str, sources: dict[str, bytes]) -> None:
    source = _source_file(module)
    if source is None or module in sources:
        return
    sources[module] = source.read_bytes()
    if source.parent != _PACKAGE:
        for part in sorted(p for form in PAGE_PARTS for p in source.parent.glob(form)):
            sources[part.name] = part.read_bytes()
    for package, names in _IMPORT.findall(sources[module].decode()):
        _collect(package, sources)
        for name in re.findall(r"\w+", names):
            _collect(f"{package}.{name}", sources)


def _source_file(module: str) -> Path | None:
    parts = module.split(".")[1:]
    for candidate in (
        _PACKAGE.joinpath(*parts, "__init__.py"),
        _PACKAGE.joinpath(*parts).with_suffix(".py"),
    ):
        if candidate.is_file():
            return candidate
    return None
