"""Which tables a run leaves, what each is about, and why it may be absent."""

from pathlib import Path
from typing import Any

import pandas as pd

from biocross.errors import BiocrossError
from biocross.statistics.paired_changes import load_changes
from biocross.statistics.pairs import read_long_table, read_table

FILES = "FCS files"
BORDERS = "FCS files whose gates biocross sets (a gating.yaml)"
CLUSTERS = "FCS files and clusters (flow.clusters.method)"
RNA = "single-cell RNA"
SIMULATED = "a simulated cohort"
# Words that stand for truth values in these columns, and nowhere else.
YES_NO = {"yes": True, "no": False}
TRUTH_COLUMNS = frozenset(
    {
        *("complete", "countable", "stable", "used", "chosen", "flagged", "outlier", "outlying"),
        *("holds", "covered", "effect_is_bound", "equivalent", "shared", "ambiguous"),
    }
)


class Table:
    """One table of a run: an attribute that reads its file when first asked for.

    Parameters
    ----------
    path
        Below the results folder.
    about
        What the table holds, in one line.
    needs
        What a study must have for the table to be made; empty where every run makes it.
    """

    def __init__(self, path: str, about: str, needs: str = "") -> None:
        self.path, self.about, self.needs = path, about, needs
        self.name = ""
        self.__doc__ = f"{about[0].upper()}{about[1:]} (pandas table of ``{path}``)."

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, run: Any, owner: type | None = None) -> pd.DataFrame:
        if run is None:
            return self  # type: ignore[return-value]
        path = self.file(run.folder)
        table = self.read(run.folder)
        if path.name != "paired_changes.tsv":
            for column in TRUTH_COLUMNS.intersection(table.columns):
                if set(table[column].dropna()) <= set(YES_NO):
                    table[column] = table[column].map(YES_NO)
        # The next look finds the table here, and not this descriptor.
        run.__dict__[self.name] = table
        return table

    def file(self, folder: Path) -> Path:
        """Return the table's file."""
        return folder / self.path

    def read(self, folder: Path) -> pd.DataFrame:
        """Read the table.

        Parameters
        ----------
        folder
            The results folder.

        Returns
        -------
        DataFrame
            Empty cells are missing.

        Raises
        ------
        BiocrossError
            The run has no such table; the message says why.
        """
        path = self.file(folder)
        if not path.is_file():
            raise missing(self.name, path, self.needs)
        if self.name == "changes":
            return load_changes(path)
        if self.name == "counts":
            return read_long_table(path, folder / "cohort" / "samples.tsv", with_enriched=True)
        return read_table(path)


def missing(name: str, path: Path, needs: str) -> BiocrossError:
    """Say that a run lacks a result, and why.

    Parameters
    ----------
    name
        How users call it.
    path
        Its file.
    needs
        What a study must have for it.

    Returns
    -------
    BiocrossError
        To be raised.
    """
    why = (
        f"it is made only of {needs}"
        if needs
        else "the run was not finished, or is of an older version"
    )
    return BiocrossError(
        f"this run has no {name}: there is no {path}; {why}. `results.tables` lists what there is"
    )


class Tables:
    """Every table of a run, each read when first asked for.

    Parameters
    ----------
    folder
        The run's results folder.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    samples = Table(
        "cohort/samples.tsv",
        "samples with treatment, visit, clinical values",
    )
    patients = Table("cohort/patients.tsv", "patients with treatment and covariates")
    pairs = Table("cohort/pairs.tsv", "pairs of visits that are compared, complete or not")
    problems = Table("cohort/problems.tsv", "warnings about sheets and file headers")
    drug_notes = Table("cohort/drug_notes.tsv", "what treatments do to markers of the gates")
    channels = Table("cohort/channels.tsv", "in how many files each channel was found", FILES)

    counts = Table(
        "populations/counts.tsv",
        "count, % with interval, cells/µl in every sample",
    )
    cells_per_ul = Table("populations/cells_per_ul.tsv", "what the cells/µl of a sample rest on")
    expression = Table(
        "populations/expression.tsv", "median of every marker, by population and sample"
    )

    changes = Table("statistics/paired_changes.tsv", "change of every population within patients")
    marker_changes = Table(
        "statistics/marker_changes.tsv", "change of every state marker within patients"
    )
    gene_changes = Table("statistics/gene_changes.tsv", "change of every gene within patients", RNA)
    treatment_differences = Table(
        "statistics/treatment_differences.tsv", "whether treatments differ in their changes"
    )
    longitudinal = Table("statistics/longitudinal.tsv", "all visits of a patient in one model")
    response = Table("statistics/response.tsv", "whether responders change otherwise")
    clinical_associations = Table(
        "statistics/clinical_associations.tsv", "whether cells and clinic change together"
    )
    specifications = Table(
        "statistics/specifications.tsv", "the primary findings, analysed in other ways"
    )
    gate_sensitivity = Table(
        "statistics/gate_sensitivity.tsv", "how far primary findings rest on their gates", BORDERS
    )
    calibration = Table("statistics/calibration.tsv", "the error rate of this very run")
    concordance = Table("statistics/concordance.tsv", "whether flow cytometry and RNA say the same")
    combined_findings = Table(
        "statistics/combined_findings.tsv", "changes that flow cytometry and RNA both support"
    )
    stimulated_responses = Table(
        "statistics/stimulated_responses.tsv", "whether a stimulated sample responded"
    )
    net_response_changes = Table(
        "statistics/net_response_changes.tsv", "whether responses to a stimulation changed"
    )

    ledger = Table("flow/quality/ledger.tsv", "how many events each quality step set aside", FILES)
    repairs = Table("flow/quality/repairs.tsv", "what was repaired to read the files", FILES)
    flow_warnings = Table(
        "flow/quality/warnings.tsv", "doubtful compensation and crowded channels", FILES
    )
    sample_losses = Table(
        "flow/quality/sample_losses.tsv", "what every sample lost, and which lost much", FILES
    )
    loss_changes = Table(
        "flow/quality/loss_changes.tsv", "whether a step set aside more at one visit", FILES
    )
    marker_sanity = Table(
        "flow/quality/sanity.tsv", "whether markers occur together as in blood", FILES
    )
    transforms = Table("flow/transforms.tsv", "the transform of every channel", FILES)
    thresholds = Table(
        "flow/gating/thresholds.tsv", "every border between negative and positive cells", BORDERS
    )
    marker_shifts = Table(
        "flow/gating/marker_shift_summary.tsv",
        "how far cells beside a border moved between visits",
        BORDERS,
    )
    outliers = Table("flow/outliers.tsv", "samples unlike the others", FILES)

    clusters = Table("flow/clusters/clusters.tsv", "size and stability of every cluster", CLUSTERS)
    cluster_annotation = Table(
        "flow/clusters/annotation.tsv", "the name of every cluster and why", CLUSTERS
    )
    cluster_populations = Table(
        "flow/clusters/populations.tsv", "which populations have clusters", CLUSTERS
    )
    cluster_agreement = Table(
        "flow/clusters/agreement_summary.tsv",
        "whether gates and clusters mean the same cells",
        CLUSTERS,
    )

    rna_annotation = Table("cells/annotation.tsv", "populations found in RNA, and how surely", RNA)
    rna_clusters = Table("cells/clusters.tsv", "the name of every cluster of RNA", RNA)
    rna_cell_numbers = Table(
        "cells/cells_per_population.tsv", "cells of every population in every sample", RNA
    )
    rna_ledger = Table("cells/ledger.tsv", "how many cells each step set aside", RNA)
    rna_sample_losses = Table("cells/sample_losses.tsv", "what every sample of RNA lost", RNA)
    integration_quality = Table(
        "cells/integration_quality.tsv", "whether batches were joined without loss", RNA
    )
    gene_sets = Table("cells/gene_sets.tsv", "the gene sets that were scored", RNA)

    truth_findings = Table(
        "evaluation/findings.tsv", "every finding beside its true answer", SIMULATED
    )
    versions = Table("provenance/versions.tsv", "versions of the software")

    @property
    def tables(self) -> pd.DataFrame:
        """Which tables there are, what each is about, and why some are absent."""
        rows = []
        for name, table in declared_tables(type(self)).items():
            there = table.file(self.folder).is_file()
            why = "" if there else f"needs {table.needs or 'a finished run'}"
            rows.append((f"results.{name}", table.about, there, why, table.path))
        columns = ["table", "about", "there", "why_not", "file"]
        return pd.DataFrame(rows, columns=columns).set_index("table")


def declared_tables(owner: type) -> dict[str, Table]:
    """Return the tables of `Tables` or of a class that extends it, by name.

    Parameters
    ----------
    owner
        The class.

    Returns
    -------
    dict
        In the order of their declaration.
    """
    parts = (part for kind in reversed(owner.__mro__) for part in vars(kind).items())
    return {name: part for name, part in parts if isinstance(part, Table)}
