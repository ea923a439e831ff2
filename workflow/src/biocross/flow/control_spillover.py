"""Spillover of a study from the single stains among its samples, batch by batch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from biocross.cohort.panel import load_panel
from biocross.errors import ConfigError
from biocross.flow.signals import Compensation
from biocross.flow.spillover import Spillover
from biocross.flow.spillover_tables import read_spillover
from biocross.flow.stain_controls import COLUMNS, Control, estimate_spillover
from biocross.tables import read_rows, write_rows

CONTROL_COLUMNS = ("batch", *COLUMNS)


def estimate_control_spillover(
    controls: Sequence[Path | str],
    roles: Sequence[str],
    stains: Sequence[str],
    batches: Sequence[str],
    panel: Path | str,
    spillover_out: Path | str,
    controls_out: Path | str,
) -> None:
    """Compute one spillover matrix per batch of controls.

    Parameters
    ----------
    controls
        FCS files of the controls.
    roles, stains, batches
        Of each file: its role, the channel or marker of a single stain, and its batch.
    panel
        ``panel.tsv``, which knows the channel of a marker.
    spillover_out
        Table with the columns ``batch, fluorochrome`` and one per detector.
    controls_out
        What was found in every control.

    Raises
    ------
    ConfigError
        Every fault of the controls, one sentence per line.
    """
    channel_of = {c.marker: c.channel for c in load_panel(Path(panel))}
    matrices: dict[str, Spillover] = {}
    found: list[dict[str, object]] = []
    for batch in dict.fromkeys(batches):
        chosen = [
            Control(path, channel_of.get(stain, stain) if role == "single_stain" else None)
            for path, role, stain, of_batch in zip(controls, roles, stains, batches, strict=True)
            if of_batch == batch and role in ("single_stain", "unstained")
        ]
        if not any(control.channel for control in chosen):
            continue
        matrices[batch], rows = estimate_spillover(chosen)
        found += [{"batch": batch, **row} for row in rows]
    write_matrices(spillover_out, matrices)
    write_rows(controls_out, CONTROL_COLUMNS, found)


def write_matrices(path: Path | str, matrices: Mapping[str, Spillover]) -> None:
    """Write the spillover matrices of all batches as one table.

    Parameters
    ----------
    path
        The table; a row per batch and fluorochrome, a column per detector.
    matrices
        By batch.
    """
    detectors = dict.fromkeys(name for matrix in matrices.values() for name in matrix.channels)
    rows = [
        {
            "batch": batch,
            "fluorochrome": name,
            **dict(zip(spillover.channels, map(float, row), strict=True)),
        }
        for batch, spillover in matrices.items()
        for name, row in zip(spillover.channels, spillover.matrix, strict=True)
    ]
    write_rows(path, ("batch", "fluorochrome", *detectors), rows)


def compensation_of(asked: str, matrix: Path | str | None, batch: str) -> Compensation:
    """Return how the files of a batch are compensated.

    Parameters
    ----------
    asked
        ``flow.compensation`` of the configuration.
    matrix
        The table that it names, or that of `estimate_control_spillover`.
    batch
        The batch of the file.

    Returns
    -------
    Compensation
        With the matrix of the batch; where all controls are of one batch, with theirs.

    Raises
    ------
    ConfigError
        No control is of this batch, and they are of several others.
    """
    if asked in ("file", "none"):
        return Compensation(asked)
    if matrix is None:
        raise ConfigError(f'flow.compensation: no matrix was given for "{asked}"')
    if asked != "controls":
        return Compensation("table", read_spillover(matrix))
    rows = read_rows(matrix)
    known = list(dict.fromkeys(row["batch"] for row in rows))
    if batch not in known and len(known) > 1:
        raise ConfigError(
            f'{matrix}: no single stains of batch "{batch}"; the controls are of '
            f"{', '.join(known)}: add its controls to the sheet of samples"
        )
    own = [row for row in rows if row["batch"] == (batch if batch in known else known[0])]
    names = tuple(row["fluorochrome"] for row in own)
    values = np.array([[float(row[name]) for name in names] for row in own])
    return Compensation("table", Spillover(names, values, "single-stain controls"))
