"""Doing many independent things in several processes."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def map_in_processes(
    function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], jobs: int
) -> list[Any]:
    """Call a function on many arguments, in several processes where that is allowed.

    Parameters
    ----------
    function
        A function of a module; each call depends on its arguments alone.
    arguments
        Of every call.
    jobs
        Number of processes.

    Returns
    -------
    list
        What the calls returned, in order.
    """
    if jobs < 2:
        return [function(*each) for each in arguments]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(function, *zip(*arguments, strict=True)))
