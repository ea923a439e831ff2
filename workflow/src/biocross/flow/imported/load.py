"""Load a file of gates, whichever of the two forms it has."""

from pathlib import Path

from biocross.errors import GatingError
from biocross.flow.imported.gatingml import read_gatingml
from biocross.flow.imported.model import ImportedGates
from biocross.flow.imported.refusals import open_gates
from biocross.flow.imported.workspace import read_workspace


def load_gates(path: Path | str) -> ImportedGates:
    """Load the gates of a GatingML 2.0 file or a FlowJo 10 workspace.

    Parameters
    ----------
    path
        The file; its content decides what it is.

    Returns
    -------
    ImportedGates
        Every gate; one that cannot be read carries the reason, and so do the gates that need it.

    Raises
    ------
    GatingError
        The file cannot be read, holds no gates, or none of its gates can be used.
    """
    path = Path(path)
    form, root = open_gates(path)
    imported = (read_gatingml if form == "gatingml" else read_workspace)(path, root)
    if form == "flowjo" and not imported.samples:
        raise GatingError(
            f"{path}: the workspace has no samples; add the FCS files in FlowJo and save it again"
        )
    if not imported.gates:
        raise GatingError(f"{path}: holds no gates; draw them, save the file and try again")
    if not any(tree.usable for tree in imported.trees.values()):
        name, reason = next(
            item for tree in imported.trees.values() for item in tree.pruned.items()
        )
        raise GatingError(
            f"{path}: none of its {len(imported.gates)} gates can be used; the first, "
            f'"{name}": {reason}'
        )
    return imported
