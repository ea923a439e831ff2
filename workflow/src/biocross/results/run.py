"""What a run left: its configuration, inputs and cells beside its tables."""

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from biocross.cohort.design import Contrast, parse_contrast
from biocross.cohort.provenance import kept_copy
from biocross.cohort.vocabulary import load_vocabulary
from biocross.errors import BiocrossError
from biocross.intact import read_h5ad
from biocross.report.sources import leading_rows
from biocross.results.choices import known_word, rows_with
from biocross.results.tables import CLUSTERS, RNA, Tables, declared_tables, missing
from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.pairs import read_long_table, read_pair_sheet
from biocross.statistics.reanalysis import Study
from biocross.tables import read_rows

# Folder of the cells, and what a study must have for them.
CELLS = {
    "flow_cells": ("flow", f"{CLUSTERS} and flow.clusters.umap_cells"),
    "rna_cells": ("cells", RNA),
}


class Run(Tables):
    """A finished run.

    Parameters
    ----------
    folder
        Its results folder.

    Raises
    ------
    BiocrossError
        The folder holds no results.
    """

    def __init__(self, folder: Path | str) -> None:
        super().__init__(folder)
        if _holds_results(self.folder):
            return
        around = (self.folder / "results", Path("results"), Path("..") / "results")
        near = next((str(place) for place in around if _holds_results(place)), None)
        remedy = (
            f'did you mean "{near}"?'
            if near
            else "run `snakemake --cores 8` first, or name the folder that the "
            "configuration's `results` names"
        )
        raise BiocrossError(f"{self.folder} holds no results; {remedy}")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration of the run, completed by its defaults."""
        text = (self.folder / "provenance" / "config.yaml").read_text(encoding="utf-8")
        config: dict[str, Any] = yaml.safe_load(text)
        return config

    @property
    def fdr(self) -> float:
        """The false discovery rate below which a change is claimed."""
        return float(self.config["statistics"]["fdr"])

    @property
    def levels(self) -> list[str]:
        """The visits (or stimulations) that are compared, in order, the baseline first."""
        return list(self.config["design"]["levels"])

    @property
    def treatments(self) -> list[str]:
        """The treatments, by name."""
        return sorted(set(self.pairs["treatment"]))

    @property
    def populations(self) -> list[str]:
        """The populations that were tested or asked for."""
        return list(dict.fromkeys(self.changes["population"]))

    @cached_property
    def primary(self) -> list[str]:
        """The primary populations of ``populations.yaml``: those that the study was made for."""
        tested = self.populations
        try:
            vocabulary = load_vocabulary(self.input("populations"))
        except BiocrossError:  # of a run before its inputs were kept
            confirmatory = self.changes["family"] == CONFIRMATORY
            return list(dict.fromkeys(self.changes.loc[confirmatory, "population"]))
        return [name for name, one in vocabulary.items() if one.primary and name in tested]

    def has(self, name: str) -> bool:
        """Return whether this run has a table with rows, or cells.

        Parameters
        ----------
        name
            As of the attribute, such as ``gene_changes`` or ``rna_cells``.

        Raises
        ------
        BiocrossError
            No run has anything of that name.

        Examples
        --------
        >>> results.has("rna_cells")  # doctest: +SKIP
        False
        """
        tables = declared_tables(type(self))
        if known_word("table or cells", name, [*tables, *CELLS]) in CELLS:
            return self._cells_file(name).is_file()
        return tables[name].file(self.folder).is_file() and len(getattr(self, name)) > 0

    @cached_property
    def flow_cells(self) -> Any:
        """Cells of every sample as AnnData: markers, gate, cluster, population, UMAP."""
        return self._cells("flow_cells")

    @cached_property
    def rna_cells(self) -> Any:
        """Cells of single-cell RNA as AnnData: genes, sample, population, UMAP."""
        return self._cells("rna_cells")

    @cached_property
    def _study(self) -> Study:
        statistics, notes = self.config["statistics"], self.folder / "cohort" / "drug_notes.tsv"
        declared = statistics["confirmatory"]
        cohort = self.folder / "cohort"
        return Study(
            read_long_table(self.folder / "populations" / "counts.tsv", cohort / "samples.tsv"),
            self.samples,
            read_pair_sheet(cohort / "pairs.tsv"),
            load_vocabulary(self.input("populations")),
            tuple(declared[part] for part in ("modality", "source", "readout")),
            statistics["seed"],
            read_rows(notes) if notes.is_file() else (),
            self.config["design"].get("selected_on", ()),
        )

    def input(self, name: str) -> Path:
        """Return an input as the run used it.

        Parameters
        ----------
        name
            As in the configuration's ``inputs``: ``populations``, ``gating``, ``panel`` ...

        Returns
        -------
        Path
            The copy that the run kept.

        Raises
        ------
        BiocrossError
            The run kept none.
        """
        given = self.config["inputs"].get(name)
        kept = kept_copy(given, self.folder / "provenance") if given else None
        if kept is None or not kept.is_file():
            raise missing(f"copy of inputs.{name}", kept or Path(name), "")
        return kept

    def _contrast(self, contrast: str | tuple[str, str] | None) -> Contrast | None:
        if contrast is None:
            return None
        asked = parse_contrast(contrast) if isinstance(contrast, str) else Contrast(*contrast)
        for level in asked:
            known_word(self.config["design"]["contrast"], level, self.levels)
        return asked

    def _of_source(
        self, rows: pd.DataFrame, source: str | None, modality: str | None
    ) -> pd.DataFrame:
        """Take the rows of one source: the one asked for, or the one that the study declares."""
        if source is not None:
            return rows_with(rows, source=source)
        declared = self.config["statistics"]["confirmatory"]
        return leading_rows(rows, (modality or declared["modality"], declared["source"]))

    def _cells_file(self, name: str) -> Path:
        return self.folder / CELLS[name][0] / "cells.h5ad"

    def _cells(self, name: str) -> Any:
        path = self._cells_file(name)
        if not path.is_file():
            raise missing(name, path, CELLS[name][1])
        return read_h5ad(path)


def _holds_results(folder: Path) -> bool:
    return (folder / "statistics" / "paired_changes.tsv").is_file()
