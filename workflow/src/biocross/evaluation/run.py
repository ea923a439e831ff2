"""Compare the results of a run on a simulated cohort with the truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from biocross.cohort.vocabulary import load_vocabulary
from biocross.evaluation.concordance import CONCORDANCE_COLUMNS, judge_concordance
from biocross.evaluation.events import (
    CLUSTER,
    EVENT_COLUMNS,
    GATE,
    clustered_events,
    compare_events,
    gated_events,
    passed_events,
    read_all_labels,
)
from biocross.evaluation.findings import (
    FINDING_COLUMNS,
    judge_frequencies,
    judge_genes,
    judge_markers,
)
from biocross.evaluation.frequencies import FREQUENCY_COLUMNS, frequency_errors, summarise_errors
from biocross.evaluation.rates import RATE_COLUMNS, rates_of
from biocross.statistics.pairs import read_table
from biocross.tables import write_rows

MODALITIES = ("flow", "rna")


class Results(NamedTuple):
    """Files of a run that are compared; a table that the run does not have is None."""

    counts: Path
    paired_changes: Path
    marker_changes: Path | None = None
    gene_changes: Path | None = None
    concordance: Path | None = None
    events: Mapping[str, Path | str] = {}
    memberships: Sequence[Path | str] = ()
    cluster_labels: Mapping[str, Path | str] = {}
    annotation: Path | None = None


def evaluate_run(
    results: Results,
    cohort: Path,
    populations: Path,
    levels: Sequence[str],
    fdr: float,
    out_dir: Path,
) -> None:
    """Compare a run with the truth, and write the tables.

    Parameters
    ----------
    results
        What the run wrote.
    cohort
        Folder of the simulated cohort, which holds ``truth/``.
    populations
        ``populations.yaml``.
    levels
        The visits, the baseline first.
    fdr
        The q value below which a change is claimed.
    out_dir
        Receives ``events.tsv`` (F1 of gates and clusters), ``frequencies.tsv`` (errors and bias by
        visit), ``findings.tsv`` (every question beside its true answer), ``rates.tsv`` and
        ``concordance.tsv`` (empty where a modality is missing).
    """
    events = _events(results, cohort, populations)
    findings = _findings(results, cohort / "truth", fdr)
    tables = {
        "events": (EVENT_COLUMNS, events),
        "frequencies": (FREQUENCY_COLUMNS, _frequencies(results, cohort / "truth", levels)),
        "findings": (FINDING_COLUMNS, findings),
        "rates": (RATE_COLUMNS, rates_of(findings)),
        "concordance": (CONCORDANCE_COLUMNS, _concordance(results, cohort / "truth")),
    }
    for name, (columns, table) in tables.items():
        rows = (dict(zip(columns, row, strict=True)) for row in table[[*columns]].to_numpy())
        write_rows(out_dir / f"{name}.tsv", columns, rows)


def _events(results: Results, cohort: Path, populations: Path) -> pd.DataFrame:
    if not results.events:
        return pd.DataFrame(columns=[*EVENT_COLUMNS])
    labels = read_all_labels(cohort, [*results.events])
    passed = {sample: passed_events(path) for sample, path in results.events.items()}
    parts = [compare_events(labels, passed, gated_events(results.memberships), GATE)]
    if results.annotation:
        clustered = clustered_events(
            results.cluster_labels, results.annotation, load_vocabulary(populations)
        )
        parts.append(compare_events(labels, passed, clustered, CLUSTER))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _frequencies(results: Results, truth: Path, levels: Sequence[str]) -> pd.DataFrame:
    counts = read_table(results.counts)
    errors = [
        frequency_errors(own, read_table(path))
        for modality, own in counts.groupby("modality", sort=False)
        if (path := truth / str(modality) / "counts.tsv").exists()
    ]
    return summarise_errors(pd.concat(errors, ignore_index=True), levels)


def _findings(results: Results, truth: Path, fdr: float) -> pd.DataFrame:
    known = [
        read_table(path).assign(modality=modality)
        for modality in MODALITIES
        if (path := truth / modality / "effects.tsv").exists()
    ]
    changes = read_table(results.paired_changes)
    parts = [judge_frequencies(changes, pd.concat(known), fdr)]
    if results.marker_changes:
        markers = read_table(results.marker_changes)
        parts.append(judge_markers(markers, read_table(truth / "flow" / "markers.tsv"), fdr))
    if results.gene_changes:
        genes = read_table(results.gene_changes)
        parts.append(judge_genes(genes, read_table(truth / "rna" / "genes.tsv"), fdr))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _concordance(results: Results, truth: Path) -> pd.DataFrame:
    if not results.concordance:
        return pd.DataFrame(columns=[*CONCORDANCE_COLUMNS])
    return judge_concordance(results.concordance, read_table(results.counts), truth)
