"""A first sheet of gates, from a file of gates alone."""

from pathlib import Path

from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import ConfigError
from biocross.flow.imported.gate_paths import GATE_PATHS_COLUMNS, Proposal, propose_gate_paths
from biocross.flow.imported.load import load_gates
from biocross.tables import write_rows


def propose_sheet(gates: Path, populations: Path, sheet_out: Path) -> Proposal:
    """Write a sheet that says which gate is which population, as far as names tell.

    Parameters
    ----------
    gates
        A GatingML document or a FlowJo workspace.
    populations
        ``populations.yaml``.
    sheet_out
        The sheet; an existing one is not overwritten.

    Returns
    -------
    Proposal
        What was written, and the gates that were left out.

    Raises
    ------
    ConfigError
        The sheet exists.
    GatingError
        The file of gates cannot be read.
    """
    if sheet_out.exists():
        raise ConfigError(f"{sheet_out}: would be overwritten; give another file by --out")
    proposal = propose_gate_paths(load_gates(gates), load_vocabulary(populations))
    rows = ({name: getattr(row, name) for name in GATE_PATHS_COLUMNS} for row in proposal.rows)
    write_rows(sheet_out, GATE_PATHS_COLUMNS, rows)
    return proposal
