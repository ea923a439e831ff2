"""Do populations change together with clinical values? Ranks change against change."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, lies_within, load_vocabulary
from biocross.statistics.families import correct_families, exploratory
from biocross.statistics.kernels.association import Association, spearman_within_groups
from biocross.statistics.paired_changes import (
    NOT_MEASURED,
    batch_caveat,
    judge,
    population_pairs,
)
from biocross.statistics.pairs import PairTable, Question, read_long_table
from biocross.statistics.readouts import Readout, readouts
from biocross.tables import write_rows

FloatArray = NDArray[np.float64]

ASSOCIATION_COLUMNS = (
    *("modality", "source", "treatment", "contrast", "population", "parent", "readout", "variable"),
    *("n_pairs", "rho", "rho_low", "rho_high", "p_value", "q_value", "family", "status", "note"),
)
FAMILY_PARTS = ("treatment", "contrast", "variable", "modality", "source", "readout")
ALL_TREATMENTS = "all (within treatment)"
MIN_PAIRS = 6
# Time is not a measurement of the patient: an association with it asks another question.
TIMES = ("day", "days_since_dose")
# The composition is left out: it has no meaning apart from the other parts of its own sample.
N_READOUTS = 2
# Tissues whose cells a blood count may measure; empty where a table does not say.
BLOOD = frozenset(("whole_blood", "pbmc", ""))
# Clinical changes this close, relative to the largest, are equal: rounding makes no change.
EQUAL = 1e-9


class Arms(NamedTuple):
    """The pairs of one treatment, or of several with the treatment of each.

    Parameters
    ----------
    pairs
        With the values that `readouts` needs.
    treatments
        Treatment of each pair, shape (pairs,): changes are ranked within it.
    """

    pairs: PairTable
    treatments: NDArray[np.str_]


class _Asked(NamedTuple):
    """What one row asks, apart from the population; `measured` is the clinical change per pair."""

    arms: Arms
    readout: Readout
    variable: str
    measured: FloatArray


class _One(NamedTuple):
    """An `Association` of one population."""

    rho: float
    low: float
    high: float
    p: float
    n: float


def find_clinical_associations(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    populations: Path | str,
    seed: int,
    associations_out: Path | str,
) -> None:
    """Relate the change of every population to the change of every clinical measurement.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv``, whose columns after ``level`` are the clinical ones, and
        ``results/cohort/pairs.tsv``.
    populations
        ``populations.yaml``, which names the blood count that scales each population.
    seed
        Of permutations and bootstrap.
    associations_out
        One row per modality, source, treatment, contrast, population, readout (percent of parent,
        cells per µl) and variable; where there are several treatments, also over all of them,
        ranked within each. Only the header where there is no clinical column.

    Notes
    -----
    Clinical changes are differences, follow-up minus baseline, in the unit of the column.
    """
    vocabulary = load_vocabulary(Path(populations))
    clinical = read_clinical(samples)
    rows: list[dict[str, Any]] = []
    if len(clinical.columns):
        tissues = _tissues(counts, samples)
        for arms in _with_all_treatments(population_pairs(counts, samples, pairs)):
            question = arms.pairs.question
            found = tissues[question.modality, question.source]
            rows += association_rows(arms, clinical, vocabulary, found, seed)
    correct_families(rows)
    write_rows(associations_out, ASSOCIATION_COLUMNS, rows)


def read_clinical(samples: Path | str) -> pd.DataFrame:
    """Read the clinical measurements of every unit at every level.

    Parameters
    ----------
    samples
        ``results/cohort/samples.tsv``.

    Returns
    -------
    DataFrame
        Indexed by ``unit`` and ``level``; the numeric columns after ``level`` in their order, days
        left out.
    """
    sheet = _read_sheet(samples)
    keys, columns = ["unit", "level"], list(sheet.columns)
    found = {}
    for name in columns[columns.index("level") + 1 :]:
        text = sheet[name].str.strip()
        numbers = pd.to_numeric(text.where(text != ""), errors="coerce")
        if name not in TIMES and bool((numbers.notna() | (text == "")).all()):
            found[name] = numbers.astype(np.float64)
    # A patient measured by flow and by RNA at a visit has the visit's measurements twice.
    return pd.concat([sheet[keys], pd.DataFrame(found)], axis=1).groupby(keys, sort=True).first()


def counted_population(column: str) -> str:
    """Name the population that a blood count measures, in lower case.

    Parameters
    ----------
    column
        A clinical column, such as ``eosinophils_per_ul`` or ``eosinophils_percent``.

    Returns
    -------
    str
        ``eosinophils``; empty for a column that is no count.
    """
    for ending in ("_per_ul", "_percent"):
        if column.casefold().endswith(ending):
            return column.casefold().removesuffix(ending)
    return ""


def refusal(
    population: str,
    readout: str,
    variable: str,
    vocabulary: Vocabulary,
    source: str,
    tissues: Collection[str],
) -> str:
    """Say why an association is not tested: both sides measure the same.

    Parameters
    ----------
    population, readout
        What was counted and how it is read.
    variable
        The clinical column.
    vocabulary
        Names the blood count that scales a population in PBMC, and what lies within what.
    source
        ``gate``, ``cluster`` or ``table``.
    tissues
        Where the samples came from: whole blood is scaled by leukocytes, PBMC by the vocabulary's
        anchor. A table may have used either, and so may samples of unknown tissue. Cells of
        lung or sputum are not those that a blood count measures.

    Returns
    -------
    str
        A sentence; empty where the association can be tested.
    """
    blood, counted = set(tissues) & BLOOD, counted_population(variable)
    if not blood:
        return ""
    if counted == population.casefold():
        return (
            f"{variable} measures the same cells by another method: a question of concordance, "
            "not of association"
        )
    if readout != "cells_per_ul":
        return ""
    anchors = set()
    if source == "table" or blood - {"pbmc"}:
        anchors.add("leukocytes_per_ul")
    if (source == "table" or blood - {"whole_blood"}) and population in vocabulary:
        anchors.add(vocabulary[population].absolute_anchor or "")
    if variable in anchors:
        made = "may have been made" if source == "table" else "are made"
        return f"cells per µl {made} from {variable}: the two share a measurement"
    whole = next((name for name in vocabulary if name.casefold() == counted), None)
    if whole and population in vocabulary and lies_within(population, whole, vocabulary):
        return f"{variable} counts these cells among others: a part moves with its whole"
    return ""


def association_rows(
    arms: Arms,
    clinical: pd.DataFrame,
    vocabulary: Vocabulary,
    tissues: Collection[str],
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Test one table of pairs against every clinical variable.

    Parameters
    ----------
    arms
        One treatment or several.
    clinical
        Of `read_clinical`.
    vocabulary, tissues
        As for `refusal`.
    seed
        Of permutations and bootstrap.

    Yields
    ------
    dict
        Rows of ``clinical_associations.tsv``, ``q_value`` still open.
    """
    pairs = arms.pairs
    readings = list(islice(readouts(pairs, vocabulary), N_READOUTS))
    changes = np.hstack([readout.change for readout in readings])
    for variable in clinical.columns:
        measured = clinical_change(clinical[variable], pairs)
        found = _correlate(changes, measured, arms.treatments, seed)
        place = -1
        for readout in readings:
            asked = _Asked(arms, readout, variable, measured)
            for column, name in enumerate(pairs.keys["population"]):
                place += 1
                source = pairs.question.source
                why = refusal(name, readout.name, variable, vocabulary, source, tissues)
                yield _row(asked, column, _One(*(float(values[place]) for values in found)), why)


def _read_sheet(samples: Path | str) -> pd.DataFrame:
    return pd.read_csv(samples, sep="\t", dtype=str, keep_default_na=False)


def _tissues(counts: Path | str, samples: Path | str) -> dict[tuple[str, str], set[str]]:
    """Tissues of the samples that each modality and source counted."""
    sheet = _read_sheet(samples)
    tissue_of = dict(zip(sheet["sample_id"], sheet["tissue"], strict=True))
    table = read_long_table(counts, samples)
    counted = table[["modality", "source", "sample_id"]].drop_duplicates()
    tissues: dict[tuple[str, str], set[str]] = {}
    for modality, source, sample in counted.itertuples(index=False, name=None):
        tissues.setdefault((modality, source), set()).add(tissue_of[sample])
    return tissues


def _with_all_treatments(tables: Iterator[PairTable]) -> Iterator[Arms]:
    """Yield every treatment and, where a question has several, all of them together."""
    together: dict[Question, list[PairTable]] = {}
    for table in tables:
        together.setdefault(table.question._replace(treatment=ALL_TREATMENTS), []).append(table)
        yield _arms([table], table.question)
    for question, parts in together.items():
        if len(parts) > 1:
            yield _arms(parts, question)


def _arms(tables: Sequence[PairTable], question: Question) -> Arms:
    joined = PairTable(
        question,
        tuple(unit for table in tables for unit in table.units),
        sum(table.n_incomplete for table in tables),
        tables[0].keys,
        {name: np.vstack([t.baseline[name] for t in tables]) for name in tables[0].baseline},
        {name: np.vstack([t.followup[name] for t in tables]) for name in tables[0].followup},
        tuple(batches for table in tables for batches in table.batches),
        frozenset().union(*(table.enriched for table in tables)),
    )
    treatments = [table.question.treatment for table in tables for _ in table.units]
    return Arms(joined, np.array(treatments, dtype=np.str_))


def clinical_change(values: pd.Series, pairs: PairTable) -> FloatArray:
    """Take follow-up minus baseline of each pair, shape (pairs,); NaN where either is unknown."""
    at = {
        level: values.reindex([(unit, level) for unit in pairs.units]).to_numpy(dtype=np.float64)
        for level in (pairs.question.baseline, pairs.question.followup)
    }
    return np.asarray(at[pairs.question.followup] - at[pairs.question.baseline])


def _correlate(
    changes: FloatArray, measured: FloatArray, treatments: NDArray[np.str_], seed: int
) -> Association:
    if np.isfinite(measured).any():
        return spearman_within_groups(changes, measured, treatments, seed)
    unknown = np.full(changes.shape[1], np.nan)
    return Association(unknown, unknown, unknown, unknown, np.zeros(unknown.size, dtype=np.int64))


def _row(asked: _Asked, column: int, found: _One, refused: str) -> dict[str, Any]:
    pairs, readout, variable = asked.arms.pairs, asked.readout, asked.variable
    status, note = ("refused", refused) if refused else _judge(asked, column, found)
    row: dict[str, Any] = {
        **pairs.question.columns(),
        **{name: str(pairs.keys[name].iloc[column]) for name in pairs.keys.columns},
        "readout": readout.name,
        "variable": variable,
        "n_pairs": int(found.n),
        "status": status,
    }
    if status in ("tested", "too_few_events"):
        row |= {"rho": found.rho, "rho_low": found.low, "rho_high": found.high, "p_value": found.p}
        blood = readout.name == "cells_per_ul" and variable.casefold().endswith("_per_ul")
        shared = "both counts move with the number of leukocytes" if blood else ""
        note = "; ".join(filter(None, [note, readout.caveat, batch_caveat(pairs.batches), shared]))
    family = exploratory(row | {"kind": "clinic"}, "kind", *FAMILY_PARTS)
    return row | {"family": family, "note": note}


def _judge(asked: _Asked, column: int, found: _One) -> tuple[str, str]:
    """Say whether an association could be tested and, in words, why not."""
    pairs, readout, variable = asked.arms.pairs, asked.readout, asked.variable
    known = np.isfinite(readout.change[:, column])
    both = known & np.isfinite(asked.measured)
    if pairs.units:
        if not known.any() and pairs.n_enriched == len(pairs.units):
            return "enriched", pairs.enriched_words
        if not known.any():
            return "not_measured", NOT_MEASURED[readout.name]
        if not np.isfinite(asked.measured).any():
            return "not_measured", f"{variable} is not known at both visits of any pair"
        if found.n < MIN_PAIRS:
            known_in = f"{found.n:.0f} pairs in which both changes are known"
            return "too_few_pairs", f"{known_in}; a rank correlation needs {MIN_PAIRS}"
        if not _varies(asked.measured[both], asked.arms.treatments[both]):
            return "constant", f"the change of {variable} is the same in every pair of a treatment"
    before, after = readout.events_baseline[both, column], readout.events_followup[both, column]
    return judge(pairs, readout, before, after, testable=bool(np.isfinite(found.rho)))


def _varies(values: FloatArray, groups: NDArray[np.str_]) -> bool:
    """Whether values differ within any group."""
    limit = EQUAL * np.abs(values).max(initial=0.0)
    return any(np.ptp(values[groups == group]) > limit for group in np.unique(groups))
