"""Which tests share a process, and which start first, where several processes run the tests."""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
# Files that have one of these words share a process: what it makes, or compiles, is slow to make.
SHARED = ("finished_project", "embed_")
# What takes longest starts first, so that no process waits long for another at the end.
FIRST = ("workflow", "notebooks", "validation", "property", "data")


class ByFile(LoadScopeScheduling):
    """The tests of a file run in one process, so that what they share is made once.

    Marks cannot say so: with pytest 9.2 the groups of pytest-xdist 3.8 have no effect (its issue
    1386), and nothing tells.
    """

    def __init__(self, config, log):
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid):
        return scope(nodeid.split("::")[0])


@cache
def scope(path):
    """Return the name of what the tests of a file share."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return next((word for word in SHARED if word in text), path)


def place(path):
    """Return the place of a file in the order of a run."""
    folder = path.relative_to(ROOT / "tests").parts[0]
    return FIRST.index(folder) if folder in FIRST else len(FIRST)
