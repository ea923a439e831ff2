"""From the long tables to arrays of pairs: one table per modality, source, treatment, contrast."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.errors import TableError

FloatArray = NDArray[np.float64]
TEXT_COLUMNS = ("sample_id", "patient_id", "visit", "treatment", "population", "parent")
SHEET_COLUMNS = ("sample_id", "unit", "level", "batch", "enrichment")
# What an enriched sample does not tell of the tissue that it came from.
FREQUENCY_COLUMNS = ("count", "parent_count", "percent", "cells_per_ul")
# A patient "007", an arm "1" and a cluster "12" are names, not numbers.
NAME_COLUMNS = (
    *TEXT_COLUMNS,
    *SHEET_COLUMNS,
    *("treatment_a", "treatment_b", "contrast", "marker", "stimulation"),
)


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

    def columns(self) -> dict[str, str]:
        """Return what every row of a table of results says about its question."""
        return {
            "modality": self.modality,
            "source": self.source,
            "treatment": self.treatment,
            "contrast": self.contrast,
        }


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
    batches
        Batch at baseline and at follow-up, by unit.
    enriched
        Units with an enriched sample, whose frequencies are not compared.
    """

    question: Question
    units: tuple[str, ...]
    n_incomplete: int
    keys: pd.DataFrame
    baseline: dict[str, FloatArray]
    followup: dict[str, FloatArray]
    batches: tuple[tuple[str, str], ...]
    enriched: frozenset[str] = frozenset()

    @property
    def n_enriched(self) -> int:
        """Pairs with an enriched sample."""
        return sum(unit in self.enriched for unit in self.units)

    @property
    def enriched_words(self) -> str:
        """How many pairs are left out because a sample was enriched; empty for none."""
        n, everyone = self.n_enriched, len(self.units)
        said = f"{n} of {everyone} pairs left out: an enriched sample has no frequencies"
        return said if n else ""

    def select(self, wanted: NDArray[np.bool_]) -> "PairTable":
        """Return the table with some of its columns, chosen by a mask of shape (keys,)."""
        return self._replace(
            keys=self.keys[wanted].reset_index(drop=True),
            baseline={name: values[:, wanted] for name, values in self.baseline.items()},
            followup={name: values[:, wanted] for name, values in self.followup.items()},
        )


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a table of results: empty cells are missing, words such as ``NA`` are words."""
    types = dict.fromkeys(NAME_COLUMNS, str)
    return pd.read_csv(path, sep="\t", dtype=types, keep_default_na=False, na_values=[""])


def read_long_table(
    path: Path | str,
    samples: Path | str,
    with_stimulated: bool = False,
    with_enriched: bool = False,
) -> pd.DataFrame:
    """Read a long table and attach the unit, level, batch and enrichment of each sample.

    Parameters
    ----------
    path
        ``counts.tsv`` or ``expression.tsv``.
    samples
        ``results/cohort/samples.tsv``.
    with_stimulated
        Whether to keep the stimulated samples of a study of visits, whose unit and level are
        empty: their frequencies are not compared, only their response over the unstimulated.
    with_enriched
        Whether to keep the frequencies of enriched samples, which are not compared; else these
        are missing, while markers and genes stay.

    Returns
    -------
    DataFrame
        The table with the columns ``unit``, ``level``, ``batch`` and ``enrichment``.

    Raises
    ------
    TableError
        A sample of the table is not in the sheet.
    """
    types = dict.fromkeys(TEXT_COLUMNS, str)
    table = pd.read_csv(path, sep="\t", dtype=types, keep_default_na=False, na_values=[""])
    sheet = pd.read_csv(samples, sep="\t", dtype=str, keep_default_na=False)
    if "enrichment" not in sheet:  # of a run before samples could be enriched
        sheet["enrichment"] = ""
    joined = table.merge(
        sheet[list(SHEET_COLUMNS)], on="sample_id", how="left", validate="many_to_one"
    )
    unknown = joined.loc[joined["unit"].isna(), "sample_id"].unique()
    if unknown.size:
        raise TableError(f'{path}: sample "{unknown[0]}" is not in {samples}')
    if not with_stimulated:
        joined = joined[joined["unit"] != ""].reset_index(drop=True)
    if not with_enriched:
        frequencies = [name for name in FREQUENCY_COLUMNS if name in joined]
        joined.loc[joined["enrichment"] != "", frequencies] = np.nan
    return joined.fillna({"parent": ""})


def read_pair_sheet(path: Path | str) -> pd.DataFrame:
    """Read ``results/cohort/pairs.tsv``: which unit asks which contrast under which treatment."""
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def pair_tables(
    table: pd.DataFrame, pair_sheet: pd.DataFrame, keys: Sequence[str], values: Sequence[str]
) -> Iterator[PairTable]:
    """Arrange a long table as one array of pairs for every question it can be asked.

    Parameters
    ----------
    table
        Of `read_long_table`.
    pair_sheet
        Of `read_pair_sheet`.
    keys
        Columns that name what was measured, such as population and parent.
    values
        Numeric columns.

    Yields
    ------
    PairTable
        For every modality, source, treatment and contrast, pairs or not.
    """
    units_of: dict[tuple[str, str, str], set[str]] = {}
    order: dict[tuple[str, str], int] = {}
    columns = [pair_sheet[name] for name in ("treatment", "followup", "baseline", "unit")]
    for treatment, followup, baseline, unit in zip(*columns, strict=True):
        order.setdefault((followup, baseline), len(order))
        units_of.setdefault((treatment, followup, baseline), set()).add(unit)
    asked = sorted(units_of, key=lambda key: (key[0], order[key[1:]]))
    for (modality, source), part in table.groupby(["modality", "source"], sort=True):
        names = part[list(keys)].drop_duplicates().reset_index(drop=True)
        for key in asked:
            question = Question(str(modality), str(source), *key)
            yield _pair_table(question, part[part["unit"].isin(units_of[key])], names, values)


def _pair_table(
    question: Question, part: pd.DataFrame, names: pd.DataFrame, values: Sequence[str]
) -> PairTable:
    at = {level: part[part["level"] == level] for level in (question.baseline, question.followup)}
    measured = [set(rows["unit"]) for rows in at.values()]
    units = tuple(sorted(measured[0] & measured[1]))
    batch_of = [dict(zip(rows["unit"], rows["batch"], strict=True)) for rows in at.values()]
    enriched = (rows.loc[rows["enrichment"] != "", "unit"] for rows in at.values())
    return PairTable(
        question,
        units,
        len(measured[0] ^ measured[1]),
        names,
        value_arrays(at[question.baseline], units, names, values),
        value_arrays(at[question.followup], units, names, values),
        tuple((batch_of[0][unit], batch_of[1][unit]) for unit in units),
        frozenset().union(*enriched),
    )


def value_arrays(
    rows: pd.DataFrame, units: Sequence[str], names: pd.DataFrame, values: Sequence[str]
) -> dict[str, FloatArray]:
    """Arrange rows of a long table as arrays.

    Parameters
    ----------
    rows
        With the columns ``unit``, those of `names` and `values`.
    units
        What becomes the rows of the arrays.
    names
        What becomes their columns.
    values
        Numeric columns.

    Returns
    -------
    dict
        By value column, shape (units, names); NaN where there is no row.
    """
    keys = rows[list(names.columns)]
    column = pd.MultiIndex.from_frame(names).get_indexer(pd.MultiIndex.from_frame(keys))
    row = pd.Index(units).get_indexer(pd.Index(rows["unit"]))
    wanted = row >= 0
    arrays = {}
    for value in values:
        array = np.full((len(units), len(names)), np.nan)
        array[row[wanted], column[wanted]] = rows[value].to_numpy(dtype=np.float64)[wanted]
        arrays[value] = array
    return arrays
