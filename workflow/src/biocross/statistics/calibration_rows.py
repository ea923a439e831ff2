"""Rows of ``calibration.tsv``: error rates and what to think of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.statistics.families import CONFIRMATORY
from biocross.statistics.kernels.battery import ALPHA
from biocross.statistics.kernels.multiplicity import benjamini_hochberg
from biocross.statistics.kernels.relabelling import Rates, rates_of
from biocross.statistics.paired_changes import batch_caveat
from biocross.statistics.pairs import PairTable

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Row = dict[str, Any]
Changes = dict[tuple[str, ...], pd.DataFrame]

QUESTION_COLUMNS = ("modality", "source", "treatment", "contrast", "readout")
KEY_COLUMNS = ("population", "parent")
CALIBRATION_COLUMNS = (
    *("scope", *QUESTION_COLUMNS, "what", "n_populations", "n_pairs", "n_relabellings"),
    *("rate", "rate_low", "rate_high", "verdict", "status", "note"),
)
MIN_PATIENTS = 5
OK_RATES = (0.03, 0.07)
OK_CLAIMS = 1.5  # times the false discovery rate asked for: .075 for .05
EVENT_LIMITS = (20, 100, 1000)
EVENT_CLASSES = ("below 20 events", "20 to 100 events", "100 to 1,000 events", "above 1,000 events")
PERCENT_LIMITS = (1, 10)
PERCENT_CLASSES = ("below 1 percent", "1 to 10 percent", "above 10 percent")
UNKNOWN_CLASS = "abundance not known"
EXPLORATORY_CLAIM, CONFIRMATORY_CLAIM = "any exploratory claim", "any confirmatory claim"
BLIND = (
    "cannot see an offset aligned with the visit, such as batch, reagent lot or drift of the "
    "machine: relabelling mixes it away"
)
NEVER_CLAIMED = "shown by the run, never claimed: too few events"
ONE_POPULATION = "weak verdict: its own few values decide on this rate"
FEW_POPULATIONS = "weak verdict: fewer than 10 populations"
MANY_POPULATIONS = 10
FIXED_REFERENCE = "composition keeps its reference: how well that is known is not checked"


class ConfirmatoryFamily:
    """Collects the relabelled confirmatory tests of all treatments and contrasts.

    Parameters
    ----------
    declared
        Modality, source and readout of the family.
    changes
        Of `read_changes`.
    """

    def __init__(self, declared: tuple[str, ...], changes: Changes) -> None:
        members = {
            key: int(family_members(seen, confirmatory=True).sum()) for key, seen in changes.items()
        }
        self.declared = declared
        self.n_members = sum(members.values())
        self.one_treatment = len({key[2] for key, n in members.items() if n}) == 1
        self._p: list[FloatArray] = []
        self._units: set[str] = set()
        self._every = False

    def add(self, units: Sequence[str], p: FloatArray, every: bool) -> None:
        """Add the tests of one treatment and contrast.

        Parameters
        ----------
        units
            Its pairs.
        p
            Shape (relabellings, members); all additions have the same relabellings.
        every
            Whether the relabellings of this treatment are exhaustive.
        """
        self._p.append(p)
        self._units |= set(units)
        self._every = every and self.one_treatment

    def row(self, fdr: float) -> Row:
        """Say how often relabelling all treatments at once leads to any claim.

        Parameters
        ----------
        fdr
            q value below which the run claims a change.

        Returns
        -------
        dict
            The row of the scope ``confirmatory``.
        """
        row: Row = dict(zip(("modality", "source", "readout"), self.declared, strict=True))
        row |= {"scope": "confirmatory", "treatment": "all", "contrast": "all"}
        row |= {"what": CONFIRMATORY_CLAIM, "n_pairs": len(self._units)}
        if not self._p:
            note = "no primary population could be relabelled in the confirmatory family"
            return row | {"n_populations": 0} | _status("not_applicable", note)
        p = np.concatenate(self._p, axis=1)
        left_out = self.n_members - p.shape[1]
        few = (
            f"{left_out} of its {self.n_members} tests left out: too few pairs" if left_out else ""
        )
        notes = [relabelling_note(len(p), self._every), few, BLIND]
        return row | _claims(p, self._every, fdr) | _status("tested", *notes)


def read_changes(path: Path | str) -> Changes:
    """Read ``paired_changes.tsv`` for calibration.

    Parameters
    ----------
    path
        The table.

    Returns
    -------
    dict
        By modality, source, treatment, contrast and readout, its rows indexed by population and
        parent, with the column ``abundance``: the class of abundance by median events at equal
        depth or, without counts, by median percentage of the parent.
    """
    keys = [*QUESTION_COLUMNS, *KEY_COLUMNS]
    table = pd.read_csv(
        path, sep="\t", dtype=dict.fromkeys(keys, str), keep_default_na=False, na_values=[""]
    )
    for name in ("family", "note"):
        table[name] = table[name].astype(object).fillna("")
    table["percent"] = (table["baseline_median"] + table["followup_median"]) / 2
    table.loc[table["readout"] != "percent_of_parent", "percent"] = np.nan
    of_population = table.groupby([key for key in keys if key != "readout"])["percent"]
    table["abundance"] = abundance_classes(
        table["events_median"].to_numpy(float), of_population.transform("max").to_numpy(float)
    )
    parts = table.groupby(list(QUESTION_COLUMNS), sort=False)
    return {tuple(map(str, key)): part.set_index(list(KEY_COLUMNS)) for key, part in parts}


def abundance_classes(events: FloatArray, percent: FloatArray) -> NDArray[np.object_]:
    """Name the class of abundance of each population.

    Parameters
    ----------
    events
        Median events at equal depth, shape (populations,); NaN without counts.
    percent
        Median percentage of the parent, for those.

    Returns
    -------
    ndarray
        Of `EVENT_CLASSES`, else of `PERCENT_CLASSES`, else `UNKNOWN_CLASS`.
    """
    by_events = np.array(EVENT_CLASSES, dtype=object)[np.digitize(events, EVENT_LIMITS)]
    by_percent = np.array(PERCENT_CLASSES, dtype=object)[np.digitize(percent, PERCENT_LIMITS)]
    known = np.where(np.isnan(percent), UNKNOWN_CLASS, by_percent)
    return np.asarray(np.where(np.isnan(events), known, by_events))


def family_members(seen: pd.DataFrame, confirmatory: bool) -> BoolArray:
    """Find the populations that can be claimed, in the confirmatory or the exploratory family.

    Parameters
    ----------
    seen
        Rows of ``paired_changes.tsv``.
    confirmatory
        Which of the two.

    Returns
    -------
    ndarray
        A mask of shape (populations,).
    """
    wanted = (seen["family"] == CONFIRMATORY) == confirmatory
    return (wanted & (seen["status"] == "tested")).to_numpy()


def untested_rows(pairs: PairTable, readout: str, seen: pd.DataFrame, n_patients: int) -> list[Row]:
    """Say why a reading was not calibrated.

    Parameters
    ----------
    pairs, readout, seen
        The table of pairs, its reading and what the run says of its populations.
    n_patients
        Patients with a change in any population.

    Returns
    -------
    list of dict
        One row for the table and one for each population.
    """
    testable = seen["p_value"].notna().to_numpy()
    if testable.any():
        reason = "too_few_pairs", f"2^{n_patients} relabellings are too few to judge 5 %"
    else:
        status = seen["status"].mode().iloc[0]
        reason = status, seen.loc[seen["status"] == status, "note"].iloc[0]
    question = {**pairs.question.columns(), "readout": readout}
    table = {**question, "scope": "table", "what": EXPLORATORY_CLAIM, "n_populations": len(seen)}
    rows: list[Row] = [table | {"n_pairs": len(pairs.units)} | _status(*reason)]
    for known, (name, _), n_pairs, *own in zip(
        testable, seen.index, seen["n_pairs"], seen["status"], seen["note"], strict=True
    ):
        row = {**question, "scope": "population", "what": name, "n_populations": 1}
        rows.append(row | {"n_pairs": int(n_pairs)} | _status(*(reason if known else own)))
    return rows


def tested_rows(
    pairs: PairTable, readout: str, seen: pd.DataFrame, p: FloatArray, every: bool, fdr: float
) -> list[Row]:
    """Turn relabelled p values into error rates.

    Parameters
    ----------
    pairs, readout, seen
        As for `untested_rows`.
    p
        Shape (relabellings, populations); NaN where not testable.
    every
        Whether these are all relabellings but the observed one.
    fdr
        q value below which the run claims a change.

    Returns
    -------
    list of dict
        One row for the table, one for each class of abundance, one for each population.
    """
    question = {**pairs.question.columns(), "readout": readout, "n_relabellings": len(p)}
    called = np.where(np.isnan(p), np.nan, p < ALPHA)
    enough = (seen["n_pairs"] >= MIN_PATIENTS).to_numpy()
    judged = enough & seen["p_value"].notna().to_numpy()
    rows = [
        _table_row(pairs, readout, p[:, family_members(seen, confirmatory=False)], every, fdr),
        *_class_rows(seen["abundance"].to_numpy(), judged, called, every),
        *_population_rows(seen, enough, called, every),
    ]
    common = {"n_pairs": len(pairs.units)}
    return [question | common | row for row in rows]


def _table_row(pairs: PairTable, readout: str, p: FloatArray, every: bool, fdr: float) -> Row:
    row: Row = {"scope": "table", "what": EXPLORATORY_CLAIM}
    if not p.shape[1]:
        note = "no population is judged in the exploratory family"
        return row | {"n_populations": 0} | _status("not_applicable", note)
    fixed = FIXED_REFERENCE if readout == "composition" else ""
    notes = [relabelling_note(len(p), every), fixed, BLIND, batch_caveat(pairs.batches)]
    return row | _claims(p, every, fdr) | _status("tested", *notes)


def _class_rows(
    abundance: NDArray[np.object_], judged: BoolArray, called: FloatArray, every: bool
) -> list[Row]:
    rows = []
    for name in (*EVENT_CLASSES, *PERCENT_CLASSES, UNKNOWN_CLASS):
        members = called[:, judged & (abundance == name)]
        if n := members.shape[1]:
            known = ~np.isnan(members)
            n_known = known.sum(axis=1)
            share = np.where(known, members, 0).sum(axis=1) / np.where(n_known, n_known, np.nan)
            rates = rates_of(share[:, np.newaxis], every)
            never = NEVER_CLAIMED if name == EVENT_CLASSES[0] else ""
            row: Row = {"scope": "class", "what": name, "n_populations": n}
            row |= _rates(rates, 0, 1 / (len(members) * n))
            few = FEW_POPULATIONS if n < MANY_POPULATIONS else ""
            rows.append(row | _status("tested", relabelling_note(len(members), every), few, never))
    return rows


def _population_rows(
    seen: pd.DataFrame, enough: BoolArray, called: FloatArray, every: bool
) -> list[Row]:
    rates, n = rates_of(called, every), len(called)
    how = relabelling_note(n, every) if every else ""
    rows = []
    columns = (seen["n_pairs"], seen["status"], seen["note"], seen["p_value"], enough)
    for column, ((name, _), n_pairs, status, note, p_value, many) in enumerate(
        zip(seen.index, *columns, strict=True)
    ):
        row: Row = {"scope": "population", "what": name, "n_populations": 1}
        row["n_pairs"] = int(n_pairs)
        if np.isnan(p_value):
            row |= _status(status, note)
        elif not many:
            row |= _status("too_few_pairs", f"2^{n_pairs} relabellings are too few to judge 5 %")
        else:
            never = NEVER_CLAIMED if status == "too_few_events" else ""
            row |= _rates(rates, column, 1 / n) | _status("tested", how, ONE_POPULATION, never)
        rows.append(row)
    return rows


def _claims(p: FloatArray, every: bool, fdr: float) -> Row:
    """Share of the relabellings that lead to any claim; p of shape (relabellings, members)."""
    claimed = np.any(benjamini_hochberg(p) < fdr, axis=1, keepdims=True)
    rates = rates_of(claimed.astype(np.float64), every)
    ok = float(rates.rate[0]) - 1 / len(p) <= OK_CLAIMS * fdr
    sizes = {"n_populations": p.shape[1], "n_relabellings": len(p)}
    return _rates(rates, 0, 0.0) | sizes | {"verdict": "ok" if ok else "inflated"}


def _rates(rates: Rates, column: int, step: float) -> Row:
    rate, low, high = (float(values[column]) for values in rates)
    verdict = verdict_of_rate(rate, step)
    return {"rate": rate, "rate_low": low, "rate_high": high, "verdict": verdict}


def verdict_of_rate(rate: float, step: float) -> str:
    """Judge a rate of p < .05: ``ok`` from .03 to .07, give or take one step of its resolution.

    Parameters
    ----------
    rate
        Share of relabelled tests with p < .05.
    step
        What one test more adds to the rate. Of the 31 relabellings of six pairs a population can
        be called in none, one, two or three: neither 0 nor .097 is evidence against .05.

    Returns
    -------
    str
        ``ok``, ``inflated`` or ``conservative``.
    """
    if rate - step > OK_RATES[1]:
        return "inflated"
    return "conservative" if rate + step < OK_RATES[0] else "ok"


def relabelling_note(n: int, every: bool) -> str:
    """Say whether the relabellings are all there are or some drawn at random.

    Parameters
    ----------
    n
        Relabellings used.
    every
        Whether these are all but the observed one.

    Returns
    -------
    str
        A clause for the note of a row.
    """
    if every:
        return f"all {n} relabellings but the observed one, so that the rate is exact"
    return f"{n} relabellings drawn at random"


def _status(status: str, *notes: str) -> Row:
    return {"status": status, "note": "; ".join(filter(None, notes))}
