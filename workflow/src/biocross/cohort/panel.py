"""The panel: which detector measures which marker, and how it is transformed."""

from pathlib import Path
from typing import NamedTuple

from biocross.cohort.sheets import Problem, read_sheet
from biocross.errors import ConfigError

SIGNAL_KINDS = frozenset({"lineage", "state", "viability", "dump", "dna", "bead", "barcode"})


class Channel(NamedTuple):
    """One row of ``panel.tsv``."""

    channel: str
    marker: str
    kind: str
    transform: str | None = None
    cofactor: float | None = None
    aliases: tuple[str, ...] = ()

    @property
    def is_signal(self) -> bool:
        """Whether the channel carries an antibody's or dye's signal (not scatter or time)."""
        return self.kind in SIGNAL_KINDS


def read_panel(path: Path) -> tuple[list[Channel], list[Problem]]:
    """Read ``panel.tsv``, collecting its problems.

    Parameters
    ----------
    path
        The sheet.

    Returns
    -------
    panel : list of Channel
        In file order, without channels of kind ``unused``.
    problems : list of Problem
        Violations of the schema, and markers or channels given twice.
    """
    rows, problems = read_sheet(path, "panel")
    if problems:
        return [], problems
    panel = []
    seen: dict[str, int] = {}
    for row in rows:
        cells = dict(row.cells)
        aliases = tuple(a.strip() for a in cells.pop("aliases", "").split(",") if a.strip())
        channel = Channel(**cells, aliases=aliases)
        if channel.kind == "unused":
            continue
        for what in ("channel", "marker"):
            name = f'{what} "{getattr(channel, what)}"'
            if name in seen:
                message = f"{name} is already in row {seen[name]}; each may appear once"
                problems.append(Problem(str(path), row.number, message))
            seen.setdefault(name, row.number)
        panel.append(channel)
    if not panel:
        message = "no channel is used; give at least one a kind other than unused"
        problems.append(Problem(str(path), None, message, column="kind"))
    return panel, problems


def load_panel(path: Path) -> list[Channel]:
    """Read ``panel.tsv`` and refuse it if anything is wrong.

    Parameters
    ----------
    path
        The sheet.

    Returns
    -------
    list of Channel
        In file order, without channels of kind ``unused``.

    Raises
    ------
    ConfigError
        One line for every problem.
    """
    panel, problems = read_panel(path)
    if problems:
        raise ConfigError("\n".join(str(problem) for problem in problems))
    return panel
