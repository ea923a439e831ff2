"""The results of a run, for people who explore them in Jupyter."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import yaml
from matplotlib.axes import Axes

from biocross.cohort.sheets import did_you_mean
from biocross.errors import BiocrossError
from biocross.report.figures.paired_changes import change_panels, draw_panel
from biocross.report.figures.style import STYLE
from biocross.statistics.paired_changes import load_changes
from biocross.statistics.pairs import read_long_table, read_pair_sheet, read_table


class Results:
    """Tables and plots of one run.

    Parameters
    ----------
    folder
        The run's results folder.

    Raises
    ------
    BiocrossError
        The folder holds no results.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not (self.folder / "statistics" / "paired_changes.tsv").is_file():
            raise BiocrossError(
                f"{self.folder} holds no results; run `snakemake --cores 8` first, or name the "
                "folder that the configuration's `results` names"
            )

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration of the run, completed by its defaults."""
        text = (self.folder / "provenance" / "config.yaml").read_text(encoding="utf-8")
        config: dict[str, Any] = yaml.safe_load(text)
        return config

    @cached_property
    def samples(self) -> pd.DataFrame:
        """Every sample with its treatment, level of the contrast and clinical values."""
        return self._read("cohort", "samples.tsv")

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Every pair that the contrasts ask for, complete or not."""
        return self._read("cohort", "pairs.tsv")

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Count of every population in every sample, and its percentage with 95 % interval."""
        return read_long_table(
            self.folder / "populations" / "counts.tsv",
            self.folder / "cohort" / "samples.tsv",
            with_enriched=True,
        )

    @cached_property
    def expression(self) -> pd.DataFrame:
        """Median of every marker in every population of every sample."""
        return self._read("populations", "expression.tsv")

    @cached_property
    def changes(self) -> pd.DataFrame:
        """Change of every population within patients: ``paired_changes.tsv``."""
        return load_changes(self.folder / "statistics" / "paired_changes.tsv")

    @cached_property
    def marker_changes(self) -> pd.DataFrame:
        """Change of every state marker within patients: ``marker_changes.tsv``."""
        return read_table(self.folder / "statistics" / "marker_changes.tsv")

    @cached_property
    def thresholds(self) -> pd.DataFrame:
        """Every border between negative and positive cells."""
        return self._read("flow", "gating", "thresholds.tsv")

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """How many events each quality step set aside in each sample."""
        return self._read("flow", "quality", "ledger.tsv")

    @property
    def populations(self) -> list[str]:
        """The populations that were tested or asked for."""
        return list(dict.fromkeys(self.changes["population"]))

    def plot_change(self, population: str, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
        """Plot one population: a line per patient, one panel per treatment.

        Parameters
        ----------
        population
            Its name, as in `populations`.
        axes
            Where to draw, one per treatment; new ones by default.

        Returns
        -------
        sequence of matplotlib.axes.Axes
            The panels, in alphabetical order of the treatments.

        Raises
        ------
        BiocrossError
            There is no such population.
        """
        if population not in self.populations:
            hint = did_you_mean(population, self.populations)
            raise BiocrossError(f'no population "{population}"{hint}')
        changes = self.changes[self.changes["population"] == population]
        levels = self.config["design"]["levels"]
        sheet = read_pair_sheet(self.folder / "cohort" / "pairs.tsv")
        panels = list(change_panels(changes, self.counts, sheet, levels))
        with plt.rc_context({**STYLE, "font.size": 8}):
            if axes is None:
                width = 2.6 * len(panels)
                _, grid = plt.subplots(
                    1, len(panels), figsize=(width, 2.8), squeeze=False, layout="constrained"
                )
                axes = list(grid[0])
            for axis, panel in zip(axes, panels, strict=True):
                draw_panel(axis, panel, self.config["statistics"]["fdr"])
        return axes

    def _read(self, *parts: str) -> pd.DataFrame:
        path = self.folder.joinpath(*parts)
        if not path.is_file():
            raise BiocrossError(f"this run has no {path}; a study without FCS files makes none")
        return read_table(path)

    def __repr__(self) -> str:
        pairs = self.pairs[self.pairs["complete"] == "yes"]
        counted: dict[tuple[str, str], int] = (
            pairs.groupby(["treatment", "contrast"]).size().to_dict()  # type: ignore[assignment]
        )
        lines = [f"{', '.join(key)}: {n} pairs" for key, n in counted.items()]
        lines.append(f"{len(self.populations)} populations, {len(self.samples)} samples")
        tables = "samples, pairs, counts, expression, changes, marker_changes, thresholds, ledger"
        return "\n".join([f"Results of {self.folder}", *lines, f"tables: {tables}"])
