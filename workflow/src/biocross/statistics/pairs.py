"""From the long tables to arrays of pairs: one table per modality, source, treatment, contrast."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.errors import TableError

FloatArray = NDArray[np.float64]
TEXT_COLUMNS = ("sample_id", "patient_id", "visit", "treatment", "population", "parent", "level")


class Question(NamedTuple):
    """What one table of pairs asks: did these populations change between two visits."""

    modality: str
    source: str
    treatment: str
    followup: str
    baseline: str

    @property
    def contrast(self) -> str:
        """The contrast as the tables name it."""
        return f"{self.followup} - {self.baseline}"


class PairTable(NamedTuple):
    """Values of two visits, pair by pair.

    Parameters
    ----------
    question
        What is compared.
    units
        The patients (or patients and visits) with both levels, in alphabetical order.
    n_incomplete
        Patients measured at one of the two levels only.
    keys
        What was measured, one row per column of the arrays.
    baseline, followup
        By value column, shape (pairs, keys); NaN where not measured.
    """

    question: Question
    units: tuple[str, ...]
    n_incomplete: int
    keys: pd.DataFrame
    baseline: dict[str, FloatArray]
    followup: dict[str, FloatArray]


def read_long_table(path: Path | str, samples: Path | str) -> pd.DataFrame:
    """Read a long table and attach the unit and level of each sample.

    Parameters
    ----------
    path
        ``counts.tsv`` or ``expression.tsv``.
    samples
        ``results/cohort/samples.tsv``.

    Returns
    -------
    DataFrame
        The table with the columns ``unit`` and ``level``.

    Raises
    ------
    TableError
        A sample of the table is not in the sheet.
    """
    types = dict.fromkeys(TEXT_COLUMNS, str)
    table = pd.read_csv(path, sep="\t", dtype=types)
    sheet = pd.read_csv(samples, sep="\t", dtype=str)[["sample_id", "unit", "level"]]
    joined = table.merge(sheet, on="sample_id", how="left", validate="many_to_one")
    unknown = joined.loc[joined["unit"].isna(), "sample_id"].unique()
    if unknown.size:
        raise TableError(f'{path}: sample "{unknown[0]}" is not in {samples}')
    return joined


def pair_tables(
    table: pd.DataFrame, levels: Sequence[str], keys: Sequence[str], values: Sequence[str]
) -> Iterator[PairTable]:
    """Arrange a long table as one array of pairs for every question it can be asked.

    Parameters
    ----------
    table
        Of `read_long_table`.
    levels
        Levels of the contrast; every later one is compared with the first.
    keys
        Columns that name what was measured, such as population and parent.
    values
        Numeric columns.

    Yields
    ------
    PairTable
        For every modality, source, treatment and contrast, pairs or not.
    """
    for (modality, source, treatment), part in table.groupby(
        ["modality", "source", "treatment"], sort=True
    ):
        names = part[list(keys)].fillna("").drop_duplicates().reset_index(drop=True)
        for followup in levels[1:]:
            question = Question(str(modality), str(source), str(treatment), followup, levels[0])
            yield _pair_table(question, part, names, values)


def _pair_table(
    question: Question, part: pd.DataFrame, names: pd.DataFrame, values: Sequence[str]
) -> PairTable:
    units_at = {
        level: set(part.loc[part["level"] == level, "unit"])
        for level in (question.baseline, question.followup)
    }
    both = units_at[question.baseline] & units_at[question.followup]
    either = units_at[question.baseline] | units_at[question.followup]
    units = tuple(sorted(both))
    return PairTable(
        question,
        units,
        len(either - both),
        names,
        _arrays(part, question.baseline, units, names, values),
        _arrays(part, question.followup, units, names, values),
    )


def _arrays(
    part: pd.DataFrame,
    level: str,
    units: Sequence[str],
    names: pd.DataFrame,
    values: Sequence[str],
) -> dict[str, FloatArray]:
    rows = part[part["level"] == level]
    keys = rows[list(names.columns)].fillna("")
    column = pd.MultiIndex.from_frame(names).get_indexer(pd.MultiIndex.from_frame(keys))
    row = pd.Index(units).get_indexer(pd.Index(rows["unit"]))
    wanted = row >= 0
    arrays = {}
    for value in values:
        array = np.full((len(units), len(names)), np.nan)
        array[row[wanted], column[wanted]] = rows[value].to_numpy(dtype=np.float64)[wanted]
        arrays[value] = array
    return arrays
