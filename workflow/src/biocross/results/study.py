"""A run as an object: its tables, its plots, and other ways to analyse it."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from biocross.cohort.sheets import did_you_mean
from biocross.report.words import plain
from biocross.results.choices import as_list, known_word, rows_with
from biocross.results.population import Population
from biocross.results.run import Run
from biocross.results.summary import as_html, as_text
from biocross.statistics.pairs import read_pair_sheet

Words = str | Iterable[str] | None
AxesArray = np.ndarray[Any, Any]
# Compositions have no value per patient that could be drawn.
DRAWN_READOUTS = ("percent_of_parent", "cells_per_ul")


class Results(Run):
    """Tables and plots of one run.

    Every table is an attribute that is read when first asked for; `tables` lists them.
    ``results["ILC2"]`` is one population.

    Parameters
    ----------
    folder
        The run's results folder.

    Raises
    ------
    BiocrossError
        The folder holds no results.

    Examples
    --------
    >>> import biocross
    >>> results = biocross.open_results("results")  # doctest: +SKIP
    >>> results.changes.query("status == 'tested' and q_value < 0.05")  # doctest: +SKIP
    >>> results.plot_change("ILC2")  # doctest: +SKIP
    """

    def plot_change(
        self,
        population: str,
        readout: str = "percent_of_parent",
        treatment: Words = None,
        source: str | None = None,
        modality: str | None = None,
        axes: Any = None,
    ) -> AxesArray:
        """Plot one population: a line per patient, the median in bold; a panel per treatment.

        Parameters
        ----------
        population
            Its name, as in `populations`.
        readout
            ``percent_of_parent`` or ``cells_per_ul``.
        treatment
            One or several; all by default.
        source, modality
            What found the cells, such as ``gate``, ``cluster`` or ``table``, and ``flow`` or
            ``rna``; by default what the configuration declares.
        axes
            Where to draw, one per panel; new ones by default.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
            The panels, in alphabetical order of the treatments.

        Raises
        ------
        BiocrossError
            A name is not known, or the axes are too few or too many.

        Examples
        --------
        >>> results.plot_change("ILC2")  # doctest: +SKIP
        >>> results.plot_change("ILC2", "cells_per_ul", treatment="dupilumab")  # doctest: +SKIP
        """
        from biocross.report.figures.paired_changes import change_panels
        from biocross.results.change_plots import draw_changes

        known_word("readout that can be drawn", readout, DRAWN_READOUTS)
        rows = rows_with(
            self[population].changes, readout=readout, treatment=treatment, modality=modality
        )
        rows = self._of_source(rows, source, modality)
        sheet = read_pair_sheet(self.folder / "cohort" / "pairs.tsv")
        panels = list(change_panels(rows, self.counts, sheet, self.levels, readout))
        return draw_changes(panels, self.fdr, axes)

    def plot_forest(
        self,
        treatment: Words = None,
        contrast: Words = None,
        populations: Words = None,
        readout: str = "percent_of_parent",
        source: str | None = None,
        modality: str | None = None,
        changes: pd.DataFrame | None = None,
        fdr: float | None = None,
        axes: Any = None,
    ) -> AxesArray:
        """Plot changes with their 95 % intervals; a panel per treatment and contrast.

        Parameters
        ----------
        treatment, contrast, populations
            One or several; all by default.
        readout
            ``percent_of_parent``, ``cells_per_ul`` or ``composition``.
        source, modality
            As for `plot_change`.
        changes
            Rows to draw, such as those of `compare`; by default those of the run.
        fdr
            False discovery rate below which a change is coloured; by default the run's.
        axes
            Where to draw, one per panel; new ones by default.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
            The panels.

        Raises
        ------
        BiocrossError
            A name is not known, or the axes are too few or too many.

        Examples
        --------
        >>> results.plot_forest("mepolizumab", populations=["ILC2", "Th2"])  # doctest: +SKIP
        >>> results.plot_forest(changes=results.compare(test="wilcoxon"))  # doctest: +SKIP
        """
        from biocross.results.change_plots import draw_forests

        rows = rows_with(
            self.changes if changes is None else changes,
            treatment=treatment,
            contrast=contrast,
            population=populations,
            readout=readout,
            modality=modality,
        )
        rows = self._of_source(rows, source, modality)
        return draw_forests(rows, self.fdr if fdr is None else fdr, axes)

    def plot_marker(
        self,
        population: str,
        marker: str,
        treatment: Words = None,
        source: str | None = None,
        modality: str | None = None,
        axes: Any = None,
    ) -> AxesArray:
        """Plot the median of a marker in a population: a line per patient.

        Parameters
        ----------
        population, marker
            Their names.
        treatment, source, modality, axes
            As for `plot_change`.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
            One panel per treatment.

        Raises
        ------
        BiocrossError
            A name is not known, or the axes are too few or too many.

        Examples
        --------
        >>> results.plot_marker("eosinophils", "CD69")  # doctest: +SKIP
        """
        from biocross.results.change_plots import draw_markers

        own = rows_with(self[population].markers, marker=marker, modality=modality)
        own = self._of_source(own, source, modality)
        values = own.merge(self.samples[["sample_id", "unit", "level"]], on="sample_id")
        changes = self[population].marker_changes
        changes = changes[(changes["marker"] == marker) & (changes["readout"] == "median")]
        changes = changes[changes["source"].isin(own["source"])]
        arms = as_list(treatment if treatment is not None else self.treatments)
        units_of = {
            known_word("treatment", arm, self.treatments): list(
                self.pairs.loc[self.pairs["treatment"] == arm, "unit"]
            )
            for arm in arms
        }
        title = f"{marker} in {plain(population)}"
        return draw_markers(values, changes, units_of, self.levels, title, axes)

    def plot_gate(self, patient: str, population: str, axes: Any = None) -> AxesArray:
        """Plot the gate of a population in one patient, the visits side by side.

        Parameters
        ----------
        patient
            The patient.
        population
            The population; where its gate has more than two markers, it is drawn in steps.
        axes
            Where to draw, one per step and visit, row by row; new ones by default.

        Returns
        -------
        ndarray of matplotlib.axes.Axes
            Shape (steps, visits).

        Raises
        ------
        BiocrossError
            A name is not known, the gates were drawn in another program, or no plot shows them.

        Examples
        --------
        >>> results.plot_gate("P02", "ILC2")  # doctest: +SKIP
        """
        from biocross.results.gate_plots import draw_gates, gate_files, patient_visits

        files = gate_files(self)
        visits = patient_visits(self, patient, files)
        known = [gate.population for visit in visits for gate in visit.gates]
        known_word("gate of population", population, known)
        return draw_gates(visits, population, files, f"{patient}: {plain(population)}", axes)

    def compare(
        self,
        populations: Words = None,
        treatment: Words = None,
        contrast: str | tuple[str, str] | None = None,
        readout: Words = None,
        source: Words = None,
        modality: Words = None,
        test: str = "moderated",
        exclude: str | Iterable[str] = (),
        together: bool = False,
    ) -> pd.DataFrame:
        """Test again what the report tested, in another way.

        The engine is the report's. Variances are learned from, and families corrected over, all
        populations, also where only some are shown.

        Parameters
        ----------
        populations, treatment, readout, source, modality
            Which rows to show: one name or several; all by default.
        contrast
            Any two levels, as ``"month_12 - month_4"`` or ``("month_12", "month_4")``, the later
            first; by default the contrasts of the run.
        test
            ``moderated``: the report's capped moderated paired t. ``plain_t``: the paired t on a
            population's own variance. ``wilcoxon``: the exact signed-rank test, with the estimate
            and interval of Hodges and Lehmann.
        exclude
            Patients to leave out.
        together
            Whether the patients of all (chosen) treatments are tested as one group.

        Returns
        -------
        DataFrame
            The columns of ``paired_changes.tsv``. As long as test, contrast, exclude and together
            keep their defaults these are the report's rows. Else every row is exploratory, and
            its note says what was chosen: a choice made after seeing the data proves nothing by
            itself, it shows how far a finding depends on the analysis.

        Raises
        ------
        BiocrossError
            A name is not known.

        Examples
        --------
        >>> results.compare("ILC2", test="wilcoxon")  # doctest: +SKIP
        >>> results.compare(contrast="month_12 - month_4", exclude="P07")  # doctest: +SKIP
        """
        from biocross.statistics.kernels.battery import TESTS
        from biocross.statistics.paired_changes import CHANGE_COLUMNS
        from biocross.statistics.reanalysis import OtherAnalysis, reanalysed_rows

        patients = self.samples["patient_id"]
        study = self._study
        if treatment is not None and together:
            arms = [known_word("treatment", arm, self.treatments) for arm in as_list(treatment)]
            study = study._replace(pairs=study.pairs[study.pairs["treatment"].isin(arms)])
            treatment = None
        other = OtherAnalysis(
            self._contrast(contrast),
            known_word("test", test, TESTS),
            tuple(known_word("patient", one, patients) for one in as_list(exclude)),
            together,
        )
        table = pd.DataFrame(reanalysed_rows(study, other), columns=list(CHANGE_COLUMNS))
        chosen = rows_with(
            table,
            population=populations,
            treatment=treatment,
            readout=readout,
            source=source,
            modality=modality,
        )
        return chosen.reset_index(drop=True)

    def __getitem__(self, population: str) -> Population:
        return Population(self, known_word("population", population, self.populations))

    def __contains__(self, population: object) -> bool:
        return population in self.populations

    def __iter__(self) -> Iterator[str]:
        return iter(self.populations)

    def __getattr__(self, name: str) -> Any:
        # Only names that are not there come here.
        hint = "" if name.startswith("_") else did_you_mean(name, dir(self))
        raise AttributeError(f'results have no "{name}"{hint}')

    def _ipython_key_completions_(self) -> list[str]:
        return self.populations

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)
