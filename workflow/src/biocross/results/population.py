"""One population of a run: its numbers and its plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from biocross.report.sources import is_below, leading_rows, records
from biocross.report.words import finding, no_finding, plain

if TYPE_CHECKING:
    from biocross.results.study import Results


class Population:
    """What a run says about one population; ``results["ILC2"]`` makes it.

    Parameters
    ----------
    results
        The run.
    name
        The population.

    Examples
    --------
    >>> ilc2 = results["ILC2"]  # doctest: +SKIP
    >>> ilc2.changes  # doctest: +SKIP
    >>> ilc2.plot_gate("P02")  # doctest: +SKIP
    """

    def __init__(self, results: Results, name: str) -> None:
        self.results, self.name = results, name

    @property
    def counts(self) -> pd.DataFrame:
        """Its count and percentage in every sample, however it was found."""
        return self._own(self.results.counts)

    @property
    def changes(self) -> pd.DataFrame:
        """Its changes within patients, in every readout."""
        return self._own(self.results.changes)

    @property
    def markers(self) -> pd.DataFrame:
        """Median of every marker in it, in every sample."""
        return self._own(self.results.expression)

    @property
    def marker_changes(self) -> pd.DataFrame:
        """Changes of state markers in it."""
        return self._own(self.results.marker_changes)

    @property
    def gene_changes(self) -> pd.DataFrame:
        """Changes of genes in it (single-cell RNA)."""
        return self._own(self.results.gene_changes)

    def plot_change(self, **choices: Any) -> np.ndarray[Any, Any]:
        """Plot every patient's change; see `Results.plot_change`."""
        return self.results.plot_change(self.name, **choices)

    def plot_gate(self, patient: str, axes: Any = None) -> np.ndarray[Any, Any]:
        """Plot its gate in one patient; see `Results.plot_gate`."""
        return self.results.plot_gate(patient, self.name, axes)

    def plot_marker(self, marker: str, **choices: Any) -> np.ndarray[Any, Any]:
        """Plot a marker in it; see `Results.plot_marker`."""
        return self.results.plot_marker(self.name, marker, **choices)

    def _own(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[table["population"] == self.name].reset_index(drop=True)

    def sentences(self) -> list[str]:
        """Write its changes in the declared readout as sentences, one per question."""
        confirmatory = self.results.config["statistics"]["confirmatory"]
        changes = self.changes
        asked = changes[changes["readout"] == confirmatory["readout"]]
        column = self.results.config["design"]["contrast"]
        declared = (confirmatory["modality"], confirmatory["source"])
        return [
            (finding if is_below(row, self.results.fdr) else no_finding)(row, column)
            for row in records(leading_rows(asked, declared))
        ]

    def __repr__(self) -> str:
        lines = [f"- {line}" for line in self.sentences()]
        calls = ".counts  .changes  .markers  .plot_change()  .plot_gate(patient)"
        return "\n".join([plain(self.name), *lines, f"Next: {calls}"])
