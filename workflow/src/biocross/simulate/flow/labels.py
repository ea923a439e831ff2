"""What every event of a simulated file is."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biocross.flow.events import read_columns, write_columns
from biocross.simulate.flow.cells import FATES, LIVE, Events
from biocross.simulate.model import ROOT, Study


class Labels(NamedTuple):
    """What the events of a file are.

    `kind` is the number of the event's kind, `kinds` their names; `fate` is a number of `FATES`,
    `chains` has for every kind of cell the populations that it is of.
    """

    kind: NDArray[np.uint8]
    fate: NDArray[np.uint8]
    kinds: tuple[str, ...]
    chains: tuple[tuple[str, ...], ...]

    def of_population(self, population: str) -> NDArray[np.bool_]:
        """Tell which events are live single cells of a population, shape (events,)."""
        own = np.array([population in chain for chain in self.chains] + [False] * 2)
        belong: NDArray[np.bool_] = own[self.kind] & (self.fate == LIVE)
        return belong


def labels_path(folder: Path, sample: str) -> Path:
    """Name the file of a sample's labels in the folder of a simulated cohort."""
    return folder / "truth" / "flow" / "events" / f"{sample}.arrow"


def write_labels(path: Path, study: Study, events: Events) -> None:
    """Write what the events of a file are: a column `kind` and a column `fate`.

    Parameters
    ----------
    path
        The file.
    study
        The study, whose leaves are the kinds; debris and beads come after them.
    events
        In the order of the FCS file.
    """
    columns = {"kind": events.code.astype(np.uint8), "fate": events.fate.astype(np.uint8)}
    chains = [[name for name in study.lineage_of(leaf) if name != ROOT] for leaf in study.leaves]
    kinds = [*study.leaves, "debris", "beads"]
    write_columns(path, columns, {"kinds": kinds, "chains": chains, "fates": FATES})


def read_labels(path: Path) -> Labels:
    """Read what `write_labels` wrote."""
    columns, meta = read_columns(path)
    chains = tuple(tuple(chain) for chain in meta["chains"])
    return Labels(columns["kind"], columns["fate"], tuple(meta["kinds"]), chains)
