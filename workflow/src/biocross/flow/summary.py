"""Gather what the patients' jobs found into the cohort's long tables."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from biocross.cohort.vocabulary import ANCHOR_POPULATIONS, Vocabulary, load_vocabulary
from biocross.flow.gating import THRESHOLD_COLUMNS
from biocross.flow.prepare import LEDGER_COLUMNS
from biocross.tables import read_rows, write_rows

KEYS = ("sample_id", "patient_id", "visit", "treatment", "modality", "source")
COUNTS_COLUMNS = (*KEYS, "population", "parent", "count", "parent_count", "cells_per_ul")
EXPRESSION_COLUMNS = (
    *(*KEYS, "population", "parent", "count", "parent_count", "cells_per_ul"),
    *("marker", "value", "sd", "n_cells"),
)


def summarise_flow(
    samples: Path | str,
    populations: Path | str,
    counts: Sequence[Path | str],
    expression: Sequence[Path | str],
    thresholds: Sequence[Path | str],
    ledgers: Sequence[Path | str],
    counts_out: Path | str,
    expression_out: Path | str,
    thresholds_out: Path | str,
    ledger_out: Path | str,
) -> None:
    """Join the patients' tables with the sheets and compute cells per microlitre.

    Parameters
    ----------
    samples
        ``results/cohort/samples.tsv``.
    populations
        ``populations.yaml``.
    counts, expression, thresholds
        Tables of `gate_patient`.
    ledgers
        Tables of `prepare_flow_sample`.
    counts_out, expression_out, thresholds_out, ledger_out
        The cohort's tables.
    """
    sheet = {row["sample_id"]: row for row in read_rows(samples)}
    vocabulary = load_vocabulary(Path(populations))
    counted = list(_counts(_read_all(counts), sheet, vocabulary))
    by_key = {(row["sample_id"], row["population"]): row for row in counted}
    write_rows(counts_out, COUNTS_COLUMNS, counted)
    write_rows(
        expression_out,
        EXPRESSION_COLUMNS,
        ({**by_key[row["sample_id"], row["population"]], **row} for row in _read_all(expression)),
    )
    write_rows(thresholds_out, THRESHOLD_COLUMNS, _read_all(thresholds))
    write_rows(ledger_out, LEDGER_COLUMNS, _read_all(ledgers))


def _read_all(paths: Sequence[Path | str]) -> Iterator[dict[str, str]]:
    for path in paths:
        yield from read_rows(path)


def _counts(
    rows: Iterator[dict[str, str]], sheet: Mapping[str, Mapping[str, str]], vocabulary: Vocabulary
) -> Iterator[dict[str, object]]:
    rows_of_sample: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        rows_of_sample.setdefault(row["sample_id"], {})[row["population"]] = row
    for sample_id in sheet:
        counted = rows_of_sample.get(sample_id, {})
        for name, row in counted.items():
            yield {
                **{key: sheet[sample_id][key] for key in ("patient_id", "visit", "treatment")},
                "modality": "flow",
                "source": "gate",
                **row,
                "cells_per_ul": cells_per_ul(name, counted, sheet[sample_id], vocabulary),
            }


def cells_per_ul(
    name: str,
    counted: Mapping[str, Mapping[str, str]],
    sample: Mapping[str, str],
    vocabulary: Vocabulary,
) -> float | None:
    """Scale a count to cells per microlitre of blood by the analyser's count of an anchor.

    Parameters
    ----------
    name
        The population.
    counted
        The sample's rows by population, with their ``count``.
    sample
        The sample's row of ``results/cohort/samples.tsv``, blood counts included.
    vocabulary
        Names the anchor of each population in PBMC.

    Returns
    -------
    float or None
        count / anchor's count x anchor per microlitre. Whole blood is anchored on leukocytes;
        PBMC on lymphocytes or monocytes, never on leukocytes, because its granulocytes are gone.
        None where the anchor was not measured, or the population does not lie within it.
    """
    blood = sample["tissue"] == "whole_blood"
    anchor = "leukocytes_per_ul" if blood else vocabulary[name].absolute_anchor
    if anchor is None or sample["tissue"] not in ("whole_blood", "pbmc"):
        return None
    population = ANCHOR_POPULATIONS.get(anchor)
    count, per_ul = counted[name]["count"], sample.get(anchor)
    if population is None or population not in counted or not count or not per_ul:
        return None
    if not _within(name, population, vocabulary):
        return None
    anchor_count = float(counted[population]["count"] or 0)
    return float(count) / anchor_count * float(per_ul) if anchor_count else None


def _within(name: str | None, ancestor: str, vocabulary: Vocabulary) -> bool:
    while name is not None and name != ancestor:
        name = vocabulary[name].parent
    return name == ancestor
