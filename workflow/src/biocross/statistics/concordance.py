"""Whether flow cytometry and single-cell RNA say the same of the same patients."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biocross.cohort.vocabulary import Vocabulary, load_vocabulary
from biocross.statistics.finding import join, number
from biocross.statistics.kernels.association import spearman_within_groups
from biocross.statistics.kernels.battery import ALPHA
from biocross.statistics.kernels.scale import frequency_interval, logit_of_counts
from biocross.statistics.other_sources import rows_by_question
from biocross.statistics.paired_changes import population_pairs
from biocross.statistics.pairs import PairTable, read_long_table
from biocross.statistics.readouts import readouts
from biocross.tables import read_rows, write_rows

FloatArray = NDArray[np.float64]

CONCORDANCE_COLUMNS = (
    *("aspect", "treatment", "contrast", "visit", "population", "parent_flow", "parent_rna"),
    *("source_flow", "source_rna", "n", "rho", "rho_low", "rho_high", "p_value", "ratio"),
    *("n_same_sign", "same_sign", "same_sign_low", "same_sign_high", "status", "note"),
)
FINDING_COLUMNS = (
    *("treatment", "contrast", "population", "source_flow", "source_rna", "n_pairs_flow"),
    *("effect_flow", "effect_flow_low", "effect_flow_high", "p_flow", "q_flow", "n_pairs_rna"),
    *("effect_rna", "effect_rna_low", "effect_rna_high", "p_rna", "q_rna", "verdict", "note"),
)
# Of the sources of a modality the first that is there.
SOURCES = ("gate", "cluster", "table")
MIN_PATIENTS = 5
ALL_TREATMENTS = "all treatments"


class Both(NamedTuple):
    """One population of the same patients in both modalities; arrays of shape (patients,).

    Parameters
    ----------
    population
        Its name.
    parents, sources
        In flow cytometry and in RNA.
    flow, rna
        Logits, or changes of them.
    groups
        What patients are ranked within.
    """

    population: str
    parents: tuple[str, str]
    sources: tuple[str, str]
    flow: FloatArray
    rna: FloatArray
    groups: NDArray[Any]


def find_concordance(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    populations: Path | str,
    changes: Path | str,
    seed: int,
    concordance_out: Path | str,
    findings_out: Path | str,
    fdr: float = ALPHA,
) -> None:
    """Compare frequencies and changes of every population that both modalities measured.

    Parameters
    ----------
    counts
        ``results/populations/counts.tsv``.
    samples, pairs
        ``results/cohort/samples.tsv`` and ``results/cohort/pairs.tsv``.
    populations
        ``populations.yaml``.
    changes
        ``results/statistics/paired_changes.tsv``.
    seed
        Of permutations and bootstrap.
    concordance_out
        Per population a row for the frequencies at each visit, and one for the changes of each
        treatment and contrast. Only the header where a study has one modality.
    findings_out
        Per population, treatment and contrast, which of the modalities shows a change.
    fdr
        False discovery rate below which a change is claimed.
    """
    vocabulary = load_vocabulary(Path(populations))
    table = read_long_table(counts, samples)
    sources = chosen_sources(table[["modality", "source"]].drop_duplicates())
    rows: list[dict[str, Any]] = []
    if len(sources) == 2:
        for visit, both in frequencies_of_both(table, sources):
            rows.append({"aspect": "frequency", "visit": visit} | concordance_row(both, seed))
        for asked, both in _changes_of_both(counts, samples, pairs, vocabulary, sources):
            rows.append({"aspect": "change"} | asked | concordance_row(both, seed, signs=True))
    write_rows(concordance_out, CONCORDANCE_COLUMNS, rows)
    found = combined_findings(read_rows(changes), sources, fdr) if len(sources) == 2 else ()
    write_rows(findings_out, FINDING_COLUMNS, found)


def chosen_sources(known: pd.DataFrame) -> dict[str, str]:
    """Choose what stands for each modality.

    Parameters
    ----------
    known
        Every ``modality`` and ``source`` that was counted.

    Returns
    -------
    dict of str to str
        For ``flow`` and ``rna``, the first of gates, clusters and tables; a modality that was not
        measured is missing.
    """
    pairs = set(known.itertuples(index=False, name=None))
    return {
        modality: source
        for modality in ("flow", "rna")
        for source in reversed(SOURCES)
        if (modality, source) in pairs
    }


def frequencies_of_both(
    table: pd.DataFrame, sources: Mapping[str, str]
) -> Iterator[tuple[str, Both]]:
    """Arrange the frequencies of both modalities, visit by visit.

    Parameters
    ----------
    table
        Of `read_long_table`.
    sources
        Of `chosen_sources`.

    Yields
    ------
    visit : str
        Level of the contrast. Visits are not pooled, because a patient's visits are no two
        patients.
    Both
        Logits of the frequencies in one population; a patient without one has NaN.
    """
    kept = table[(table["parent"] != "") & table["count"].notna() & (table["parent_count"] > 0)]
    kept = kept.assign(logit=logit_of_counts(kept["count"], kept["parent_count"]))
    of = {
        name: kept[(kept["modality"] == name) & (kept["source"] == source)]
        for name, source in sources.items()
    }
    for level in dict.fromkeys(of["flow"]["level"]):
        at = {name: part[part["level"] == level] for name, part in of.items()}
        for population in dict.fromkeys(at["flow"]["population"]):
            own = {
                name: part[part["population"] == population].set_index("unit")
                for name, part in at.items()
            }
            if own["rna"].empty:
                continue
            logits = own["flow"][["logit"]].join(
                own["rna"][["logit"]], how="inner", lsuffix="_flow", rsuffix="_rna"
            )
            yield (
                str(level),
                Both(
                    str(population),
                    _of_both(own, "parent"),
                    (sources["flow"], sources["rna"]),
                    logits["logit_flow"].to_numpy(),
                    logits["logit_rna"].to_numpy(),
                    np.zeros(len(logits)),
                ),
            )


def _of_both(own: Mapping[str, pd.DataFrame], column: str) -> tuple[str, str]:
    return str(own["flow"][column].iloc[0]), str(own["rna"][column].iloc[0])


def _changes_of_both(
    counts: Path | str,
    samples: Path | str,
    pairs: Path | str,
    vocabulary: Vocabulary,
    sources: Mapping[str, str],
) -> Iterator[tuple[dict[str, str], Both]]:
    """Yield the changes per treatment and contrast, and over all treatments."""
    tables: dict[tuple[str, str], dict[str, PairTable]] = {}
    for found in population_pairs(counts, samples, pairs):
        asked = found.question
        if sources.get(asked.modality) == asked.source:
            key = (asked.treatment, asked.contrast)
            tables.setdefault(key, {})[asked.modality] = found
    of_contrast: dict[str, dict[str, list[Both]]] = {}
    for (treatment, contrast), both in tables.items():
        if len(both) < 2:
            continue
        for one in changes_of_both(both["flow"], both["rna"], vocabulary, treatment):
            yield {"treatment": treatment, "contrast": contrast}, one
            of_contrast.setdefault(contrast, {}).setdefault(one.population, []).append(one)
    for contrast, of_population in of_contrast.items():
        for parts in of_population.values():
            if len(parts) > 1:
                yield {"treatment": ALL_TREATMENTS, "contrast": contrast}, _joined(parts)


def changes_of_both(
    flow: PairTable, rna: PairTable, vocabulary: Vocabulary, treatment: str
) -> Iterator[Both]:
    """Arrange the changes of one treatment and contrast in both modalities.

    Parameters
    ----------
    flow, rna
        Pairs of each modality.
    vocabulary
        Says which population lies within which.
    treatment
        The group that the patients are of.

    Yields
    ------
    Both
        Changes of one population, logit units, of the units that both measured at both visits.
    """
    units = [unit for unit in flow.units if unit in set(rna.units)]
    change = {
        pairs.question.modality: next(readouts(pairs, vocabulary)).change for pairs in (flow, rna)
    }
    rows = [[pairs.units.index(unit) for unit in units] for pairs in (flow, rna)]
    names = rna.keys["population"].tolist()
    for column, (population, parent) in enumerate(
        zip(flow.keys["population"], flow.keys["parent"], strict=True)
    ):
        if population not in names:
            continue
        other = names.index(population)
        yield Both(
            population,
            (parent, str(rna.keys["parent"].iloc[other])),
            (flow.question.source, rna.question.source),
            change["flow"][rows[0], column],
            change["rna"][rows[1], other],
            np.full(len(units), treatment),
        )


def _joined(parts: Sequence[Both]) -> Both:
    flow, rna, groups = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("flow", "rna", "groups")
    )
    return parts[0]._replace(flow=flow, rna=rna, groups=groups)


def concordance_row(both: Both, seed: int, signs: bool = False) -> dict[str, Any]:
    """Compare one population in both modalities.

    Parameters
    ----------
    both
        The population.
    seed
        Of permutations and bootstrap.
    signs
        Whether the values are changes, whose directions are compared.

    Returns
    -------
    dict
        Spearman's rho within groups with its bootstrap interval, the median ratio of the odds
        (or of their changes), RNA over flow, and the share of patients in whom both change in
        the same direction with its exact interval. Below `MIN_PATIENTS` patients there is no
        correlation.
    """
    known = np.isfinite(both.flow + both.rna)
    flow, rna, groups = both.flow[known], both.rna[known], both.groups[known]
    row: dict[str, Any] = {
        "population": both.population,
        **dict(zip(("parent_flow", "parent_rna"), both.parents, strict=True)),
        **dict(zip(("source_flow", "source_rna"), both.sources, strict=True)),
        "n": int(known.sum()),
        "status": "tested",
        "note": "",
    }
    if both.parents[0] != both.parents[1]:
        row["note"] = f"percent of {both.parents[0]} in flow, of {both.parents[1]} in RNA"
    if flow.size:
        row["ratio"] = float(np.exp(np.median(rna - flow)))
    if signs and flow.size:
        same = int((np.sign(flow) == np.sign(rna)).sum())
        interval = frequency_interval(np.array([float(same)]), np.array([float(flow.size)]))
        row |= {"n_same_sign": same, "same_sign": same / flow.size}
        row |= {"same_sign_low": float(interval.low[0]), "same_sign_high": float(interval.high[0])}
    if flow.size < MIN_PATIENTS:
        few = f"{flow.size} patients, fewer than the {MIN_PATIENTS} that a correlation needs"
        return row | {"status": "too_few_pairs", "note": join(row["note"], few)}
    found = spearman_within_groups(flow, rna, groups, seed)
    if np.isnan(found.rho[0]):
        return row | {"status": "constant", "note": join(row["note"], "no variation")}
    names = ("rho", "rho_low", "rho_high", "p_value")
    numbers = (found.rho, found.low, found.high, found.p)
    return row | {name: float(value[0]) for name, value in zip(names, numbers, strict=True)}


def combined_findings(
    changes: Sequence[Mapping[str, str]], sources: Mapping[str, str], fdr: float
) -> Iterator[dict[str, Any]]:
    """Say which changes both modalities support.

    Parameters
    ----------
    changes
        Rows of ``paired_changes.tsv``.
    sources
        Of `chosen_sources`.
    fdr
        False discovery rate below which a change is claimed.

    Yields
    ------
    dict
        Rows with `FINDING_COLUMNS`, for percent of parent. The verdict is ``both`` (one claims a
        change, and the other's is in the same direction with p < 0.05), ``flow only`` or
        ``rna only`` (the other has no change that it could show), ``contradicted`` (the other's
        goes the other way with p < 0.05), ``neither``, or ``not comparable``.
    """
    of = {
        modality: rows_by_question(
            row
            for row in changes
            if row["modality"] == modality
            and row["source"] == sources[modality]
            and row["readout"] == "percent_of_parent"
        )
        for modality in ("flow", "rna")
    }
    for question, (flow,) in of["flow"].items():
        matching = of["rna"].get(("rna", *question[1:]))
        if not matching:
            continue
        rna = matching[0]
        verdict, note = judge_both(flow, rna, fdr)
        yield {
            **{name: flow[name] for name in ("treatment", "contrast", "population")},
            **{"source_flow": flow["source"], "source_rna": rna["source"]},
            **{f"n_pairs_{m}": row["n_pairs"] for m, row in (("flow", flow), ("rna", rna))},
            **{
                f"effect_{m}{end}": row[f"effect{end}"]
                for m, row in (("flow", flow), ("rna", rna))
                for end in ("", "_low", "_high")
            },
            **{f"p_{m}": row["p_value"] for m, row in (("flow", flow), ("rna", rna))},
            **{f"q_{m}": row["q_value"] for m, row in (("flow", flow), ("rna", rna))},
            "verdict": verdict,
            "note": note,
        }


def judge_both(flow: Mapping[str, str], rna: Mapping[str, str], fdr: float) -> tuple[str, str]:
    """Judge one change by both modalities; see `combined_findings`.

    Parameters
    ----------
    flow, rna
        Rows of ``paired_changes.tsv`` of the same question.
    fdr
        False discovery rate below which a change is claimed.

    Returns
    -------
    verdict, note : str
        The note says why a modality could not tell.
    """
    untested = [
        f"{name}: {row['status']}"
        for name, row in (("flow", flow), ("rna", rna))
        if row["status"] != "tested"
    ]
    claimed = [row["status"] == "tested" and number(row["q_value"]) < fdr for row in (flow, rna)]
    if len(untested) == 2 or (untested and not any(claimed)):
        return "not comparable", join(*untested)
    seen = [row["status"] == "tested" and number(row["p_value"]) < ALPHA for row in (flow, rna)]
    if not any(claimed):
        return "neither", ""
    if all(seen):
        directions = {np.sign(np.log(number(row["effect"]))) for row in (flow, rna)}
        return ("both", "") if len(directions) == 1 else ("contradicted", "")
    return ("flow only" if claimed[0] else "rna only"), join(*untested)
